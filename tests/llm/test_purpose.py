"""Calls beside the conversation, told by the words of their prompts."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.llm.call import Asked, Call, Endpoint, Operation
from sessiontap.llm.purpose import goes_on, purpose_of

LOOK = ("look",)


def purpose(
    latest: str | None = "Hello",
    *,
    prompt: str | None = None,
    tools: tuple[str, ...] = (),
    operation: Operation = "chat",
    **body: Any,
) -> str | None:
    call = Call(Endpoint(None, "openai-chat", operation, "/"), Asked(tools_offered=tools), json=body)
    return purpose_of(call, prompt, latest, latest)


@pytest.mark.parametrize(
    "said",
    [
        "Please write a 5-10 word title for the following conversation:",
        "Generate a concise, 3-5 word title with an emoji summarizing the chat history.",
        "Generate a title for this conversation:",
        "Provide a concise, 5-word-or-less title for the conversation, using its same language.",
        "Summarize this coding conversation in under 50 characters.",
        "Analyze if this message indicates a new conversation topic.",
        "Suggest 3-5 relevant follow-up questions",
        "Name this chat",
    ],
)
def test_titles(said: str) -> None:
    assert purpose(said) == "title"
    assert purpose("Hello", prompt=said) == "title"


@pytest.mark.parametrize(
    "said",
    [
        "Your task is to create a detailed summary of the conversation so far",
        "Provide a detailed prompt for continuing our conversation above.",
        "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another LLM",
        "Summarize the conversation above.",
        "Create a concise summary of the conversation",
    ],
)
@pytest.mark.parametrize("tools", [(), LOOK], ids=["no tools", "tools"])
def test_summaries(said: str, tools: tuple[str, ...]) -> None:
    assert purpose(said, tools=tools) == "summary"


@pytest.mark.parametrize(
    "said",
    [
        "Write a title for my blog post about cats.",
        "What is the name of the river?",
        "Summarize this article in three sentences.",
        "Who wrote the longest summary of Faust?",
        "Compact the database.",
        "Hello",
        "",
        None,
    ],
)
def test_what_people_talk_about(said: str | None) -> None:
    assert purpose(said) is None


def test_a_title_is_asked_for_without_tools() -> None:
    assert purpose("Generate a title for this conversation:", tools=LOOK) is None


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({"operation": "count_tokens"}, "count", id="a count"),
        pytest.param({"generate": False}, "warmup", id="a warm-up"),
        pytest.param({"max_tokens": 1}, "probe", id="one token"),
        pytest.param({"max_tokens": 1, "tools": LOOK}, None, id="one token, with tools"),
        pytest.param({"max_tokens": 100}, None, id="more"),
    ],
)
def test_other_calls_beside(more: dict[str, Any], expected: str | None) -> None:
    assert purpose(**more) == expected


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ("This session is being continued from a previous conversation that ran out of context.", True),
        ("Another language model started to solve this problem and produced a summary of its thinking", True),
        ("<state_snapshot>\n<overall_goal>", True),
        ("Here is a summary of the conversation to date:\n\n...", True),
        ("Please continue the previous conversation.", False),
        (None, False),
    ],
)
def test_an_opening_that_a_compaction_left(opening: str | None, expected: bool) -> None:
    assert goes_on(opening) is expected
