"""The recorder's process: messages from the proxy in, records out, events back.

One thread reads messages and replies, so that a reply's update is back with the proxy whatever the disk does; the
trace writer's own makes the records and writes them. The pipe's end is the end: what came before it is written, also
if the proxy was killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import Caller
from sessiontap.faults import Faults
from sessiontap.large_blocks import give_large_blocks_back
from sessiontap.recording import wire
from sessiontap.recording.budget import COPIES, Budget, Lease, Shares
from sessiontap.recording.counting import Counting
from sessiontap.recording.decode import DecodedExchange, decode_exchange, planner_update
from sessiontap.recording.finished import (
    CallCounted,
    Event,
    Fault,
    FinishedCall,
    Handled,
    Note,
    ReplyRead,
    Start,
    UserMessage,
)
from sessiontap.recording.idle_reading import IdleReading
from sessiontap.recording.record import call_record, caller_record, is_kept, knowing
from sessiontap.redaction import Redactor
from sessiontap.redaction.metadata import caller_of
from sessiontap.trace.closing import Closer
from sessiontap.trace.notes import note_record
from sessiontap.trace.outcomes import WARM_UP
from sessiontap.trace.writer import Writer

MOST_CALLERS = 4096
LINGER_SECONDS = 0.25
"""The time for which calls are gathered under load."""
NICE = 5
"""The proxy and its clients come first; on an idle machine it makes no difference. It cannot be taken back under load:
a process without privileges may only raise its nice value."""
CLOSING_SECONDS = 60.0
"""For writing the queued records after the pipe has ended."""
COMPRESSING_SECONDS = 1.5
"""For compressing the last segment after that. If it takes longer, the next start does it."""


class _ReportedFaults(Faults):
    """Faults are reported to the proxy, which counts them and tells the user the first of each kind."""

    def __init__(self, events: _EventPipe) -> None:
        super().__init__()
        self._events = events

    def report(self, kind: str, text: str) -> None:
        self._events.send(Fault(kind, text))


class _EventPipe:
    """Send events to the proxy, from any thread. If the proxy is gone, they are discarded."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, *events: Event) -> None:
        if events:
            with self._lock, contextlib.suppress(OSError):
                wire.write(self._file, [wire.events(events)])


