"""The id ladder: which evidence of a call says what session it belongs to. Pure; the registry remembers.

First what the app itself sent in a session header, unless the rules' own id replaces it; then rung by rung what the
rules ask for, until one yields:

    native         the known client's own session id
    template       the rendered text; an empty one yields nothing
    literal        the word in the rules
    conversation   the conversation that the call belongs to, as its messages tell (see `conversations`)
    process        the process at the other end of the connection
    process-tree   the root of its process tree
    connection     the client's connection
    auto           native, then conversation where the process is a server, else process

A session always results. Where no rung yields (most often a process that is not known, as of a client on another
machine), the connection decides, with source `connection`:

- a proxy user and the client's address: one session, over all their connections. `HTTPS_PROXY=http://NAME:x@...` is a
  person's way of naming an app, and a client library opens several connections at once;
- without a proxy user, the address of a client on another machine, likewise: a container, a colleague's laptop;
- a client on this machine that could not be found: its connection alone. It may be any process, and unrelated ones
  must not share a session.

Nothing tells when an app behind a user or an address ends, so such a session ends after `PEER_IDLE` without a call,
where the rules set no `idle`. A process's session ends with the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from sessiontap.callers.caller import Caller, Process
from sessiontap.llm.call import Agent
from sessiontap.rules.decision import Decision, Rung, Source

PEER_IDLE = 30 * 60.0
"""Seconds."""
LONGEST_ID = 256
"""A longer id in a header or a body is no id."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's end of a connection."""

    connection: str
    """Unique over all proxies (mitmproxy's is a UUID)."""
    client_ip: str | None = None
    proxy_user: str | None = None
    local: bool | None = None
    """The client is on this machine; None: as its address tells."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What says which session a call belongs to. `given`: an id that somebody chose, not one that we generate."""

    source: Source
    value: str
    given: bool = False
    idle: float | None = None
    """Seconds after which a generated id ends where the rules do not say."""


def climb(
    decision: Decision,
    *,
    app_id: str | None,
    agent: Agent | None,
    caller: Caller | None,
    peer: Peer,
    conversation: str | None = None,
    listens: bool | None = None,
) -> Evidence:
    """The first evidence that the ladder yields.

    `conversation` is the id of the conversation that the call's tree of agents began with (`Link.root`), `listens`
    whether the process has a listening socket: it serves others, whose conversations are not one session.
    """
    if app_id and not replaces(decision, "session.id") and is_id(app_id):
        return Evidence("app", app_id, given=True)
    for rung in decision.ladder:
        found = _yields(rung, agent, caller, peer, conversation, listens)
        if found is not None:
            return found
    return of_peer(peer)


def replaces(decision: Decision, field: str) -> bool:
    """Whether the rules' value wins over the app's own: `existing: replace`, and a rule set it. Defaults never do."""
    return decision.existing == "replace" and field in decision.set_by


def is_id(value: str) -> bool:
    """Whether a client's id is one: 1 to 256 characters, none of them a control character."""
    return 0 < len(value) <= LONGEST_ID and value.isprintable() and not value.isspace()


def _yields(
    rung: Rung,
    agent: Agent | None,
    caller: Caller | None,
    peer: Peer,
    conversation: str | None,
    listens: bool | None,
) -> Evidence | None:
    match rung.source:
        case "auto":
            return _native(agent) or (_conversation(conversation) if listens else None) or _process(caller)
        case "conversation":
            return _conversation(conversation)
        case "native":
            return _native(agent)
        case "process":
            return _process(caller)
        case "process-tree":
            return _tree(caller.tree) if caller and caller.tree else None
        case "connection":
            return Evidence("connection", f"connection {peer.connection}")
        case "template" | "literal" as source if rung.value and not rung.value.isspace():
            return Evidence(source, rung.value, given=True)
    return None


def _native(agent: Agent | None) -> Evidence | None:
    if agent is None or agent.session is None or not is_id(agent.session):
        return None
    return Evidence("native", agent.session, given=True)


def _conversation(id: str | None) -> Evidence | None:
    return Evidence("conversation", id) if id else None


def _process(caller: Caller | None) -> Evidence | None:
    return Evidence("process", caller.id) if caller else None


def _tree(root: Process) -> Evidence | None:
    if root.id is not None:
        return Evidence("process-tree", root.id)
    # A pid alone is used again by others.
    return Evidence("process-tree", f"{root.pid} {root.started}") if root.started is not None else None


def of_peer(peer: Peer) -> Evidence:
    """What the connection alone says: a proxy user, another machine, or nothing but itself."""
    if peer.proxy_user:
        # The address has no space in it, so nothing runs together.
        return Evidence("connection", f"client {peer.client_ip or '-'} {peer.proxy_user}", idle=PEER_IDLE)
    local = peer.local if peer.local is not None else _is_loopback(peer.client_ip)
    if peer.client_ip and not local:
        return Evidence("connection", f"client {peer.client_ip}", idle=PEER_IDLE)
    return Evidence("connection", f"connection {peer.connection}")


@lru_cache(maxsize=1024)
def _is_loopback(address: str | None) -> bool:
    try:
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return True  # no address: nothing that several connections can be told to share
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)
