"""The sources of a session id, and the evidence that each gives for the session of a call.

An id that the app itself sent in a session header comes first, unless the rules' own id replaces it. Then the sources
that the rules list are tried in order, and the first that yields decides:

    join           the value that the rules join calls by, of the same process or proxy user; else the session that the
                   call's conversation was joined to (see `joined`). It comes before the sources that are listed
    native         the known client's own session id
    template       the rendered text; an empty one yields nothing
    literal        the word in the rules
    conversation   the conversation that the call belongs to (see `links`)
    process        the process at the other end of the connection
    process-tree   the root of its process tree
    connection     the client's connection
    auto           native, then conversation if the process is a server, else process

A session always results. If no source yields (most often because the process is unknown, as for a client on another
machine), the connection decides, with source `connection`:

- a proxy user and the client's address: one session over all their connections. `HTTPS_PROXY=http://NAME:x@...` is a
  person's way to name an app, and a client library opens several connections at once;
- without a proxy user, the address of a client on another machine, likewise: a container, a colleague's laptop;
- a client on this machine whose process was not found: its connection alone. It may be any process, and unrelated
  ones must not share a session.

Nothing shows when an app behind a user or an address ends, so such a session ends after `CLIENT_IDLE` without a call,
unless the rules set `idle`. A process's session ends with the process. This module is pure; `registry` remembers.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address

from sessiontap.callers.caller import Caller, Process
from sessiontap.llm.call import Agent
from sessiontap.rules.decision import Decision, IdSource, IdSourceKind
from sessiontap.sessions.joined import JoinedSession
from sessiontap.value_classes import dataclass

CLIENT_IDLE = 30 * 60.0
"""Seconds."""
MAX_ID_LENGTH = 256
"""A longer id in a header or a body is not taken."""


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """The client's side of a connection to the proxy."""

    connection: str
    """Unique over all proxies (mitmproxy's is a UUID)."""
    client_ip: str | None = None
    proxy_user: str | None = None
    local: bool | None = None
    """The client is on this machine; None: its address decides."""


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """Evidence for the session of a call. `given`: somebody chose the id, it is not generated."""

    source: IdSourceKind
    value: str
    given: bool = False
    idle: float | None = None
    """Seconds after which a session of generated id ends if the rules set no `idle`."""
    rank: int | None = None
    """Of `join`: the place of the template that gave the value, from 0."""
    key: str | None = None
    """Of `join`: the id of the first session of the value, if a call goes on in it without the value."""


def session_evidence(
    decision: Decision,
    *,
    app_id: str | None,
    agent: Agent | None,
    caller: Caller | None,
    connection: ClientConnection,
    conversation: str | None = None,
    is_server: bool | None = None,
    joined: JoinedSession | None = None,
) -> SessionEvidence:
    """Return the evidence of the first source that yields. Each parameter is what one of the sources looks at.

    `conversation` is the id of the conversation at the root of the call's tree of agents (`Link.root`). `is_server`:
    the process has a listening socket, so it serves others, whose conversations are not one session. `joined` is the
    session that the call's conversation was joined to.
    """
    if app_id and not replaces(decision, "session.id") and is_id(app_id):
        return SessionEvidence("app", app_id, given=True)
    for source in decision.id_sources:
        if source.kind == "join":
            found = _join(source, joined, caller, connection)
        else:
            found = _evidence_of(source, agent, caller, connection, conversation, is_server)
        if found is not None:
            return found
    return connection_evidence(connection)


def replaces(decision: Decision, field: str) -> bool:
    """Return True if the rules' value replaces the app's own: `existing: replace`, and a rule (no default) set it."""
    return decision.existing == "replace" and field in decision.set_by


def is_id(value: str) -> bool:
    """Return True if a client's id is valid: 1 to 256 characters, none of them a control character."""
    return 0 < len(value) <= MAX_ID_LENGTH and value.isprintable() and not value.isspace()


def _evidence_of(
    source: IdSource,
    agent: Agent | None,
    caller: Caller | None,
    connection: ClientConnection,
    conversation: str | None,
    is_server: bool | None,
) -> SessionEvidence | None:
    match source.kind:
        case "auto":
            return _native(agent) or (_conversation(conversation) if is_server else None) or _process(caller)
        case "conversation":
            return _conversation(conversation)
        case "native":
            return _native(agent)
        case "process":
            return _process(caller)
        case "process-tree":
            return _tree(caller.tree) if caller and caller.tree else None
        case "connection":
            return SessionEvidence("connection", f"connection {connection.connection}")
        case "template" | "literal" as kind if source.value and not source.value.isspace():
            return SessionEvidence(kind, source.value, given=True)
    return None


def _join(
    source: IdSource, joined: JoinedSession | None, caller: Caller | None, connection: ClientConnection
) -> SessionEvidence | None:
    """Return the evidence of the call's own value; if it has none, or one of a later template, its conversation's."""
    if joined is not None and joined.rank < source.rank:
        return SessionEvidence("join", joined.key, idle=CLIENT_IDLE, rank=joined.rank, key=joined.key)
    if source.value is None:
        return None
    by_process = caller is not None and not connection.proxy_user
    scope = caller.id if caller is not None and by_process else connection_evidence(connection).value
    value = source.value
    if len(value) > MAX_ID_LENGTH:
        value = sha256(value.encode("utf-8", "replace")).hexdigest()
    return SessionEvidence("join", f"{scope} {value}", idle=CLIENT_IDLE, rank=source.rank)


def _native(agent: Agent | None) -> SessionEvidence | None:
    if agent is None or agent.session is None or not is_id(agent.session):
        return None
    return SessionEvidence("native", agent.session, given=True)


def _conversation(id: str | None) -> SessionEvidence | None:
    return SessionEvidence("conversation", id) if id else None


def _process(caller: Caller | None) -> SessionEvidence | None:
    return SessionEvidence("process", caller.id) if caller else None


def _tree(root: Process) -> SessionEvidence | None:
    if root.id is not None:
        return SessionEvidence("process-tree", root.id)
    # A pid alone is used again by others.
    return SessionEvidence("process-tree", f"{root.pid} {root.started}") if root.started is not None else None


def connection_evidence(connection: ClientConnection) -> SessionEvidence:
    """Return the evidence of the connection alone: a proxy user, another machine, or the connection itself."""
    if connection.proxy_user:
        # An address has no space in it, so the two parts cannot run together.
        client = f"client {connection.client_ip or '-'} {connection.proxy_user}"
        return SessionEvidence("connection", client, idle=CLIENT_IDLE)
    local = connection.local if connection.local is not None else _is_loopback(connection.client_ip)
    if connection.client_ip and not local:
        return SessionEvidence("connection", f"client {connection.client_ip}", idle=CLIENT_IDLE)
    return SessionEvidence("connection", f"connection {connection.connection}")


@lru_cache(maxsize=1024)
def _is_loopback(address: str | None) -> bool:
    try:
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return True  # without an address nothing shows that connections belong together
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)
