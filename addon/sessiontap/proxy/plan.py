"""Plan a call: facts -> decision -> session -> headers -> route, each package asked in turn. Asks mitmproxy nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sessiontap import gateways, headers, trust
from sessiontap.bounded_dict import BoundedDict
from sessiontap.callers import Caller, listens
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.gateways.breaker import Breakers, GatewayAddress
from sessiontap.gateways.failing_open import GatewayUse, why_skipped
from sessiontap.headers import AppSession, Edit, OutgoingCall
from sessiontap.llm.agents import KINDLESS
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.context import NO_LINK, CallContext, Fallback, Plan
from sessiontap.proxy.prepare import Client, history_of
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import Decision, Facts, Labels, Matched, Rules, SessionFacts, decide, finish
from sessiontap.rules.gateway_calls import gateway_call, gateway_kind
from sessiontap.sessions import Link, Registry, Session, agent_path, session_evidence
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.declared import conversation_id
from sessiontap.sessions.links import LinkedCall
from sessiontap.trace.outcomes import WARM_UP
from sessiontap.trace.restore import RestorableCall

_NOT_KNOWN = trust.why_exposed(trust.UNKNOWN, "")

MOST_SET = 10_000
"""Calls in flight whose clock is remembered."""


class Planner:
    """Makes plans; remembers sessions and what replies issued. For the proxy's loop alone."""

    def __init__(self, environ: Mapping[str, str], faults: Faults) -> None:
        self.environ = environ
        self.faults = faults
        self.registry = Registry()
        self.conversations = Conversations()
        self.breakers = Breakers(time.monotonic)
        self._clock = SetClock()
        self._started = time.time_ns()
        self._set: BoundedDict[str, int] = BoundedDict(MOST_SET)
        """Calls that began after the clock was set -> by how much, until they have ended."""

    def restore(self, head: RestorableCall) -> None:
        """Take over a recorded call."""
        session = head.session
        if not session:
            return
        name, step = session.get("name"), session.get("step")
        if name is not None and step is not None:  # else it was not counted
            ended = min(head.time + (head.duration or 0), self._started)  # else the clock was set back meanwhile
            self.registry.restore(session["id"], name, step, ended, session.get("key"))
        if head.link:
            link = Link(
                head.conversation,
                head.parent,
                head.evidence,
                None,
                head.link.get("kind"),
                head.link.get("root"),
                tuple(head.link.get("lineage") or ()),
            )
            at = head.time + (head.duration or 0)
            warm_up = WARM_UP in head.flags
            given = session["id"] if session.get("source") in ("app", "native") else None
            self.conversations.restore(
                head.id, at, link, head.link, head.response_id, head.tools, warm_up=warm_up, session=given
            )

    def plan(self, context: CallContext, rules: Rules) -> Plan:
        """Return the plan of a call whose request was read. Remembers the call, but not if a rule ignores it."""
        assert context.call is not None
        call, history, connection = context.call, context.history, context.connection
        client = Client.of(context)
        begun = self._begun(context.id, context.time)
        found: LinkedCall | None = None
        with self.faults.guard("conversations"):
            history = history or history_of(call)
            call = self._results_named(call, context, client)
            # If the process is not known, the session's name is compared, too, and that is yet to come.
            if connection.caller is not None:
                found = self._conversation(context, client, call, history, begun)
                call = _as_told(call, found.link)
        exposed = trust.why_exposed(context.upstream, context.destination.host)
        facts = facts_of(
            connection,
            context.destination,
            context.request,
            call,
            context.time,
            client_is_local=client.peer.local is True,
            exposed=exposed,
        )
        decision, matched = decide(rules, facts, self.environ)
        if decision.ignore:
            return Plan(decision, Labels(), call)
        with self.faults.guard("conversations"):
            if found is None and history is not None:
                found = self._conversation(context, client, call, history, begun, decision.name)
                call = _as_told(call, found.link)
            if found is not None:
                self.conversations.remember(found)
        link = found.link if found is not None else NO_LINK
        session = self._session(context, client, call, decision, link, begun)
        labels = finish(matched, facts, SessionFacts(session.id, session.name, session.step), self.environ)

        def written(gateway: Route | Direct | None) -> Fallback:
            """The labels and edits of the call on this way."""
            found = labels.at_gateway or labels if isinstance(gateway, Route) else labels
            if (path := _path(found, decision, call, link, client.app)) != found.path:
                found = replace(found, path=path)
            outgoing = self._outgoing(context, client, rules, matched, gateway, exposed)
            return Fallback(found, headers.plan(decision, found, session, link, outgoing))

        gateway = self._gateway(context, rules, decision, matched, client, session)
        warned, use = gateway, None
        if isinstance(gateway, Route) and context.socket is None:
            use = _use(gateway, decision, rules)
            if use.fail_open and not self.breakers.admits(use.gateway):
                gateway, warned, use = Direct(why_skipped(use)), None, None  # its breaker was told of when it opened
        written_labels, edits = written(gateway)
        return Plan(
            decision,
            written_labels,
            call,
            session,
            link,
            history,
            found.scope if found else None,
            edits,
            gateway,
            use,
            written(None) if use is not None and use.fail_open else None,
            warnings=tuple(_warnings(decision, written_labels, warned, edits)),
        )

    def knows_parent(self, context: CallContext) -> bool:
        """True if it is already known for certain what a request goes on from."""
        call, history = context.call, context.history
        if call is None or history is None:
            return False
        return self.conversations.knows_parent(Client.of(context).scope(context), call, history)

    def _results_named(self, call: Call, context: CallContext, client: Client) -> Call:
        """Return the call, with the names of the tools whose results it holds without them."""
        if not call.asked.results:
            return call
        return replace(call, asked=self.conversations.with_tool_names(client.scope(context), call.asked))

    def _conversation(
        self, context: CallContext, client: Client, call: Call, history: History, begun: int, name: str = ""
    ) -> LinkedCall:
        """Find the conversation of a call and its place in it; `name` is the session's if it is compared."""
        scope, key = client.scope(context, name), client.conversation_key
        return self.conversations.find_link(
            scope, call, history, context.id, begun, conversation_key=key, upgrade=client.is_upgrade
        )

    def _session(
        self, context: CallContext, client: Client, call: Call, decision: Decision, link: Link, begun: int
    ) -> Session:
        socket, app, caller, key = context.socket, client.app, context.connection.caller, client.conversation_key
        evidence = session_evidence(
            decision,
            app_id=app.id if app else None,
            agent=call.agent,
            caller=caller,
            connection=client.peer,
            conversation=link.root or (conversation_id(key) if key is not None else None),
            is_server=_listens(decision, call, caller),
        )
        return self.registry.assign(
            decision,
            evidence,
            app_name=app.name if app else None,
            now=begun,
            increments_step=socket is None or socket.increments_step,
            reserved_session=socket.reserved_session if socket is not None else None,
        )

    def _gateway(
        self,
        context: CallContext,
        rules: Rules,
        decision: Decision,
        matched: Matched,
        client: Client,
        session: Session,
    ) -> Route | Direct | None:
        """Return the way through the gateway that a rule asks for, or why there is none; None if no rule asks."""
        if (name := decision.gateway) is None:
            return None
        named = matched.named_by(lambda rule: rule.gateway == name)
        request, facts = context.request, SessionFacts(session.id, session.name, session.step)
        call = replace(
            gateway_call(rules, name, matched.scope, facts, self.environ),
            signed=bool(headers.signed_headers(request.headers, request.target)),
            upstream=context.upstream,
            why_not_client=trust.why_not_for(client.peer.local is True, named),
        )
        return gateways.plan(gateway_kind(rules, name), call)

    def _outgoing(
        self,
        context: CallContext,
        client: Client,
        rules: Rules,
        matched: Matched,
        gateway: Route | Direct | None,
        exposed: str | None,
    ) -> OutgoingCall:
        """Return the call as it leaves the proxy: through the gateway if there is a way, else to its own host.

        `exposed`: why a key may not travel to its own host.
        """
        host, provider = context.destination.host, context.destination.provider
        edits: tuple[Edit, ...] = ()
        read: frozenset[str] = frozenset()
        if isinstance(gateway, Route):
            host, provider, edits, read = gateway.host, None, gateway.edits, gateways.KINDS[gateway.kind].reads
            exposed = trust.why_exposed(context.upstream.rerouted(gateway.scheme, host, gateway.port), host)
        is_local = client.peer.local is True
        named = not is_local and matched.named_by(lambda rule: rule.sets_session)
        return OutgoingCall(
            headers=context.request.headers,
            host=host,
            provider=provider,
            target=context.request.target,
            proxy_env=self.environ,
            why_no_key=trust.why_not_for(is_local, named) or exposed,
            gateway=edits,
            gateway_reads=read,
            id=context.id,
            turn=self.conversations.turn_of(context.id),
            dialects=rules.dialects,
        )

    def plan_reply(self, plan: Plan, reply: Headers, call_id: str) -> Plan:
        """The plan with what the app is told in the response's headers."""
        if plan.session is None:
            return plan
        edits = headers.reply_plan(plan.edits, reply, session=plan.session, call_id=call_id)
        return replace(plan, reply_edits=edits) if edits else plan

    def update(self, update: PlannerUpdate) -> None:
        """Take in a call that ended; its reply, if any, has been read."""
        at = update.at - self._set.pop(update.call_id, 0)
        if update.session_id is not None:
            self.registry.ended(update.session_id, at)
        self.conversations.note_reply(update.call_id, update.ending, at, update.trace_id)

    def _begun(self, call_id: str, now: int) -> int:
        """When a call began, by the clock as it was when the proxy started."""
        by = self._clock.by()
        if by:
            self._set.put(call_id, by)
        return now - by


