"""Plan a call: facts -> decision -> session -> headers -> route, each package asked in turn. Asks mitmproxy nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sessiontap import gateways, headers, trust
from sessiontap.bounded import BoundedDict
from sessiontap.callers import Caller, listens
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.headers import AppSession, Edit
from sessiontap.llm.agents import KINDLESS
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.context import NO_LINK, CallContext, Plan
from sessiontap.proxy.prepare import history_of
from sessiontap.proxy.set_clock import SetClock
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import Decision, Facts, Labels, Rules, SessionFacts, decide, finish
from sessiontap.sessions import Link, Peer, Registry
from sessiontap.sessions.agent_path import agent_path
from sessiontap.sessions.conversations import Asking, Conversations
from sessiontap.sessions.ground import ground_of
from sessiontap.sessions.threads import conversation_id
from sessiontap.trace.restore import Head
from sessiontap.trace.views import WARM_UP

MOST_SET = 10_000
"""Calls in flight whose clock is remembered."""


class Planner:
    """Makes plans; remembers sessions and what replies issued. For the proxy's loop alone."""

    def __init__(self, environ: Mapping[str, str], faults: Faults) -> None:
        self.environ = environ
        self.faults = faults
        self.registry = Registry()
        self.conversations = Conversations()
        self._clock = SetClock()
        self._started = time.time_ns()
        self._set: BoundedDict[str, int] = BoundedDict(MOST_SET)
        """Calls that began after the clock was set -> by how much, until they have ended."""

    def restore(self, head: Head) -> None:
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
        connection, destination, request, call = context.connection, context.destination, context.request, context.call
        call_id, socket, upstream = context.id, context.socket, context.upstream
        begun = self._begun(call_id, context.time)
        peer = _peer(connection)
        app = headers.app_session(request.headers, destination.host)
        given = _given(app, call)
        upgrade = socket is None and opens_socket(request)
        begins: str | None = None
        if socket is not None and socket.is_fresh:
            begins = socket_conversation(call, socket.upgrade)
        elif upgrade and call.endpoint.operation != "other":
            begins = socket_conversation(call, call_id)
        asking: Asking | None = None

        def look(name: str, history: History) -> Asking:
            ground = ground_of(call.endpoint.family, connection.caller, peer, name, given)
            return self.conversations.find(ground, call, history, call_id, begun, begins=begins, upgrade=upgrade)

        history = context.history
        with self.faults.guard("conversations"):
            history = context.history or history_of(call)
            # Where the process is not known, the session's name is looked at, too, and that is yet to come.
            call = self._results_named(call, connection, peer, given)
            if connection.caller is not None:
                asking = look("", history)
                call = _as_told(call, asking.link)
        facts = replace(
            facts_of(connection, destination, request, call, context.time),
            client_is_local=peer.local is True,
            exposed=trust.why_exposed(upstream, destination.host),
        )
        decision, matched = decide(rules, facts, self.environ)
        if decision.ignore:
            return Plan(decision, Labels(), call)
        with self.faults.guard("conversations"):
            if asking is None and history is not None:
                asking = look(decision.name, history)
                call = _as_told(call, asking.link)
            if asking is not None:
                self.conversations.take(asking)
        link = asking.link if asking is not None else NO_LINK
        session = self.registry.assign(
            decision,
            app_id=app.id if app else None,
            app_name=app.name if app else None,
            call=call,
            caller=connection.caller,
            peer=peer,
            now=begun,
            counts=socket is None or socket.increments_step,
            taken=socket.reserved_session if socket is not None else None,
            conversation=link.root or (conversation_id(begins) if begins is not None else None),
            listens=_listens(decision, call, connection.caller),
        )
        labels = finish(matched, facts, SessionFacts(session.id, session.name, session.step), self.environ)
        gateway = None
        if (name := decision.gateway) is not None:
            named = matched.named_by(lambda rule: rule.gateway == name)
            why_not_client = trust.why_not_for(facts.client_is_local, named)
            gateway = self._way(context, rules, name, why_not_client)
            if isinstance(gateway, Route) and labels.at_gateway is not None:
                labels = labels.at_gateway
        if link.lineage and "session.path" not in labels.set_by:
            labels = replace(labels, path=agent_path(call.agent, call.endpoint.operation, link.lineage))
        if app and app.path and not (decision.existing == "replace" and "session.path" in labels.set_by):
            labels = replace(labels, path=app.path)
        routed = isinstance(gateway, Route)
        to = gateway.host if isinstance(gateway, Route) else destination.host
        if isinstance(gateway, Route):
            upstream = upstream.rerouted(gateway.scheme, gateway.host, gateway.port)
        named = matched.named_by(lambda rule: rule.sets_session)
        why_no_key = trust.why_not_for(facts.client_is_local, named) or trust.why_exposed(upstream, to)
        edits = headers.plan(
            decision=decision,
            labels=labels,
            session=session,
            link=link,
            headers=request.headers,
            target=request.target,
            host=to,
            provider=None if routed else destination.provider,
            proxy_env=self.environ,
            why_no_key=why_no_key,
            gateway=gateway.edits if isinstance(gateway, Route) else (),
        )
        return Plan(
            decision,
            labels,
            call,
            session,
            link,
            history,
            asking.ground if asking else None,
            edits,
            gateway,
            warnings=tuple(_warnings(decision, labels, gateway, edits)),
        )

    def knows_parent(self, context: CallContext) -> bool:
        """Whether it is already known for certain what a request goes on from."""
        connection, call, history = context.connection, context.call, context.history
        if call is None or history is None:
            return False
        given = _given(headers.app_session(context.request.headers, context.destination.host), call)
        ground = ground_of(call.endpoint.family, connection.caller, _peer(connection), "", given)
        return self.conversations.knows_parent(ground, call, history)

    def _results_named(self, call: Call, connection: Connection, peer: Peer, given: str | None) -> Call:
        """The call, with the names of the tools whose results it holds without them."""
        if not call.asked.results:
            return call
        ground = ground_of(call.endpoint.family, connection.caller, peer, "", given)
        return replace(call, asked=self.conversations.named(ground, call.asked))

    def _way(self, context: CallContext, rules: Rules, name: str, why_not_client: str | None) -> Route | Direct:
        """Return the way through the gateway `name`: a kind, or an item of the rules' `gateways:`."""
        request, destination = context.request, context.destination
        item = rules.gateways.get(name)
        return gateways.plan(
            item.kind if item else name,
            scheme=request.scheme,
            host=destination.host,
            port=request.port,
            headers=request.headers,
            provider=destination.provider,
            url=item.url if item else None,
            key=item.key_from(self.environ) if item else None,
            proxy_env=self.environ,
            signed=headers.signed_headers(request.headers, request.target),
            upstream=context.upstream,
            why_not_client=why_not_client,
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
        self.conversations.reply(update.call_id, update.ending, at, update.trace_id)

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
) -> Facts:
    """What the rules may look at; before any request, what is known of the connection."""
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
    )


