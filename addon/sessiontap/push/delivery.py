"""Send items in requests of a bounded size, and go by what a target answers.

`later` is tried again after a pause, `too_much` and `refused` are split in halves until the item at fault stands alone,
which is set aside; `misconfigured` stops all. Nothing here knows calls or turns; the caller moves its cursor when
`send` has returned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sessiontap.push.target import BATCH_BYTES, BatchSender, Item, TargetAnswer

LEAST_BATCH = 64 << 10
"""The size to which it shrinks for a target that finds everything too large."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds between two tries, which double."""
MISCONFIGURED_PAUSE = 300.0
ENOUGH_REFUSED = 8
"""So many items refused, and never one accepted: the target takes none, so none is set aside."""


class Stopped(Exception):
    """The pushing is to end: what was not accepted is sent next time."""


class NotDelivered(Exception):
    """The target does not take requests for now; the text says why. Nothing is lost: the cursor has not moved."""

    def __init__(self, reason: str, *, is_misconfigured: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_misconfigured = is_misconfigured


@dataclass(frozen=True, slots=True)
class Journal:
    """The functions that are told how it goes."""

    accepted: Callable[[int, int], None]
    """Items and bytes."""
    set_aside: Callable[[Item, str], None]
    failed: Callable[[str, float | None], None]
    """A try failed: why, and the seconds until the next; None: there is none."""
    misconfigured: Callable[[str], None]


class Delivery:
    """Sends the items of one target."""

    def __init__(
        self,
        sender: BatchSender,
        journal: Journal,
        pause: Callable[[float], bool],
        *,
        batch_bytes: int = BATCH_BYTES,
        tries: int | None = None,
        has_delivered: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`pause` waits for so many seconds and returns False if all is to end. `tries` of one request, None: for ever.
        `batch_bytes` of one request, if the target takes as many.

        `has_delivered`: the target has accepted something before.
        """
        self._sender, self._journal, self._pause = sender, journal, pause
        self._chance = chance
        self.tries = tries
        self._has_delivered = has_delivered
        self._refused: list[tuple[Item, str]] = []
        """Those that were refused before anything was accepted."""
        self.max_bytes = min(batch_bytes, sender.max_bytes)

    def send(self, items: Sequence[Item]) -> None:
        """Return when each item is accepted or set aside. Raises NotDelivered, Stopped."""
        self._refused.clear()
        for batch in self._batches(items):
            self._send(batch)
        for item, reason in self._refused:
            self._journal.set_aside(item, reason)
        self._refused.clear()

    def _batches(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        batch: list[Item] = []
        size = 0
        for item in items:
            if item.size > self._sender.max_bytes:
                self._journal.set_aside(item, f"its {item.size:,} bytes are more than the target takes in a request")
                continue
            if batch and (size + item.size > self.max_bytes or len(batch) >= self._sender.max_items):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield batch

    def _send(self, batch: list[Item]) -> None:
        waiting = [batch]
        while waiting:
            items = waiting.pop()
            answer = self._answer(items)
            if answer.kind == "accepted":
                self._accepted(items, answer)
            elif len(items) == 1:
                self._refuse(items[0], answer.reason)
            else:
                if answer.kind == "too_much":
                    self.max_bytes = max(min(self.max_bytes, sum(item.size for item in items) // 2), LEAST_BATCH)
                half = len(items) // 2
                waiting += [items[half:], items[:half]]

    def _answer(self, items: list[Item]) -> TargetAnswer:
        """Send until the answer is about the items. Raises NotDelivered, Stopped."""
        tried = 0
        while True:
            try:
                answer = self._sender.send(items)
            except Exception as error:  # a fault of ours in the items: the one at fault is found by splitting
                answer = TargetAnswer("refused", f"it could not be sent: {type(error).__name__}")
            tried += 1
            if answer.kind == "misconfigured":
                self._journal.misconfigured(answer.reason)
                if self.tries is not None:
                    raise NotDelivered(answer.reason, is_misconfigured=True)
                self._wait(MISCONFIGURED_PAUSE)
            elif answer.kind == "later":
                wait = max(self._backoff(tried), answer.after or 0.0)
                if self.tries is not None and tried >= self.tries:
                    self._journal.failed(answer.reason, None)
                    raise NotDelivered(answer.reason)
                self._journal.failed(answer.reason, wait)
                self._wait(wait)
            else:
                return answer

    def _backoff(self, tried: int) -> float:
        longest: float = min(FIRST_PAUSE * 2.0 ** min(tried - 1, 30), LONGEST_PAUSE)
        return longest * (0.5 + self._chance() / 2)

    def _wait(self, seconds: float) -> None:
        if not self._pause(seconds):
            raise Stopped

    def _accepted(self, items: list[Item], answer: TargetAnswer) -> None:
        taken = [item for at, item in enumerate(items) if at not in answer.rejected]
        if taken:
            self._has_delivered = True
        self._journal.accepted(len(taken), sum(item.size for item in taken))
        for at, reason in answer.rejected.items():
            if 0 <= at < len(items):
                self._journal.set_aside(items[at], reason)
        if answer.reason:  # some were not taken: the first stands for the request
            self._journal.set_aside(items[0], answer.reason)

    def _refuse(self, item: Item, reason: str) -> None:
        """Set an item aside. Raises NotDelivered if the target has never taken one, and refuses one after another."""
        if self._has_delivered:
            self._journal.set_aside(item, reason)
            return
        self._refused.append((item, reason))
        if len(self._refused) >= ENOUGH_REFUSED:
            message = f"it refuses all that it gets: {reason}"
            self._journal.misconfigured(message)
            raise NotDelivered(message, is_misconfigured=True)
