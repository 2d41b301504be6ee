"""From one request to the next, in every family's own shape."""

from __future__ import annotations

import copy
import difflib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sessiontap.llm import line_diff
from sessiontap.llm.compare import Difference, MessageChange, PartChange, ValueChange, changed_values, compare
from sessiontap.llm.line_diff import DEEPEST, PAIRS, WIDTHS, opcodes, unified

SAME = MessageChange("same", "user", 0, 0, 1)


def chat(*messages: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": role, "content": said} for role, said in messages], **more}


def told(found: Difference) -> list[tuple[str, str, int]]:
    """Change, title and number of each."""
    return [(message.change, message.title, message.count) for message in found.messages]


CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}
BLOCK = {"type": "tool_use", "id": "c1", "name": "find", "input": {"q": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "nothing"}


@pytest.mark.parametrize(
    ("before", "added", "place"),
    [
        pytest.param(
            {"messages": [{"role": "user", "content": "hello"}]},
            [{"role": "assistant", "content": None, "tool_calls": [CALL]},
             {"role": "tool", "tool_call_id": "c1", "content": "nothing"}],
            "messages", id="openai-chat",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "hello"}], "system": "Be good."},
            [{"role": "assistant", "content": [BLOCK]}, {"role": "user", "content": [RESULT]}],
            "messages", id="anthropic-messages",
        ),
        pytest.param(
            {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
            [{"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"q": 1}}}]},
             {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"found": "nothing"}}}]}],
            "contents", id="gemini",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]},
            [{"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q": 1}'},
             {"type": "function_call_output", "call_id": "c1", "output": "nothing"}],
            "input", id="openai-responses",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"text": "hello"}]}]},
            [{"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "find", "input": {"q": 1}}}]},
             {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "nothing"}]}}]}],
            "messages", id="bedrock-converse",
        ),
        pytest.param(
            {"message": "hello", "chat_history": [{"role": "USER", "message": "hello"}]},
            [{"role": "CHATBOT", "message": "", "tool_calls": [{"name": "find", "parameters": {"q": 1}}]},
             {"role": "TOOL", "tool_results": [{"outputs": [{"found": "nothing"}]}]}],
            "chat_history", id="cohere v1",
        ),
    ],
)  # fmt: skip
def test_a_tool_call_and_its_result_come_on(before: dict[str, Any], added: list[Any], place: str) -> None:
    after = copy.deepcopy(before)
    after[place] += added

    found = compare(before, after)

    new = [message for message in found.messages if message.change != "same"]
    assert [(message.change, message.title) for message in new] == [
        ("added", "assistant → find"),
        ("added", new[1].title),
    ]
    assert new[1].title in ("tool", "tool result")
    assert any("nothing" in line for line in new[1].lines)
    assert (found.system, found.tools, found.parameters) == (None, (), ())


def test_what_is_the_same_is_counted() -> None:
    history = [("user", f"question {number}") for number in range(198)]

    found = compare(chat(*history), chat(*history, ("assistant", "An answer.")))

    assert found.messages == (
        MessageChange("same", "user", 0, 0, 198),
        MessageChange("added", "assistant", after=198, lines=("An answer.",)),
    )


@pytest.mark.parametrize(
    "written",
    [
        [{"type": "text", "text": "hello"}],
        [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}],
    ],
    ids=["as a list", "with a mark for the cache"],
)
def test_the_same_in_another_way_is_the_same_and_is_counted(written: Any) -> None:
    found = compare(chat(("user", "hello")), {"model": "m", "messages": [{"role": "user", "content": written}]})

    assert found.messages == (MessageChange("same", "user", 0, 0, 1, rewritten=1),)
    assert found.is_empty


