"""The earlier call that a call goes on from."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sessions.talk import ANSWER, CLAUDE, RESPONSES, Said, Talk, calls, chat, claude, gives, opened, outcome

from sessiontap.sessions.match_scope import MatchScope

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


def kept_by_mistral() -> Talk:
    """A conversation of two turns that the server keeps."""
    scope = MatchScope("process 1", "mistral-conversations")
    talk = Talk(scope=scope, path="/v1/conversations", host="api.mistral.ai")
    talk.turn("first", {"model": "m", "inputs": "Where is it?", "store": True}, "There.", response_id="conv_0a1B2c")
    more = {"inputs": "In the attic?", "store": True}
    talk.turn("second", more, "In the attic.", response_id="conv_0a1B2c", path="/v1/conversations/conv_0a1B2c")
    return talk


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
def test_a_conversation_that_the_server_keeps_has_one_id_for_all_replies(restarted: bool) -> None:
    talk = kept_by_mistral()
    conversation = talk.asked["first"][3].conversation
    talk = talk.restarted() if restarted else talk
    link = talk.ask("third", {"inputs": "Thanks", "store": True}, path="/v1/conversations/conv_0a1B2c")
    assert (outcome(link), link.conversation) == (("second", "exact", "continue"), conversation)


def test_a_conversation_that_begins_anew_from_an_entry_has_no_parent() -> None:
    anew = {"from_entry_id": "m1", "inputs": "And now?", "store": True}
    link = kept_by_mistral().ask("anew", anew, path="/v1/conversations/conv_0a1B2c/restart")
    assert outcome(link) == (None, "new", "new")


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


@pytest.mark.parametrize(
    ("said", "parent", "evidence"),
    [
        pytest.param(["a Over there.", "u Thanks"], "second", "weak", id="some reply stands behind its request"),
        pytest.param(["u Thanks"], "first", "strong", id="no reply does"),
    ],
)
def test_a_reply_that_is_yet_to_be_read(said: list[Said], parent: str, evidence: str) -> None:
    talk = Talk()
    opening: list[Said] = ["u Where is it?", "a Where is what?", "u The book."]
    talk.turn("first", chat(*opening[:1]), "Where is what?")
    talk.ask("second", chat(*opening))
    talk.conversations.note_end("second")
    link = talk.ask("next", chat(*opening, *said))
    assert (link.parent, link.evidence) == (parent, evidence)


def test_an_opening_whose_reply_is_yet_to_be_read() -> None:
    talk = Talk()
    talk.ask("first", chat("u Where is it?"))
    talk.conversations.note_end("first")
    link = talk.ask("next", chat("u Where is it?", "a Over there.", "u Thanks"))
    assert (link.parent, link.evidence) == ("first", "weak")


def test_of_two_openings_whose_replies_are_yet_to_be_read_none_is_taken() -> None:
    talk = Talk()
    for id in ("first", "other"):
        talk.ask(id, chat("u Where is it?"))
        talk.conversations.note_end(id)
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
