"""A session as a person reads it: what is new in each call, sub-agents in place, retries and asides marked."""

import json
from dataclasses import asdict

import pytest
from tests.analysis.conversations import SYSTEM, TOOLS, assistant, called, result, thought, turn, user

from sessiontap.analysis.conversation import conversations


def told(found):
    """What a reader is shown of conversations, as plain values."""
    return [
        [
            (
                call.id,
                [(part.kind, part.text) for part in call.new_parts],
                [(part.kind, part.text) for part in call.reply],
            )
            for call in one.calls
        ]
        for one in found
    ]


HELLO = [TOOLS, SYSTEM, user("Hello")]
FIRST = turn("1", HELLO, [assistant("Hi.")])


@pytest.mark.parametrize(
    ("request_", "first_new", "expected"),
    [
        ([*HELLO, assistant("Hi.", 1), user("More", 2)], 4, [("text", "More")]),
        ([*HELLO, assistant("Hi.", 1), user("Hello", 2)], 4, [("text", "Hello")]),
        ([TOOLS, TOOLS, SYSTEM, user("Hello"), assistant("Hi.", 1), user("More", 2)], 1,
         [("tool_definition", TOOLS.text), ("text", "More")]),
        ([TOOLS, user("Hello"), assistant("Hi.", 1), user("More", 2)], 1, [("text", "More")]),
        ([*HELLO, thought("Hm", 1), assistant(" Hi. ", 1), user("More", 2)], 3, [("text", "More")]),
        ([*HELLO, assistant("Something else", 1), user("More", 2)], 3, [("text", "Something else"), ("text", "More")]),
        ([TOOLS, SYSTEM, user("A summary"), user("More", 1)], 2, [("text", "A summary"), ("text", "More")]),
    ],
    ids=[
        "a new message", "the same words again", "a tool more", "a system prompt less", "the reply in another form",
        "a reply that was never given", "a history replaced",
    ],
)  # fmt: skip
def test_only_what_is_new_is_shown(request_, first_new, expected):
    second = turn("2", request_, [], after=FIRST, first_new=first_new)
    ((_, call),) = told(conversations([FIRST, second]))

    assert call[1] == expected


def test_a_tool_and_its_result():
    ask = turn("1", HELLO, [thought("I look."), called("Bash", '{"command": "ls"}', "c1")])
    answer = turn(
        "2",
        [*HELLO, called("Bash", '{"command": "ls"}', "c1", 1), result("Bash", "no such file", "c1", error=True)],
        [assistant("It failed.")],
        after=ask,
    )
    (one,) = conversations([ask, answer])

    assert [part.kind for part in one.calls[0].reply] == ["reasoning", "tool_call"]
    assert [(part.name, part.text, part.error) for part in one.calls[1].new_parts] == [("Bash", "no such file", True)]


def test_an_id_that_the_client_made_is_the_same_tool_call():
    ask = turn("1", HELLO, [called("Bash", '{"command": "ls"}')])
    sent = called("Bash", '{"command":"ls"}', "made-1", 1)
    answer = turn("2", [*HELLO, sent, result("Bash", "a", "made-1")], [], after=ask)

    assert told(conversations([ask, answer]))[0][1][1] == [("tool_result", "a")]


@pytest.mark.parametrize(
    ("said", "words"),
    [("Fix it", "Fix it"), ("<system-reminder>x</system-reminder>\nFix it", "Fix it"),
     ("<environment_context>x</environment_context>", "")],
    ids=["plain", "with a reminder", "surroundings alone"],
)  # fmt: skip
def test_the_users_own_words(said, words):
    (one,) = conversations([turn("1", [SYSTEM, user(said)], [])])

    assert [(part.kind, part.words) for part in one.calls[0].new_parts] == [("system", None), ("text", words)]


TASK = '{"prompt": "Find all callers of the function foo", "subagent_type": "explore"}'
OTHER = '{"prompt": "Find all tests of the function foo", "subagent_type": "explore"}'


