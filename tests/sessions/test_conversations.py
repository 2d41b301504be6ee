"""Which earlier call a call goes on from, and what it is to its conversation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sessions.talk import Said, Talk, calls, chat, gives

from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.known_calls import MAX_AGE
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link

CLAUDE = {"x_claude_code_session_id": "c1a0de00-session"}
ANTHROPIC = MatchScope("process 1", "anthropic-messages")
RESPONSES = MatchScope("process 1", "openai-responses")
ANSWER = "An answer long enough to be told from others by itself."
TASK = "Find every place where the parser drops a comment."


def opened(*, tools: tuple[tuple[str | None, str, dict[str, Any]], ...] = ()) -> Talk:
    """One call, `Where is it?`, that has its reply: `Over there.` or tool calls."""
    talk = Talk()
    talk.turn("first", chat("u Where is it?"), None if tools else "Over there.", tools=tools)
    return talk


def outcome(link: Link) -> tuple[str | None, str | None, str | None]:
    return link.parent, link.evidence, link.kind


# -- the tiers ---------------------------------------------------------------------------------------------------------


def test_a_first_call_begins_a_conversation() -> None:
    link = Talk().ask("first", chat("u Where is it?"))
    assert outcome(link) == (None, "new", "new")
    assert link.conversation == link.root
    assert link.lineage == ()


@pytest.mark.parametrize(
    ("said", "evidence"),
    [
        pytest.param(["u Where is it?", "a Over there.", "u Thanks"], "strong", id="the reply at its place"),
        pytest.param(
            ["s Be kind.", "u Where is it?", "a Over there.", "u Thanks"], "strong", id="another system prompt"
        ),
        pytest.param(["u Where is it?", "a  Over there.\n", "u Thanks"], "strong", id="the reply with other blanks"),
        pytest.param(["u Where is it?", "a over there!", "u Thanks"], "weak", id="the reply written anew"),
        pytest.param(["u Where is it?", "u Anybody?"], "weak", id="no reply in the history"),
        pytest.param(["u Where is it?", "a In the attic.", "u Thanks"], None, id="another reply"),
        pytest.param(["u Where is he?", "a Over there.", "u Thanks"], None, id="another question"),
        pytest.param(["u Where is it?"], None, id="the same question again"),
        pytest.param(["u Hm.", "u Where is it?", "a Over there.", "u Thanks"], None, id="not from its beginning"),
    ],
)
def test_a_history_that_holds_a_recorded_call(said: list[Said], evidence: str | None) -> None:
    talk = opened()
    link = talk.ask("next", chat(*said))
    assert (link.parent, link.evidence) == (("first", evidence) if evidence else (None, "new"))
    assert (link.conversation == talk.asked["first"][3].conversation) is (evidence is not None)


@pytest.mark.parametrize(
    ("issued", "said", "evidence"),
    [
        pytest.param("call_aBcD1eF", [calls(("call_aBcD1eF", "look")), gives("call_aBcD1eF")], "exact", id="its id"),
        pytest.param("call_aBcD1eF", [gives("call_aBcD1eF")], "exact", id="the result alone, the call left out"),
        pytest.param("call_0", [calls(("call_0", "look")), gives("call_0")], "exact", id="a counted id at its place"),
        pytest.param("call_0", [calls(("call_0", "else")), gives("call_0")], "exact", id="though written anew"),
        pytest.param("call_aBcD1eF", [calls(("call_XyZw9Qq", "else")), gives("call_XyZw9Qq")], None, id="another id"),
    ],
)
def test_a_tool_calls_id(issued: str, said: list[Said], evidence: str | None) -> None:
    talk = opened(tools=((issued, "look", {}),))
    link = talk.ask("next", chat("u Where is it?", *said))
    assert (link.parent, link.evidence) == (("first", evidence) if evidence else (None, "new"))


@pytest.mark.parametrize(
    ("id", "parent"),
    [
        *((id, None) for id in ("call_0", "call_12", "0", "tool3", "functions.look:3")),
        *(
            (id, "first")
            for id in ("call_abCDefGHijKL12", "toolu_01A09q90qw90lq917835lq9", "D681PevKs", "fc_67ca09c5e")
        ),
    ],
)
def test_an_id_alone_elsewhere_in_the_history(id: str, parent: str | None) -> None:
    talk = opened(tools=((id, "look", {}),))
    assert talk.ask("next", chat("u Something else", calls((id, "look")), gives(id))).parent == parent


@pytest.mark.parametrize(
    ("issued", "held", "evidence"),
    [
        pytest.param(None, "call_made_Up7", "weak", id="a framework gave it one"),
        pytest.param("call_aBcD1eF", "call_XyZw9Qq", None, id="it had another"),
    ],
)
def test_a_call_with_other_arguments_and_another_id(issued: str | None, held: str, evidence: str | None) -> None:
    talk = opened(tools=((issued, "look", {"city": "Rome"}),))
    link = talk.ask("next", chat("u Where is it?", calls((held, "look"), city="Roma"), gives(held)))
    assert (link.parent, link.evidence) == (("first", evidence) if evidence else (None, "new"))


def test_a_counted_id_that_every_reply_issues_is_told_by_its_place() -> None:
    talk = Talk()
    for n, question in enumerate(["u One?", "u Two?", "u Three?"]):
        talk.turn(f"ask-{n}", chat(question), tools=(("call_0", "look", {}),))
    assert talk.ask("next", chat("u Two?", calls(("call_0", "look")), gives("call_0"))).parent == "ask-1"


def test_an_id_that_two_conversations_issued_is_nobodys() -> None:
    talk = Talk()
    for n, question in enumerate(["u One?", "u Two?"]):
        talk.turn(f"ask-{n}", chat(question), tools=(("call_aBcD1eF", "look", {}),))
    assert talk.ask("next", chat("u Three?", calls(("call_aBcD1eF", "look")), gives("call_aBcD1eF"))).parent is None


def test_the_newest_reply_counts_not_the_first() -> None:
    talk = opened(tools=(("call_aBcD1eF", "look", {}),))
    asked = ["u Where is it?", calls(("call_aBcD1eF", "look")), gives("call_aBcD1eF")]
    talk.turn("second", chat(*asked), "In the attic.")
    link = talk.ask("third", chat(*asked, "a In the attic.", "u Thanks"))
    assert outcome(link) == ("second", "strong", "continue")


def test_a_request_below_a_certain_reply_is_the_parent() -> None:
    talk = opened(tools=(("call_aBcD1eF", "look", {}),))
    asked = ["u Where is it?", calls(("call_aBcD1eF", "look")), gives("call_aBcD1eF")]
    talk.turn("second", chat(*asked), "It is in the attic.")
    link = talk.ask("third", chat(*asked, "a It is in the attic", "u Thanks"))
    assert outcome(link) == ("second", "weak", "continue")


def test_an_earlier_reply_is_named_outright() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    talk.turn("first", {"model": "m", "input": "Hello"}, "Hi", response_id="resp_0a1B2c")
    link = talk.ask("next", {"input": "And?", "previous_response_id": "resp_0a1B2c"})
    assert outcome(link) == ("first", "exact", "continue")


# -- what must never be joined -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(MatchScope("process 2", "openai-chat"), id="another process"),
        pytest.param(MatchScope("process 1", "openai-responses"), id="another family"),
        pytest.param(MatchScope("client 10.0.0.9", "openai-chat", "night"), id="another client"),
    ],
)
def test_nothing_is_joined_across_scopes(other: MatchScope) -> None:
    talk = opened()
    link = talk.ask("next", chat("u Where is it?", "a Over there.", "u Thanks"), scope=other)
    assert outcome(link) == (None, "new", "new")


def test_ids_are_believed_across_processes_of_one_given_session() -> None:
    talk = Talk()
    one, other = (MatchScope(process, "openai-chat", session="run-7") for process in ("process 1", "process 2"))
    talk.turn("first", chat("u Where is it?"), tools=(("call_aBcD1eF", "look", {}),), scope=one)
    link = talk.ask("next", chat("u ...", calls(("call_aBcD1eF", "look")), gives("call_aBcD1eF")), scope=other)
    assert outcome(link) == ("first", "exact", "continue")


OTHER_PROCESS = MatchScope("process 2", "anthropic-messages", session="s-1")


@pytest.mark.parametrize(
    ("reply", "said", "evidence"),
    [
        pytest.param("Over there.", ["u Where is it?", "a Over there.", "u Thanks"], "strong", id="the reply"),
        pytest.param("Over there.", ["u Where is it?", "a over there!", "u Thanks"], "declared", id="written anew"),
        pytest.param(ANSWER, ["u Hm.", "u Where is it?", f"a {ANSWER}", "u Thanks"], "declared", id="a window"),
        pytest.param("Over there.", ["u Where is it?", "a In the attic.", "u Thanks"], None, id="another reply"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_a_declared_session_goes_on_in_another_process(
    reply: str, said: list[Said], evidence: str | None, restarted: bool
) -> None:
    talk = Talk(scope=MatchScope("process 1", "anthropic-messages", session="s-1"), path="/v1/messages")
    first = talk.turn("first", claude("u Where is it?"), reply, **CLAUDE)
    talk = talk.restarted() if restarted else talk
    link = talk.ask("next", claude(*said), scope=OTHER_PROCESS, **CLAUDE)
    assert (link.parent, link.evidence) == (("first", evidence) if evidence else (None, "declared"))
    assert link.conversation == first.conversation


@pytest.mark.parametrize(
    ("said", "parent"),
    [
        pytest.param(["u Where is it?", "a Over there.", "u Thanks"], "first", id="the reply at its place"),
        pytest.param(["u Where is it?", "a over there!", "u Thanks"], None, id="nothing certain"),
        pytest.param(["u Where is it?"], None, id="the same first question"),
    ],
)
def test_a_session_that_an_app_names_for_several_processes(said: list[Said], parent: str | None) -> None:
    talk = Talk(scope=MatchScope("process 1", "openai-chat", session="run-1"))
    talk.turn("first", chat("u Where is it?"), "Over there.")
    assert talk.ask("next", chat(*said), scope=MatchScope("process 2", "openai-chat", session="run-1")).parent == parent


def test_where_processes_of_a_session_say_the_same_the_own_one_counts() -> None:
    scopes = [MatchScope(f"process {n}", "openai-chat", session="run-1") for n in (1, 2)]
    talk = Talk()
    for n, scope in enumerate(scopes, 1):
        talk.turn(f"first-{n}", chat("u Where is it?"), "Over there.", scope=scope)
    said = chat("u Where is it?", "a Over there.", "u Thanks")
    assert [talk.ask(f"next-{n}", said, scope=scope).parent for n, scope in enumerate(scopes, 1)] == [
        "first-1",
        "first-2",
    ]


def test_a_session_tells_conversations_of_one_process_apart() -> None:
    scopes = [MatchScope("process 1", "openai-chat", session=f"user-{n}") for n in (1, 2)]
    talk = Talk()
    for n, scope in enumerate(scopes, 1):
        talk.turn(f"first-{n}", chat("u Where is it?"), "Over there.", scope=scope)
    link = talk.ask("next", chat("u Where is it?", "a Over there.", "u Thanks"), scope=scopes[0])
    assert (link.parent, link.evidence) == ("first-1", "strong")


def test_a_request_in_flight_is_no_parent() -> None:
    talk = Talk()
    talk.ask("first", chat("u Where is it?"))
    assert talk.ask("next", chat("u Where is it?", "a Over there.", "u Thanks")).parent is None


def test_shared_examples_join_nothing() -> None:
    talk = Talk()
    shots = ["u 1+1", "a 2", "u 2+2", "a 4"]
    talk.turn("first", chat(*shots, "u 3+3"), "6")
    assert outcome(talk.ask("next", chat(*shots, "u 4+4"))) == (None, "new", "new")


def test_two_conversations_that_nothing_tells_apart() -> None:
    talk = Talk()
    talk.turn("first", chat("u Hello"), "Hi there.")
    talk.turn("other", chat("u Hello"), "Hi there.")
    assert outcome(talk.ask("next", chat("u Hello", "a Hi there.", "u And?"))) == (None, "new", "new")


@pytest.mark.parametrize(
    ("first", "other", "then"),
    [
        pytest.param({"temperature": 0}, {"temperature": 1}, {"temperature": 1}, id="by their settings"),
        pytest.param({"model": "a"}, {"model": "b"}, {"model": "b"}, id="by the model"),
    ],
)
def test_two_conversations_told_apart(first: dict[str, Any], other: dict[str, Any], then: dict[str, Any]) -> None:
    talk = Talk()
    talk.turn("first", chat("u Hello", **first), "Hi there.")
    talk.turn("other", chat("u Hello", **other), "Hi there.")
    assert talk.ask("next", chat("u Hello", "a Hi there.", "u And?", **then)).parent == "other"


def test_of_two_the_one_that_has_not_gone_on() -> None:
    talk = Talk()
    talk.turn("first", chat("u Hello"), "Hi there.")
    talk.turn("mine", chat("u Hello", "a Hi there.", "u Then?"), "So.")
    talk.turn("other", chat("u Hello"), "Hi there.")
    assert talk.ask("next", chat("u Hello", "a Hi there.", "u And?")).parent == "other"


def test_the_system_prompt_tells_openings_apart_where_the_reply_does_not() -> None:
    talk = opened()
    link = talk.ask("next", chat("s Speak Latin.", "u Where is it?", "a over there", "u Thanks", model="other"))
    assert link.parent is None


def test_the_model_may_change() -> None:
    talk = opened()
    assert talk.ask("next", chat("u Where is it?", "a Over there.", "u Thanks", model="other")).parent == "first"


# -- kinds -------------------------------------------------------------------------------------------------------------


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


# -- agents ------------------------------------------------------------------------------------------------------------


def delegated(**arguments: str) -> Talk:
    talk = Talk()
    talk.turn("main", chat("u Clean up."), tools=(("call_aBcD1eF", "Task", {"prompt": TASK, **arguments}),))
    return talk


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        pytest.param({"subagent_type": "general-purpose"}, "general-purpose", id="its type"),
        pytest.param({"description": "find"}, "Task", id="else the tool's name"),
    ],
)
def test_a_request_that_opens_with_what_a_tool_was_handed(arguments: dict[str, str], name: str) -> None:
    talk = delegated(**arguments)
    main = talk.asked["main"][3]
    link = talk.ask("sub", chat("s You search.", f"u {TASK}"))
    assert outcome(link) == ("main", "strong", "subagent")
    assert link.lineage == (name,)
    assert link.root == main.conversation != link.conversation


def test_a_sub_agent_goes_on_by_itself() -> None:
    talk = delegated()
    first = talk.turn("sub", chat(f"u {TASK}"), "Which parser?")
    link = talk.ask("sub-2", chat(f"u {TASK}", "a Which parser?", "u The old one."))
    assert (link.parent, link.kind, link.conversation, link.lineage) == (
        "sub",
        "continue",
        first.conversation,
        ("Task",),
    )


def test_a_sub_agent_of_a_sub_agent() -> None:
    talk = delegated()
    deeper = "Read the file parser.py and list its functions."
    talk.turn("sub", chat(f"u {TASK}"), tools=(("call_ZyXwV2u", "explore", {"prompt": deeper}),))
    link = talk.ask("subsub", chat(f"u {deeper}"))
    assert (link.parent, link.lineage) == ("sub", ("Task", "explore"))
    assert link.root == talk.asked["main"][3].conversation


def test_a_sub_agent_may_speak_another_family() -> None:
    talk = delegated()
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": TASK}]}]}
    assert talk.ask("sub", body, scope=ANTHROPIC, path="/v1/messages").kind == "subagent"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda talk: talk.ask("sub", chat(f"u {TASK} Now.")), id="another text"),
        pytest.param(lambda talk: talk.ask("sub", chat(f"u {TASK}", "a Yes", "u Go")), id="a history of its own"),
        pytest.param(
            lambda talk: talk.ask("sub", chat(f"u {TASK}"), scope=MatchScope("process 2", "openai-chat")),
            id="another process",
        ),
    ],
)
def test_no_sub_agent(spoil: Any) -> None:
    assert spoil(delegated()).kind == "new"


def test_a_tool_that_gave_its_result_has_no_sub_agent_to_begin() -> None:
    talk = delegated()
    asked = [calls(("call_aBcD1eF", "Task"), prompt=TASK), gives("call_aBcD1eF")]
    talk.ask("main-2", chat("u Clean up.", *asked))
    assert talk.ask("late", chat(f"u {TASK}")).kind == "new"


def claude(*said: str, previous: str | None = None) -> dict[str, Any]:
    body = chat(*said, max_tokens=100)
    return body | ({"diagnostics": {"previous_message_id": previous}} if previous else {})


def test_a_declared_session_is_one_conversation_whatever_its_messages() -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    one = talk.turn("one", claude("u Hello"), "Hi.", **CLAUDE)
    two = talk.ask("two", claude("u Something else"), **CLAUDE)
    assert outcome(one) == (None, "declared", "new")
    assert outcome(two) == (None, "declared", "continue")
    assert one.conversation == two.conversation


def test_a_declared_call_keeps_better_evidence_for_its_parent() -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    talk.turn("one", claude("u Hello"), "Hi.", response_id="msg_0a1B2c", **CLAUDE)
    body = claude("u Hello", "a Hi.", "u And?", previous="msg_0a1B2c")
    assert outcome(talk.ask("two", body, **CLAUDE)) == (
        "one",
        "exact",
        "continue",
    )


@pytest.mark.parametrize(
    ("headers", "lineage"),
    [
        pytest.param({"x_claude_code_agent_type": "Explore"}, ("Explore",), id="it says its type"),
        pytest.param({}, ("general-purpose",), id="only its id: the tool's arguments say it"),
    ],
)
def test_a_declared_sub_agent(headers: dict[str, str], lineage: tuple[str, ...]) -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    tools = (("toolu_aBcD1eF", "Agent", {"prompt": TASK, "subagent_type": "general-purpose"}),)
    main = talk.turn("main", claude("u Clean up."), tools=tools, **CLAUDE)
    body = chat(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                {"type": "text", "text": TASK},
            ],
        }
    )
    sub = {"x_claude_code_agent_id": "agent-7", **headers}
    link = talk.turn("sub", body, "Done.", **CLAUDE, **sub)
    assert outcome(link) == ("main", "strong", "subagent")
    assert (link.root, link.lineage) == (main.conversation, lineage)
    later = talk.ask("sub-2", claude(f"u {TASK}", "a Done.", "u More."), **CLAUDE, **sub)
    assert (later.conversation, later.parent, later.lineage) == (link.conversation, "sub", lineage)


def test_sub_agents_of_a_session_that_does_not_tell_them_apart() -> None:
    talk = Talk(scope=ANTHROPIC, path="/v1/messages")
    tools = (("toolu_aBcD1eF", "Task", {"prompt": TASK, "subagent_type": "explore"}),)
    main = talk.turn("main", claude("u Clean up."), tools=tools, **CLAUDE)
    link = talk.turn("sub", claude(f"u {TASK}"), "Done.", **CLAUDE)
    assert outcome(link) == ("main", "strong", "subagent")
    assert link.conversation != main.conversation == link.root
    again = talk.ask("sub-2", claude(f"u {TASK}", "a Done.", "u More."), **CLAUDE)
    assert (again.conversation, again.lineage) == (link.conversation, ("explore",))


def test_codex_threads() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    codex = {"user_agent": "codex_cli_rs/0.1", "session_id": "s-1"}

    def ask(id: str, text: str, **headers: str) -> Link:
        return talk.ask(id, {"input": text}, **codex, **headers)

    main = ask("main", "Hello", thread_id="t-1")
    sub = ask("sub", "Review it", thread_id="t-2", x_codex_parent_thread_id="t-1", x_openai_subagent="review")
    deeper = ask("deeper", "Read", thread_id="t-3", x_codex_parent_thread_id="t-2", x_openai_subagent="read")
    assert len({main.conversation, sub.conversation, deeper.conversation}) == 3
    assert main.root == sub.root == deeper.root
    assert [one.lineage for one in (main, sub, deeper)] == [(), ("review",), ("review", "read")]


CODEX = {"user_agent": "codex_cli_rs/0.169", "session_id": "s-1"}
CODEX_CHILD = {**CODEX, "thread_id": "t-2", "x_codex_parent_thread_id": "s-1", "x_openai_subagent": "collab_spawn"}


def handed_over(said: str) -> dict[str, Any]:
    """A Codex agent's message to another."""
    head = "Message Type: NEW_TASK\nTask name: /root/look\nSender: /root\nPayload:\n"
    content = [{"type": "input_text", "text": head}, {"type": "encrypted_content", "encrypted_content": said}]
    return {"type": "agent_message", "author": "/root", "recipient": "/root/look", "content": content}


