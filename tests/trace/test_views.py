"""The JSON of the command line, made of records."""

import pytest
from tests.trace.conftest import call_map
from tests.trace.oracle import cost_of, session_rows, session_view

from sessiontap.trace import call_row
from sessiontap.trace.values import iso
from sessiontap.trace.views import property_values, session_tree

SECOND = 1_000_000_000
CALL_KEYS = [
    "id",
    "time",
    "session_id",
    "session_name",
    "path",
    "step",
    "source",
    "evidence",
    "conversation",
    "parent",
    "kind",
    "errand",
    "machine",
    "process",
    "agent",
    "subagent",
    "provider",
    "family",
    "operation",
    "host",
    "forwarded_host",
    "method",
    "route",
    "request_model",
    "response_model",
    "stream",
    "status",
    "outcome",
    "in_flight",
    "error",
    "finish_reason",
    "tools_offered",
    "tool_calls",
    "usage",
    "cost_usd",
    "cost_parts",
    "cost_unknown",
    "duration",
    "time_to_first_byte",
    "time_to_first_token",
    "request_bytes",
    "response_bytes",
    "rules",
    "scores",
    "starred",
    "note",
]
SESSION_KEYS = [
    "id",
    "name",
    "title",
    "last_reply",
    "started",
    "ended",
    "duration",
    "calls",
    "calls_in_flight",
    "in_flight_since",
    "errors",
    "errands",
    "paths",
    "models",
    "providers",
    "agents",
    "processes",
    "users",
    "tags",
    "machines",
    "properties",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cost_usd",
    "cost_parts",
    "cost_unknown_calls",
    "success",
    "status",
    "scores",
    "starred",
    "note",
    "call_scores",
]


def call(number: int, path: str = "/a", seconds: float = 1.0, **changes):
    session = {"id": "s", "name": "Demo", "path": path, "step": number}
    return call_map(number, session=session, time=number * SECOND, duration=int(seconds * SECOND), **changes)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_237_563_000_001_999, "2026-11-21T05:06:03.000001Z"),
        (1_795_237_563_999_999_999, "2026-11-21T05:06:03.999999Z"),
    ],
)
def test_times_are_iso_8601_in_microseconds_never_rounded_up(time, text):
    assert iso(time) == text


def test_a_call_has_the_keys_of_the_design_in_its_order():
    row = call_row(call(1), {"pid": 7, "name": "bot.py", "cwd": "/srv", "exe": "/x"})

    assert list(row) == CALL_KEYS
    assert row["process"] == {"pid": 7, "name": "bot.py", "cwd": "/srv"}
    assert (row["time"], row["duration"], row["path"]) == ("1970-01-01T00:00:01.000000Z", 1.0, "/a")


def test_a_call_of_which_nothing_is_known_is_null_throughout():
    row = call_row({"type": "call"}, None)

    assert list(row) == CALL_KEYS
    known = {key for key, value in row.items() if value is not None}
    assert known == {"errand", "in_flight", "tools_offered", "tool_calls", "rules", "cost_unknown", "scores", "starred"}


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (None, None),
        ({"body": None}, 0),
        ({"body": {"size": 5}}, 5),
        ({"body": {"size": 5, "total": 9}}, 9),
    ],
    ids=["never came", "no body", "a body", "a cut body"],
)
def test_bytes_are_what_went_by(message, size):
    assert call_row({"response": message}, None)["response_bytes"] == size


def test_a_session_sums_up_its_calls():
    usage = {"input": 10, "output": 2, "cache_read": None}
    first = call(1, "/a", llm={"response_model": "m1", "provider": "openai", "usage": usage}, user="u", tags=["t", "s"])
    last = call(3, "/b", 2, llm={"request_model": "m2", "usage": usage}, agent="codex", properties={"k": "new"})
    middle = call(2, "/a", outcome="http_error", llm={}, properties={"k": "old", "l": "x"})

    (row,) = session_rows([(last, None), (middle, {"name": "bot.py"}), (first, {"name": "bot.py"})], now=1000 * SECOND)

    assert list(row) == SESSION_KEYS
    assert row == {
        "id": "s", "name": "Demo", "title": None, "last_reply": None,
        "started": "1970-01-01T00:00:01.000000Z", "ended": "1970-01-01T00:00:05.000000Z",
        "duration": 4.0, "calls": 3, "calls_in_flight": 0, "in_flight_since": None, "errors": 1, "errands": 0,
        "paths": ["/a", "/b"], "models": ["m1", "m2"],
        "providers": ["openai"], "agents": ["codex"], "processes": ["bot.py"], "users": ["u"], "tags": ["t", "s"],
        "machines": [],
        "properties": {"k": "new", "l": "x"}, "input_tokens": 20, "output_tokens": 4, "cache_read_tokens": None,
        "cost_usd": None, "cost_parts": None, "cost_unknown_calls": 3, "success": True, "status": "completed",
        "scores": {}, "starred": False, "note": None, "call_scores": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "age", "status"),
    [
        (["ok"], 10, "active"),
        (["ok"], 301, "completed"),
        (["ok", "http_error"], 10, "failed"),
        (["ok", "upstream_gone"], 10_000, "failed"),
        (["http_error", "ok"], 10_000, "completed"),
        (["client_gone"], 10_000, "completed"),
        (["websocket_closed"], 10_000, "completed"),
    ],
)
def test_status(outcomes, age, status):
    calls = [(call(number, outcome=outcome), None) for number, outcome in enumerate(outcomes, 1)]

    (row,) = session_rows(calls, now=(len(outcomes) + 1 + age) * SECOND)

    assert row["status"] == status