class RecorderWork:
    """The work of one recorder process.

    The thread that reads messages calls it; the writer's thread calls `_records`, `_on_fault` and `_on_idle`.
    """

    def __init__(self, start: Start, events: _EventPipe) -> None:
        self._events = events
        self._faults = _ReportedFaults(events)
        self._key = start.key
        self._redactor = Redactor(start.key, start.redact_headers, start.redact_patterns)
        self._counting = Counting(start.prices)
        self._callers: BoundedDict[str, Caller] = BoundedDict(MOST_CALLERS)
        self._last_caller: tuple[Caller | None, Redactor, dict[str, Any]] = (None, self._redactor, {})
        self._full_callers: dict[str, None] = {}
        """Ids of callers of which a call was captured in full."""
        self._taken = 0
        """Messages that were taken; the writer may still have records of them in its queue."""
        shares = Shares(start.memory)
        self._budget = Budget(shares.recorder, alone=shares.alone)
        """Of calls from when they are read until they are written."""
        self._most = shares.body
        self._closer = Closer(Path(start.folder), self._on_fault)
        self._writer = Writer(
            Path(start.folder),
            writer_info=start.writer_info,
            fsync_seconds=start.fsync,
            max_queue_bytes=2 * start.memory,  # the budget is reached before
            index_bytes=shares.index,
            on_fault=self._on_fault,
            on_idle=self._on_idle,
            on_left=self._closer.left,
        )
        self._reading = IdleReading(Path(start.folder))
        self._writer.start()
        self._closer.start()
        self._reading.start()

    def take(self, messages: list[wire.Message]) -> None:
        """Read the messages, queue their records for the writer, and send the events back.

        The list is emptied: nobody holds the bodies of a message that was read.
        """
        self._reading.touch()
        found: list[Event] = []
        messages.reverse()
        while messages:
            counts = messages[-1].kind not in (wire.CALLER, wire.HURRY)
            try:
                self._take(messages.pop(), found)
            except Exception as error:
                self._faults.caught("recording", error)
                self._writer.count("fault")
            self._taken += counts
        self._events.send(*found, self._handled())

    def reserve(self, size: int) -> Lease:
        """Return a lease for a call with bodies of so many bytes. A reader that is ahead of the writer waits here, and
        the proxy's queue behind it."""
        self._budget.wait(size * COPIES)
        return Lease(self._budget, size * COPIES)

    def _take(self, message: wire.Message, events: list[Event]) -> None:
        value, kind, wires, lease = wire.value_of(message), message.kind, list(message.bodies), message.lease
        del message
        match kind:
            case wire.CALL:
                self._call(value, wires, lease or self.reserve(sum(map(len, wires))), events)
            case wire.CALLER:
                self._callers.put(value.id, value)
            case wire.NOTE:
                self._note(value)
            case wire.RULES:
                *secrets, prices = value
                self._redactor = Redactor(self._key, *secrets)
                self._counting = Counting(prices)

    def close(self, proxy_is_gone: bool) -> None:
        """Write what is queued, then end."""
        if proxy_is_gone:
            self._writer.note("proxy_gone", "the proxy ended without notice; what was under way then is not recorded")
        self._reading.close()
        self._writer.close(CLOSING_SECONDS)
        self._on_idle()
        self._closer.close(COMPRESSING_SECONDS)

    def _call(self, call: FinishedCall, wires: list[bytes], lease: Lease, events: list[Event]) -> None:
        """`wires`: both bodies as they came; emptied once they are decoded. `lease`: of the memory that they take."""
        exchange = line = counted = None
        try:
            exchange = decode_exchange(call, wires[0], wires[1], self._faults, self._most, lease)
        finally:  # a later call may be waiting for the update
            wires.clear()
            update, link_state = planner_update(call, exchange, self._faults)
            if exchange is None:
                self._events.send(ReplyRead(update, None))
        try:
            caller, redactor = self._callers.get(call.caller or ""), self._redactor
            of_call = knowing(call, exchange, caller, redactor)
            line = of_call.text(call_line(call, exchange))
            measures = call.plan.counted if call.plan is not None else ()
            if measures:
                with self._faults.guard("alerts and limits"):
                    counted = self._counting.of(call, exchange, of_call)
                    events.append(counted)
            cost = counted if "cost_usd" in measures else None
            lease.shrink(exchange.decoded_size * COPIES)
            held = [exchange.without_texts()]
            make = partial(self._records, call, held, caller, link_state, redactor, of_call, lease, cost)
            self._writer.submit(make, lease.size + 2048)
        except Exception as error:
            self._faults.caught("recording", error)
            self._writer.count("fault")
        events.append(ReplyRead(update, line))

    def _note(self, note: Note) -> None:
        redactor = self._redactor

        def make() -> Iterable[dict[str, Any]]:
            plain = {key: redactor.value(value) for key, value in note.facts.items()}
            return [note_record(note.kind, redactor.text(note.text), **plain)]

        self._writer.submit(make, 512)

    # -- on the writer's thread ----------------------------------------------------------------------------------------

    def _records(
        self,
        call: FinishedCall,
        held: list[DecodedExchange],
        caller: Caller | None,
        link_state: dict[str, Any],
        redactor: Redactor,
        of_call: Redactor,
        lease: Lease,
        cost: CallCounted | None,
    ) -> Iterable[dict[str, Any]]:
        """The records of a call and of its caller. Its `lease` ends when the writer lets go of them. `cost` is not None
        if its cost was counted.

        `held` is its exchange, and emptied: bodies that were redacted are not held as they came, too. `of_call` is
        `redactor`, and knows the call's own credentials: the caller's record is shared by other calls.
        """
        if not is_kept(call):
            return []
        record = call_record(call, held.pop(), of_call, caller, link_state, cost, lease.use)
        if caller is None:
            return [record]
        found = self._caller(caller, redactor)
        if call.capture == "full":
            self._full_callers[caller.id] = None
            if len(self._full_callers) > MOST_CALLERS:
                del self._full_callers[next(iter(self._full_callers))]
        return [found if caller.id in self._full_callers else caller_of(found), record]

    def _caller(self, caller: Caller, redactor: Redactor) -> dict[str, Any]:
        """The record of a caller, which is most often the last call's."""
        if self._last_caller[0] is not caller or self._last_caller[1] is not redactor:
            self._last_caller = caller, redactor, caller_record(caller, redactor)
        return self._last_caller[2]

    def _on_fault(self, kind: str, text: str) -> None:
        if kind.startswith("record:"):
            self._faults.report("recording", text)
        else:
            self._events.send(UserMessage(kind, text))

    def _on_idle(self) -> None:
        self._events.send(self._handled())

    def _handled(self) -> Handled:
        stats = self._writer.stats()
        return Handled(self._taken - stats.queued, sum(stats.dropped.values()), stats.failing)


def call_line(call: FinishedCall, exchange: DecodedExchange) -> str:
    """The line for the terminal: session, path, step, model, status, duration, tokens."""
    plan, reply = call.plan, exchange.reply
    session = plan.session if plan else None
    name = session.name if session else "-"
    path = plan.filled.path if plan else "-"
    step = f" #{session.step}" if session else ""
    if WARM_UP in exchange.flags:
        step = " warm-up"
    model = reply.response_model if reply else None
    if model is None and call.call is not None:
        model = call.call.asked.model
    status = str(call.received.status) if call.received else "-"
    how = "" if exchange.outcome in ("ok", "http_error") else f" {exchange.outcome}"
    took = f" {call.duration / 1e9:.2f}s"
    usage = reply.usage if reply else None
    tokens = f" {_count(usage.input)}>{_count(usage.output)} tok" if usage else ""
    return printable(f"{name} {path}{step} {model or call.host} {status}{how}{took}{tokens}")


def printable(text: str) -> str:
    """`text` with what would move a terminal's cursor or colour it taken out."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def main() -> int:
    """The process: messages on standard input, events on standard output. Returns the exit status."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they are for the proxy, whose end is ours
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    to_proxy = _EventPipe(os.dup(1))
    os.dup2(2, 1)  # nothing else may write there
    recording: RecorderWork | None = None
    ended = False
    if hasattr(os, "nice"):
        os.nice(NICE)
    gc.collect()
    gc.freeze()
    give_large_blocks_back()
    incoming = wire.Messages(0, LINGER_SECONDS)
    for messages in incoming:
        if recording is None:
            recording = RecorderWork(wire.value_of(messages.pop(0)), to_proxy)
            incoming.reserve = recording.reserve
            to_proxy.send(Handled(0))
        ended = ended or any(message.kind == wire.END for message in messages)
        recording.take(messages)
    if recording is not None:
        recording.close(proxy_is_gone=not ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
