"""The place of each recorded turn on its WebSocket.

The first turn that asks for something is the call that the upgrade was: it has the upgrade's id, which tells the time
of the upgrade. Later turns are known by their conversation, which is named after the upgrade; a turn that names none
needs nothing of its socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.proxy.call_context import Plan, SocketContext
from sessiontap.sessions.declared import conversation_id
from sessiontap.trace import RecordedCall
from sessiontap.trace.outcomes import WARM_UP

Record = Mapping[str, Any]
Opener = tuple[str | None, str | None]
"""Who opened a socket, and to where."""

WEBSOCKET = "websocket"
"""The flag of a turn, and of a socket without turns."""
MOST_SOCKETS = 10_000
_MS = 1_000_000


@dataclass(slots=True)
class _Socket:
    upgrade: str
    name: str
    """The name of the first new conversation on it."""
    opened_by: Opener
    plan: Plan | None = None
    """The plan of its upgrade."""
    has_begun: bool = False
    last_response: str | None = None


class Sockets:
    """The sockets of the calls so far."""

    def __init__(self) -> None:
        self._open: BoundedDict[str, _Socket] = BoundedDict(MOST_SOCKETS, self._dropped)
        """By the id of their upgrade."""
        self._by_opener: dict[Opener, dict[str, _Socket]] = {}
        """The same, by who opened them, and the name of the first conversation on them."""

    def is_turn(self, record: Record) -> bool:
        """True if a call is a turn, not a socket without turns."""
        return WEBSOCKET in (record.get("flags") or ()) and (
            record.get("outcome") != "websocket_closed"
            or record.get("conversation") is not None
            or _upgraded_at(record) != record["time"] // _MS
        )

    def opens(self, record: Record) -> int | None:
        """Return when the upgrade was sent that a call is the first turn behind; None if it is no such turn."""
        at = _upgraded_at(record)
        name = _name(record, record["id"])
        if at < record["time"] // _MS or record.get("conversation") == conversation_id(name):
            return min(at * _MS, int(record["time"]))
        return None

    def opened(self, record: Record, plan: Plan) -> None:
        """Take in the plan of an upgrade."""
        socket = _Socket(record["id"], _name(record, record["id"]), _opened_by(record), plan)
        self._by_opener.setdefault(socket.opened_by, {})[conversation_id(socket.name)] = socket
        self._open.put(socket.upgrade, socket)

    def _dropped(self, upgrade: str, socket: _Socket) -> None:
        """It had to make room for another one."""
        others = self._by_opener[socket.opened_by]
        del others[conversation_id(socket.name)]
        if not others:
            del self._by_opener[socket.opened_by]

    def place(self, record: Record) -> SocketContext:
        """Return the place of a turn."""
        socket, joins = self._socket_of(record)
        counts = WARM_UP not in (record.get("flags") or ())
        if socket is None:
            return SocketContext("", increments_step=counts)
        is_first = socket.upgrade == record["id"]
        return SocketContext(
            socket.upgrade,
            is_fresh=not socket.has_begun,
            conversation=f"socket {socket.upgrade}" if joins else None,
            previous=socket.last_response if joins else None,
            increments_step=counts,
            reserved_session=socket.plan.session if is_first and socket.plan is not None else None,
        )

    def planned(self, place: SocketContext, plan: Plan) -> Plan:
        """Return the plan of a turn: nothing of its own is sent, but what its upgrade was sent."""
        socket = self._open.get(place.upgrade)
        if socket is None:
            return plan
        socket.has_begun = socket.has_begun or plan.link.conversation == conversation_id(socket.name)
        sent = socket.plan
        if sent is None:
            return plan
        return replace(plan, edits=sent.edits, reply_edits=sent.reply_edits, gateway=sent.gateway)

    def ended(self, record: Record, place: SocketContext) -> None:
        """Take in the reply of a turn."""
        socket, response = self._open.get(place.upgrade), (record.get("llm") or {}).get("response_id")
        if socket is not None and place.conversation is not None and response is not None:
            socket.last_response = response

    def _socket_of(self, record: Record) -> tuple[_Socket | None, bool]:
        """Return the socket of a turn, and whether all of its turns are one conversation that this one belongs to."""
        own = self._open.get(record["id"])
        declared = (record.get("link") or {}).get("declared")
        candidates = self._by_opener.get(_opened_by(record), {}) if own is None else {conversation_id(own.name): own}
        for name in (declared, record.get("conversation")):
            if name in candidates:
                return candidates[name], declared is not None or _is_realtime(record)
        if own is None and len(candidates) == 1:
            (own,) = candidates.values()
        return own, False


def upgrade_of(call: RecordedCall) -> RecordedCall:
    """Return the upgrade behind the first turn of a socket: the heads of both messages, without their bodies."""
    heads = {side: {**head, "body": None} for side in ("request", "response") if (head := call.recorded.get(side))}
    return RecordedCall({**call.recorded, **heads, "link": None}, call.caller, _no_body)


def _no_body(side: str, stored: Record) -> None:
    return None


def _name(record: Record, upgrade: str) -> str:
    """As `prepare.socket_conversation` names it."""
    return f"{(record.get('llm') or {}).get('provider') or '-'} socket {upgrade}"


def _opened_by(record: Record) -> Opener:
    return record.get("caller") or record.get("client"), (record.get("request") or {}).get("url")


def _is_realtime(record: Record) -> bool:
    return (record.get("llm") or {}).get("operation") == "realtime"


def _upgraded_at(record: Record) -> int:
    """The milliseconds in an id, which is a UUIDv7."""
    digits = str(record["id"]).replace("-", "")[:12]
    try:
        return int(digits, 16)
    except ValueError:
        return int(record["time"]) // _MS


def warm_ups_of(waiting: Iterable[RecordedCall], record: Record) -> list[RecordedCall]:
    """Return the warm-ups that came before the first turn of a socket, by its conversation."""
    name = conversation_id(_name(record, record["id"]))
    return [call for call in waiting if call.recorded.get("conversation") == name]