def _peer(connection: Connection) -> Peer:
    proxy = connection.proxy[0] if connection.proxy else None
    local = trust.is_local(connection.client_ip, proxy, connection.caller is not None)
    return Peer(connection.id, connection.client_ip, connection.proxy_user, local)


def _warnings(
    decision: Decision, labels: Labels, gateway: Route | Direct | None, edits: Iterable[Edit]
) -> Iterator[str]:
    """What is to be said of a plan. Equal for calls of one kind, so that it is said once."""
    withheld = (*decision.withheld, *labels.withheld)
    yield from map(str, withheld)
    if isinstance(gateway, Direct):
        yield gateway.reason
    elif gateway is not None:
        yield from gateway.notes
    for edit in edits:
        if edit.action == "withhold" and edit.header == headers.KEY_HEADER and not withheld:
            yield f"{edit.header} is withheld from Helicone: {edit.rule}"


def _given(app: AppSession | None, call: Call) -> str | None:
    """The session id that the app itself sent, else its agent."""
    return app.id if app and app.id else call.agent.session if call.agent else None


def _listens(decision: Decision, call: Call, caller: Caller | None) -> bool | None:
    """Whether the process is a server: asked only where the id ladder wants to know."""
    native = call.agent is not None and call.agent.session is not None
    if native or caller is None or all(rung.source != "auto" for rung in decision.ladder):
        return None
    return listens(caller)


def _as_told(call: Call, link: Link) -> Call:
    """The call, with what its link tells of its agent where that says less."""
    agent = call.agent
    if agent is not None and link.session is not None:
        agent = replace(agent, session=link.session)
    typed = agent is not None and agent.subagent is not None and agent.subagent not in KINDLESS
    inferred = link.lineage[-1] if link.lineage and not typed else None
    return replace(call, agent=agent, inferred=inferred) if inferred or agent is not call.agent else call


def opens_socket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return (request.headers.get("upgrade") or "").strip().lower() == "websocket"


def socket_conversation(call: Call, upgrade: str) -> str:
    """What the first conversation on a WebSocket is named by: the server is told of it in the upgrade."""
    return f"{call.endpoint.provider or '-'} socket {upgrade}"
