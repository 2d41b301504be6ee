"""A live WebSocket: its frames become turns (`llm.socket_turns`), and each turn a call of its own.

The upgrade is planned as any call is: its headers say what is known by then. The first turn that asks for something
**is** this call: it takes its id, and its step if it leads to the same session. Later turns are calls of
their own. A turn is decided by what its frames say; nothing that was decided about it is sent, since a frame has no
headers. If a session is a conversation, the upgrade is told the one that the first new conversation on the socket
then is. A warm-up is recorded with the flag `warm_up` and takes no step. A socket without turns, or of a family
whose turns are not known, is recorded when it closes, with the frames that are held.

Frames are looked at only after they have been passed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mitmproxy import http

from sessiontap.callers import Caller
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.socket_frames import Lines, SocketFrame
from sessiontap.llm.socket_turns import FRAME_OVERHEAD, SocketTurn, SocketTurns
from sessiontap.proxy.call_context import CallContext, Plan, SocketContext
from sessiontap.proxy.calls import Calls
from sessiontap.proxy.finish import OVER_BUDGET, Bodies, CapturedBody, Heads
from sessiontap.proxy.in_flight import Progress
from sessiontap.proxy.prepare import slimmed, socket_conversation
from sessiontap.recording.budget import Budget, Lease
from sessiontap.recording.finished import BodyTransfer, Outcome
from sessiontap.sessions.declared import conversation_id
from sessiontap.sessions.session import call_id
from sessiontap.trace.outcomes import WARM_UP

WEBSOCKET = "websocket"
UNFINISHED = "unfinished"
BY_SIZE = "media_by_size"
PATIENCE = 2.0
"""Seconds that a turn waits to be decided until earlier replies are read. It has been passed on; nobody is held up."""

MOST_UNPLANNED = 256
"""Turns of one socket that wait to be decided; the oldest of more is decided without what it waits for."""
Order = Sequence[tuple[int, int]]
"""See `SocketTurn.order`."""
_AHEAD = 1 << 16
"""Bytes of memory that are taken for frames to come."""


class _End(NamedTuple):
    """The outcome of a turn."""

    outcome: Outcome
    duration: int
    """Nanoseconds."""
    bodies: Bodies


@dataclass(slots=True, eq=False)
class _TurnCall:
    """A turn and the call that it is."""

    turn: SocketTurn
    call: CallContext
    is_planned: bool = False
    end: _End | None = None
    """Waits here for its plan."""


class Socket:
    """One WebSocket that is being watched, from its upgrade's 101 to its end. For the proxy's loop alone."""

    def __init__(self, calls: Calls, upgrade: CallContext, flow: http.HTTPFlow) -> None:
        self._calls = calls
        self._upgrade = upgrade
        self._heads = Heads.of(flow)
        """Those of the upgrade, which all turns have in common."""
        self._path = flow.request.path.partition("?")[0]
        endpoint = upgrade.call.endpoint if upgrade.call else None
        if endpoint is None:
            asked = upgrade.request
            endpoint = endpoint_of(asked.method, asked.host, asked.path, upgrade.destination.provider)
        self.turns = SocketTurns(endpoint.family, calls.budget.most)
        self._lease = Lease(calls.budget)
        """Of the memory that the frames take which are held."""
        self._refused = False
        """There was no memory for some of them."""
        self._under_way: dict[SocketTurn, _TurnCall] = {}
        self._first_taken = False
        self._has_begun = False
        """The conversation that the upgrade was told of."""
        self._last_response: str | None = None
        """Of the newest turn that joined the socket's own conversation."""
        self._order = asyncio.Lock()
        self._planning: set[asyncio.Task[None]] = set()
        self._unplanned: list[_TurnCall] = []
        """Turns that wait to be decided, oldest first."""
        self._loop = asyncio.get_running_loop()
        self.counts = {"turns": 0, "warm_ups": 0, "frames": 0}

    # -- from mitmproxy's hooks ----------------------------------------------------------------------------------------

    def message(self, at: int, now: int, from_client: bool, data: bytes, is_text: bool) -> None:
        """A message passes: `at` by `perf_counter_ns`, `now` Unix nanoseconds. It is looked at later."""
        self._loop.call_soon(self._frame, SocketFrame(at, from_client, data, is_text), now)

    def closed(self, at: int, how: Outcome, why: str, code: int | None) -> None:
        """The socket is closed; `how` a turn ended that was under way, `why` in words."""
        self._loop.call_soon(self._close, at, how, why, code)

    def stopped(self, at: int) -> None:
        """The proxy ends: what is under way is written as far as it came."""
        self._close(at, "websocket_closed", "by the end of the proxy", None)
        self.decide_rest()

    @property
    def caller(self) -> Caller | None:
        """The process that opened it."""
        return self._upgrade.connection.caller

    def in_flight(self) -> list[tuple[CallContext, Progress | None]]:
        """The turns that have not ended, and how far they are."""
        host, received = self._heads.sent.host, self._heads.received
        return [
            (
                entry.call,
                Progress(
                    host,
                    received.status if received is not None else None,
                    turn.request.size,
                    turn.reply.size,
                    turn.first - turn.began if turn.first is not None and turn.asked else None,
                ),
            )
            for turn, entry in self._under_way.items()
        ]

    @property
    def waits(self) -> bool:
        """True if turns wait to be decided."""
        return bool(self._unplanned)

    def decide_rest(self) -> None:
        """The proxy ends: turns that wait for an earlier one's reply are decided without it, so as to be written."""
        for entry in list(self._unplanned):
            self._decide_now(entry)

    def _decide_now(self, entry: _TurnCall) -> None:
        plan: Plan | None = None
        with self._calls.faults.guard("web socket turn"):
            entry.call.socket = self._turn(entry)
            if entry.call.call is None:
                self._calls.prepare(entry.call, entry.call.request.body)
                _say_if_cut(entry)
            plan = self._calls.decide(entry.call)
        self._planned(entry, plan)

    # -- on the loop, behind what they are about -----------------------------------------------------------------------

    def _frame(self, frame: SocketFrame, now: int) -> None:
        with self._calls.faults.guard("web socket"):
            self.counts["frames"] += 1
            self._have_room(len(frame.data))
            for what, turn in self.turns.frame(frame):
                if what == "begun":
                    self._begin(turn, now)
                else:
                    self._over(turn, "ok" if turn.ended else "stream_error", turn.last)

    def _have_room(self, size: int) -> None:
        """Have memory for a frame of `size` bytes; without it the turns keep nothing more."""
        self._lease.shrink(self.turns.held + 2 * _AHEAD)
        missing = self.turns.held + size + FRAME_OVERHEAD - self._lease.size
        has_room = missing <= 0 or self._lease.grow(missing + _AHEAD) or self._lease.grow(missing)
        self._refused = self._refused or not has_room
        self.turns.cap = self._calls.budget.most if has_room else 0

    def _close(self, at: int, how: Outcome, why: str, code: int | None) -> None:
        with self._calls.faults.guard("web socket"):
            for turn in self.turns.close():
                self._over(turn, "ok" if turn.failed else how, turn.last if turn.failed else at)
            left = self.turns.client_lines.frames + self.turns.server_lines.frames
            if not self._first_taken:
                self._record_upgrade(at)
                left = 0
            self._calls.notices.note(
                "websocket",
                f"a WebSocket was closed {why}; turns before: {self.counts['turns']}",
                host=self._upgrade.request.host,
                path=self._path,
                call=self._upgrade.id,
                code=code,
                **self.counts,
                left_out=left,
            )

    def _begin(self, turn: SocketTurn, now: int) -> None:
        takes = not turn.warm_up and not self._first_taken
        if takes:
            self._first_taken = True
        self.counts["warm_ups" if turn.warm_up else "turns"] += 1
        upgrade = self._upgrade
        call = CallContext(
            id=upgrade.id if takes else call_id(now),
            time=now,
            started=turn.began,
            connection=upgrade.connection,
            request=replace(upgrade.request, body=bytes(turn.request.data)),
            destination=upgrade.destination,
            flags=[WEBSOCKET, *([WARM_UP] if turn.warm_up else [])],
        )
        self._under_way[turn] = entry = _TurnCall(turn, call)
        self._unplanned.append(entry)
        if len(self._unplanned) > MOST_UNPLANNED:
            self._decide_now(self._unplanned[0])
        self._loop.call_soon(self._start_planning)

    def _start_planning(self) -> None:
        task = self._loop.create_task(self._plan_next())
        self._planning.add(task)
        task.add_done_callback(self._planning.discard)

    async def _plan_next(self) -> None:
        """Decide a turn, one after the other: a later one may go on from an earlier one's reply."""
        async with self._order:
            if not self._unplanned:
                return
            entry = self._unplanned[0]
            with self._calls.faults.guard("web socket turn"):
                entry.call.socket = self._turn(entry)
                await self._calls.prepare_aside(entry.call, entry.call.request.body)
                _say_if_cut(entry)
                await self._calls.wait_for_replies(entry.call, PATIENCE)
            plan: Plan | None = None
            if entry in self._unplanned:
                with self._calls.faults.guard("web socket turn"):
                    entry.call.socket = self._turn(entry)
                    plan = await self._calls.decide_shared(entry.call)
            if entry in self._unplanned:  # else the proxy has ended meanwhile
                self._planned(entry, plan)

    def _turn(self, entry: _TurnCall) -> SocketContext:
        """Return the place of a turn on the socket, as it is now."""
        joins = self.turns.grammar.settings is not None and not entry.turn.apart
        upgrade = self._upgrade
        return SocketContext(
            upgrade.id,
            is_fresh=not self._has_begun,
            conversation=f"socket {upgrade.id}" if joins else None,
            previous=self._last_response,
            increments_step=not entry.turn.warm_up,
            reserved_session=upgrade.plan.session if entry.call.id == upgrade.id and upgrade.plan else None,
        )

    def _planned(self, entry: _TurnCall, plan: Plan | None) -> None:
        """A turn is decided. Without a `plan` that has failed."""
        upgrade, call = self._upgrade, entry.call
        self._unplanned.remove(entry)
        if plan is not None:
            plan = slimmed(call, plan)
            told = conversation_id(socket_conversation(plan.call, upgrade.id))
            self._has_begun = self._has_begun or plan.link.conversation == told
            sent = upgrade.plan
            call.plan = replace(
                plan,
                edits=sent.edits if sent else (),
                reply_edits=sent.reply_edits if sent else (),
                gateway=sent.gateway if sent else None,
            )
        entry.is_planned = True
        if entry.end is not None:
            self._submit(entry, entry.end)

    def _over(self, turn: SocketTurn, how: Outcome, at: int) -> None:
        entry = self._under_way.pop(turn, None)
        if entry is None:
            return
        call = entry.call
        self._lease.shrink(self.turns.held + 2 * _AHEAD)  # its frames are the bodies' from here on
        if turn.ended and turn.response_id is not None and not turn.apart:
            self._last_response = turn.response_id
        if turn.first is not None and turn.asked:
            call.first_byte = turn.first - turn.began
        for lines, which in ((turn.request, "request"), (turn.reply, "response")):
            if lines.cut:
                call.flags.append(f"{which}_cut")
        if self._refused and (turn.request.cut or turn.reply.cut):
            call.flags.append(OVER_BUDGET)
        if turn.request.by_size or turn.reply.by_size:
            call.flags.append(BY_SIZE)
        if how == "stream_error" and not turn.ended:
            call.flags.append(UNFINISHED)
        bodies = self._bodies(turn.request, turn.reply, turn.began, turn.order)
        end = _End(how, max(at - turn.began, 0), bodies)
        if entry.is_planned:
            self._submit(entry, end)
        else:
            entry.end = end

    def _submit(self, entry: _TurnCall, end: _End) -> None:
        plan = entry.call.plan
        if plan is None or plan.session is not None:  # else a rule says to leave it alone
            self._calls.finished(entry.call, end.outcome, end.duration, self._heads, end.bodies)

    def _bodies(self, asked: Lines, told: Lines, began: int, order: Order) -> Bodies:
        budget = self._calls.budget
        return Bodies(_body(asked, began, budget), _body(told, began, budget, chunks=True, order=order))

    def _record_upgrade(self, at: int) -> None:
        """A socket without turns is a call all the same, and what passed on it is its body."""
        upgrade, asked, told = self._upgrade, self.turns.client_lines, self.turns.server_lines
        upgrade.flags += [WEBSOCKET, *([BY_SIZE] if asked.by_size or told.by_size else [])]
        upgrade.flags += [f"{which}_cut" for which, lines in (("request", asked), ("response", told)) if lines.cut]
        if self._refused and (asked.cut or told.cut):
            upgrade.flags.append(OVER_BUDGET)
        self._lease.end()
        if asked.frames and not self._calls.keeps_unread(upgrade):
            return
        bodies = self._bodies(asked, told, upgrade.started, self.turns.order_between)
        self._calls.finished(upgrade, "websocket_closed", at - upgrade.started, self._heads, bodies)