def test_a_changed_message_is_a_small_diff() -> None:
    poem = [f"line {number} of a poem" for number in range(100)]
    other = [*poem[:50], "another line", *poem[51:]]

    found = compare(chat(("user", "\n".join(poem))), chat(("user", "\n".join(other))))

    (message,) = found.messages
    assert (message.change, message.before, message.after) == ("changed", 0, 0)
    assert message.lines == (
        "@@ -49,5 +49,5 @@",
        " line 48 of a poem", " line 49 of a poem", "-line 50 of a poem", "+another line", " line 51 of a poem",
        " line 52 of a poem",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            [("user", "write me a poem on bread"), ("assistant", "no")],
            [("user", "write me a long poem on bread"), ("assistant", "no"), ("user", "please")],
            [("changed", "user", 1), ("same", "assistant", 1), ("added", "user", 1)],
            id="an edit, and a turn more",
        ),
        pytest.param(
            [("user", "a b c d"), ("assistant", "e f g h"), ("user", "i j k l")],
            [("user", "what was said so far in short")],
            [("removed", "user", 1), ("removed", "assistant", 1), ("removed", "user", 1), ("added", "user", 1)],
            id="a compaction is no edit",
        ),
        pytest.param(
            [("user", "same words here")],
            [("assistant", "same words here")],
            [("removed", "user", 1), ("added", "assistant", 1)],
            id="another role",
        ),
        pytest.param(
            [("user", "one"), ("user", "two")], [("user", "two")], [("removed", "user", 1), ("same", "user", 1)],
            id="the first is gone",
        ),
        pytest.param(
            [("user", "two")], [("user", "one thing"), ("user", "two")], [("added", "user", 1), ("same", "user", 1)],
            id="one put before",
        ),
        pytest.param([], [], [], id="none"),
    ],
)  # fmt: skip
def test_messages_come_go_and_change(before: Any, after: Any, expected: Any) -> None:
    assert told(compare(chat(*before), chat(*after))) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"system": "Be good."}, {"system": [{"type": "text", "text": "Be good."}]}, None),
        ({}, {"instructions": "Be good."}, PartChange("added", "system prompt", ("Be good.",))),
        ({"system": "Be good."}, {}, PartChange("removed", "system prompt", ("Be good.",))),
        (
            {"systemInstruction": {"parts": [{"text": "Be good."}]}},
            {"systemInstruction": {"parts": [{"text": "Be bad."}]}},
            PartChange("changed", "system prompt", ("@@ -1 +1 @@", "-Be good.", "+Be bad.")),
        ),
    ],
    ids=["the same", "added", "removed", "changed"],
)
def test_system_prompt(before: Any, after: Any, expected: PartChange | None) -> None:
    assert compare(before, after).system == expected


def schema(name: str, about: str = "") -> dict[str, Any]:
    return {"name": name, "description": about or name}


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda tools: {"tools": tools}, id="anthropic"),
        pytest.param(lambda tools: {"tools": [{"type": "function", "function": one} for one in tools]}, id="openai"),
        pytest.param(lambda tools: {"tools": [{"functionDeclarations": tools}]}, id="gemini"),
        pytest.param(lambda tools: {"toolConfig": {"tools": [{"toolSpec": one} for one in tools]}}, id="bedrock"),
        pytest.param(lambda tools: {"functions": tools}, id="functions"),
    ],
)
def test_tools(wrap: Any) -> None:
    before, after = [schema("a"), schema("b"), schema("c")], [schema("a"), schema("b", "better"), schema("d")]

    found = compare(wrap(before), wrap(after))

    assert found.tools_same == 1
    assert [(tool.change, tool.name) for tool in found.tools] == [("changed", "b"), ("removed", "c"), ("added", "d")]
    assert "+description: better" in found.tools[0].lines
    assert found.parameters == ()


def test_tools_of_one_name_are_two() -> None:
    found = compare({"tools": [schema("a")]}, {"tools": [schema("a"), schema("a", "again")]})

    assert [(tool.change, tool.name) for tool in found.tools] == [("added", "a #2")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"temperature": 1}, {"temperature": 0.5}, [ValueChange("changed", "temperature", 1, 0.5)]),
        ({}, {"stream": True}, [ValueChange("added", "stream", after=True)]),
        ({"stop": ["a"]}, {}, [ValueChange("removed", "stop", before=["a"])]),
        ({"n": None}, {}, [ValueChange("removed", "n")]),
        ({"n": 1}, {"n": True}, [ValueChange("changed", "n", 1, True)]),
        ({"n": 1}, {"n": 1.0}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [ValueChange("changed", "a.c", 2, 3)]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], [ValueChange("changed", "[1].a", 2, 3)]),
        ("x", "y", [ValueChange("changed", "", "x", "y")]),
        ({"a": {}}, {"a": {"b": 1}}, [ValueChange("removed", "a", before={}), ValueChange("added", "a.b", after=1)]),
    ],
)  # fmt: skip
def test_values(before: Any, after: Any, expected: list[ValueChange]) -> None:
    assert list(changed_values(before, after)) == expected


