"""Count calls for the alerts and limits of the rules, tell the user and the log of those that are reached, and refuse
calls by limits.

The counts are `limits.Tracker`'s, or those of several processes (`limits/shared.py`): of the workers of a front, or of
all proxies with one store. A call pays for those of its own rules alone; what it came to is told by the recorder, on
another thread, and taken in on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sessiontap.faults import Faults
from sessiontap.limits import CallScopes, Counted, Crossing, Threshold, Tracker
from sessiontap.limits.shared import CallBegins, CountAhead, RestoredCall, RestoredCounts, SharedCounts
from sessiontap.limits.tracker import BeginResult
from sessiontap.llm.families import family_of
from sessiontap.llm.history import History
from sessiontap.llm.message_pieces import digest
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.notifier_process import NotifierProcess
from sessiontap.proxy.prepare import opens_socket
from sessiontap.recording.finished import CallCounted
from sessiontap.rules import Rules
from sessiontap.rules.notified import Notified
from sessiontap.trace.outcomes import REFUSED, WARM_UP
from sessiontap.trace.restore import RestorableCall
from sessiontap.trust import is_loopback

logger = logging.getLogger("sessiontap")

MOST_LATEST = 20
"""Crossings that are told to whoever asks."""
MOST_LINES = 20
"""Lines on the terminal within `LINES_SECONDS`; the log has all."""
LINES_SECONDS = 60.0
COUNTED_WITHIN = 1.0
"""Seconds that a call with a limit waits for a shared count at most. The front takes less than a millisecond, and
tenths of a second where many programs wait for a processor; a store has a bound of its own."""
_UNCOUNTED = frozenset((WARM_UP, REFUSED))
"""Flags of calls that count for nothing."""


class Alerts:
    """The alerts and limits of a proxy. For its loop, but for `read`."""

    def __init__(self, notices: Notices, faults: Faults) -> None:
        self.tracker = Tracker()
        self.shared: SharedCounts | None = None
        """Instead of `tracker`."""
        self.latest: deque[dict[str, Any]] = deque(maxlen=MOST_LATEST)
        """The newest crossings, oldest first, as `/health` tells them."""
        self.notifier = NotifierProcess()
        self._notices = notices
        self._faults = faults
        self._read: deque[CallCounted] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: deque[float] = deque(maxlen=MOST_LINES)
        self._rules: Rules | None = None
        self._has_limits = False
        """`_rules` have."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """The proxy starts."""
        self._loop = loop

    def begin(self, context: CallContext, plan: Plan) -> Plan:
        """Count a call whose rules have alerts or limits. Return its plan, with what the recorder has to tell of it.

        A call that a limit refuses gets `context.refusal`, and a plan that changes nothing of its request. If the
        counts are shared, `begin_shared` alone refuses.
        """
        begins = _begins(context, plan)
        if begins is None:
            return plan
        if self.shared is not None:
            self._tell_later(self.shared.begin(begins._replace(may_refuse=False)))
            return self._counted(begins, plan)
        return self._begun(context, plan, begins, begins.begin(self.tracker))

    def ahead(self, context: CallContext, plan: Plan) -> CountAhead | None:
        """Return what asks a store for the count of a call with a limit, before the call has its plan. `plan` is what
        it is likely to be."""
        begins = _begins(context, plan)
        if begins is None or self.shared is None or not begins.may_refuse:
            return None
        return self.shared.ahead(begins)

    async def begin_shared(self, context: CallContext, plan: Plan) -> Plan:
        """As `begin`. A call with a limit waits for the shared count, for `COUNTED_WITHIN` seconds at most."""
        begins = _begins(context, plan)
        may_be_refused = begins is not None and begins.may_refuse and "limit" in plan.decision.more
        if begins is None or self.shared is None or not may_be_refused:
            return self.begin(context, plan)
        asked = self.shared.begin(begins)
        await asyncio.wait([asked], timeout=COUNTED_WITHIN)
        if asked.done():
            return self._begun(context, plan, begins, asked.result())
        late = f"a shared count did not come within {COUNTED_WITHIN:g} s"
        self._notices.once(f"{late}: a call was not held to its limit, and counts")
        self._tell_later(asked, begins)
        return self._counted(begins, plan)

    def waits(self, rules: Rules) -> bool:
        """Return True if calls wait for `begin_shared`."""
        if self.shared is None:
            return False
        if rules is not self._rules:
            self._rules = rules
            self._has_limits = any(one.kind == "limit" for rule in rules.rules for one in rule.thresholds)
        return self._has_limits

    def _begun(self, context: CallContext, plan: Plan, begins: CallBegins, begun: BeginResult) -> Plan:
        """Return the plan of a call that was counted or refused."""
        if begun.refused is not None:
            self._refuse(context, plan, begun.refused, begun.is_first)
            return replace(plan, edits=(), gateway=None, use=None, fallback=None)
        self.tell(begun.crossings)
        return self._counted(begins, plan)

    def _counted(self, begins: CallBegins, plan: Plan) -> Plan:
        """Return the plan of a call that goes on, with what the recorder has to tell of it."""
        thresholds = begins.thresholds if begins.counts else ()
        measures = dict.fromkeys(one.measure for one in thresholds if one.measure != "calls")
        if not measures:
            (self.shared or self.tracker).forget(begins.call)
        return replace(plan, counted=tuple(measures))

    def _tell_later(self, asked: asyncio.Future[BeginResult], passed: CallBegins | None = None) -> None:
        """Tell the crossings of a call that does not wait for them. `passed`: it did wait, and went through."""

        def tell(done: asyncio.Future[BeginResult]) -> None:
            with self._faults.guard("alerts"):
                begun = done.result()
                self.tell(begun.crossings)
                if begun.refused is not None and passed is not None and self.shared is not None:
                    self.tell([begun.refused] if begun.is_first else [])
                    self._tell_later(self.shared.begin(passed._replace(may_refuse=False)))

        asked.add_done_callback(tell)

    def _refuse(self, context: CallContext, plan: Plan, crossing: Crossing, is_first: bool) -> None:
        family = family_of(plan.call.endpoint.family)
        why = f"Sessiontap refused this call by its {_sentence(crossing)}. {_way_on(crossing)}"
        context.refusal = family.refusal(why)
        context.flags.append(REFUSED)
        if is_first:
            self.tell([crossing])

    async def lift(self, id: str) -> dict[str, Any] | None:
        """Have a limit that refuses calls count from 0. Return it; None if there is none of this id."""
        crossing = self.tracker.lift(id) if self.shared is None else await self.shared.lift(id)
        if crossing is None:
            return None
        text = f"limit {crossing.threshold.label!r} is lifted in {crossing.scope.text}: it counts from 0"
        self._say(text)
        self._notices.note("limit", text, lifted=id, **crossing.facts())
        return told_of(crossing)

    async def refusing(self) -> list[dict[str, Any]]:
        """Return the limits that refuse calls, for the proxy's user."""
        refusing = self.tracker.refusing() if self.shared is None else await self.shared.refusing()
        return [told_of(crossing) for crossing in refusing]

    def read(self, counted: CallCounted) -> None:
        """Take what a call came to from the thread that hears the recorder; the loop counts it (`settle`)."""
        self._read.append(counted)
        if self._loop is not None and len(self._read) == 1:
            try:
                self._loop.call_soon_threadsafe(self.settle)
            except RuntimeError:  # the proxy has ended
                self._loop = None

    def lost(self, context: CallContext, at: int) -> None:
        """Count a call that ended `at` and that no recorder reads: nothing is known of it."""
        if context.plan is not None and context.plan.counted:
            self._read.append(CallCounted(context.id, at))
            self.settle()

    def settle(self) -> None:
        """Count what the recorder told."""
        while self._read:
            told = self._read.popleft()
            with self._faults.guard("alerts"):
                if told.why_no_cost is not None:
                    self._notices.once(f"alerts and limits count no cost of some calls: {told.why_no_cost}")
                counted = Counted(told.at, told.tokens, told.cost_usd, told.failed, told.tools)
                if self.shared is None:
                    self.tell(self.tracker.ended(told.call_id, counted))
                else:
                    self.shared.ended(told.call_id, counted).add_done_callback(self._tell_ended)

    def _tell_ended(self, done: asyncio.Future[Sequence[Crossing]]) -> None:
        with self._faults.guard("alerts"):
            self.tell(done.result())

    def restore(
        self,
        calls: Iterable[RestorableCall],
        callers: Mapping[str, tuple[str, str | None]],
        lifted: Mapping[str, int],
        rules: Rules,
    ) -> None:
        """Go on with the counts of the log: its calls, oldest first, the process trees of their callers, and when
        limits were lifted."""
        thresholds = thresholds_by_rule(rules)
        if not thresholds:
            return
        known = [*dict.fromkeys(one for found in thresholds.values() for one in found)]
        numbers = {one: number for number, one in enumerate(known)}
        restored: list[RestoredCall] = []
        for call in calls:
            found = [numbers[one] for rule in call.rules for one in thresholds.get(rule, ())]
            if found and call.session and not call.is_errand and not _UNCOUNTED.intersection(call.flags):
                counted = Counted(call.time + (call.duration or 0), call.tokens, call.cost_usd, call.failed)
                restored.append(RestoredCall(_restored_scopes(call, callers), found, counted))
        counts = RestoredCounts(known, restored, lifted, time.time_ns())
        if self.shared is None:
            counts.restore(self.tracker)
        else:
            self.shared.restore(counts)

    def tell(self, crossings: Iterable[Crossing]) -> None:
        """Tell alerts that were reached, and limits that begin to refuse calls."""
        for crossing in crossings:
            kind, text, way = crossing.threshold.kind, _sentence(crossing), ""
            if kind == "limit":
                text, way = f"{text}. Its calls are refused", f". {_way_on(crossing)}"
            self._say(f"{text}{way}")
            self._notices.note(kind, text, **crossing.facts())
            self.latest.append(crossing.summary())
            self._notify(crossing, text)

    def notify_by(self, told: Notified | None, proxy_env: Mapping[str, str]) -> None:
        """Have these told of crossings from here on, beside the terminal and the log."""
        settings, why_not = told.settings(proxy_env) if told is not None else (None, None)
        if why_not is not None:
            self._notices.once(why_not)
        self.notifier.want(settings)

    def _notify(self, crossing: Crossing, text: str) -> None:
        recorder = self._notices.recorder
        if self.notifier.is_wanted and recorder is not None:
            told = {**told_of(crossing), "kind": crossing.threshold.kind, "text": text}
            self.notifier.tell(recorder.redactor.value(told))

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if len(self._lines) == MOST_LINES and now - self._lines[0] < LINES_SECONDS:
            self._notices.once("alerts come faster than they can be read here; the log has a note of each")
            return
        self._lines.append(now)
        logger.warning(f"sessiontap: {text}")


