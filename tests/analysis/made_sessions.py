"""Sessions against a provider that really caches: agents that change what they send in all ways in which caches miss.

Each turn says what was changed, and so why the cache could not be read, if it could not.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.caching_provider import LEAST, STEP, CachingProvider

Wire = Literal["anthropic", "openai"]
MODELS = {"anthropic": ("claude-sonnet-4-5", "claude-opus-4-1"), "openai": ("gpt-4o", "gpt-4.1")}
CHANGES = {
    "none": 40, "model": 6, "tool_added": 3, "tool_removed": 3, "tool_changed": 3, "system": 6, "message": 6,
    "message_dropped": 4, "idle": 8, "evicted": 5, "failed": 4, "model+system": 2, "tools+idle": 2, "message+idle": 2,
    "subagent": 4, "parallel": 3, "lookback": 2, "retold": 2,
}  # fmt: skip
"""What may happen before a turn, and how often."""
WORDS = ("parser", "scanner", "token", "grammar", "value", "branch", "commit", "engine", "memory", "socket", "42")


@dataclass(frozen=True, slots=True)
class MadeTurn:
    """One call, and the truth about its cache."""

    id: str
    parent: str | None
    conversation: str
    wire: Wire
    time: float
    first_byte: float
    body: dict[str, Any]
    usage: dict[str, int] | None
    """None: the call failed."""
    verdict: str | None = None
    reason: str | None = None
    reply: tuple[dict[str, Any], ...] = ({"type": "text", "text": "Very well."},)
    """Its content, as Anthropic's."""


@dataclass(slots=True)
class _Talk:
    """A conversation: what its next request holds."""

    name: str
    model: str
    tools: list[dict[str, Any]]
    system: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    opened_by: str | None = None
    """The call that a sub-agent works for."""
    last: str | None = None
    left: int = 0
    """What its last answered request left in the cache."""
    size: int = 0