def test_parameters_are_what_no_one_said() -> None:
    body = {"request": {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"topP": 1}}, "model": "x"}
    other = {"request": {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"topP": 2}}, "model": "y"}

    found = compare(body, other)

    assert [(value.name, value.before, value.after) for value in found.parameters] == [
        ("model", "x", "y"), ("generationConfig.topP", 1, 2)
    ]  # fmt: skip
    assert told(found) == [("same", "user", 1)]


@pytest.mark.parametrize("body", [None, 3, [], {}, "text", [1], {"messages": 5}, {"input": [[1, 2], [3]]},
                                  {"messages": [None, 3, "x", {}]}, {"tools": {"a": 1}}, {"tools": [3, {}]},
                                  {"prompt": {"id": "p", "version": "1"}}, {"contents": "hello"}])  # fmt: skip
def test_any_json_is_the_same_as_itself_and_other_than_another(body: Any) -> None:
    assert compare(body, copy.deepcopy(body)).is_empty
    assert not compare(body, {"messages": [{"role": "user", "content": "something else"}], "a": 1}).is_empty


def test_two_requests_of_600_kb_in_less_than_a_second() -> None:
    history = [(("user", "assistant")[n % 2], f"word {n} " * 400 + "\n" * 50) for n in range(200)]
    began = time.process_time()

    found = compare(chat(*history), chat(*history, ("user", "and now?")))

    assert time.process_time() - began < 1
    assert found.messages[0].count == 200


def test_messages_of_the_request_that_is_continued_are_left_out() -> None:
    first = {"messages": [{"role": "user", "content": "plan bread"}]}
    other = {"messages": [{"role": "user", "content": "plan rye", "cache_control": {"type": "ephemeral"}}]}
    asked = {"messages": [{"role": "user", "content": "plan bread"}, {"role": "user", "content": "go on"}]}
    again = {"messages": [{"role": "user", "content": "plan rye"}, {"role": "user", "content": "stop"}]}

    changes = compare(asked, again, known_before=first, known_after=other).messages

    assert [(one.change, one.before, one.after, one.lines) for one in changes] == [
        ("removed", 1, None, ("go on",)),
        ("added", None, 1, ("stop",)),
    ]


def test_a_request_that_continues_another_and_says_no_more_has_nothing_new() -> None:
    one = {"messages": [{"role": "user", "content": "plan bread"}]}

    assert compare(one, one, known_before=one, known_after=one).messages == ()


