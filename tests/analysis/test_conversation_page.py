"""A stretch of a conversation: the order in which calls are read, the parts of each view, links between parts."""

import json

import pytest
from tests.analysis.conversations import SYSTEM, TOOLS, assistant, called, result, thought, turn, user

from sessiontap.analysis.conversation import ConversationOrder
from sessiontap.analysis.conversation_page import LONGEST, lanes, needed, page

TASK = "Look at every file of the project."
ARGUMENTS = json.dumps({"prompt": TASK})
ASK = turn("1", [TOOLS, SYSTEM, user("Fix it")], [thought("Hm."), called("Bash", ARGUMENTS, "c1")])
AGENT = turn("2", [SYSTEM, user(TASK)], [assistant("I look.")], kind="subagent", conversation="sub", parent="1",
             subagent="Explore")  # fmt: skip
AGENT_ENDS = turn("3", [SYSTEM, user(TASK), assistant("I look.", 1), user("And?", 2)], [assistant("Done.")],
                  after=AGENT, conversation="sub", subagent="Explore")  # fmt: skip
ANSWER = turn(
    "4",
    [*ASK.request, called("Bash", ARGUMENTS, "c1", 1), result("Bash", "Done.", "c1")],
    [assistant("Fixed.")],
    after=ASK,
)
ASIDE = turn("5", [user("A title?")], [assistant("Dates")], conversation="title", kind="auxiliary")
TURNS = [ASK, AGENT, AGENT_ENDS, ANSWER, ASIDE]
ORDER = ConversationOrder([one.call for one in TURNS])


def told(view="everything", turns=TURNS):
    order = ConversationOrder([one.call for one in turns])
    return page(order, lanes(order)[1], turns, view)


def test_a_sub_agents_calls_are_read_behind_the_call_that_began_it():
    found, places = lanes(ORDER)

    assert [(one.id, one.lane) for one in places] == [("1", 0), ("2", 1), ("3", 1), ("4", 0), ("5", 2)]
    assert [(one.agent, one.depth, one.begun_by, one.calls) for one in found] == [
        (None, 0, None, 2), ("Explore", 1, "1", 2), (None, 0, None, 1),
    ]  # fmt: skip


def test_agents_within_agents_and_beside_each_other():
    one = turn("1", [user("a")], [assistant("b")])
    deep = [one]
    for number in range(2, 2000):
        deep.append(
            turn(str(number), [user("a")], [], kind="subagent", conversation=str(number), parent=str(number - 1))
        )
    beside = turn("2000", [user("a")], [], kind="subagent", conversation="beside", parent="1")

    found, places = lanes(ConversationOrder([turn.call for turn in (*deep, beside)]))

    assert [place.id for place in places] == [str(number) for number in range(1, 2001)]
    assert [lane.depth for lane in found] == [*range(1999), 1]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("chat", [["text"], [], ["text"], ["text"]]),
        ("tools", [["text"], ["reasoning", "tool_call"], ["text"], ["text"]]),
        (
            "everything",
            [["tool_definition", "system", "text"], ["reasoning", "tool_call"], ["system", "text"], ["text"]],
        ),
    ],
)
def test_the_parts_of_a_view(view, expected):
    first, second = told(view)[:2]

    assert [
        [part["kind"] for part in call[side]] for call in (first, second) for side in ("new_parts", "reply")
    ] == expected


def test_a_tools_call_result_and_definition_know_each_other():
    calls = {call["id"]: call for call in told()}

    (_, ask), (given,) = calls["1"]["reply"], calls["4"]["new_parts"]
    assert ask["links"] == {"result": ("4", given["anchor"]), "definition": 0, "agent": ("2", "2")}
    assert given["links"] == {"call": ("1", ask["anchor"])}


def test_a_call_names_the_sub_agent_that_it_began():
    first = told()[0]

    assert first["agents"] == [{"conversation": "sub", "agent": "Explore", "begun_by": "c1", "first": "2"}]


def test_a_long_text_is_cut_and_its_size_told():
    long = turn("1", [user("x\n" * LONGEST)], [])
    ((part,),) = [call["new_parts"] for call in told(turns=[long])]

    assert (len(part["text"]), part["is_cut"], part["bytes"], part["lines"]) == (
        LONGEST,
        True,
        2 * LONGEST,
        LONGEST + 1,
    )


def test_a_stretch_needs_the_turns_around_it():
    assert needed(ORDER, ["3"]) == {"2", "3"}
    assert needed(ORDER, ["1"]) == {"1", "2", "4"}


def test_a_stretch_is_told_from_the_turns_that_it_needs_as_from_all():
    places = [place for place in lanes(ORDER)[1] if place.id in ("1", "4")]
    some = [turn for turn in TURNS if turn.call["id"] in needed(ORDER, ["1", "4"])]

    assert page(ORDER, places, some, "everything") == [call for call in told() if call["id"] in ("1", "4")]
