"""What a replay tells: to a person, and to a program."""

from __future__ import annotations

import json
from typing import Any

from tests.replay.recorded import asks, live, recorded, user

from sessiontap.replay import report
from sessiontap.replay.replayer import open_replayer

ERRAND: Any = {
    "url": "https://api.anthropic.com/api/events", "conversation": None, "operation": "other", "agent": "claude-code",
}  # fmt: skip


def test_a_replay_that_went_as_recorded_is_told_in_a_line() -> None:
    replayer = open_replayer([recorded("r1", asks(user("hello")))])
    replayer.answer(live(asks(user("hello"))))
    assert report.text(replayer.report()) == "1 request: 1 at exact"
    assert replayer.report().is_clean


def test_all_that_was_not_as_recorded_is_told() -> None:
    gemini = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"
    replayer = open_replayer([
        recorded("r1", asks(user("on 2026-11-22")), b'{"a":"[redacted:openai:0123456789]"}', outcome="client_gone"),
        recorded("r2", asks(user("never"))),
        recorded("r3", {"events": [1]}, **ERRAND),
        recorded("r4", {"contents": []}, url=f"{gemini}?key=[redacted:key:0123456789]"),
    ])  # fmt: skip
    for _ in range(3):  # the program tries twice again
        replayer.answer(live(asks(user("on 2026-11-23"))))
    replayer.answer(live({"contents": [user("x")]}, url=f"{gemini}?key=AIza-secret"))
    assert report.text(replayer.report()).splitlines() == [
        "4 requests: 1 at canonical, 3 missed",
        "POST https://api.openai.com/v1/chat/completions: missed 2 times: Call r1 asked the same, and has answered "
        "already.",
        f"POST {gemini}: missed: It opens a conversation, and no recorded one that is left to "
        "POST generativelanguage.googleapis.com/v1beta/models/m:generateContent begins like it.",
        "    most like call r4",
        "    message 1 (user) was not recorded: “x”",
        "POST https://api.openai.com/v1/chat/completions: call r1 at canonical",
        "    its client left before the reply's end: a client that stays gets that part, and then a break",
        "    1 credential in the recorded reply is replaced by [redacted:...]",
        "2 recorded calls never asked for:",
        "    POST https://api.openai.com/v1/chat/completions: call r2",
        f"    POST {gemini}: call r4",
        "1 errand never asked for",
    ]


def test_a_difference_that_counts_is_told_and_what_was_answered_again_counted() -> None:
    replayer = open_replayer([recorded("r1", asks(user("Name a town of Italy"))), recorded("r2", {"n": 1}, **ERRAND)])
    replayer.answer(live(asks(user("Name a town of Spain"))))
    for _ in range(3):
        replayer.answer(live({"n": 1}, url=ERRAND["url"]))
    assert report.text(replayer.report()).splitlines() == [
        "4 requests: 3 at exact, 1 at place",
        "POST https://api.openai.com/v1/chat/completions: call r1 at place",
        "    message 1 (user): “Spain” instead of “Italy”",
        "2 requests answered by a call that had answered before: errands, or what only reads",
    ]


def test_errands_keep_no_replay_from_being_clean() -> None:
    replayer = open_replayer([recorded("r1", {"events": [1]}, **ERRAND)])
    replayer.answer(live({}, url="https://api.anthropic.com/api/settings"))
    found = replayer.report()
    assert found.is_clean
    assert [one.errand for one in found.asked] == [True]


def test_the_json_form_holds_everything() -> None:
    replayer = open_replayer([recorded("r1", asks(user("hello"))), recorded("r2", asks(user("never")))])
    replayer.answer(live(asks(user("hello"))))
    replayer.answer(live(asks(user("Sum 1 and 2"), max_tokens=7)))
    found = json.loads(json.dumps(report.as_json(replayer.report())))
    assert (found["clean"], found["rungs"], found["missed"]) == (False, {"exact": 1}, 1)
    assert [(one["rung"], one["call"]) for one in found["asked"]] == [("exact", "r1"), (None, "r2")]
    assert [one["call"] for one in found["unasked"]] == ["r2"]
    assert found["asked"][1]["difference"]
