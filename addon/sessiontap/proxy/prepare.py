"""Read a request: decode its body, find what it asks for, the conversation in it, and what its client says of itself.

Plain values: mitmproxy is not asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sessiontap import headers, trust
from sessiontap.exchange import Request
from sessiontap.headers import AppSession
from sessiontap.llm.call import Asked, Call
from sessiontap.llm.content_encoding import decode
from sessiontap.llm.history import History, history
from sessiontap.llm.large_bodies import is_too_long, readable
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.proxy.call_context import CallContext, Plan, SocketContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.reading_memory import ReadingMemory
from sessiontap.sessions import ClientConnection
from sessiontap.sessions.match_scope import MatchScope, match_scope_of

LIGHT, HEAVY = 1 << 16, 1 << 20
"""Bytes of a request that is always, and of one that is never, read on the loop."""
SHORT = 1 << 14
"""Bytes of a request that is held until its call ends."""
MANY_PARTS = 5_000
"""Objects in the JSON of one in between."""
READERS_PATIENCE = 0.25
"""Seconds that the thread for large requests waits for memory that the ones before have until they are planned."""
TOO_LARGE = "the request is too large to be read in full"
NO_MEMORY = "there is no memory to read the request in full"
TOO_LONG = "the request's conversation is too long to be followed"


def read(
    request: Request,
    destination: Destination,
    wire: bytes | None,
    memory: ReadingMemory | None = None,
) -> tuple[Request, Call, str | None]:
    """The request with its body decoded, what it asks for, and what was wrong with its encoding.

    Of a body that is too large, whose encoding stands for too much, or that finds no `memory` decoded or as objects,
    only a part is read: see `Call.partial`.
    """
    problem, is_beyond = None, False
    if wire is not None:
        encodings = request.headers.get("content-encoding")
        decoded = decode(wire, encodings) if memory is None else memory.decoded(wire, encodings)
        is_beyond, problem = decoded.beyond, decoded.problem
        body = None if is_beyond else decoded.data
        request = Request(
            request.method, request.host, request.target, request.headers, body, request.scheme, request.port
        )
    host, provider = destination.host, destination.provider
    endpoint = endpoint_of(request.method, host, request.path, provider, operation=destination.operation)

    part = readable(request, memory.room() if memory is not None else None)
    call = read_request(part or request, endpoint)
    if part is not None or is_beyond:
        why = NO_MEMORY if memory is not None and memory.was_refused else TOO_LARGE
        call = replace(call, partial=True, asked=_with_problem(call, why))
    elif is_too_long(call):
        call = replace(call, asked=_with_problem(call, TOO_LONG))
    return request, call, problem


def as_turn(call: Call, socket: SocketContext | None) -> Call:
    """The call with what its place on a WebSocket tells of it: its conversation, and the reply that it goes on from."""
    if socket is None or socket.conversation is None:
        return call
    asked = replace(call.asked, previous=(*call.asked.previous, *filter(None, [socket.previous])))
    # The turn's own word, if it names a conversation, comes first.
    return replace(call, asked=asked, json={"conversation": socket.conversation, **(call.json or {})})


def history_of(call: Call) -> History:
    """The conversation so far; an empty one if it is too long to be followed."""
    return History() if call.partial or is_too_long(call) else history(call)


def _with_problem(call: Call, problem: str) -> Asked:
    return replace(call.asked, problems=(problem, *call.asked.problems))


def is_heavy(wire: bytes, encoding: str | None) -> bool:
    """Reading the request takes the loop more than a few milliseconds: it is large, has many parts, or is encoded and
    becomes so. A small one does not wait for the large ones, which are read one at a time."""
    size = len(wire)
    if encoding and 0 < size <= LIGHT:
        decoded = decode(wire, encoding, limit=HEAVY)
        return decoded.beyond or is_heavy(decoded.data, None)
    return size > HEAVY or bool(size and encoding) or (size > LIGHT and wire.count(b"{") > MANY_PARTS)


def slimmed(context: CallContext, plan: Plan) -> Plan:
    """Free what only planning needed of a request: the call may take minutes. The plan without it. Of a short request
    that costs more than it frees: what it takes counts until the call ends."""
    body, memory = context.request.body, context.memory
    if body is not None and len(body) <= SHORT:
        if memory is not None:
            memory.settle(body)
        return plan
    call, history = plan.call, plan.history
    if body is not None:
        context.request = replace(context.request, body=None)
        history = history.tail() if history is not None else None
    asked = call.asked
    if len(asked.message or "") + len(asked.prompt or "") > SHORT:
        asked = replace(asked, message=None, prompt=None)
    context.call, context.history = replace(call, json=None, asked=asked), history
    if memory is not None:
        memory.lease.end()
    return replace(plan, call=context.call, history=history)


class Client(NamedTuple):
    """The client's side of a plan: who asks, and the session and conversation that the request itself names."""

    peer: ClientConnection
    app: AppSession | None
    """The session that the app itself sent in headers."""
    session: str | None
    """The session id that the app itself sent, else its agent."""
    conversation_key: str | None
    """The name of a conversation that begins with the call if a WebSocket names it; None: the call's own id does."""
    is_upgrade: bool
    """It asks for a WebSocket."""

    @classmethod
    def of(cls, context: CallContext) -> Client:
        """Return that of a call whose request was read."""
        call, socket = context.call, context.socket
        assert call is not None
        app = headers.app_session(context.request.headers, context.destination.host)
        agent_session = call.agent.session if call.agent else None
        is_upgrade = socket is None and opens_socket(context.request)
        key: str | None = None
        if socket is not None:
            key = socket_conversation(call, socket.upgrade) if socket.is_fresh else None
        elif is_upgrade and call.endpoint.operation != "other":
            key = socket_conversation(call, context.id)
        return cls(_peer(context.connection), app, app.id if app and app.id else agent_session, key, is_upgrade)

    def scope(self, context: CallContext, name: str = "") -> MatchScope:
        """Return the scope within which the call's conversation is looked for."""
        assert context.call is not None
        return match_scope_of(context.call.endpoint.family, context.connection.caller, self.peer, name, self.session)


def _peer(connection: Connection) -> ClientConnection:
    proxy = connection.proxy[0] if connection.proxy else None
    local = trust.is_local(connection.client_ip, proxy, connection.caller is not None)
    return ClientConnection(connection.id, connection.client_ip, connection.proxy_user, local)


def opens_socket(request: Request) -> bool:
    """True if a request asks for a WebSocket."""
    return (request.headers.get("upgrade") or "").strip().lower() == "websocket"


def socket_conversation(call: Call, upgrade: str) -> str:
    """Return the name of the first conversation on a WebSocket: the server is told of it in the upgrade."""
    return f"{call.endpoint.provider or '-'} socket {upgrade}"
