"""A provider that really caches: beginnings of requests, by their content, for as long as its terms say.

It has the time from its caller, so hours pass at once. Anthropic's way: what is marked by `cache_control` is written,
and from each mark it looks back over twenty blocks for an entry. OpenAI's: every beginning is written, in steps of 128
tokens. A token is four characters of the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TOKEN = 4
LOOKBACK = 20
STEP = 128
LEAST = 1024
FIVE_MINUTES, HOUR, TEN_MINUTES = 300.0, 3600.0, 600.0


@dataclass(slots=True)
class Entry:
    """A cached beginning."""

    since: float
    until: float
    kept: float


@dataclass(slots=True)
class CachingProvider:
    """Answers requests of both families with their usage."""

    entries: dict[int, Entry] = field(default_factory=dict)

    def evict(self) -> None:
        """Forget everything, as a provider may at any time."""
        self.entries.clear()

    def messages(self, body: dict[str, Any], now: float, first_byte: float) -> dict[str, int]:
        """Anthropic's usage of a request at `now`, whose reply begins at `first_byte`."""
        blocks = list(_blocks(body))
        chain, size = hash(body["model"]), 0
        chains: list[tuple[int, int]] = []
        for text, _ in blocks:
            chain, size = hash((chain, text)), size + len(text) // TOKEN + 1
            chains.append((chain, size))
        marks = [(at, kept) for at, (_, kept) in enumerate(blocks) if kept is not None]
        read = self._look_back(chains, [at for at, _ in marks], now)
        written = hour = 0
        for at, kept in marks:
            digest, size = chains[at]
            if size >= LEAST:
                self._write(digest, now, first_byte, kept or FIVE_MINUTES)
                if size > read + written:
                    hour += size - read - written if kept == HOUR else 0
                    written = size - read
        plain = chains[-1][1] - read - written
        return {
            "input_tokens": plain,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "ephemeral_1h_input_tokens": hour,
        }

    def _look_back(self, chains: list[tuple[int, int]], marks: list[int], now: float) -> int:
        for mark in reversed(marks):
            for at in range(mark, max(-1, mark - LOOKBACK - 1), -1):
                if self._read(chains[at][0], now):
                    return chains[at][1]
        return 0

    def chat(self, body: dict[str, Any], now: float, first_byte: float) -> dict[str, int]:
        """OpenAI's usage of a request."""
        text = "".join(json.dumps(body.get(key)) for key in ("tools", "messages"))
        steps = len(text) // (STEP * TOKEN)
        chain, chains = hash(body["model"]), []
        for at in range(steps):
            chain = hash((chain, text[at * STEP * TOKEN : (at + 1) * STEP * TOKEN]))
            chains.append(chain)
        read = 0
        for number, digest in enumerate(chains, 1):
            if not self._read(digest, now):
                break
            read = number * STEP
        for digest in chains:
            self._write(digest, now, first_byte, TEN_MINUTES)
        cached = read if read >= LEAST else 0
        return {"prompt_tokens": len(text) // TOKEN, "cached_tokens": cached}

    def _read(self, digest: int, now: float) -> bool:
        entry = self.entries.get(digest)
        if entry is None or not entry.since <= now <= entry.until:
            return False
        entry.until = now + entry.kept
        return True

    def _write(self, digest: int, now: float, first_byte: float, kept: float) -> None:
        """It can be read once the reply begins, and is kept from the start of the request that uses it."""
        entry = self.entries.get(digest)
        if entry is None or now > entry.until:
            self.entries[digest] = Entry(first_byte, now + kept, kept)
        elif entry.since <= now:
            entry.until = max(entry.until, now + entry.kept)


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Each block's JSON without its mark, and for how long its mark keeps it."""
    for tool in body.get("tools", ()):
        yield _block(tool)
    for block in body.get("system", ()):
        yield _block(block)
    for message in body["messages"]:
        for block in message["content"]:
            text, kept = _block(block)
            yield message["role"] + text, kept


def _block(block: dict[str, Any]) -> tuple[str, float | None]:
    mark = block.get("cache_control")
    plain = {key: value for key, value in block.items() if key != "cache_control"}
    kept = None if mark is None else HOUR if mark.get("ttl") == "1h" else FIVE_MINUTES
    return json.dumps(plain), kept