def _say_if_cut(entry: _TurnCall) -> None:
    """If frames of a turn's request were left out, the call says that it was read in part."""
    if entry.turn.request.cut and entry.call.call is not None:
        entry.call.call = replace(entry.call.call, partial=True)


def _body(
    lines: Lines, began: int, budget: Budget, *, chunks: bool = False, order: Order = ()
) -> CapturedBody:
    """Frames as a body, whose memory was taken while they were held. Its size is larger than what is kept only if
    something was left out."""
    left_out = lines.cut or lines.by_size
    size = max(lines.size, len(lines.data)) if left_out else len(lines.data)
    arrivals = tuple((at - began, kept) for at, kept in lines.arrivals) if chunks else ()
    transfer = BodyTransfer(size, arrivals, order=order)
    return CapturedBody([bytes(lines.data)], len(lines.data), transfer, Lease.of(budget, len(lines.data)))


def how_closed(by_client: bool | None, code: int | None) -> tuple[Outcome, str]:
    """Return the outcome of a turn that was under way when its socket closed, and in words who closed it.

    A close frame in mid-turn leaves the reply unfinished as much as a broken connection does.
    """
    if by_client is None:
        return "websocket_closed", "by nobody in particular"
    who = "the client" if by_client else "the server"
    proper = code is not None and code != 1006  # RFC 6455, 7.1.5: no close frame came
    return "client_gone" if by_client else "upstream_gone", f"by {who}" if proper else f"without a word by {who}"
