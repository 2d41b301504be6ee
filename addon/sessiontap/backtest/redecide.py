"""Decide recorded calls again, as a proxy with other rules would have decided them.

The proxy's own planner decides, call by call in the order of `order.in_order`, and learns of each reply when its call
has ended. Its memory of sessions and conversations is bounded as in the proxy; of a call that is in flight only its
record and the end of its history are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.analysis.recorded_call import fields, response_of, undo_changes
from sessiontap.backtest.order import CallEvent, ended_at, in_order
from sessiontap.backtest.recorded_facts import FactsReader, RecordedFacts
from sessiontap.backtest.recorded_sockets import Sockets, upgrade_of, warm_ups_of
from sessiontap.exchange import Headers, Request, UrlParts
from sessiontap.faults import Faults
from sessiontap.headers import trace_id
from sessiontap.llm.call import Agent, Call, Reply
from sessiontap.llm.history import History, fingerprint_of
from sessiontap.llm.large_bodies import read_bounded
from sessiontap.proxy.call_context import CallContext, Plan, SocketContext
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import Client, as_turn, history_of, read
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import (
    Decision,
    Facts,
    FilledSettings,
    Matched,
    Rule,
    Rules,
    SessionFacts,
    SettingOutcome,
    decide,
    finish,
)
from sessiontap.rules.facts import KnownFacts
from sessiontap.sessions import Link
from sessiontap.sessions.links import LinkedCall
from sessiontap.trace import BodyError, RecordedCall
from sessiontap.trace.outcomes import WARM_UP


@dataclass(frozen=True, slots=True)
class Redecided:
    """A recorded call, and what the rules say of it. Do not keep it: it holds the call's body."""

    call: RecordedCall
    plan: Plan | None
    """None: these rules do not have its host decrypted."""
    matched: tuple[Rule, ...] = ()
    """The rules and steps that matched, in the order in which they are read."""
    trail: tuple[SettingOutcome, ...] = ()
    """The outcome of each setting of these rules."""
    known: KnownFacts | None = None
    """The facts as the rules saw them."""
    unrecorded: tuple[str, ...] = ()
    """Facts that the proxy had and the log does not hold: `body`, `connection`, `server` (is the process one?)."""
    failed: bool = False
    """A fault of ours kept it from being decided."""


@dataclass(slots=True)
class _InFlight:
    plan: Plan
    """Of its history the end alone."""
    call: Call
    """Without its JSON and its texts."""
    place: SocketContext | None
    is_read: bool
    """Its request's body was at hand."""


class _TellingPlanner(Planner):
    """A planner that keeps what it decided the last call by."""

    matched: Matched | None = None
    recorded_link: Link | None = None
    """Of a call whose messages are not at hand: its link stands in the record."""

    def find_link(
        self, context: CallContext, client: Client, call: Call, history: History, begun: int, name: str = ""
    ) -> LinkedCall:
        found = super().find_link(context, client, call, history, begun, name)
        return replace(found, link=self.recorded_link) if self.recorded_link is not None else found

    def decide(self, rules: Rules, facts: Facts) -> tuple[Decision, Matched]:
        self.trail: list[SettingOutcome] = []
        decision, self.matched = decide(rules, facts, self.environ, self.trail)
        return decision, self.matched

    def fill(self, matched: Matched, facts: Facts, session: SessionFacts) -> FilledSettings:
        return finish(matched, facts, session, self.environ, self.trail)


