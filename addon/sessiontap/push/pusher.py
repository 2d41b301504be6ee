"""Push a log to one target: read what is new, have the sender make items of it, deliver them, note how far it has come.

What is read waits in memory until it fills a request, or nothing else is in the log. The cursor moves when all of that
is accepted or set aside: a process that is killed sends it once more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.push.cursor import Cursor, CursorFile, path_of
from sessiontap.push.delivery import Delivery, Journal, NotDelivered, Stopped
from sessiontap.push.pushed_calls import PushedCalls
from sessiontap.push.score_pusher import ScorePusher
from sessiontap.push.target import Item, ScoreSender, Sender, Target
from sessiontap.push.user_turns import OpenTurn, Process, UserTurns, link_of
from sessiontap.trace import RecordedCall, Trace, TraceError
from sessiontap.trace.backlog import Backlog, CallOrigin
from sessiontap.trace.errands import is_errand
from sessiontap.trace.outcomes import end
from sessiontap.trace.views import CostOf, unknown_cost

LOOK_EVERY = 0.5
"""Seconds between two looks at the log, in `follow`."""
PROCESSES_EVERY = 10.0
"""Seconds between two looks at the processes of open turns."""
SAVE_EVERY = 5.0
"""Seconds between two notes of how far it has come, while nothing had to be sent."""
AT_ONCE = 0.02
"""Seconds of CPU time that it works before it rests, if it has a share of a core."""
LONGEST_REST = 1.0
"""Seconds of it."""
LAST_SECONDS = 5.0
"""For what is new in the log when it is to end, and longer until it has worked `LAST_WORK` seconds of CPU time: on a
busy machine the seconds pass without it."""
LAST_WORK = 1.0
SCORES_AGAIN = 300.0
"""Seconds until scores are tried again that were not taken, in `follow`."""
TRIES = 4
"""Of a request, if not `follow`."""
_READ_TOGETHER = 2_000
"""Calls that are read before what they gave is sent, however little that is."""
IsRunning = Callable[[str, int, str], bool | None]


class Clocks(NamedTuple):
    """The times that pushing goes by."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds."""
    cpu: Callable[[], float] = time.process_time
    """Seconds of CPU time of this process."""
    now: Callable[[], int] = time.time_ns
    """Unix nanoseconds."""


CLOCKS = Clocks()


