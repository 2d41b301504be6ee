"""A call with a limit whose count several processes share waits for it, for a bounded time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.proxy.test_plan import Desk, said

from sessiontap.faults import Faults
from sessiontap.proxy import alerts as module
from sessiontap.proxy.alerts import Alerts
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.shared_counts import FrontCounts, WorkerCounts

ONE_CALL = "version: 1\nrules: [{session: {name: App}, limit: {calls: 1, per: session}}]"


class LateFront:
    """A front that answers when it is told to."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._front = FrontCounts()
        self.worker = WorkerCounts(self._messages.append, restores=True)

    async def answer(self) -> None:
        """Answer all that was asked, and what follows from that."""
        while self._messages:
            answer = self._front.answer(json.loads(json.dumps(self._messages.pop(0))))
            if answer is not None:
                self.worker.take(json.loads(json.dumps(answer)))
            await asyncio.sleep(0)


async def test_a_call_that_is_refused_too_late_goes_through_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED_WITHIN", 0.0)
    desk, faults, front, refusals = Desk(ONE_CALL), Faults(), LateFront(), []
    alerts = Alerts(Notices(), faults)
    alerts.shared = front.worker
    for number in range(3):
        plan = desk.ask(f"c{number}", said("Why?"))
        await alerts.begin_shared(desk.asked, plan)
        refusals.append(desk.asked.refusal)
        await front.answer()
    assert refusals == [None] * 3
    assert [(one["kind"], one["value"]) for one in alerts.latest] == [("limit", 1)]
    asked = front.worker.refusing()
    await front.answer()
    assert [one.value for one in await asked] == [2]
    assert not faults.counts
