"""The description of a known agent (`KnownAgent`), and the signs and sources that its description is made of.

A module that describes agents ends in `AGENTS`, a tuple of `KnownAgent`, and is named in `agents.MODULES`. A sign must
be unmistakable: names that anybody may use (`session-id`, `x-session-id`, `prompt_cache_key`) are sources of an agent
that is already recognised, never signs. Sources are tried in order; the first that gives a usable id wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sessiontap.llm.pick import parse, text
from sessiontap.value_classes import dataclass

LONGEST_ID = 256
UNTYPED = "subagent"
"""The name of a sub-agent that does not say its type."""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """The parts of a request that signs and sources look at: header names in lower case, and the parsed body."""

    headers: Mapping[str, str]
    body: Any


Source = Callable[[AgentRequest], str | None]
Sign = Callable[[AgentRequest], bool]


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """An agent: the signs by which it is recognised, and the places of its own session, thread and sub-agent."""

    name: str
    signs: tuple[Sign, ...]
    """One of them is enough."""
    session: tuple[Source, ...] = ()
    thread: tuple[Source, ...] = ()
    parent_thread: tuple[Source, ...] = ()
    subagent: tuple[Source, ...] = ()
    of_run: Sign | None = None
    """See `Agent.of_run`."""
    untyped_words: tuple[str, ...] = ()
    """Words that it uses for sub-agents of any type."""
    beside_session_id: tuple[str, ...] = ()
    """Headers of its own that it sends beside `x-session-id`, a name that others use, too."""


def usable(value: object) -> str | None:
    """Return `value` as an id: a string of 1 to 256 printable characters, else None."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if value and len(value) <= LONGEST_ID and value.isprintable() else None


def first_usable(request: AgentRequest, sources: Iterable[Source]) -> str | None:
    """Return the first usable id that a source gives."""
    return next((found for source in sources if (found := usable(source(request)))), None)


# Signs and sources -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeaderSign:
    """A sign that one header gives, so that a request without the header need not be asked."""

    name: str
    begins: re.Pattern[str]

    def __call__(self, request: AgentRequest) -> bool:
        value = request.headers.get(self.name)
        return value is not None and self.holds(value)

    def holds(self, value: str) -> bool:
        """Return whether it holds for a header of that value."""
        return self.begins.match(value) is not None


def sends(name: str, pattern: str = "") -> HeaderSign:
    """The header is there and its value begins as the pattern says, whatever the case."""
    return HeaderSign(name, re.compile(pattern, re.IGNORECASE))


def header(name: str) -> Source:
    return lambda request: request.headers.get(name)


def field(*path: str) -> Source:
    return lambda request: text(request.body, *path)


def in_json(source: Source, *path: str) -> Source:
    """A field of JSON that stands in a header or a string."""

    def find(request: AgentRequest) -> str | None:
        value = source(request)
        return text(parse(value)[0], *path) if value and value.startswith("{") else None

    return find


def only_if(condition: Sign, source: Source) -> Source:
    return lambda request: source(request) if condition(request) else None


def unless(condition: Sign, source: Source) -> Source:
    return lambda request: None if condition(request) else source(request)


def always(value: str) -> Source:
    return lambda request: value


def has(source: Source) -> Sign:
    return lambda request: bool(source(request))


def last_level(source: Source) -> Source:
    """The last level of a path."""

    def find(request: AgentRequest) -> str | None:
        value = source(request)
        return value.rstrip("/").rpartition("/")[2] if value else None

    return find
