"""The newest turn of a message list: the user's text, and the tool results behind the last assistant message.

Families differ in how a message says whose it is and where it keeps what, so each brings a `MessageLayout`. Messages
are looked at from the end, no further and no closer than it takes: a list may hold hundreds, and somebody may send one
of millions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from sessiontap.llm.pick import names

MOST_LOOKED_AT = 10_000
"""Messages: 20 ms. A conversation of more is not followed anyway."""

Named = tuple[str | None, str | None]
"""A tool call's id and the tool's name, as far as they are given."""


class MessageLayout(NamedTuple):
    """The places of role, text, tool calls and tool results in a message."""

    role: Callable[[Any], Literal["user", "assistant"] | None]
    text: Callable[[Any], str | None]
    """The text of a user's message."""
    results: Callable[[Any], Iterable[Named]]
    """The tool results in any message that is not the assistant's."""
    calls: Callable[[Any], Iterable[Named]]
    """The tool calls in an assistant's message."""


class NewestTurn(NamedTuple):
    message: str | None
    tool_results: tuple[str, ...]
    """Names of the tools whose results are handed in, in order."""
    answered: tuple[str, ...]
    """Ids of the calls whose results are handed in, newest first."""
    results: tuple[Named, ...] = ()
    """As `Asked.results`."""


def newest(messages: Sequence[Any], layout: MessageLayout) -> NewestTurn:
    """Return the newest turn. A user message of nothing but tool results is not the user's own.

    A result that gives an id but no name is named by the call of that id; one that gives neither, only if the assistant
    had called a single tool.
    """
    results: list[Named] = []
    unnamed: set[str] = set()
    called: dict[str, str] = {}
    only: str | None = None
    message: str | None = None
    behind, user_seen = True, False
    for item in islice(reversed(messages), MOST_LOOKED_AT):
        role = layout.role(item)
        if role == "assistant":
            if behind or unnamed:
                calls = list(layout.calls(item))
                if behind:
                    tools = {name for _, name in calls}
                    only = tools.pop() if len(tools) == 1 else None
                for call_id, name in calls:
                    if call_id in unnamed and name:
                        called[call_id] = name
                        unnamed.discard(call_id)
            behind = False
        elif behind or (role == "user" and not user_seen):
            found = list(layout.results(item))
            if behind:
                results += reversed(found)
                unnamed.update(call_id for call_id, name in found if call_id and not name)
            if role == "user" and not user_seen:
                message = layout.text(item)
                user_seen = message is not None or not found
        if user_seen and not behind and not unnamed:
            break
    named = [(call_id, name or (called.get(call_id) if call_id else only)) for call_id, name in reversed(results)]
    return NewestTurn(
        message, names(name for _, name in named), names(call_id for call_id, _ in results), nameless(named)
    )


def nameless(results: Sequence[Named]) -> tuple[Named, ...]:
    """Return the results if one has an id and no name: others may know it. (`Asked.results`)"""
    return tuple(results) if any(id and not name for id, name in results) else ()
