"""A dialect: the headers by which one observability system, or one gateway, is told about sessions.

The descriptor holds all that a dialect is. To add one: a module with a `Dialect` in it, and a line in the list of
`dialects/__init__.py`. What is planned, recognised, offered by the rules and checked by them follows from the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sessiontap.dialects.members import Member, MemberSet
from sessiontap.exchange import Headers
from sessiontap.header_edit import Edit

_NOTHING: Mapping[str, str] = MappingProxyType({})


class SessionInfo(NamedTuple):
    """All that a dialect may say of a call."""

    id: str
    name: str
    step: int
    """The call's number in its session, from 0."""
    path: str
    user: str | None = None
    properties: Mapping[str, str] = _NOTHING
    state: Mapping[str, Any] | None = None
    state_field: str = "state"
    """The rules' field that set the state, or a part of it."""
    parent_trace: str | None = None
    """The server's own id of the call that this one goes on from, if that is certain."""
    tags: tuple[str, ...] = ()
    call: str = ""
    """The call's id."""
    turn: str = ""
    """The id of the call with which its turn began, as far as that is known."""


def property_members(info: SessionInfo) -> Iterator[Member]:
    """The properties as members of a header, under their own names."""
    return (Member(key, value, f"properties.{key}") for key, value in info.properties.items())


class ProposedHeader(NamedTuple):
    """A header that a dialect would write. It cannot be, for `reason`, if it has neither a value nor members."""

    header: str
    value: str | None
    field: str
    """The rules' field that it comes from, as in `Decision.set_by` and `FilledSettings.set_by`."""
    reason: str | None = None
    """Also why the value says less than it might, such as a cut text."""
    members: MemberSet | None = None
    """In place of a value: members, which are added to those that the app sent."""


@dataclass(frozen=True, slots=True)
class AppHeaders:
    """The headers by which an app itself declares its session; names in lower case, None: there is none."""

    id: str | None = None
    name: str | None = None
    path: str | None = None
    baggage: str | None = None
    """A key of W3C baggage whose value is a session's id."""
    hosts: tuple[str, ...] = ()
    """The id counts at these hosts alone; empty: everywhere."""
    sent_by_agents: bool = False
    """Known agents send the id's header, too, to all hosts: beside their own headers it is the agent's session."""


class OwnKey(NamedTuple):
    """A key of the proxy's own that this dialect's server wants on each call."""

    header: str
    server: str
    """The server's name, for people."""
    edit: Callable[[str, str | None, Mapping[str, str], str | None], Edit | None]
    """Takes the host, the header's value as the app sent it, the proxy's environment, and why the call may not carry
    the proxy's key (None: it may). Returns the edit; None if the call needs none."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """All that a dialect is; only `name` is required."""

    name: str
    """As `send` in the rules names it."""
    request_headers: Callable[[SessionInfo], Iterable[ProposedHeader]] | None = None
    """The headers of a request, the most needed first. None: the dialect is recognised and cannot be written."""
    prefixes: tuple[str, ...] = ()
    """The beginnings of its session headers, in lower case: `existing` decides on those."""
    hosts: tuple[str, ...] = ()
    """The hosts that are known to read it; `*.NAME` stands for all beneath a name."""
    signs: tuple[str, ...] = ()
    """The beginnings of headers, in lower case: an app that sends one talks to a server that reads the dialect."""
    for_any_server: bool = False
    """It is a standard of the web, which no server refuses: to send it to anybody is no mistake."""
    reply_headers: Callable[[tuple[Edit, ...], Headers, int, str], Iterable[Edit]] | None = None
    """Takes the edits of the request, the response's headers, the session's step and the call's id. Returns the edits
    of the response's headers."""
    trace_id: str | None = None
    """The response header in which the server names the call."""
    app: AppHeaders = AppHeaders()
    own_key: OwnKey | None = None