@pytest.mark.parametrize(
    ("arguments", "named", "lineage"),
    [
        pytest.param({}, {"x_codex_turn_metadata": '{"agent_name": "/root/look"}'}, ("look",), id="its name"),
        pytest.param({"agent_type": "explorer"}, {}, ("explorer",), id="its type"),
        pytest.param({}, {}, ("look",), id="neither: by its task's name"),
    ],
)
def test_a_codex_sub_agent_opens_with_what_its_parent_sent_it(
    arguments: dict[str, str], named: dict[str, str], lineage: tuple[str, ...]
) -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    given = {"task_name": "look", "message": TASK, **arguments}
    talk.turn("main", {"input": "Clean up."}, tools=(("call_aBcD1eF", "spawn_agent", given),), **CODEX)
    surroundings = {"role": "user", "content": "<environment_context>here</environment_context>"}
    link = talk.ask("sub", {"input": [surroundings, handed_over(TASK)]}, **CODEX_CHILD, **named)
    assert outcome(link) == ("main", "strong", "subagent")
    assert link.lineage == lineage


@pytest.mark.parametrize(
    ("headers", "parent"),
    [
        pytest.param(CODEX_CHILD, "main", id="a child thread"),
        pytest.param({**CODEX, "thread_id": "t-2"}, None, id="a thread of nobody's"),
    ],
)
def test_a_sub_agent_that_works_on_while_its_tool_has_answered(headers: dict[str, str], parent: str | None) -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    given = {"task_name": "look", "message": TASK}
    talk.turn("main", {"input": "Clean up."}, tools=(("call_aBcD1eF", "spawn_agent", given),), **CODEX)
    output = {"type": "function_call_output", "call_id": "call_aBcD1eF", "output": "begun"}
    talk.ask("main-2", {"input": [output]}, **CODEX)
    assert talk.ask("sub", {"input": [handed_over(TASK)]}, **headers).parent == parent