class Pusher:
    """Pushes `log` by `sender`, from where `cursor` stands."""

    def __init__(
        self,
        log: Trace,
        sender: Sender,
        file: CursorFile,
        cursor: Cursor,
        *,
        target: Target,
        content: bool,
        scores: ScoreSender | None = None,
        pause: Callable[[float], bool],
        tell: Callable[[str], None],
        follow: bool = False,
        share: float | None = None,
        cost_of: CostOf = unknown_cost,
        is_running: IsRunning | None = None,
        clocks: Clocks = CLOCKS,
    ) -> None:
        """All that it reads, tells and waits by comes from outside: hence so many parameters.

        `pause` waits for so many seconds and returns False if all is to end; `tell` says a sentence to the user.
        `scores`: what the target is told scores by. `share`: of a core, that it takes at most.
        """
        self._sender, self._file, self.cursor = sender, file, cursor
        self._target, self._pause, self._tell, self._follow = target, pause, tell, follow
        self._is_running, self._share, self._clocks = is_running, share, clocks
        self._rested = clocks.cpu(), clocks.monotonic()
        """When it last rested, by both clocks."""
        self._backlog = Backlog(log.folder, cursor.position, cursor.since)
        self._calls = PushedCalls(log, self._backlog, cost_of, bodies=target.needs_bodies or content, content=content)
        self._turns = UserTurns(self._calls.link, cursor.turns)
        self._told: set[str] = set()
        """The kinds of faults that the user knows of."""
        journal = Journal(self._accepted, self._set_aside, self._failed, self._misconfigured)
        self._delivery = Delivery(
            sender,
            journal,
            pause,
            batch_bytes=target.batch_bytes,
            tries=None if follow else TRIES,
            has_delivered=cursor.items > 0,
        )
        self.scores: ScorePusher | None = None
        self._score_delivery: Delivery | None = None
        self._scores_after = 0.0
        """By the clock: when scores are tried again."""
        if scores is not None:
            self.scores = ScorePusher(log, scores, cursor, self._turns, content=content, has_turns=target.has_turns)
            score_journal = Journal(self._accepted_scores, self._set_aside, self._scores_failed, self.cursor.failed)
            self._score_delivery = Delivery(scores, score_journal, pause, tries=TRIES, has_delivered=cursor.scores > 0)
        self._waiting: list[Item] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        """By the clock."""
        self._read = 0
        """Calls that were read since the cursor was written."""
        self._calls_waiting = self._turns_waiting = 0
        self._saved = self._looked = clocks.monotonic()
        self._until: tuple[float, float] | None = None
        """When it has to be over, by both clocks, if it is to end."""

    @property
    def open_turns(self) -> int:
        return len(self._turns)

    def run(self) -> None:
        """Push what there is; `follow`: and what comes, until `pause` returns False.

        Raises NotDelivered, TraceError, CursorError.
        """
        if self._follow:
            self._save_state()  # whoever goes on here later begins with the same calls
        with contextlib.suppress(Stopped):
            while True:
                try:
                    self._push()
                except NotDelivered:
                    if not self._follow:
                        raise
                    self._again()  # what was read waits
                if not self._follow or not self._pause(LOOK_EVERY):
                    break
                self._begin_work()
        if self._follow:
            self._end()

    def _end(self) -> None:
        """It is to end: send once what the log has by now, for some seconds at most."""
        self._follow = False
        self._until = self._clocks.monotonic() + LAST_SECONDS, self._clocks.cpu() + LAST_WORK
        self._delivery.tries = 1
        if self._score_delivery is not None:
            self._score_delivery.tries = 1
        with contextlib.suppress(NotDelivered, Stopped):
            self._push()

    def _again(self) -> None:
        """Wait, and send what is waiting: a target that takes nothing may be put right meanwhile."""
        while self._pause(300.0):
            with contextlib.suppress(NotDelivered):
                self._flush()
                return
        raise Stopped

    def _push(self) -> None:
        for recorded, origin in self._backlog:
            self._add(recorded, origin)
            self._rest()
            if self._has_to_be_over():
                break
            if self._waiting_bytes >= self._delivery.max_bytes or (self._read >= _READ_TOGETHER and self._is_due()):
                self._flush()
        self._note_gone()
        if not self._follow:
            self._add_turns(self._turns.complete(None))
        self._add_turns(self._turns.complete(self._clocks.now()))
        if not self._follow or self._clocks.monotonic() - self._looked >= PROCESSES_EVERY:
            self._looked = self._clocks.monotonic()
            self._add_turns(self._turns.complete_of_ended(self._has_ended))
        if self._waiting:
            if not self._follow or self._is_due():
                self._flush()
        elif self._read and (not self._follow or self._clocks.monotonic() - self._saved >= SAVE_EVERY):
            self._flush()
        self._push_scores()

    def _has_to_be_over(self) -> bool:
        if self._until is None:
            return False
        seconds, work = self._until
        return self._clocks.monotonic() > seconds and self._clocks.cpu() > work

    def _is_due(self) -> bool:
        """Return True if what waits is to be sent, however little it is."""
        return not self._waiting or self._clocks.monotonic() - self._waiting_since >= self._target.batch_seconds

    def _push_scores(self) -> None:
        """Send new scores. Calls do not wait for a target that takes no scores. Raises NotDelivered, Stopped."""
        if self.scores is None or (self._follow and self._clocks.monotonic() < self._scores_after):
            return
        try:
            if self.scores.push(self._send_scores):
                self._save_state()
        except NotDelivered as error:
            if not self._follow:
                raise
            self._scores_after = self._clocks.monotonic() + SCORES_AGAIN
            self._tell_once("scores", f"scores are not taken: {error.reason}; they are tried again every five minutes")

    def _send_scores(self, items: list[Item]) -> None:
        """Deliver scores. Raises NotDelivered, Stopped."""
        assert self._score_delivery is not None
        try:
            self._score_delivery.send(items)
        except NotDelivered as error:
            self.cursor.failed(error.reason)
            self._save_state()
            raise
        if items:
            self.cursor.succeeded()

    def _rest(self) -> None:
        """Leave the core to others, if it has taken its share. Raises Stopped.

        The rest is as long as the work took by the clock: on a busy machine it takes less than its share.
        """
        if self._share is None or not self._follow or self._clocks.cpu() - self._rested[0] < AT_ONCE:
            return
        if not self._pause(min((self._clocks.monotonic() - self._rested[1]) * (1 / self._share - 1), LONGEST_REST)):
            raise Stopped
        self._begin_work()

    def _begin_work(self) -> None:
        """It has rested, or waited for something else."""
        self._rested = self._clocks.cpu(), self._clocks.monotonic()

    def _add(self, recorded: RecordedCall, origin: CallOrigin) -> None:
        self._read += 1
        record = recorded.record
        self.cursor.last_time = max(self.cursor.last_time or 0, end(record))
        if is_errand(record):
            return
        link = link_of(record, _process(recorded, origin), origin)
        self._add_turns(self._turns.complete(link.begin))
        place = self._turns.add(link)
        with self._guarded(link.id):
            items = self._sender.call_items(self._calls.call(recorded, place))
            self._calls_waiting += self._wait_for(list(items))

    def _add_turns(self, turns: Iterable[OpenTurn]) -> None:
        if not self._target.has_turns:
            return
        for one in turns:
            with self._guarded(one.id):
                turn = self._calls.turn(one)
                if turn is not None:
                    self._turns_waiting += self._wait_for(list(self._sender.turn_items(turn)))

    @contextlib.contextmanager
    def _guarded(self, id: str) -> Any:
        """Set aside what cannot be told of one call, and go on with the others."""
        try:
            yield
        except (TraceError, OSError):
            raise
        except Exception as error:
            self._set_aside(Item(id, None, 0), f"it could not be read: {type(error).__name__}")

    def _wait_for(self, items: list[Item]) -> bool:
        """Keep items until they are sent; returns whether there are any."""
        if not self._waiting:
            self._waiting_since = self._clocks.monotonic()
        self._waiting += items
        self._waiting_bytes += sum(item.size for item in items)
        return bool(items)

    def _flush(self) -> None:
        """Deliver what is waiting and write the cursor. Raises NotDelivered, Stopped, CursorError."""
        try:
            self._delivery.send(self._waiting)
        except NotDelivered as error:
            self.cursor.failed(error.reason)
            self._save_state()
            raise
        if self._waiting:
            self.cursor.succeeded()
        self._waiting, self._waiting_bytes = [], 0
        self.cursor.calls += self._calls_waiting
        self.cursor.turns_sent += self._turns_waiting
        self._read = self._calls_waiting = self._turns_waiting = 0
        self.cursor.position, self.cursor.turns = self._backlog.position, self._turns.to_state()
        self._save_state()
        self._begin_work()  # the target's time is nobody's loss

    def _save_state(self) -> None:
        self._file.write(self.cursor)
        self._saved = self._clocks.monotonic()

    def _has_ended(self, process: Process) -> bool:
        return self._is_running is not None and self._is_running(*process) is False

    def _note_gone(self) -> None:
        gone = self._backlog.gone
        if gone:
            self.cursor.lost(gone)
            self._tell(
                f"{len(gone)} segment{'s' * (len(gone) > 1)} of the log went away before all calls in "
                f"{'them' if len(gone) > 1 else 'it'} were sent"
            )
            self._backlog.gone = []

    # The journal of the delivery.

    def _accepted(self, items: int, size: int) -> None:
        self.cursor.items += items
        self.cursor.bytes += size
        self._told.clear()

    def _accepted_scores(self, items: int, size: int) -> None:
        self.cursor.scores += items
        self.cursor.bytes += size
        self._told.clear()

    def _scores_failed(self, reason: str, wait: float | None) -> None:
        self.cursor.failed(reason)

    def _set_aside(self, item: Item, reason: str) -> None:
        self.cursor.put_aside(item.call, reason)
        self._tell(f"call {item.call} was set aside: {reason}")

    def _failed(self, reason: str, wait: float | None) -> None:
        self.cursor.failed(reason)
        if self._follow:
            self._save_state()
            self._tell_once("failed", f"{reason}; it is tried again until it goes")

    def _misconfigured(self, reason: str) -> None:
        self.cursor.failed(reason)
        self._save_state()
        if self._follow:
            text = f"the target takes no requests: {reason}; it is tried again every five minutes"
            self._tell_once("misconfigured", text)

    def _tell_once(self, kind: str, text: str) -> None:
        """Say a sentence if none of its kind was said since the target took something: reasons may differ each time."""
        if kind not in self._told:
            self._told.add(kind)
            self._tell(text)


def _process(call: RecordedCall, origin: CallOrigin) -> Process | None:
    caller = call.caller
    if caller is None or origin.machine is None:
        return None
    return origin.machine, caller["pid"], caller["id"]


def cursor_of(trace: Path, target: str, endpoint: str, since: int | None) -> tuple[CursorFile, Cursor]:
    """Return the file and the cursor of a target. Raises CursorError.

    `since`: Unix nanoseconds; a target to which nothing was pushed yet gets no older calls.
    """
    file = CursorFile(path_of(trace, target, endpoint))
    return file, file.read() or Cursor(target, endpoint, since)
