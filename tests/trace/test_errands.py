"""Agents' errands: which calls are, and that lists and sums leave them out until they are asked for."""

import pytest
from tests.trace.conftest import call_map
from tests.trace.oracle import pair, session_rows, session_view
from tests.trace.test_growth import steps

from sessiontap import trace
from sessiontap.trace.errands import is_errand
from sessiontap.trace.index.filters import Filters

CLAUDE, CHATGPT, CURSOR = "api.anthropic.com", "chatgpt.com", "api2.cursor.sh"
ASKED = {"operation": "chat", "request_model": "claude-opus-4-8", "usage": {"input": 9, "output": 1}}
BESIDE = {"kind": "auxiliary"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"agent": "claude-code", "host": CLAUDE, "route": "/api/claude_code/settings", "llm": {"operation": "other"}},
         True),
        ({"agent": None, "host": CLAUDE, "route": "/api/eval/sdk-zAZe", "llm": {"operation": "other"}}, True),
        ({"agent": None, "host": CLAUDE, "route": "/v1/complete", "llm": {"operation": "other"}}, False),
        ({"agent": "codex", "host": CHATGPT, "route": "/backend-api/codex/models", "llm": {"operation": "other"}},
         True),
        ({"agent": None, "host": CURSOR, "route": "/aiserver.v1.AnalyticsService/Batch",
          "llm": {"operation": "other"}}, True),
        ({"agent": None, "host": CURSOR, "route": "/aiserver.v1.ChatService/StreamUnifiedChat",
          "llm": {"operation": "other"}}, False),
        ({"agent": None, "host": "api.openai.com", "route": "/v1/models", "llm": {"operation": "other"}}, False),
        ({"agent": "amp", "route": "/api/x", "llm": {"operation": "other", "request_model": "m"}}, False),
        ({"agent": "amp", "route": "/api/x", "llm": {"operation": "other", "usage": {"input": 1}}}, False),
        ({"agent": "claude-code", "llm": {"operation": "count_tokens", "request_model": "m"}}, True),
        ({"agent": None, "llm": {"operation": "count_tokens", "request_model": "m"}}, False),
        ({"agent": "claude-code", "link": BESIDE, "llm": ASKED}, True),
        ({"agent": "claude-code", "link": {"kind": "new"}, "llm": ASKED}, False),
        ({"agent": None, "link": BESIDE, "llm": ASKED}, False),
        ({"agent": "claude-code", "link": BESIDE, "llm": ASKED | {"usage": {"input": 9, "output": 30}}}, False),
        ({"agent": "codex", "link": BESIDE, "request": {"method": "GET"}, "llm": {"operation": "chat"}}, True),
        ({"agent": "codex", "link": {"kind": "new"}, "request": {"method": "POST"}, "llm": {"operation": "chat"}},
         False),
        ({}, False),
    ],
    ids=[
        "settings", "no sign of the agent, at its own path", "the API itself", "list of models", "Cursor's telemetry",
        "Cursor's chat", "a program's own list of models", "a model is named", "tokens were used", "token count",
        "a program's own token count", "quota check", "a reply of one token", "a program's own probe", "title",
        "a socket that was refused", "a chat that could not be read", "nothing known",
    ],
)  # fmt: skip
def test_what_is_an_errand(call, expected):
    assert is_errand(call) is expected


SETTINGS = {"agent": "claude-code", "llm": {"operation": "other"}, "outcome": "http_error", "host": CLAUDE}


def main(number, session="s-1", **changes):
    llm = {"operation": "chat", "request_model": "m", "finish_reason": "end_turn"} | changes.pop("llm", {})
    return call_map(number, session={"id": session, "name": "Demo", "path": "/", "step": number}, llm=llm, **changes)


def errand(number, session="s-1"):
    return call_map(number, session={"id": session, "name": "Demo", "path": "/", "step": number}, **SETTINGS)


@pytest.fixture
def log(written, folder):
    written(main(1), errand(2), main(3), errand(4), errand(5, "s-2"), errand(6, "s-2"))
    return trace.open(folder)


def test_a_session_counts_them_by_themselves(log):
    first, second = sorted(log.query_sessions(), key=lambda row: row["id"])

    assert (first["calls"], first["errors"], first["errands"], first["success"]) == (2, 0, 2, True)
    assert (second["calls"], second["errors"], second["errands"], second["success"]) == (0, 0, 2, None)
    assert [row["status"] for row in (first, second)] == ["completed", "completed"]


def test_sums_are_those_of_the_log(log):
    calls = [pair(call) for call in log.calls()]

    assert log.query_sessions() == session_rows(calls)
    assert log.query_session("s-2") == session_view([pair for pair in calls if pair[0]["session"]["id"] == "s-2"])


def test_they_are_left_out_on_request(log):
    without = Filters(without_errands=True)

    assert [row["id"] for row in log.query_sessions(without)] == ["s-1"]
    assert [row["errand"] for row in log.query_calls(without)] == [False, False]
    assert [row["calls"] for row in log.stats("session", without)] == [2]
    assert [row["errand"] for row in log.query_session("s-1", errands=False)["calls"]] == [False, False]


def test_the_newest_session_and_call_are_none(log):
    assert log.query_session_id("@1") == "s-1"
    assert log.call("@1").id == main(3)["id"]


def test_a_session_of_nothing_else_is_found_by_its_id_and_shown_whole(log):
    assert len(log.query_session("s-2", errands=False)["calls"]) == 2


# -- whose errands they are --------------------------------------------------------------------------------------------


def caller(id):
    return {"type": "caller", "id": id, "pid": 7, "name": "claude"}


def by(process, call, **changes):
    return call | {"caller": process} | changes