def facts_of(
    connection: Connection,
    destination: Destination,
    request: Request | None = None,
    call: Call | None = None,
    now: int | None = None,
    *,
    client_is_local: bool = False,
    exposed: str | None = _NOT_KNOWN,
) -> Facts:
    """Return the facts that rules match; before any request, those of the connection."""
    return Facts(
        host=destination.host,
        caller=connection.caller,
        is_remote=connection.is_remote,
        client_ip=connection.client_ip,
        proxy_user=connection.proxy_user,
        provider=destination.provider,
        request=request,
        call=call,
        time=now,
        client_is_local=client_is_local,
        exposed=exposed,
    )


def _use(route: Route, decision: Decision, rules: Rules) -> GatewayUse:
    """Return a call's use of its gateway. A rule's `fail` stands above the gateway's."""
    assert decision.gateway is not None
    item = rules.gateways.get(decision.gateway)
    address = GatewayAddress(decision.gateway, f"{route.scheme}://{route.host}:{route.port}")
    fail = decision.more.get("fail", item.fail if item else "open")
    if item is None:
        return GatewayUse(address, route.kind, fail == "open")
    return GatewayUse(
        address, route.kind, fail == "open", item.retry_unanswered, item.connect_timeout, item.answer_timeout
    )


def _warnings(
    decision: Decision, labels: Labels, gateway: Route | Direct | None, edits: Iterable[Edit]
) -> Iterator[str]:
    """The sentences that a user is told of a plan. They are equal for calls of one kind, so that each is said once."""
    withheld = (*decision.withheld, *labels.withheld)
    yield from map(str, withheld)
    if isinstance(gateway, Direct):
        yield gateway.reason
    elif gateway is not None:
        yield from gateway.notes
    for edit in edits:
        key = headers.OWN_KEYS.get(edit.header)
        if key is not None and edit.action == "withhold" and not withheld:
            yield f"{edit.header} is withheld from {key.server}: {edit.rule}"


