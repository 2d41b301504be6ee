"""Kinds of calls in a conversation: retries, branches, summaries, titles, warm-ups."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sessions.talk import (
    ANSWER,
    ANTHROPIC,
    CLAUDE,
    RESPONSES,
    Said,
    Talk,
    calls,
    chat,
    claude,
    gives,
    opened,
    outcome,
)

from sessiontap.sessions.session import Link


@pytest.mark.parametrize(
    ("status", "again", "kind"),
    [
        pytest.param(429, {}, "retry", id="too many requests"),
        pytest.param(503, {}, "retry", id="the server's fault"),
        pytest.param(None, {}, "retry", id="no response"),
        pytest.param(400, {}, "new", id="a fault that stays"),
        pytest.param(200, {}, "new", id="it had its reply"),
        pytest.param(429, {"x_stainless_retry_count": "1"}, "retry", id="and the client says so"),
    ],
)
def test_the_same_request_again(status: int | None, again: dict[str, str], kind: str) -> None:
    talk = Talk()
    first = talk.turn("first", chat("u Where is it?"), "Over there." if status == 200 else None, status=status)
    link = talk.ask("again", chat("u Where is it?"), **again)
    assert link.kind == kind
    assert (link.conversation == first.conversation) is (kind == "retry")


def test_a_retry_that_the_client_counts_needs_no_failure_seen() -> None:
    talk = Talk()
    first = talk.ask("first", chat("u Where is it?"))
    link = talk.ask("again", chat("u Where is it?"), x_stainless_retry_count="1")
    assert (link.conversation, link.kind, link.evidence) == (first.conversation, "retry", "exact")


def test_other_settings_are_no_retry() -> None:
    talk = Talk()
    talk.turn("first", chat("u Where is it?", temperature=9), status=503)
    assert talk.ask("again", chat("u Where is it?", temperature=1)).kind == "new"


def test_a_stream_that_was_cut_is_asked_for_again() -> None:
    talk = Talk()
    first = talk.turn("first", chat("u Where is it?"), "Over th", complete=False)
    for one in (talk, talk.restarted()):
        again = one.turn("again", chat("u Where is it?"), "Over there.")
        assert (again.kind, again.conversation) == ("retry", first.conversation)
        link = one.ask("next", chat("u Where is it?", "a Over there.", "u Thanks"))
        assert outcome(link) == ("again", "strong", "continue")


@pytest.mark.parametrize(
    ("kept", "evidence"),
    [("Over th", "strong"), ("Over", "weak"), (None, "weak")],
    ids=["all that came", "less of it", "nothing"],
)
def test_a_stream_that_the_user_stopped(kept: str | None, evidence: str) -> None:
    talk = Talk()
    talk.turn("first", chat("u Where is it?"), "Over th", complete=False)
    said = [f"a {kept}"] if kept else []
    link = talk.ask("next", chat("u Where is it?", *said, "u Stop, never mind."))
    assert outcome(link) == ("first", evidence, "continue")


def test_a_retry_keeps_the_evidence_of_the_first_try() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    talk.turn("first", {"input": "Where is it?"}, "Over there.", response_id="resp_aBcD1eF")
    again = {"input": "Thanks", "previous_response_id": "resp_aBcD1eF"}
    talk.turn("next", again, status=500)
    assert outcome(talk.ask("again", again)) == ("first", "exact", "retry")


def test_any_of_several_replies_may_be_gone_on_from() -> None:
    talk = Talk()
    talk.turn("first", chat("u Where is it?", n=2), "Over there.")
    assert talk.ask("next", chat("u Where is it?", "a In the attic.", "u Thanks")).parent == "first"


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_a_client_that_clears_old_results_away(restarted: bool) -> None:
    tool = calls(("call_aBcD1eF", "look"))
    talk = Talk()
    talk.turn("first", chat("u Where is it?"), tools=(("call_aBcD1eF", "look", {}),))
    talk.turn("second", chat("u Where is it?", tool, gives("call_aBcD1eF")), ANSWER)
    cleared: list[Said] = ["u Where is it?", tool, gives("call_aBcD1eF", "[cleared]"), f"a {ANSWER}"]
    talk = talk.restarted() if restarted else talk
    assert outcome(talk.ask("third", chat(*cleared, "u Thanks"))) == ("second", "strong", "continue")


def test_a_retry_goes_on_from_where_the_first_try_did() -> None:
    talk = opened()
    said = chat("u Where is it?", "a Over there.", "u Thanks")
    talk.turn("second", said, status=503)
    assert outcome(talk.ask("again", said)) == ("first", "strong", "retry")


def test_a_failure_is_retried_once() -> None:
    talk = Talk()
    talk.turn("first", chat("u Where is it?"), status=503)
    kinds = [talk.ask(id, chat("u Where is it?")).kind for id in ("again", "somebody else's")]
    assert kinds == ["retry", "new"]


@pytest.mark.parametrize(("replied", "kind"), [(True, "branch"), (False, "parallel")], ids=["ended", "in flight"])
def test_a_second_call_from_one_parent(replied: bool, kind: str) -> None:
    talk = opened()
    talk.ask("one", chat("u Where is it?", "a Over there.", "u Thanks"))
    if replied:
        talk.reply("one", "Welcome.")
    assert outcome(talk.ask("two", chat("u Where is it?", "a Over there.", "u Where?"))) == ("first", "strong", kind)


def test_a_failed_call_leaves_its_place_to_the_next() -> None:
    talk = opened()
    talk.turn("one", chat("u Where is it?", "a Over there.", "u Thanks"), status=400)
    assert talk.ask("two", chat("u Where is it?", "a Over there.", "u Thank you")).kind == "continue"


def test_a_window_over_the_history() -> None:
    talk = Talk()
    talk.turn("first", chat("u Hello"), "Hi.")
    talk.turn("second", chat("u Hello", "a Hi.", "u Where?"), ANSWER)
    link = talk.ask("third", chat("u Where?", f"a {ANSWER}", "u And then?"))
    assert outcome(link) == ("second", "weak", "compaction")


def test_a_summary_begins_the_compacted_history() -> None:
    talk = Talk()
    first = talk.turn("first", chat("u Hello"), "Hi.")
    asks = chat("u Hello", "a Hi.", "u Your task is to create a detailed summary of the conversation so far.")
    lines = "The user greeted the assistant warmly.\nThe assistant answered in kind.\nNothing else was said at all."
    aside = talk.turn("sum", asks, lines)
    assert outcome(aside) == ("first", "strong", "auxiliary")
    goes_on = f"u This session is being continued from a previous conversation.\n\n{lines}\nPlease go on."
    link = talk.ask("next", chat(goes_on))
    assert outcome(link) == ("sum", "strong", "compaction")
    assert link.conversation == first.conversation


TITLE = "Generate a concise title for this conversation."


def test_a_title_joins_the_conversation_that_it_quotes_and_nothing_goes_on_from_it() -> None:
    talk = Talk()
    first = talk.turn("first", chat("u Where is the old parser kept?"), "There.")
    link = talk.turn("title", chat(f"s {TITLE}", "u <chat>Where is the old parser kept?</chat>"), "Old parser")
    assert outcome(link) == ("first", "weak", "auxiliary")
    assert link.conversation == first.conversation
    assert talk.ask("next", chat("u Where is the old parser kept?", "a There.", "u Hm")).kind == "continue"


def test_after_a_title_the_first_call_of_a_declared_session_is_new() -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    title = chat("s Generate a short title for this conversation.", "u Where is it?")
    assert talk.turn("title", title, "Search", **CLAUDE).kind == "auxiliary"
    assert talk.turn("first", claude("u Where is it?"), "Over there.", **CLAUDE).kind == "new"
    link = talk.ask("next", claude("u Where is it?", "a Over there.", "u Thanks"), **CLAUDE)
    assert outcome(link) == ("first", "strong", "continue")


def test_what_a_declared_session_asks_of_no_model_is_beside_it() -> None:
    talk = Talk(scope=ANTHROPIC, path="/api/claude_code/settings")
    assert talk.ask("settings", {}, **CLAUDE).kind == "auxiliary"
    assert talk.ask("first", claude("u Where is it?"), path="/v1/messages", **CLAUDE).kind == "new"


# A warm-up prepares a turn: `generate: false`.


def warmed(**headers: str) -> Talk:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    talk.turn("warm", {"input": [], "generate": False}, response_id="resp_aBcD1eF", **headers)
    return talk


@pytest.mark.parametrize(
    "headers", [{}, {"x_codex_turn_metadata": "{}", "originator": "codex", "session_id": "s-1"}], ids=["", "declared"]
)
def test_the_first_turn_behind_a_warm_up_is_new(headers: dict[str, str]) -> None:
    talk = warmed(**headers)
    body = {"input": "Where is it?", "previous_response_id": "resp_aBcD1eF"}
    link = talk.turn("first", body, "Over there.", response_id="resp_XyZw9Qq", **headers)
    assert outcome(link) == (None, "declared" if headers else "new", "new")
    assert link.conversation == talk.asked["warm"][3].conversation
    after = talk.restarted().ask("next", {"input": "Thanks", "previous_response_id": "resp_XyZw9Qq"}, **headers)
    assert outcome(after) == ("first", "exact", "continue")


def test_what_goes_on_from_a_warm_up_hangs_where_that_hung() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    talk.turn("first", {"input": "Where is it?"}, "Over there.", response_id="resp_XyZw9Qq")
    warm = {"input": [], "generate": False, "previous_response_id": "resp_XyZw9Qq"}
    assert talk.turn("warm", warm, response_id="resp_aBcD1eF").kind == "auxiliary"
    for one in (talk, talk.restarted()):
        link = one.ask("next", {"input": "Thanks", "previous_response_id": "resp_aBcD1eF"})
        assert outcome(link) == ("first", "exact", "continue")


def test_a_prompt_about_titles_with_tools_is_no_title() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    assert Talk().ask("first", chat(f"u {TITLE}", tools=tools)).kind == "new"


def test_counting_tokens_joins_and_leaves_nothing() -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    talk.turn("first", body, "Hi.")
    body["messages"] += [{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And?"}]
    link = talk.ask("count", body, path="/v1/messages/count_tokens")
    assert outcome(link) == ("first", "strong", "auxiliary")
    assert outcome(talk.ask("next", body)) == ("first", "strong", "continue")


def test_embeddings_belong_to_no_conversation() -> None:
    link = Talk().ask("first", {"model": "m", "input": "text"}, path="/v1/embeddings")
    assert link == Link()


@pytest.mark.parametrize(
    "body",
    [{"model": "m"}, {"model": "m", "messages": []}, {"messages": "Hello"}, {"messages": [7]}],
    ids=["no messages", "an empty list", "no list", "no message"],
)
def test_what_cannot_be_read_belongs_to_no_conversation(body: dict[str, Any]) -> None:
    assert Talk().ask("first", body) == Link()
