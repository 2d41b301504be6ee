"""The newest turn of a message list: the user's text, and the tool results behind the last assistant message.

Families differ in how a message says whose it is and where it keeps what, so each brings a function that tells it of
one message. Messages are looked at from the end, no further than it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from sessiontap.llm.pick import names

Named = tuple[str | None, str | None]
"""A tool call's id and the tool's name, as far as they are given."""


def nameless(results: Sequence[Named]) -> tuple[Named, ...]:
    """The results, where one has an id and no name: others may know it. (`Asked.results`)"""
    return tuple(results) if any(id and not name for id, name in results) else ()


class MessageFacts(NamedTuple):
    """The role, text, tool calls and tool results of one message."""

    role: Literal["user", "assistant"] | None = None
    said: str | None = None
    """A user message's text."""
    results: tuple[Named, ...] = ()
    calls: tuple[Named, ...] = ()


class NewestTurn(NamedTuple):
    message: str | None
    tool_results: tuple[str, ...]
    """Names of the tools whose results are handed in, in order."""
    answered: tuple[str, ...]
    """Ids of the calls whose results are handed in, newest first."""
    results: tuple[Named, ...] = ()
    """As `Asked.results`."""


def newest(messages: list[Any], look: Callable[[Any], MessageFacts]) -> NewestTurn:
    """A user message of nothing but tool results is not the user's own.

    A result that gives an id but no name is named by the call of that id; one that gives neither, only where the
    assistant had called a single tool.
    """
    results: list[Named] = []
    unnamed: set[str] = set()
    called: dict[str, str] = {}
    only: str | None = None
    message: str | None = None
    behind, user_seen = True, False
    for item in reversed(messages):
        seen = look(item)
        if behind:
            results += reversed(seen.results)
            unnamed.update(call_id for call_id, name in seen.results if call_id and not name)
        if seen.role == "assistant":
            if behind:
                tools = {name for _, name in seen.calls}
                only = tools.pop() if len(tools) == 1 else None
            behind = False
            for call_id, name in seen.calls:
                if call_id in unnamed and name:
                    called[call_id] = name
                    unnamed.discard(call_id)
        elif seen.role == "user" and not user_seen:
            message = seen.said
            user_seen = message is not None or not seen.results
        if user_seen and not behind and not unnamed:
            break
    found = [(call_id, name or (called.get(call_id) if call_id else only)) for call_id, name in reversed(results)]
    return NewestTurn(
        message, names(name for _, name in found), names(call_id for call_id, _ in results), nameless(found)
    )
