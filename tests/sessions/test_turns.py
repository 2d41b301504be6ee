"""The turn of a call as far as it is known when it begins: the call with which the user's message began."""

from __future__ import annotations

import pytest
from tests.sessions.talk import TASK, Talk, calls, chat, delegated, gives

TOOL = ("call_aBcD1eF", "look")
ASKED = chat("u Where is it?")
GIVEN = chat("u Where is it?", calls(TOOL), gives("call_aBcD1eF"))
NEXT = chat("u Where is it?", calls(TOOL), gives("call_aBcD1eF"), "a In the attic.", "u Thanks")


def looked(*, restart: bool = False) -> Talk:
    """A turn of two calls: the first calls a tool, the second has its result and answers."""
    talk = Talk()
    talk.turn("first", ASKED, tools=((*TOOL, {}),))
    talk = talk.restarted() if restart else talk
    talk.turn("second", GIVEN, "In the attic.")
    return talk.restarted() if restart else talk


@pytest.mark.parametrize("restart", [False, True], ids=["", "after restarts"])
def test_a_turn_goes_on_until_a_reply_calls_no_tool(restart: bool) -> None:
    talk = looked(restart=restart)
    talk.ask("third", NEXT)
    assert talk.conversations.turn_of("third") == "third"
    if not restart:
        assert talk.conversations.turn_of("second") == "first"


def test_results_go_on_after_a_restart() -> None:
    talk = Talk()
    talk.turn("first", ASKED, tools=((*TOOL, {}),))
    after = talk.restarted()
    after.ask("second", GIVEN)
    assert after.conversations.turn_of("second") == "first"


def test_sub_agents_belong_to_the_turn_that_asked_for_them() -> None:
    talk = delegated()
    talk.turn("sub", chat(f"u {TASK}"), tools=((*TOOL, {}),))
    talk.ask("sub-2", chat(f"u {TASK}", calls(TOOL), gives("call_aBcD1eF")))
    assert [talk.conversations.turn_of(id) for id in ("main", "sub", "sub-2")] == ["main", "main", "main"]


def test_so_does_a_sub_agent_that_is_asked_again() -> None:
    talk = delegated()
    talk.turn("sub", chat(f"u {TASK}"), "Which parser?")
    talk.ask("sub-2", chat(f"u {TASK}", "a Which parser?", "u The old one."))
    assert talk.conversations.turn_of("sub-2") == "main"


def test_a_retry_belongs_to_the_turn_of_the_call_that_it_repeats() -> None:
    talk = Talk()
    talk.turn("first", ASKED, tools=((*TOOL, {}),))
    talk.turn("second", GIVEN, status=503)
    talk.ask("again", GIVEN)
    assert talk.asked["again"][3].kind == "retry"
    assert talk.conversations.turn_of("again") == "first"


def test_a_call_that_nobody_knows_is_a_turn_of_its_own() -> None:
    assert Talk().conversations.turn_of("other") == "other"
