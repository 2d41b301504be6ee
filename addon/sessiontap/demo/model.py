"""The model behind the local LLM server: the same words for the same prompt, and tokens that can be counted by hand.

Its reply, the first of these that fits:

1. `reply with status 429` in the newest user message: that error status.
2. `call NAME with {JSON}` in it, if NAME is offered: that tool call. Of several, each follows when the result of the
   one before is there; those with `beside` between them come at once. A `call ...` within the JSON is for the model
   that gets it as a prompt.
3. `web_search` is offered and there is no tool result yet: a search for the prompt's topic.
4. `outline` in the system prompt (or, without one, the user's): an outline of three lessons on the topic.
5. `lesson` in it: one lesson.
6. Anything else: a sentence that quotes the question.

The topic follows `about` or `on`. A token is four bytes of UTF-8, rounded up; each message costs three more. Of prompts
of 1,024 tokens and more the history (all but the last message) is cached in steps of 128, as OpenAI's documentation
says. Reasoning models (`o1`, `gpt-5` ...) spend 64 tokens on reasoning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KNOWN_MODELS = re.compile(
    r"(openai/|anthropic/)?(gpt-|o\d|chatgpt-|codex-|text-embedding-|claude-|gemini-|llama|mistral|deepseek|mixtral)",
    re.I,
)
REASONING_MODELS = re.compile(r"(openai/)?(o\d|gpt-5)")
REASONING_TOKENS = 64
MESSAGE_TOKENS = 3

_STATUS = re.compile(r"\breply with status ([45]\d\d)\b", re.I)
_CALL = re.compile(r"\bcall (\w[\w.-]*) with (?=\{)", re.I)
_TOPIC = re.compile(r"\b(?:about|on) ([^.?!\n:]+)", re.I)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's prompt, the same for every wire family."""

    model: str
    system: str = ""
    user: str = ""
    """The newest user message."""
    tools: tuple[str, ...] = ()
    """Offered."""
    results: tuple[str, ...] = ()
    """Tool results after the last assistant message."""
    done: int = 0
    """Tool results after the newest user message."""
    limit: int | None = None
    """The most tokens that the reply may have."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Completion:
    text: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    cut: bool = False
    """The limit was reached."""
    reasoning: int = 0
    """Tokens spent on thinking."""

    @property
    def tokens(self) -> int:
        """Output tokens, reasoning included."""
        return self.reasoning + count(self.text) + sum(count(use.name) + count(use.json) for use in self.tool_uses)


@dataclass(frozen=True, slots=True)
class PromptedError:
    """An error that the prompt asked for."""

    status: int


def count(text: str) -> int:
    """Tokens of `text`."""
    return (len(text.encode()) + 3) // 4


def count_prompt(messages: list[str], tools: str = "") -> tuple[int, int]:
    """(input tokens, those of them that were cached) of a prompt's messages and its tools as JSON."""
    total = count(tools) + sum(count(message) + MESSAGE_TOKENS for message in messages)
    history = total - (count(messages[-1]) + MESSAGE_TOKENS) if messages else 0
    return total, history // 128 * 128 if total >= 1024 else 0


def answer(prompt: Prompt) -> Completion | PromptedError:
    """Return the model's reply, by the rules at the top of this file."""
    if status := _STATUS.search(prompt.user):
        return PromptedError(int(status[1]))
    reasoning = REASONING_TOKENS if REASONING_MODELS.match(prompt.model) else 0
    if uses := _wished(prompt) or _search(prompt):
        return Completion(tool_uses=uses, reasoning=reasoning)
    text = _text(prompt)
    if prompt.limit is not None and count(text) > prompt.limit:
        return Completion(text.encode()[: prompt.limit * 4].decode(errors="ignore"), cut=True, reasoning=reasoning)
    return Completion(text, reasoning=reasoning)


def pieces(text: str) -> list[str]:
    """`text` as a stream brings it, a word at a time."""
    return re.findall(r"\S+\s*|\s+", text)


def _wished(prompt: Prompt) -> tuple[ToolUse, ...]:
    """The calls that the prompt asks for and whose turn it is."""
    done = 0
    for at_once in _wishes(prompt.user):
        offered = tuple(wish for wish in at_once if wish.name in prompt.tools)
        if offered and done >= prompt.done:
            return offered
        done += len(offered)
    return ()


def _wishes(prompt: str) -> Iterator[list[ToolUse]]:
    """All calls that a prompt asks for, but for those that stand in the arguments of another; in groups."""
    end, group = 0, list[ToolUse]()
    while wish := _CALL.search(prompt, end):
        if group and prompt[end : wish.start()].strip() != "beside":
            yield group
            group = []
        try:
            arguments, end = json.JSONDecoder().raw_decode(prompt, wish.end())
        except ValueError:
            arguments, end = {}, wish.end()
        group.append(ToolUse(wish[1], arguments))
    if group:
        yield group


def _search(prompt: Prompt) -> tuple[ToolUse, ...]:
    if prompt.results or "web_search" not in prompt.tools:
        return ()
    return (ToolUse("web_search", {"query": f"{_topic(prompt)}: what a beginner needs to know"}),)


def _text(prompt: Prompt) -> str:
    topic = _topic(prompt)
    task = (prompt.system or prompt.user).lower()
    if "outline" in task:
        found = len(prompt.results)
        sources = f" (from {found} search result{'s'[: found != 1]})" if found else ""
        return (
            f"Outline: {topic}{sources}\n"
            f"1. What {topic} is for\n"
            f"2. A first example of {topic}\n"
            f"3. Where {topic} goes wrong, and how to notice"
        )
    if "lesson" in task:
        return (
            f"Lesson: {topic}.\n\n"
            "Start from something you can see, change one thing, and say beforehand what you expect.\n"
            "Exercise: do it once more without looking."
        )
    if prompt.results:
        return f"The tool says: {prompt.results[-1][:200]}"
    return f"You asked: {prompt.user[:200]} The short answer is yes; the long one depends on the details."


def _topic(prompt: Prompt) -> str:
    found = _TOPIC.search(prompt.user)
    return (found[1] if found else prompt.user[:60]).strip() or "this subject"