def _begins(context: CallContext, plan: Plan) -> CallBegins | None:
    """Return what is counted as a call begins; None if nothing is."""
    more = plan.decision.more
    thresholds: tuple[Threshold, ...] = (*more.get("limit", ()), *more.get("alert", ()))
    if not thresholds or plan.session is None or _is_errand(context, plan):
        return None
    counts = not opens_socket(context.request) if context.socket is None else context.socket.increments_step
    may_refuse = context.socket is None and context.request_tap is None
    scopes, digest = scopes_of(context, plan), newest_digest(plan.history)
    return CallBegins(context.id, scopes, thresholds, digest, counts, may_refuse)


def scopes_of(context: CallContext, plan: Plan) -> CallScopes:
    """Return what tells the scopes of a planned call."""
    session, connection, link = plan.session, context.connection, plan.link
    assert session is not None
    caller = connection.caller
    process = name = None
    if caller is not None:
        tree = caller.tree
        process = tree.id if tree is not None and tree.id else caller.id
        name = caller.name
    elif connection.is_remote:
        process = _remote(connection.proxy_user, connection.client_ip)
        name = f"{connection.proxy_user or 'the client'} at {connection.client_ip}"
    history = plan.history
    goes_on = history is not None and len(history.entries) > 1
    return CallScopes(
        context.time,
        session.id,
        session.name,
        plan.filled.path,
        plan.filled.user,
        process,
        name,
        (link.conversation or "") if goes_on else "",
    )


