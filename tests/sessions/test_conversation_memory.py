"""The conversations that are remembered, for how long, and after a restart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sessions.talk import TASK, Said, Talk, calls, chat, delegated, gives, opened

from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.known_calls import MAX_AGE
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link


def test_memory_is_bounded_by_number_and_what_is_used_stays() -> None:
    talk = Talk(Conversations(max_calls=10))
    talk.turn("first", chat("u Where is it?"), "Over there.")
    said: list[Said] = ["u Where is it?", "a Over there."]
    for n in range(20):
        talk.turn(f"noise-{n}", chat(f"u question {n}"), f"answer {n}")
        if n == 5:
            assert talk.turn("second", chat(*said, "u Thanks"), "Welcome.").parent == "first"
    assert len(talk.conversations) == 10
    assert talk.ask("late", chat(*said, "u Thanks", "a Welcome.", "u Bye")).parent is None


def test_what_nobody_went_on_from_for_too_long_is_forgotten() -> None:
    talk = opened()
    talk.now += MAX_AGE + 1
    assert talk.ask("late", chat("u Where is it?", "a Over there.", "u Thanks")).parent is None
    assert len(talk.conversations) == 1


def test_a_conversation_goes_on_after_a_restart() -> None:
    before = delegated(subagent_type="explore")
    before.turn("other", chat("u Where is it?"), "Over there.")
    before.turn("failed", chat("u Are you there?"), status=503)
    asked = [chat("u Clean up.", calls(("call_aBcD1eF", "Task"), prompt=TASK), gives("call_aBcD1eF"))]
    after = before.restarted()
    for id, body, kind in (
        ("sub", chat(f"u {TASK}"), "subagent"),
        ("main-2", asked[0], "continue"),
        ("other-2", chat("u Where is it?", "a Over there.", "u Thanks"), "continue"),
        ("again", chat("u Are you there?"), "retry"),
    ):
        want, got = before.ask(id, body), after.ask(id, body)
        assert got == want
        assert got.kind == kind


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"request_chain": "text", "match_scope": ["p", "f", "", None]}, id="a digest that is none"),
        pytest.param({"request_chain": b"x" * 16, "match_scope": "p"}, id="a scope that is none"),
        pytest.param({"request_chain": b"x" * 16, "match_scope": [1, 2, 3, 4]}, id="a scope of other types"),
    ],
)
def test_a_record_without_what_is_needed_is_left_out(state: dict[str, Any]) -> None:
    conversations = Conversations()
    conversations.restore("call-1", 0, Link("conv", None, "new"), state)
    assert len(conversations) == 0


def test_a_conversation_of_an_older_log_goes_on() -> None:
    """Its scope stands there as it is, in place of digests."""
    talk = Talk()
    talk.turn("one", chat("u Hello"), "Hi.")
    ((id, at, link, kept, came),) = talk.kept
    plain = kept | {"match_scope": ["process 1", "openai-chat", "", None]}
    after = Conversations(key=b"key")
    after.restore(id, at, link, plain, came.response_id, came.tools)

    assert Talk(after, now=talk.now).ask("two", chat("u Hello", "a Hi.", "u And?")).parent == "one"


def test_a_restored_call_with_damage_elsewhere_is_taken() -> None:
    conversations = Conversations()
    state = {
        "request_chain": b"x" * 16,
        "match_scope": ["p", "f", "", None],
        "delegated": [1, [2], [b"x", "t", None]],
        "reply_chain": 7,
    }
    conversations.restore("call-1", 0, Link("conv", None, "new"), state)
    assert len(conversations) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["one", "two", "one "])), min_size=1, max_size=25))
def test_every_process_sees_only_its_own_calls(events: list[tuple[int, str]]) -> None:
    talk = Talk()
    said: dict[int, list[Said]] = {}
    owner: dict[str, int] = {}
    for n, (process, text) in enumerate(events):
        said.setdefault(process, []).append(f"u {text}")
        link = talk.turn(f"{n}", chat(*said[process]), text, scope=MatchScope(f"process {process}", "openai-chat"))
        said[process].append(f"a {text}")
        assert owner.setdefault(link.conversation or "", process) == process
        assert link.parent is None or talk.asked[link.parent][0].process == f"process {process}"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=8, unique=True))
def test_a_conversation_of_any_texts_is_one_chain(texts: list[str]) -> None:
    talk = Talk()
    said: list[Said] = []
    for n, text in enumerate(texts):
        said.append({"role": "user", "content": f"question {text}"})
        link = talk.turn(f"{n}", chat(*said), f"answer {text}")
        said.append({"role": "assistant", "content": f"answer {text}"})
        assert link.parent == (f"{n - 1}" if n else None)