def test_a_codex_sub_agent_that_takes_its_parents_history_along() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    given = {"task_name": "look", "message": TASK, "fork_turns": "all"}
    talk.turn("main", {"input": "Clean up."}, tools=(("call_aBcD1eF", "spawn_agent", given),), **CODEX)
    user = {"role": "user", "content": "Clean up."}
    link = talk.ask("sub", {"input": [user, handed_over(TASK)]}, **CODEX_CHILD)
    assert (link.parent, link.kind) == ("main", "subagent")


def test_what_agents_tell_each_other_is_no_prompt() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    talk.turn("main", {"input": "Clean up."}, "Done.", **CODEX)
    items = [{"role": "user", "content": "Clean up."}, {"role": "assistant", "content": "Done."}]
    told = handed_over("Summarize the conversation")
    assert talk.ask("next", {"input": [*items, told]}, **CODEX).kind == "continue"


def run(id: str, *said: Said) -> dict[str, Any]:
    """A request of the OpenAI Agents SDK within the run `id`, as `ask` takes it."""
    body = chat(*said, prompt_cache_key=f"agents-sdk:run:{id}")
    return {"body": body, "scope": MatchScope("process 1", "openai-chat", session=id)}


def test_an_agent_that_is_another_ones_tool_belongs_to_its_run() -> None:
    talk = Talk()
    main = talk.turn("main", **run("one", "u Clean up."), tools=(("call_aBcD1eF", "ask_helper", {"input": TASK}),))
    link = talk.turn("sub", **run("two", f"u {TASK}"), tools=(("call_Gh1jK2", "look", {}),))
    assert outcome(link) == ("main", "strong", "subagent")
    assert (link.root, link.lineage, link.session) == (main.conversation, ("ask_helper",), "one")
    for one in (talk, talk.restarted()):
        asked = run("two", f"u {TASK}", calls(("call_Gh1jK2", "look")), gives("call_Gh1jK2"))
        later = one.ask("sub-2", **asked)
        assert outcome(later) == ("sub", "exact", "continue")
        assert (later.conversation, later.root, later.session) == (link.conversation, link.root, "one")