@pytest.mark.parametrize(
    "messages",
    [
        lambda name: [
            {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "Read", "input": {"id": 7}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": "bread"}]},
        ],
        lambda name: [
            {"role": "assistant", "tool_calls": [{"id": name, "function": {"name": "Read", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": name, "content": "bread"},
        ],
        lambda name: [{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": name}]}],
    ],
    ids=["anthropic", "openai", "a signature"],
)
def test_ids_of_a_run_do_not_count_if_they_need_not(messages: Callable[[str], list[Any]]) -> None:
    one, other = ({"messages": messages(name)} for name in ("a1", "b2"))

    assert not compare(one, other).is_empty
    assert compare(one, other, by_ids=False).is_empty


def test_an_id_that_a_tool_is_called_with_counts() -> None:
    one, other = (
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "Read", "input": {"id": n}}]}]}
        for n in (1, 2)
    )

    assert not compare(one, other, by_ids=False).is_empty


def applied(before: list[str], changes: tuple[str, ...]) -> list[str]:
    """The text that a unified diff makes of another."""
    found: list[str] = []
    at = 0
    for one in changes:
        if one.startswith("@@"):
            start, _, size = one.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (size != "0")
            found, at = [*found, *before[at:begin]], begin
        elif one[0] == "+":
            found.append(one[1:])
        else:
            assert before[at] == one[1:]
            found += before[at : at + 1] if one[0] == " " else []
            at += 1
    return [*found, *before[at:]]


def test_long_texts_that_differ_here_and_there() -> None:
    """Lines that stand once are aligned first: difflib alone takes seconds for a text of 1 MB."""
    before = [f"line {n} of the text" if n % 7 else "" for n in range(20_000)]
    after = [f"{one} changed" if n % 100 == 3 else one for n, one in enumerate(before) if n % 500]
    after[50:50] = ["", "new", ""]

    changes = unified(before, after)

    assert applied(before, changes) == after
    assert sum(one[0] in "+-" and not one.startswith("@@") for one in changes) < 600


def test_long_texts_with_nothing_in_common() -> None:
    before, after = [f"a {n}" for n in range(5_000)], [f"b {n}" for n in range(5_000)]

    assert applied(before, unified(before, after)) == after


# The work grows with the length of the texts -----------------------------------------------------------------------


@dataclass
class Work:
    """The work of a comparison."""

    pairs: int = 0
    """Pairs of equal lines that difflib has looked at."""
    lines: int = 0
    """Lines among which those were looked for that stand once."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    found, matcher, anchors = Work(), difflib.SequenceMatcher, line_diff._anchors

    def counted(junk: None, before: list[int], after: list[int]) -> difflib.SequenceMatcher[int]:
        there = Counter(after)
        found.pairs += sum(there[one] for one in before)
        return matcher(junk, before, after)

    def looked(before: list[int], after: list[int], width: int) -> list[tuple[int, int]]:
        found.lines += len(before) + len(after)
        return anchors(before, after, width)

    monkeypatch.setattr(line_diff, "_anchors", looked)
    monkeypatch.setattr(line_diff.difflib, "SequenceMatcher", counted)
    return found


SIGNS = ("{", "}", "", "    pass", "    else:", "    return value")
MANY = 30_000


def signs(seed: int) -> list[str]:
    return random.Random(seed).choices(SIGNS, k=MANY)


def numbered(word: str) -> list[str]:
    return [f"{word} {n}" for n in range(MANY)]


LONG = {
    "no line stands once": (signs(1), [one if n % 50 else "changed" for n, one in enumerate(signs(1))]),
    "no line stands once, and all is new": (signs(1), signs(2)),
    "one line, again and again": (["}"] * MANY, ["}"] * (MANY - 1) + ["else:"] + ["}"] * MANY),
    "two lines in turn": (["{", "}"] * (MANY // 2), ["}", "{", "{"] * (MANY // 3)),
    "another text": (numbered("a"), numbered("b")),
    "shuffled": (numbered("a"), random.Random(3).sample(numbered("a"), MANY)),
    "a half moved": (numbered("a"), numbered("a")[MANY // 2 :] + numbered("a")[: MANY // 2]),
}


@pytest.mark.parametrize(("before", "after"), LONG.values(), ids=LONG.keys())
def test_the_work_grows_with_the_length_of_the_texts(before: list[str], after: list[str], work: Work) -> None:
    """difflib alone compares some of these texts for minutes."""
    aligned = list(opcodes(before, after))
    assert work.pairs <= PAIRS
    assert work.lines <= DEEPEST * len(WIDTHS) * (len(before) + len(after))
    assert [one for tag, _, _, j, j2 in aligned for one in after[j:j2]] == after
    assert all(before[i:i2] == after[j:j2] for tag, i, i2, j, j2 in aligned if tag == "equal")
    assert (aligned[0][1:4:2], aligned[-1][2:5:2]) == ((0, 0), (len(before), len(after)))


def test_a_text_without_a_line_that_stands_once_keeps_what_is_the_same() -> None:
    before, after = LONG["no line stands once"]
    changes = unified(before, after)
    assert sum(one[0] in "+-" and not one.startswith("@@") for one in changes) < 2 * MANY // 50 + 100


def test_thousands_of_equal_messages() -> None:
    """A program that polls says the same each time."""
    said = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "Waiting."}] * 2_000
    found = compare({"messages": said}, {"messages": [*said, {"role": "user", "content": "Stop."}]})
    assert [(one.change, one.count) for one in found.messages] == [("same", 4_000), ("added", 1)]


@pytest.mark.parametrize("seed", range(40))
def test_short_and_long_ways_make_the_same_text(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    before = chance.choices([f"line {n}" for n in range(chance.choice((2, 8, 200)))], k=120)
    after = before[:]
    for _ in range(6):
        at = chance.randrange(len(after))
        after[at : at + chance.randrange(9)] = chance.choices([*before, "new"], k=chance.randrange(6))
    for short in (1_000, 5):
        monkeypatch.setattr("sessiontap.llm.line_diff._SHORT", short)
        assert applied(before, unified(before, after)) == after