def errands_of(log):
    """Of each session of work, how many errands it has; then the sessions of errands that are listed by themselves."""
    rows = log.query_sessions()
    alone = sorted(row["id"] for row in rows if not row["calls"])
    return {row["id"]: row["errands"] for row in rows if row["calls"]}, alone


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([by("p", main(2)), by("p", errand(1, "e")), by("p", errand(3, "e"))], ({"s-1": 2}, [])),
        ([by("p", main(2)), by("p", errand(3)), by("p", errand(4, "e"))], ({"s-1": 2}, [])),
        ([by("p", main(2)), by("q", errand(3, "e"))], ({"s-1": 0}, ["e"])),
        ([by("p", main(2)), errand(3, "e")], ({"s-1": 0}, ["e"])),
        ([by("p", main(2)), by("p", main(5)), by("p", main(6, "s-2")), by("p", main(8, "s-2")),
          by("p", errand(3, "e"))],
         ({"s-1": 1, "s-2": 0}, [])),
        ([by("p", main(2)), by("p", main(6, "s-2")), by("p", errand(4, "e"))], ({"s-1": 0, "s-2": 0}, ["e"])),
        ([by("p", main(2)), by("p", main(7)), by("p", main(3, "s-2")), by("p", main(6, "s-2")),
          by("p", errand(5, "e"))],
         ({"s-1": 0, "s-2": 0}, ["e"])),
        ([by("p", main(2)), by("q", main(3, "s-2")), by("p", errand(4, "e")), by("q", errand(5, "e"))],
         ({"s-1": 0, "s-2": 0}, ["e"])),
        ([by("p", main(2)), by("p", errand(3, "e")), by("p", errand(4, "f"))], ({"s-1": 2}, [])),
    ],
    ids=[
        "before and after the only session of the process", "beside its own", "of another process",
        "of an unknown process", "in the time of one session of the process", "between two sessions", "while two run",
        "of two processes with a session each", "two sessions of errands",
    ],
)  # fmt: skip
def test_errands_belong_to_the_session_of_their_process_if_one_is_certain(written, folder, records, expected):
    written(caller("p"), caller("q"), *records)
    assert errands_of(trace.open(folder)) == expected


def test_a_session_shows_the_errands_that_belong_to_it_when_asked(written, folder):
    written(caller("p"), by("p", errand(1, "e")), by("p", main(2)))
    log = trace.open(folder)
    shown = log.query_session("s-1")

    assert [(call["errand"], call["session_id"]) for call in shown["calls"]] == [(True, "e"), (False, "s-1")]
    assert [call["errand"] for call in log.query_session("s-1", errands=False)["calls"]] == [False]
    assert (shown["session"]["calls"], shown["session"]["errands"]) == (1, 1)
    assert (log.query_errands()["calls"], log.query_errands()["sessions"]) == (1, 0)
    assert [call["errand"] for call in log.query_session("e")["calls"]] == [True]


def test_errands_belong_to_nobody_any_more_when_the_session_is_gone(written, folder):
    written(caller("p"), by("p", main(2)))
    (segment,) = trace.files.segments(folder)
    written(caller("p"), by("p", errand(3, "e")))
    log = trace.open(folder)
    assert errands_of(log) == ({"s-1": 1}, [])
    segment.unlink()
    log = trace.open(folder)
    assert errands_of(log) == ({}, ["e"])


def test_a_session_takes_errands_as_soon_as_it_alone_is_left(written, folder):
    written(caller("p"), by("p", main(2)))
    first = set(trace.files.segments(folder))
    written(caller("p"), by("p", main(6, "s-2")))
    (second,) = set(trace.files.segments(folder)) - first
    written(caller("p"), by("p", errand(4, "e")))
    log = trace.open(folder)
    assert errands_of(log) == ({"s-1": 0, "s-2": 0}, ["e"])
    second.unlink()
    assert errands_of(log) == ({"s-1": 1}, [])


def test_a_session_that_comes_later_leaves_errands_to_nobody(written, folder):
    written(caller("p"), by("p", errand(4, "e")), by("p", main(2)))
    log = trace.open(folder)
    assert errands_of(log) == ({"s-1": 1}, [])
    written(caller("p"), by("p", main(6, "s-2")))
    assert errands_of(log) == ({"s-1": 0, "s-2": 0}, ["e"])


def test_a_session_of_errands_that_begins_to_work_belongs_to_itself(written, folder):
    written(caller("p"), by("p", errand(1, "e")), by("p", main(2)))
    log = trace.open(folder)
    assert errands_of(log) == ({"s-1": 1}, [])
    written(caller("p"), by("p", main(3, "e")))
    assert errands_of(log) == ({"e": 1, "s-1": 0}, [])


def test_hidden_sessions_are_counted_without_a_look_at_their_processes(written, folder):
    many = 500
    written(*(record for n in range(many) for record in (caller(f"p{n}"), by(f"p{n}", errand(n, f"e{n}")))))
    log = trace.open(folder)

    assert log.query_errands()["sessions"] == many
    assert steps(log, lambda log: log.query_errands()) < 20 * many


def test_a_run_of_a_session_has_its_warm_ups_and_the_errands_that_belong_to_it(written, folder):
    warm = {"flags": ["warm_up"]}
    written(
        caller("p"), by("p", main(1)), by("p", errand(2, "e")), by("p", main(3, **warm)), main(4, "s-4", **warm),
        main(5, "s-4"),
    )  # fmt: skip
    log = trace.open(folder)

    assert [call.id for call in log.session("s-1").calls] == [call_map(1)["id"]]
    assert [call.id for call in log.run_of("s-1").calls] == [call_map(n)["id"] for n in (1, 2, 3)]
    assert [call.id for call in log.run_of("s-4").calls] == [call_map(n)["id"] for n in (4, 5)]
