"""Take calls through their stages: prepare, wait for earlier replies, plan; and at their end hand them to the recorder.

Apart from mitmproxy: the hooks make a `CallContext`, call this, and apply the plan. For the proxy's loop alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from sessiontap.faults import Faults
from sessiontap.limits.shared import CountAhead
from sessiontap.llm import grpc
from sessiontap.llm.call import Call
from sessiontap.llm.large_bodies import Room
from sessiontap.proxy import open_files
from sessiontap.proxy.alerts import Alerts
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.finish import OVER_BUDGET, Bodies, Heads, finished_call
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.plan import Planner, facts_of
from sessiontap.proxy.prepare import (
    HEAVY,
    NO_MEMORY,
    READERS_PATIENCE,
    as_turn,
    history_of,
    is_heavy,
    read,
    slimmed,
)
from sessiontap.proxy.reading_memory import ReadingMemory
from sessiontap.proxy.recorder import Recorder
from sessiontap.proxy.replies import PATIENCE, Replies
from sessiontap.recording.budget import Budget, Lease, ReadingLease, Shares
from sessiontap.recording.finished import Outcome, PlannerUpdate
from sessiontap.rules import Decision, Rules, decide
from sessiontap.trace.outcomes import LOCAL_STEP

PROTECTED = "protected"
"""The flag of a call that is recorded without its content because a rule may match."""

HURRY_SECONDS = 0.003
"""Replies that end within it are read together if proxies share their sessions."""


class Calls:
    """The way of every call, from its request to the recorder."""

    def __init__(self, planner: Planner, notices: Notices, rules: Callable[[], Rules], faults: Faults) -> None:
        """`rules` returns those in force."""
        self.planner = planner
        self.notices = notices
        self.faults = faults
        self.budget = Budget(Shares().proxy, Shares().body, Shares().bodies, reading=Shares().reading)
        """Of the memory that bodies, and requests while they are read, may take."""
        self.recorder: Recorder | None = None
        """None before the start and after the end: calls pass unrecorded."""
        self.replies = Replies(self._take_update)
        self.alerts = Alerts(notices, faults)
        self._rules = rules
        self._reader = ThreadPoolExecutor(1, "sessiontap-read")
        self._hurrying: asyncio.TimerHandle | None = None
        self._looking: set[asyncio.Task[None]] = set()
        """Look for replies that other proxies read, behind calls that go on from them."""

    def plan_at_once(self, context: CallContext, wire: bytes | None) -> Plan | None:
        """Return the plan of a call; None if something must be waited for first, which `plan` does.

        `wire` is the request's body as sent, None if it streams past.
        """
        if self._is_large(context, wire):
            return None
        self.prepare(context, wire)
        if self._awaited(context) or self.planner.store.is_shared or self.alerts.waits(self._rules()):
            _settle_memory(context)
            return None
        return slimmed(context, self.decide(context))

    async def plan(self, context: CallContext, wire: bytes | None) -> Plan:
        """Return the plan of a call for which `plan_at_once` had none."""
        if context.call is None:
            await self.prepare_aside(context, wire)
        await self.wait_for_replies(context)
        return slimmed(context, await self.decide_shared(context))

    async def prepare_aside(self, context: CallContext, wire: bytes | None) -> None:
        """As `prepare`; a large request is read on another thread, one at a time, while others come and go."""
        if not self._is_large(context, wire):
            self.prepare(context, wire)
        else:
            reader, patience = self._reader, READERS_PATIENCE
            await asyncio.get_running_loop().run_in_executor(reader, self.prepare, context, wire, patience)
        _settle_memory(context)

    async def look(self, wire: bytes, encoding: str | None, is_call: Callable[[bytes, Room], bool]) -> bool:
        """Return whether `is_call` finds a call in a request; into a large one it looks where these are read."""

        def decoded_and_asked(patience: float = 0) -> bool:
            memory = ReadingMemory(ReadingLease(self.budget), patience)
            body = memory.decoded(wire, encoding)
            return body.problem is None and is_call(body.data, memory.room())

        if not self._is_heavy(wire, encoding):
            return decoded_and_asked()
        reader = self._reader
        return await asyncio.get_running_loop().run_in_executor(reader, decoded_and_asked, READERS_PATIENCE)

    def _is_large(self, context: CallContext, wire: bytes | None) -> bool:
        if wire is None:
            return False
        headers = context.request.headers
        if (headers.get("content-type") or "").startswith("application/grpc") and grpc.has_compressed(wire):
            return True
        return self._is_heavy(wire, headers.get("content-encoding"))

    def _is_heavy(self, wire: bytes, encoding: str | None) -> bool:
        if not encoding:
            return is_heavy(wire, None)
        lease = Lease.of(self.budget, HEAVY)  # it may be decoded so far
        try:
            return is_heavy(wire, encoding)
        finally:
            lease.end()

    def prepare(self, context: CallContext, wire: bytes | None, patience: float = 0) -> None:
        """Read the request, and the conversation in it. Waits `patience` seconds at most for memory to do so."""
        if context.connection.caller is None and open_files.none_left():
            self.notices.no_files()
        context.memory = ReadingMemory(ReadingLease(self.budget), patience)
        context.request, call, problem = read(context.request, context.destination, wire, context.memory)
        if problem is not None:
            context.flags.append("undecodable")
        if NO_MEMORY in call.asked.problems:
            context.flags.append(OVER_BUDGET)
        context.call = call = as_turn(call, context.socket)
        with self.faults.guard("conversations"):
            context.history = history_of(call)

    async def wait_for_replies(self, context: CallContext, patience: float = PATIENCE) -> None:
        """Wait, at most `patience` seconds, for the replies that a request may go on from and that are not read yet."""
        awaited, recorder = self._awaited(context), self.recorder
        if awaited and recorder is not None:
            with self.faults.guard("conversations"):
                await self.replies.wait(awaited, recorder.hurry, patience)

    def _awaited(self, context: CallContext) -> set[str]:
        """Take in the replies that have been read. Return the calls whose replies a request has to wait for."""
        self.replies.settle()
        call, history = context.call, context.history
        if call is None or history is None or self.recorder is None:
            return set()
        with self.faults.guard("conversations"):
            return self.replies.awaited(
                context.caller_id,
                history,
                names_replies=bool(call.asked.previous or call.asked.answered),
                is_settled=lambda: self.planner.knows_parent(context),
            )
        return set()

    def decide(self, context: CallContext) -> Plan:
        """Return the plan of a call whose request was read, and say what it withholds or protects."""
        plan = self._planned(context, self.planner.plan(context, self._rules()))
        if plan.decision.more:
            with self.faults.guard("alerts"):
                plan = self.alerts.begin(context, plan)
        return plan

    async def decide_shared(self, context: CallContext) -> Plan:
        """As `decide`; a store of sessions and counts that several proxies share are asked."""
        rules, planner = self._rules(), self.planner
        shared = planner.store.is_shared
        ahead = partial(self._count_ahead, context)
        plan = self._planned(
            context, await planner.plan_shared(context, rules, ahead) if shared else planner.plan(context, rules)
        )
        if context.awaits_reply is not None:
            looking = asyncio.create_task(planner.look_again(context))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
        if plan.decision.more:
            with self.faults.guard("alerts"):
                plan = await self.alerts.begin_shared(context, plan)
        return plan

    def _count_ahead(self, context: CallContext, plan: Plan) -> CountAhead | None:
        with self.faults.guard("alerts"):
            return self.alerts.ahead(context, plan)
        return None

    def _planned(self, context: CallContext, plan: Plan) -> Plan:
        context.call = plan.call
        if plan.session is not None and plan.session.is_local:
            context.flags.append(LOCAL_STEP)
        if (protected := plan.decision.protected) is not None:
            if not plan.decision.ignore:
                context.flags.append(PROTECTED)
            self.notices.protected(context.connection, context.destination.host, protected, context.id)
        for warning in plan.warnings:
            self.notices.once(warning)
        return plan

    def finished(self, context: CallContext, outcome: Outcome, duration: int, heads: Heads, bodies: Bodies) -> None:
        """Hand a call that is over to the recorder. `duration` is nanoseconds."""
        recorder = self.recorder
        if recorder is None:
            return
        call, received, history, context.awaits_reply = context.call, heads.received, context.history, None
        if OVER_BUDGET in context.flags:
            self.notices.over_budget()
        if context.plan is None and context.capture_without_plan == "full":
            decision = self._decided_by_rules(context, call)
            context.capture_without_plan = "none" if decision.ignore else decision.capture
        failed = received is None or received.status >= 400 or outcome != "ok"
        self.replies.expect(
            context.id,
            context.caller_id,
            offers_tools=bool(call and call.asked.tools_offered),
            failed=failed,
            end=history.end if history is not None and history.entries else None,
        )
        if not failed:
            self.planner.note_end(context.id)
        is_queued = None
        with self.faults.guard("recording"):
            finished = finished_call(context, outcome, duration, heads, bodies)
            is_queued = recorder.submit(finished, bodies, context.connection.caller)
        if is_queued is None:
            recorder.count_fault()
        if not is_queued:
            self.replies.forget(context.id)
            self.alerts.lost(context, context.time + duration)
        elif self.planner.store.is_shared:
            self._hurry_soon(recorder)

    def _hurry_soon(self, recorder: Recorder) -> None:
        """Have replies read at once: other proxies may wait for them, which cannot say so."""
        if self._hurrying is None:
            self._hurrying = asyncio.get_running_loop().call_later(HURRY_SECONDS, self._hurry, recorder)

    def _hurry(self, recorder: Recorder) -> None:
        self._hurrying = None
        recorder.hurry()

    def receipt(self) -> Callable[[], bool]:
        """Return what tells whether all calls that have ended so far are written."""
        return self.recorder.receipt() if self.recorder is not None else lambda: True

    def keeps_unread(self, context: CallContext) -> bool:
        """Decide again about a call whose body turned out not to be understood: whether it is recorded at all."""
        if context.plan is None:
            return True  # `finished` sees to it
        call = replace(context.call, json=None) if context.call else None
        decision = self._decided_by_rules(context, call, body=None)
        if decision.protected is None:
            return True
        self.notices.protected(context.connection, context.destination.host, decision.protected, context.id)
        context.plan = replace(context.plan, decision=replace(context.plan.decision, capture=decision.capture))
        return not decision.ignore

    def _decided_by_rules(self, context: CallContext, call: Call | None, **request: Any) -> Decision:
        """Return what the rules alone decide of a call, as far as it is known."""
        asked = replace(context.request, **request)
        facts = facts_of(context.connection, context.destination, asked, call, context.time)
        decision, _ = decide(self._rules(), facts, self.planner.environ)
        return decision

    def _take_update(self, update: PlannerUpdate) -> None:
        with self.faults.guard("conversations"):
            self.planner.update(update)


def _settle_memory(context: CallContext) -> None:
    if context.memory is not None:
        context.memory.settle(context.request.body)