def subagent(id, prompt, after, conversation):
    return turn(
        id, [SYSTEM, user(prompt)], [assistant("Found.")], after=after, kind="subagent", conversation=conversation,
        subagent="explore",
    )  # fmt: skip


def test_sub_agents_stand_under_the_tool_calls_that_began_them():
    ask = turn("1", HELLO, [called("Agent", TASK, "a1"), called("Agent", OTHER, "a2")])
    second = subagent("2", "Find all tests of the function foo", ask, "sub-2")
    first = subagent("3", "Find all callers of the function foo", ask, "sub-1")
    goes_on = turn("4", [*first.request, assistant("Found.", 1), user("Where?", 2)], [], after=first,
                   conversation="sub-1", subagent="explore")  # fmt: skip
    end = turn("5", [*HELLO, *ask.reply, result("Agent", "ok", "a1")], [assistant("Done.")], after=ask)
    (main,) = conversations([ask, second, first, goes_on, end])

    assert [call.id for call in main.calls] == ["1", "5"]
    assert [(one.agent, one.begun_by, [call.id for call in one.calls]) for one in main.calls[0].agents] == [
        ("explore", "a2", ["2"]),
        ("explore", "a1", ["3", "4"]),
    ]


def test_a_sub_agent_of_a_sub_agent():
    ask = turn("1", HELLO, [called("Agent", TASK, "a1")])
    inner = turn("2", [SYSTEM, user("Find all callers of the function foo")], [called("Agent", OTHER, "a2")],
                 after=ask, kind="subagent", conversation="sub-1", subagent="explore")  # fmt: skip
    innermost = subagent("3", "Find all tests of the function foo", inner, "sub-2")
    (main,) = conversations([ask, inner, innermost])

    assert main.calls[0].agents[0].calls[0].agents[0].calls[0].id == "3"


def test_a_sub_agent_whose_beginner_is_not_in_the_session_stands_by_itself():
    gone = turn("1", HELLO, [])
    alone = subagent("2", "Find all callers of the function foo", gone, "sub-1")

    assert [one.agent for one in conversations([alone])] == ["explore"]


def test_a_retry_says_nothing_new():
    failed = turn("1", HELLO, [], outcome="http_error", llm={"error": {"type": "overloaded_error", "message": "Busy"}})
    again = turn("2", HELLO, [assistant("Hi.")], kind="retry")
    (one,) = conversations([failed, again])

    assert [(call.mark, call.repeats, call.failed) for call in one.calls] == [(None, None, True), ("retry", "1", False)]
    assert told([one])[0][1][1:] == ([], [("text", "Hi.")])


def test_a_call_beside_the_conversation_is_marked_and_whole():
    title = turn("2", [SYSTEM, user("Name this")], [assistant("Greeting")], after=FIRST, kind="auxiliary")
    (one,) = conversations([FIRST, title])

    assert one.calls[1].mark == "auxiliary"
    assert told([one])[0][1][1] == [("system", SYSTEM.text), ("text", "Name this")]


def test_conversations_stand_in_the_order_of_their_first_calls():
    other = turn("2", [user("Other")], [], conversation="other")
    third = turn("3", [*HELLO, assistant("Hi.", 1), user("More", 2)], [], after=FIRST)

    assert [[call.id for call in one.calls] for one in conversations([FIRST, other, third])] == [["1", "3"], ["2"]]


def test_errands_are_left_out():
    errand = turn("2", [], [], agent="claude-code", llm={"operation": "other", "request_model": None})

    assert [[call.id for call in one.calls] for one in conversations([FIRST, errand])] == [["1"]]


def test_a_call_without_a_conversation_stands_by_itself():
    alone = [turn(id, [user("x")], [], conversation=None) for id in ("1", "2")]

    assert [[call.id for call in one.calls] for one in conversations(alone)] == [["1"], ["2"]]


def test_all_of_it_is_json():
    assert json.loads(json.dumps([asdict(one) for one in conversations([FIRST])]))[0]["calls"][0]["id"] == "1"


def test_nothing_said():
    assert conversations([]) == []
