"""Conversations as a person is shown them."""

import pytest
from tests.analysis.conversations import SYSTEM, TOOLS, assistant, called, result, thought, turn, user

from sessiontap.analysis.conversation import conversations
from sessiontap.cli.conversation_text import LONGEST, SHOWN, has_words, lines

LS = '{"command": "ls -l", "description": "List"}'
ASK = turn("0", [TOOLS, SYSTEM, user("List it")], [thought("I look."), assistant("Sure."), called("Bash", LS, "c1")])
ANSWER = turn(
    "1",
    [*ASK.request, thought("I look.", 1), called("Bash", LS, "c1", 1), result("Bash", "a\nb\nc", "c1")],
    [assistant("Three.")],
    after=ASK,
    duration=1_500_000_000,
)


def drawn(*turns, full=False):
    return [text for text, _ in lines(conversations(turns), full=full)]


def test_a_tool_call_its_result_and_the_reply():
    assert drawn(ASK, ANSWER) == [
        "tools      Bash (16 B)",
        "system     You are terse.",
        "user       List it",
        "#0, m",
        "thinking   I look.",
        "assistant  Sure.",
        '→ Bash(command: "ls -l", description: "List")',
        "",
        "← Bash: a b c (3 lines, 5 B)",
        "#1, m, 1.5s",
        "assistant  Three.",
    ]


def test_in_full_nothing_is_folded():
    assert drawn(ASK, ANSWER, full=True)[-6:-2] == ["← Bash", "    a", "    b", "    c"]
    assert f"→ Bash({LS})" in drawn(ASK, full=True)


def test_a_sub_agent_is_indented_under_its_tool_call():
    task = '{"prompt": "Find all callers of the function foo"}'
    ask = turn("0", [user("Who calls foo?")], [called("Agent", task, "a1"), called("Bash", LS, "c1")])
    sub = turn(
        "1", [user("Find all callers of the function foo")], [assistant("None.")], after=ask, kind="subagent",
        conversation="sub", subagent="explore",
    )  # fmt: skip

    assert drawn(ask, sub)[2:] == [
        '→ Agent(prompt: "Find all callers of the function foo")',
        "│ explore",
        "│ user       Find all callers of the function foo",
        "│ #1, m",
        "│ assistant  None.",
        '→ Bash(command: "ls -l", description: "List")',
    ]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (turn("0", [user("x")], [], outcome="http_error", llm={"error": {"type": "overloaded", "message": "Busy\x1b"}}),
         ["user       x", "#0, m", "failed     http_error: overloaded: Busy\\x1b"]),
        (turn("0", [user("x")], [], llm={"error": {"type": "overloaded", "message": None}}),
         ["user       x", "#0, m", "failed     error: overloaded"]),
        (turn("0", [user("x")], [assistant("y")], kind="auxiliary"),
         ["#0, m, beside the conversation", "assistant  y"]),
        (turn("0", [user("x")], [assistant("y")], outcome="client_gone"),
         ["user       x", "#0, m, client_gone", "assistant  y"]),
        (turn("0", [user("x"), result("Bash", "no", error=True)], []),
         ["user       x", "← Bash: error: no", "#0, m"]),
        (turn("0", [user("<environment_context>\nlinux\n</environment_context>"), user("x")], []),
         ["context    <environment_context> linux </environment_context> (3 lines, 50 B)", "user       x", "#0, m"]),
        (turn("0", [user("x")], [called("Bash", "not json", "c1")]), ["user       x", "#0, m", "→ Bash(not json)"]),
        (turn("0", [user("x")], [called("Bash", "", "c1")]), ["user       x", "#0, m", "→ Bash()"]),
    ],
    ids=[
        "an error", "an error inside a 200", "beside the conversation", "the app went away", "a tool's error",
        "surroundings", "arguments that are no JSON", "no arguments",
    ],
)  # fmt: skip
def test_one_call(call, expected):
    assert drawn(call) == expected


def test_a_retry_names_the_call_that_it_repeats():
    failed = turn("0", [user("x")], [], outcome="http_error")
    again = turn("1", [user("x")], [assistant("y")], kind="retry")

    assert drawn(failed, again)[-2:] == ["#1, m, a retry of #0", "assistant  y"]


def test_long_texts_are_cut_and_say_so():
    long = "\n".join(f"line {number}" for number in range(SHOWN + 5))
    shown = drawn(turn("0", [user(long)], []))

    assert shown[SHOWN] == "           … 5 more lines: --full shows all"
    assert len(drawn(turn("0", [user(long)], []), full=True)) == SHOWN + 6


def test_a_folded_line_is_short():
    (_, line, _) = drawn(turn("0", [user("x"), result("Read", "word " * 1000)], []))

    assert len(line) <= len("← Read: ") + LONGEST + len(" (5.0 KB)")


def test_conversations_stand_apart():
    other = turn("1", [user("y")], [], conversation="other")

    assert drawn(turn("0", [user("x")], []), other)[2:4] == ["", "user       y"]


@pytest.mark.parametrize(
    ("turns", "expected"), [([ASK], True), ([turn("0", [], [])], False), ([], False)], ids=["said", "metadata", "none"]
)
def test_whether_anything_was_said(turns, expected):
    assert has_words(conversations(turns)) is expected