def test_an_error_inside_a_reply_that_looked_fine_counts():
    (row,) = session_rows([(call(1, llm={"error": {"type": "overloaded"}}), None)])

    assert (row["errors"], row["status"]) == (1, "failed")


def test_sessions_come_newest_first_by_their_last_call():
    calls = [(call_map(number), None) for number in (25, 1, 12, 11)] + [(call_map(30, session=None), None)]

    assert [row["id"] for row in session_rows(calls)] == ["session-2", "session-1", "session-0"]


def test_a_tree_has_a_node_for_every_level():
    usage = {"input": 5}
    calls = [
        call(1, "/plan/outline", 1),
        call(2, "/plan/outline/search", 2, llm={"usage": usage}, outcome="http_error"),
        call(10, "/plan", 3),
        call(4, "/write", 1, llm={"usage": usage}),
    ]

    def shape(node):
        return (node["path"], node["calls"], node["errors"], node["duration"], node["input_tokens"],
                [shape(child) for child in node["children"]])  # fmt: skip

    tree = session_tree(calls)

    assert list(tree[0]) == (
        ["path", "calls", "calls_in_flight", "errors", "started", "duration", "input_tokens", "output_tokens",
         "cost_usd", "cost_parts", "cost_unknown_calls", "children"]
    )  # fmt: skip
    assert [shape(node) for node in tree] == [
        ("/plan", 3, 1, 12.0, 5, [
            ("/plan/outline", 2, 1, 3.0, 5, [("/plan/outline/search", 1, 1, 2.0, 5, [])]),
        ]),
        ("/write", 1, 0, 1.0, 5, []),
    ]  # fmt: skip


def test_calls_at_the_root_have_a_node_beside_the_others():
    tree = session_tree([call(1, "/"), call(2, "/a"), call(3, "/")])

    assert [(node["path"], node["calls"], node["children"]) for node in tree] == [("/", 2, []), ("/a", 1, [])]


def test_show_is_session_tree_and_calls_in_order():
    view = session_view([(call(2), None), (call(1), None)])

    assert list(view) == ["session", "properties", "cost_unknown", "tree", "calls"]
    assert view["session"]["calls"] == 2
    assert [row["step"] for row in view["calls"]] == [1, 2]


@cost_of
def cents(record):
    """A cent for each token of input."""
    usage = record["llm"].get("usage")
    return usage and usage["input"] / 100


def test_costs_are_what_the_reader_says():
    paid = {"usage": {"input": 10}}
    calls = [call(1, "/a", llm=paid), call(2, "/a/b", llm=paid), call(3, "/c", llm={"usage": None})]

    view = session_view([(one, None) for one in calls], cost_of=cents)

    assert (view["session"]["cost_usd"], view["session"]["cost_unknown_calls"]) == (0.2, 1)
    assert [(node["path"], node["cost_usd"]) for node in view["tree"]] == [("/a", 0.2), ("/c", None)]
    assert [row["cost_usd"] for row in view["calls"]] == [0.1, 0.1, None]


def test_a_sum_of_costs_is_no_artefact_of_binary_fractions():
    calls = [(call(number, llm={"usage": {"input": tokens}}), None) for number, tokens in enumerate((10, 20), 1)]

    assert session_rows(calls, cost_of=cents)[0]["cost_usd"] == 0.3


@pytest.mark.parametrize(
    ("properties", "values"),
    [
        ([{}], {}),
        ([{"mode": "a"}, {"mode": "a", "n": 1}], {"mode": ["a"], "n": [1]}),
        ([{"mode": "b"}, {"mode": "a"}, {"mode": "b"}], {"mode": ["b", "a"]}),
        ([{"deep": {"a": [1]}}, {"deep": {"a": [2]}}], {"deep": [{"a": [1]}, {"a": [2]}]}),
    ],
    ids=["none", "one value each", "two values, in the calls' order", "values that are JSON"],
)
def test_a_property_has_all_the_values_of_the_calls(properties, values):
    assert property_values({"properties": one} for one in properties) == values