class MadeSession:
    """One agent's session, with its own provider."""

    def __init__(self, name: str, seed: int, turns: int) -> None:
        self.name = name
        self.turns: list[MadeTurn] = []
        self._draw = random.Random(seed)
        self._wire: Wire = self._draw.choice(("anthropic", "openai"))
        self._small = self._draw.random() < 0.15
        self._unmarked = self._draw.choice((0, 0, 0, 3))
        self._hour = self._draw.random() < 0.3
        self._provider = CachingProvider()
        self._now = 0.0
        self._talks = 0
        main = self._talk("You are an agent that writes code. " + self._text(20 if self._small else 600))
        self._turn(main, "first")
        while len(self.turns) < turns:
            change = self._draw.choices(list(CHANGES), list(CHANGES.values()))[0]
            self._now += self._draw.uniform(2, 60)
            getattr(self, f"_{change.replace('+', '_')}")(main)

    # What may happen -----------------------------------------------------------------------------------------------

    def _none(self, talk: _Talk) -> None:
        self._go_on(talk)
        self._turn(talk, None)

    def _model(self, talk: _Talk) -> None:
        self._go_on(talk)
        talk.model = next(model for model in MODELS[self._wire] if model != talk.model)
        self._turn(talk, "model")

    def _tool_added(self, talk: _Talk) -> None:
        self._go_on(talk)
        talk.tools.insert(self._draw.randrange(len(talk.tools)), self._tool())
        self._turn(talk, "tools")

    def _tool_removed(self, talk: _Talk) -> None:
        if len(talk.tools) < 4:
            return self._none(talk)
        self._go_on(talk)
        del talk.tools[self._draw.randrange(len(talk.tools) - 1)]
        return self._turn(talk, "tools")

    def _tool_changed(self, talk: _Talk) -> None:
        self._go_on(talk)
        talk.tools[self._draw.randrange(len(talk.tools))]["description"] = self._text(10)
        self._turn(talk, "tools")

    def _system(self, talk: _Talk) -> None:
        self._go_on(talk)
        talk.system = f"{talk.system[:30]}It is {self._now:.0f}. {talk.system[30:]}"
        self._turn(talk, "system")

    def _message(self, talk: _Talk, reason: str = "message") -> None:
        at = self._draw.randrange(len(talk.messages))
        self._go_on(talk)
        block = talk.messages[at]["content"][0]
        key = "text" if block["type"] == "text" else "content" if block["type"] == "tool_result" else "input"
        block[key] = {"path": self._text(3)} if key == "input" else self._text(12)
        self._turn(talk, reason)

    def _message_dropped(self, talk: _Talk) -> None:
        if len(talk.messages) < 5:
            return self._none(talk)
        self._go_on(talk)
        del talk.messages[1:3]
        return self._turn(talk, "message")

    def _retold(self, talk: _Talk) -> None:
        """The history is replaced by a summary."""
        self._go_on(talk)
        talk.messages = [self._user(self._text(150))]
        self._turn(talk, "message")

    def _idle(self, talk: _Talk) -> None:
        self._go_on(talk)
        self._wait()
        self._turn(talk, "idle")

    def _evicted(self, talk: _Talk) -> None:
        self._go_on(talk)
        self._provider.evict()
        self._turn(talk, "unknown")

    def _failed(self, talk: _Talk) -> None:
        """A call that fails, and the same again: either continues the call before it or the failed one."""
        self._go_on(talk)
        failed = self._made(talk, None, None, None)
        before, talk.last = talk.last, self._draw.choice((failed.id, talk.last))
        self._now += 1
        self._turn(talk, None if before else "first")

    def _model_system(self, talk: _Talk) -> None:
        self._go_on(talk)
        talk.model = next(model for model in MODELS[self._wire] if model != talk.model)
        talk.system = talk.system[:50] + "!" + talk.system[50:]
        self._turn(talk, "model")

    def _tools_idle(self, talk: _Talk) -> None:
        self._wait()
        self._tool_added(talk)

    def _message_idle(self, talk: _Talk) -> None:
        self._wait()
        self._message(talk)

    def _subagent(self, talk: _Talk) -> None:
        """Another conversation with the same tools and system prompt, while the main one's are cached."""
        self._none(talk)
        self._now += 3
        child = self._talk(talk.system, talk.tools, talk.model)
        child.opened_by = talk.last
        short = self.turns[-1].usage is None or talk.size < LEAST or not talk.left
        self._turn(child, None if not short else "first")
        for _ in range(2):
            self._now += 5
            self._none(child)

    def _parallel(self, talk: _Talk) -> None:
        """Two conversations of another kind begin at once: the second cannot read what the first has not written."""
        prompt = "You look things up. " + self._text(900)
        tools = [self._tool()]
        self._turn(self._talk(prompt, tools), "first")
        second = self._talk(prompt, tools)
        now, self._now = self._now, self.turns[-1].time + 0.01
        self._turn(second, "in_flight")
        self._now = max(now, self._now)

    def _lookback(self, talk: _Talk) -> None:
        self._go_on(talk, results=24)
        self._turn(talk, "lookback" if self._wire == "anthropic" else None)

    # How it is sent ------------------------------------------------------------------------------------------------

    def _turn(self, talk: _Talk, changed: str | None) -> None:
        """A request, of which `changed` says why it cannot read what the one before left."""
        marked = len(self.turns) >= self._unmarked
        body = self._body(talk, marked)
        first_byte = self._now + self._draw.uniform(0.5, 5)
        if self._wire == "anthropic":
            usage = self._provider.messages(body, self._now, first_byte)
            read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
            size = usage["input_tokens"] + read + written
            left = read + written
        else:
            usage = self._provider.chat(body, self._now, first_byte)
            read, size = usage["cached_tokens"], usage["prompt_tokens"]
            left = size // STEP * STEP if size >= LEAST else 0
        made = self._made(talk, usage, *self._truth(talk, changed, read, size), body=body, first_byte=first_byte)
        talk.last, talk.left, talk.size = made.id, left, size
        self._now = first_byte + 1

    def _truth(self, talk: _Talk, changed: str | None, read: int, size: int) -> tuple[str, str | None]:
        if talk.last is None:
            if read:
                return "hit", None
            return "miss", "too_short" if size < LEAST else changed or "unknown"
        if not talk.left:
            return ("hit", None) if read else ("miss", "too_short" if talk.size < LEAST else "never_written")
        if read >= talk.left - (STEP if self._wire == "openai" else 0):
            return "hit", None
        return "partly" if read else "miss", changed or "unknown"

    def _made(
        self,
        talk: _Talk,
        usage: dict[str, int] | None,
        verdict: str | None,
        reason: str | None,
        body: dict[str, Any] | None = None,
        first_byte: float | None = None,
    ) -> MadeTurn:
        made = MadeTurn(
            id=f"{self.name}-{len(self.turns):04}",
            parent=talk.last or talk.opened_by,
            conversation=f"{self.name}-{talk.name}",
            wire=self._wire,
            time=self._now,
            first_byte=first_byte if first_byte is not None else self._now + 0.5,
            body=body or self._body(talk, marked=True),
            usage=usage,
            verdict=verdict,
            reason=reason,
        )
        self.turns.append(made)
        return made

    def _body(self, talk: _Talk, marked: bool) -> dict[str, Any]:
        tools, messages = copy.deepcopy(talk.tools), copy.deepcopy(talk.messages)
        if self._wire == "openai":
            return {
                "model": talk.model,
                "tools": [{"type": "function", "function": tool} for tool in tools],
                "messages": [{"role": "system", "content": talk.system}, *_as_chat(messages)],
            }
        system: list[dict[str, Any]] = [{"type": "text", "text": talk.system}]
        if marked:
            mark = {"type": "ephemeral"} | ({"ttl": "1h"} if self._hour else {})
            for block in (system[-1], messages[-1]["content"][-1]):
                block["cache_control"] = mark
        return {"model": talk.model, "max_tokens": 1000, "tools": tools, "system": system, "messages": messages}

    # What it holds -------------------------------------------------------------------------------------------------

    def _talk(self, system: str, tools: list[dict[str, Any]] | None = None, model: str | None = None) -> _Talk:
        self._talks += 1
        own = [self._tool() for _ in range(4)] if tools is None else copy.deepcopy(tools)
        name = "main" if self._talks == 1 else f"other-{self._talks}"
        talk = _Talk(name, model or MODELS[self._wire][0], own, system)
        talk.messages.append(self._user(self._text(8)))
        return talk

    def _go_on(self, talk: _Talk, results: int = 1) -> None:
        """What the assistant asked for, and its results."""
        ids = [f"toolu_{self.name}_{len(self.turns)}_{number}" for number in range(results)]
        asked = [{"type": "tool_use", "id": id, "name": "Read", "input": {"path": self._text(2)}} for id in ids]
        length = 3 if self._small else self._draw.randrange(5, 120)
        came = [{"type": "tool_result", "tool_use_id": id, "content": self._text(length)} for id in ids]
        talk.messages += [{"role": "assistant", "content": asked}, {"role": "user", "content": came}]

    def _wait(self) -> None:
        """Longer than anything is kept."""
        self._now += self._draw.uniform(4_000, 9_000) if self._hour else self._draw.uniform(700, 3_000)

    def _tool(self) -> dict[str, Any]:
        schema = {"type": "object", "properties": {"path": {"type": "string", "description": self._text(5)}}}
        return {
            "name": f"tool_{self._draw.randrange(10**6)}",
            "description": self._text(5 if self._small else 80),
            "input_schema" if self._wire == "anthropic" else "parameters": schema,
        }

    def _user(self, text: str) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "text", "text": text}]}

    def _text(self, words: int) -> str:
        return " ".join(self._draw.choices(WORDS, k=words)) + f" {self._draw.randrange(10**6)}."


def _as_chat(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Anthropic's messages as OpenAI's."""
    for message in messages:
        blocks = message["content"]
        if blocks[0]["type"] == "tool_use":
            calls = [
                {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": str(one["input"])}}
                for one in blocks
            ]
            yield {"role": "assistant", "content": None, "tool_calls": calls}
        elif blocks[0]["type"] == "tool_result":
            for one in blocks:
                yield {"role": "tool", "tool_call_id": one["tool_use_id"], "content": one["content"]}
        else:
            yield {"role": message["role"], "content": blocks[0]["text"]}


def made_sessions(turns: int, seed: int) -> list[MadeSession]:
    """So many turns, in sessions of forty."""
    found: list[MadeSession] = []
    while (made := sum(len(one.turns) for one in found)) < turns:
        found.append(MadeSession(f"s{len(found):03}", seed * 1_000 + len(found), min(40, turns - made)))
    return found
