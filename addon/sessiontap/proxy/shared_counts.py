"""The counts of alerts and limits of all workers: one `Tracker`, in the front.

    WorkerCounts   a worker's side: what a worker does with a tracker, and a future for the result
    FrontCounts    the front's side: does it, for one worker after the other

So a count is of all workers, a limit refuses by it, and each crossing goes to one worker, which tells it. The values
cross their channel (`channel.py`) as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from sessiontap.limits import Counted, Crossing, Tracker
from sessiontap.limits.shared import CallBegins, RestoredCounts
from sessiontap.limits.tracker import BeginResult

logger = logging.getLogger("sessiontap")

Send = Callable[[dict[str, Any]], None]


class FrontFault(Exception):
    """A fault of ours in the front: nothing was counted."""


class WorkerCounts:
    """`SharedCounts` of the workers of one front. What it returns may raise FrontFault."""

    def __init__(self, send: Send, *, restores: bool) -> None:
        """`send` sends a message to the front, also before the channel to it is open. `restores`: this worker tells
        what is counted of the log."""
        self._send = send
        self._restores = restores
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], Any]] = {}

    def ahead(self, begins: CallBegins) -> None:
        """Return None: the front is asked for nothing else."""

    def begin(self, begins: CallBegins) -> asyncio.Future[BeginResult]:
        return self._ask("begin", begins, BeginResult)

    def ended(self, call: str, counted: Counted) -> asyncio.Future[Sequence[Crossing]]:
        return self._ask("ended", (call, counted), list[Crossing])

    def forget(self, call: str) -> None:
        self._send({"kind": "count", "id": None, "do": "forget", "values": call})

    def restore(self, restored: RestoredCounts) -> None:
        if self._restores:
            self._send({"kind": "count", "id": None, "do": "restore", "values": msgspec.to_builtins(restored)})

    def refusing(self) -> asyncio.Future[Sequence[Crossing]]:
        return self._ask("refusing", None, list[Crossing])

    def lift(self, id: str) -> asyncio.Future[Crossing | None]:
        return self._ask("lift", id, Crossing | None)

    def take(self, message: dict[str, Any]) -> None:
        """Take an answer of the front's."""
        waiting, kind = self._waiting.pop(message["id"], (None, None))
        if waiting is None or waiting.done():
            return
        if (fault := message.get("fault")) is not None:
            waiting.set_exception(FrontFault(fault))
        else:
            waiting.set_result(msgspec.convert(message["result"], kind))

    def _ask(self, do: str, values: Any, kind: Any) -> asyncio.Future[Any]:
        id = next(self._numbers)
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[id] = waiting, kind
        self._send({"kind": "count", "id": id, "do": do, "values": msgspec.to_builtins(values)})
        return waiting


class FrontCounts:
    """For the front's loop alone."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._is_restored = False

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Do what a worker asks for. Return the answer; None if it waits for none."""
        answer = {"kind": "counted", "id": message["id"]}
        try:
            answer["result"] = msgspec.to_builtins(self._do(message["do"], message["values"]))
        except Exception as fault:
            logger.debug("sessiontap: a fault in the counts", exc_info=True)
            answer["fault"] = f"{type(fault).__name__}: {fault}"
        return answer if message["id"] is not None else None

    def _do(self, do: str, values: Any) -> Any:
        match do:
            case "begin":
                return msgspec.convert(values, CallBegins).begin(self._tracker)
            case "ended":
                return self._tracker.ended(*msgspec.convert(values, tuple[str, Counted]))
            case "forget":
                return self._tracker.forget(values)
            case "restore":
                return self._restore(msgspec.convert(values, RestoredCounts))
            case "refusing":
                return self._tracker.refusing()
            case "lift":
                return self._tracker.lift(values)
        raise ValueError(do)

    def _restore(self, restored: RestoredCounts) -> None:
        """Go on with the counts of the log, once: a worker that was started again reads it again."""
        if not self._is_restored:
            self._is_restored = True
            restored.restore(self._tracker)