def test_a_run_that_goes_on_from_another_is_the_same_conversation() -> None:
    talk = Talk()
    first = talk.turn("first", **run("one", "u Where is it?"), text="Over there.")
    link = talk.turn("next", **run("two", "u Where is it?", "a Over there.", "u Thanks"), text="Welcome.")
    assert outcome(link) == ("first", "strong", "continue")
    assert (link.conversation, link.root, link.session) == (first.conversation, first.conversation, None)


def test_a_conversation_that_the_server_keeps() -> None:
    talk = Talk(scope=RESPONSES, path="/v1/responses")
    for id, text in (("one", "Hello"), ("two", "And?")):
        body = {"input": text, "conversation": {"id": "conv_1"}}
        link = talk.turn(id, body, "Hi.")
    assert outcome(link) == ("one", "declared", "continue")


# -- trace ids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "trace"),
    [
        pytest.param("Over there.", "trace-9", id="certain"),
        pytest.param("over there", None, id="not certain"),
    ],
)
def test_the_parents_trace_is_told_where_the_parent_is_certain(said: str, trace: str | None) -> None:
    talk = Talk()
    talk.ask("first", chat("u Where is it?"))
    talk.reply("first", "Over there.")
    talk.conversations.note_reply("first", talk.kept[-1][4], talk.now, "trace-9")
    assert talk.ask("next", chat("u Where is it?", f"a {said}", "u Thanks")).parent_trace == trace


# -- memory ------------------------------------------------------------------------------------------------------------


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