def thresholds_by_rule(rules: Rules) -> dict[str, list[Threshold]]:
    """Return the thresholds that the log can restore, by their rule's label. What repeats is not in it."""
    found: dict[str, list[Threshold]] = {}
    for rule in rules.rules:
        if kept := [one for one in rule.thresholds if one.measure != "repeats"]:
            found.setdefault(rule.label, []).extend(kept)
    return found


def _restored_scopes(call: RestorableCall, callers: Mapping[str, tuple[str, str | None]]) -> CallScopes:
    session = call.session or {}
    process, name = callers.get(call.caller or "", (None, None))
    if call.caller is None and call.client is not None and not is_loopback(call.client):
        process = _remote(call.proxy_user, call.client)
    return CallScopes(call.time, session["id"], session.get("name"), session.get("path"), call.user, process, name)


def _remote(proxy_user: str | None, client: str | None) -> str:
    """Return what stands for the process of a client on another machine."""
    return f"{proxy_user or ''}@{client}"


def newest_digest(history: History | None) -> bytes | None:
    """Return a digest of a request's last message and of what the assistant did before it; None if it has none."""
    if history is None or not history.entries:
        return None
    return digest(*(entry.digest for entry in history.entries[-2:]))


def told_of(crossing: Crossing) -> dict[str, Any]:
    """Return a limit that was reached in plain values."""
    return {"time": crossing.at, "text": crossing.text, "scope_text": crossing.scope.text, **crossing.facts()}


def _sentence(crossing: Crossing) -> str:
    threshold = crossing.threshold
    return f"{threshold.kind} {threshold.label!r}: {crossing.text}"


def _way_on(crossing: Crossing) -> str:
    return f"To go on: sessiontap limits --lift {crossing.id}, or raise the limit in the rules."


def _is_errand(context: CallContext, plan: Plan) -> bool:
    """Return True for what an agent does for itself: no call of its session's, and never refused."""
    call = plan.call
    operation = call.endpoint.operation
    asks_no_model = operation == "count_tokens" or (operation == "other" and call.asked.model is None)
    return context.socket is None and call.agent is not None and asks_no_model and not opens_socket(context.request)
