"""The model behind the local LLM server: the same words for the same prompt, and tokens that can be counted by hand.

How it answers, the first that fits:

1. `reply with status 429` in the newest user message: that error status.
2. `call NAME with {JSON}` in it, NAME being offered: that tool call. Of several, each takes its turn once the result
   of the one before is there. JSON's own `call ...` is for whoever gets it as a prompt.
3. `web_search` is offered and no tool result there yet: a search for the prompt's topic.
4. `outline` in the system prompt (or, without one, the user's): an outline of three lessons on the topic.
5. `lesson` there: one lesson.
6. Anything else: a sentence that quotes the question.

The topic is what follows `about` or `on`. A token is four bytes of UTF-8, begun ones count; each message costs three
more. Prompts of 1,024 tokens and more have their history (all but the last message) cached in steps of 128, as OpenAI
says of itself. Models that reason (`o1`, `gpt-5` ...) spend 64 tokens on it.
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
class Turn:
    """A request's prompt, in whatever shape it was sent."""

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
class Answer:
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
class Refusal:
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


def answer(turn: Turn) -> Answer | Refusal:
    """What the model says; see the top of this file."""
    if status := _STATUS.search(turn.user):
        return Refusal(int(status[1]))
    reasoning = REASONING_TOKENS if REASONING_MODELS.match(turn.model) else 0
    if use := _wished(turn) or _search(turn):
        return Answer(tool_uses=(use,), reasoning=reasoning)
    text = _text(turn)
    if turn.limit is not None and count(text) > turn.limit:
        return Answer(text.encode()[: turn.limit * 4].decode(errors="ignore"), cut=True, reasoning=reasoning)
    return Answer(text, reasoning=reasoning)


def pieces(text: str) -> list[str]:
    """`text` as a stream brings it, a word at a time."""
    return re.findall(r"\S+\s*|\s+", text)


def _wished(turn: Turn) -> ToolUse | None:
    """The call that the prompt asks for and whose turn it is."""
    wishes = [wish for wish in _wishes(turn.user) if wish.name in turn.tools]
    return wishes[turn.done] if turn.done < len(wishes) else None


def _wishes(prompt: str) -> Iterator[ToolUse]:
    """All calls that a prompt asks for, but for those that stand in the arguments of another."""
    end = 0
    while wish := _CALL.search(prompt, end):
        try:
            arguments, end = json.JSONDecoder().raw_decode(prompt, wish.end())
        except ValueError:
            arguments, end = {}, wish.end()
        yield ToolUse(wish[1], arguments)


def _search(turn: Turn) -> ToolUse | None:
    if turn.results or "web_search" not in turn.tools:
        return None
    return ToolUse("web_search", {"query": f"{_topic(turn)}: what a beginner needs to know"})


def _text(turn: Turn) -> str:
    topic = _topic(turn)
    task = (turn.system or turn.user).lower()
    if "outline" in task:
        sources = f" (from {len(turn.results)} search result{'s'[: len(turn.results) != 1]})" if turn.results else ""
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
    if turn.results:
        return f"The tool says: {turn.results[-1][:200]}"
    return f"You asked: {turn.user[:200]} The short answer is yes; the long one depends on the details."


def _topic(turn: Turn) -> str:
    found = _TOPIC.search(turn.user)
    return (found[1] if found else turn.user[:60]).strip() or "this subject"