@dataclass(slots=True)
class Redecision:
    """Decides the calls of a log by `rules`. For one pass."""

    rules: Rules
    environ: Mapping[str, str]
    """The proxy's own environment."""
    faults: Faults = field(default_factory=Faults)
    _facts: FactsReader = field(init=False)
    _planner: _TellingPlanner = field(init=False)
    _sockets: Sockets = field(default_factory=Sockets)
    _in_flight: dict[str, _InFlight] = field(default_factory=dict)
    _warm_ups: list[RecordedCall] = field(default_factory=list)
    """Those whose socket is not known yet: its first turn tells."""
    _ended: set[str] = field(default_factory=set)
    """Warm-ups that wait and have ended."""

    def __post_init__(self) -> None:
        self._facts = FactsReader(self.rules)
        self._planner = _TellingPlanner(self.environ, self.faults, self._facts.listens)

    def decide(self, calls: Iterable[RecordedCall]) -> Iterator[Redecided]:
        """Yield each call as it is planned. `calls` come by their start, warm-ups included."""
        for event in in_order(calls):
            decided = False
            with self.faults.guard("a backtest"):
                for found in self._take(event):
                    decided = decided or found.call is event.call
                    yield found
                continue
            if event.kind == "begins" and not decided:
                yield Redecided(event.call, None, failed=True)
        for call in self._warm_ups:
            yield self._turn(call)

    def _take(self, event: CallEvent) -> Iterator[Redecided]:
        call, record = event.call, event.call.recorded
        if event.kind == "ended":
            self._end(call)
        elif "websocket" not in (record.get("flags") or ()):
            yield self._plan(call)
        elif not self._sockets.is_turn(record):
            yield replace(self._plan(upgrade_of(call)), call=call)
        else:
            yield from self._turns(call)

    def _turns(self, call: RecordedCall) -> Iterator[Redecided]:
        """A turn; before the first one of a socket its upgrade and its warm-ups."""
        record = call.recorded
        if WARM_UP in (record.get("flags") or ()) and self._sockets.place(record).upgrade == "":
            self._warm_ups.append(call)
            return
        opened_at = self._sockets.opens(record)
        if opened_at is not None:
            upgrade = self._plan(upgrade_of(call), at=opened_at)
            if upgrade.plan is not None:
                self._sockets.opened(record, upgrade.plan)
            for warm_up in warm_ups_of(self._warm_ups, record):
                self._warm_ups.remove(warm_up)
                yield self._turn(warm_up)
        yield self._turn(call)

    def _turn(self, call: RecordedCall) -> Redecided:
        place = self._sockets.place(call.recorded)
        found = self._plan(call, place)
        if found.plan is not None:
            found = replace(found, plan=self._sockets.planned(place, found.plan))
        if call.id in self._ended:
            self._ended.discard(call.id)
            self._end(call)
        return found

    def _plan(self, call: RecordedCall, place: SocketContext | None = None, at: int | None = None) -> Redecided:
        """Plan a call that begins, at its recorded time if `at` does not say another."""
        known = self._facts.read(call)
        if known.destination is None:
            return Redecided(call, None, unrecorded=known.unrecorded)
        context = self._context(call, known, place, at)
        self._facts.asked_in_vain = False
        self._planner.recorded_link = _recorded_link(call.recorded) if "body" in known.unrecorded else None
        plan = self._planner.plan(context, self.rules)
        planner = self._planner
        assert planner.matched is not None
        if plan.session is not None:
            tail = replace(plan, history=plan.history.tail() if plan.history is not None else None)
            self._in_flight[call.id] = _InFlight(tail, _slim(plan.call), place, "body" not in known.unrecorded)
            if call.recorded.get("response"):
                came = undo_changes(_response_headers(call), call.recorded.get("changes") or ())
                plan = planner.plan_reply(plan, came, call.id)
        return Redecided(
            call,
            plan,
            tuple(rule for rule, _ in planner.matched.rules),
            tuple(planner.trail),
            planner.matched.known,
            (*known.unrecorded, *(["server"] if self._facts.asked_in_vain else [])),
        )

    def _context(
        self, call: RecordedCall, known: RecordedFacts, place: SocketContext | None, at: int | None
    ) -> CallContext:
        assert known.destination is not None
        request, asked, _ = read(known.request, known.destination, None)
        if "body" in known.unrecorded:
            asked = _as_recorded(asked, call)
        elif place is not None and "request_cut" in (call.recorded.get("flags") or ()):
            asked = replace(asked, partial=True)
        asked = as_turn(asked, place)
        return CallContext(
            id=call.id,
            time=call.recorded["time"] if at is None else at,
            started=0,
            connection=known.connection,
            request=request,
            destination=known.destination,
            upstream=known.upstream,
            socket=place,
            call=asked,
            history=history_of(asked),
        )

    def _end(self, call: RecordedCall) -> None:
        """Take in the reply of a call that has ended."""
        known = self._in_flight.pop(call.id, None)
        if known is None:
            if WARM_UP in (call.recorded.get("flags") or ()):
                self._ended.add(call.id)
            return
        plan, record, ending = known.plan, call.recorded, None
        if plan.history is not None and known.is_read and plan.link.conversation is not None:
            status = (record.get("response") or {}).get("status")
            whole = record.get("outcome") in ("ok", "http_error")
            ending = fingerprint_of(plan.history, _reply(call, known.call), status, complete=whole)
        trace = trace_id(_response_headers(call)) if record.get("response") else None
        session = plan.session.id if plan.session is not None else None
        self._planner.update(PlannerUpdate(call.id, session, ended_at(call), ending, trace))
        if known.place is not None:
            self._sockets.ended(record, known.place)


def _recorded_link(record: Mapping[str, Any]) -> Link:
    link, subagent = record.get("link") or {}, record.get("subagent")
    lineage = tuple(link.get("lineage") or ((subagent,) if subagent else ()))
    conversation = record.get("conversation")
    return Link(
        conversation,
        record.get("parent"),
        record.get("evidence"),
        None,
        link.get("kind"),
        link.get("root") or conversation,
        lineage,
    )


def _slim(call: Call) -> Call:
    return replace(call, json=None, asked=replace(call.asked, message=None, prompt=None))


def _response_headers(call: RecordedCall) -> Headers:
    return fields(call.recorded["response"])


def _reply(call: RecordedCall, asked: Call) -> Reply | None:
    """Return the reply, read again; None if none came or its body is not at hand."""
    try:
        response = response_of(call)
    except BodyError:
        return None
    if response is None:
        return None
    request = call.recorded["request"]
    url = UrlParts.of(request["url"], call.recorded.get("host"), call.recorded.get("forwarded_host"))
    sent = Request(request["method"], call.recorded.get("host") or url.host, url.target, fields(request))
    return read_bounded(asked, sent, response)


def _as_recorded(asked: Call, call: RecordedCall) -> Call:
    """Return a call whose body is not at hand, with what its record says of the request."""
    record = call.recorded
    model = (record.get("llm") or {}).get("request_model")
    agent = asked.agent
    if agent is None and record.get("agent"):
        session = record.get("session") or {}
        native = session.get("id") if session.get("source") == "native" else None
        agent = Agent(record["agent"], session=native, subagent=record.get("subagent"))
    return replace(asked, agent=agent, asked=replace(asked.asked, model=asked.asked.model or model))
