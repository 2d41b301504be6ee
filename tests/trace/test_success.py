"""How a session ended: by its last main turn, or as its properties say."""

import pytest
from tests.trace.conftest import INFO, call_map
from tests.trace.oracle import session_rows

from sessiontap import trace
from sessiontap.trace.outcomes import ended_well, stated_success


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"outcome": "ok", "llm": {"finish_reason": "end_turn"}}, True),
        ({"outcome": "ok", "llm": {}}, True),
        ({"outcome": "http_error", "llm": {}}, False),
        ({"outcome": "ok", "llm": {"error": {"type": "overloaded_error"}}}, False),
        ({"outcome": "ok", "llm": {"finish_reason": "length"}}, False),
        ({"outcome": "ok", "llm": {"finish_reason": "MAX_TOKENS"}}, False),
        ({"outcome": "ok", "llm": {"finish_reason": "refusal"}}, False),
        ({"outcome": "ok", "llm": {"finish_reason": "tool_use", "tool_calls": ["Bash"]}}, None),
        ({"outcome": "ok", "llm": {"tool_calls": ["Bash"]}}, None),
        ({"outcome": "client_gone", "llm": {}}, None),
        ({"outcome": "proxy_stopped", "llm": {}}, None),
    ],
    ids=[
        "ended", "no reason stated", "refused", "an error inside a 200", "cut off", "cut off, in capitals",
        "the model refused", "asks for a tool", "asks for a tool, no reason stated", "the app went away", "we stopped",
    ],
)  # fmt: skip
def test_how_a_call_ended(call, expected):
    assert ended_well(call) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("Passed", True), (" 1 ", True), (True, True), ("no", False), ("FAILED", False), (0, False),
     ("partly", None), ("", None), (None, None)],
    ids=str,
)  # fmt: skip
def test_words_of_a_property(value, expected):
    assert stated_success(value) is expected


def call(number, **changes):
    session = {"id": "s", "name": "Demo", "path": "/", "step": number}
    return call_map(number, **{"session": session, "llm": {"operation": "chat"}, **changes})


FAILED = {"outcome": "http_error"}
CUT = {"llm": {"operation": "chat", "finish_reason": "length"}}
TITLE = {"link": {"kind": "auxiliary"}}
SUBAGENT = {"subagent": "explore"}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([call(1)], True),
        ([call(1), call(2, **FAILED)], False),
        ([call(1, **FAILED), call(2, link={"kind": "retry"})], True),
        ([call(1), call(2, **FAILED, **TITLE)], True),
        ([call(1), call(2, **FAILED, **SUBAGENT)], True),
        ([call(1, **FAILED), call(2, **SUBAGENT)], False),
        ([call(1, **SUBAGENT), call(2, **FAILED, **TITLE)], False),
        ([call(1, **CUT)], False),
        ([call(1, outcome="client_gone")], None),
        ([call(1, **FAILED, properties={"outcome": "solved"})], True),
        ([call(1, properties={"Success": "false"})], False),
        ([call(1, properties={"success": "no", "outcome": "ok"})], False),
        ([call(1, properties={"outcome": "failed"}), call(2, properties={"outcome": "ok"})], True),
        ([call(1, properties={"outcome": "partly"}), call(2, **FAILED)], False),
    ],
    ids=[
        "one call", "the last one failed", "a retry succeeded", "a title failed", "a sub-agent failed",
        "the main agent failed before", "no main call", "cut off", "the app went away", "said to be solved",
        "said to have failed", "success is asked first", "the latest word counts", "another word says nothing",
    ],
)  # fmt: skip
def test_how_a_session_ended(written, folder, calls, expected):
    written(*calls)
    (row,) = trace.open(folder).query_sessions()

    assert row["success"] is expected
    assert (row["status"] == "failed") is (expected is False)
    assert [row] == session_rows([(one | {"machine": INFO["host"]}, None) for one in calls])


def test_the_order_in_which_calls_are_written_does_not_count(written, folder):
    written(call(2), call(1, **FAILED), call(3, **TITLE, **FAILED))

    (row,) = trace.open(folder).query_sessions()
    assert row["success"] is True


def test_the_rate_of_success(written, folder):
    def of(session, number, **changes):
        return call(number, **changes) | {"session": {"id": session, "name": "Demo", "path": "/", "step": 0}}

    written(of("a", 1), of("b", 2, **FAILED), of("c", 3), of("d", 4, outcome="client_gone"), of("a", 5))

    (row,) = trace.open(folder).stats("name")
    assert (row["sessions"], row["sessions_succeeded"], row["sessions_failed"]) == (4, 2, 1)
    assert row["success_rate"] == pytest.approx(2 / 3)
