"""The conversations of sub-agents, and agents that declare theirs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sessions.talk import (
    ANTHROPIC,
    CLAUDE,
    RESPONSES,
    TASK,
    Said,
    Talk,
    calls,
    chat,
    claude,
    delegated,
    gives,
    outcome,
)

from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link


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