def _path(labels: Labels, decision: Decision, call: Call, link: Link, app: AppSession | None) -> str:
    """Return the session path: the app's own unless a rule replaces it, else a rule's, else the agent's place."""
    is_set = "session.path" in labels.set_by
    if app and app.path and not (decision.existing == "replace" and is_set):
        return app.path
    if link.lineage and not is_set:
        return agent_path(call.agent, call.endpoint.operation, link.lineage)
    return labels.path


def _listens(decision: Decision, call: Call, caller: Caller | None) -> bool | None:
    """Return True if the process is a server; None if the id sources do not ask."""
    native = call.agent is not None and call.agent.session is not None
    if native or caller is None or all(source.kind != "auto" for source in decision.id_sources):
        return None
    return listens(caller)


def _as_told(call: Call, link: Link) -> Call:
    """Return the call, with its agent completed from its link."""
    agent = call.agent
    if agent is not None and link.session is not None:
        agent = replace(agent, session=link.session)
    typed = agent is not None and agent.subagent is not None and agent.subagent not in KINDLESS
    inferred = link.lineage[-1] if link.lineage and not typed else None
    return replace(call, agent=agent, inferred=inferred) if inferred or agent is not call.agent else call


class SetClock:
    """The distance by which the clock was set since the proxy started: by hand, by a time server.

    Silence is measured between times of day, since those are what the log has. Were a clock set back by hours, nothing
    would end for as long; were it set forwards, everything would at once.
    """

    def __init__(self) -> None:
        self._first = time.time_ns() - _running()

    def by(self) -> int:
        """Nanoseconds; 0 for what is under a second: clocks drift and are corrected."""
        by = time.time_ns() - _running() - self._first
        return by if abs(by) >= 1_000_000_000 else 0


def _running() -> int:
    """A clock that nobody sets and that goes on while the machine sleeps, if there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
