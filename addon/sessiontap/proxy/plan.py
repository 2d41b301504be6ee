"""One call's plan: facts -> decision -> session -> headers -> route, each room asked in turn. Knows no mitmproxy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sessiontap import gateways, headers, trust
from sessiontap.bounded import BoundedDict
from sessiontap.callers import Caller, listens
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.headers import AppSession, Edit
from sessiontap.llm.agents import KINDLESS
from sessiontap.llm.bounded import is_too_long, readable
from sessiontap.llm.call import Asked, Call
from sessiontap.llm.decode import decode
from sessiontap.llm.history import History, history
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.set_clock import SetClock
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import Decision, Facts, Labels, Rules, SessionFacts, decide, finish
from sessiontap.sessions import Link, Peer, Registry, Session
from sessiontap.sessions.agent_path import agent_path
from sessiontap.sessions.conversations import Asking, Conversations
from sessiontap.sessions.ground import Ground, ground_of
from sessiontap.sessions.threads import conversation_id
from sessiontap.trace.restore import Head
from sessiontap.trace.views import WARM_UP
from sessiontap.trust import Upstream

NO_LINK = Link()


class OnSocket(NamedTuple):
    """A WebSocket that a call is a turn of."""

    upgrade: str
    """Its upgrade's call id."""
    fresh: bool
    """The conversation that the upgrade was told of has not begun yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a call, and why. `session` is None only where the call is ignored."""

    decision: Decision
    labels: Labels
    call: Call
    """The call, with what its conversation tells of it."""
    session: Session | None = None
    link: Link = NO_LINK
    history: History | None = None
    ground: Ground | None = None
    edits: tuple[Edit, ...] = ()
    """Of the request's headers, the gateway's own among them."""
    gateway: Route | Direct | None = None
    """Where a rule wished a gateway: the way there, or why the call goes to its own host."""
    reply_edits: tuple[Edit, ...] = ()
    """Of the response's headers, once it has come."""
    warnings: tuple[str, ...] = ()
    """What the user should be told, once: keys that were withheld, calls that did not go to their gateway."""

    def summary(self) -> dict[str, Any]:
        """The plan in plain values, for mitmproxy's flow metadata."""
        assert self.session is not None
        return {
            "session_id": self.session.id,
            "session_name": self.session.name,
            "path": self.labels.path,
            "step": self.session.step,
            "source": self.session.source,
            "rules": list(dict.fromkeys((*self.decision.rules, *self.labels.rules))),
        }


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

    def plan(
        self,
        rules: Rules,
        connection: Connection,
        there: Destination,
        request: Request,
        call: Call,
        call_id: str,
        now: int,
        *,
        counts: bool = True,
        taken: Session | None = None,
        on: OnSocket | None = None,
        past: History | None = None,
        upstream: Upstream = trust.UNKNOWN,
    ) -> Plan:
        """The plan of a call that begins `now` (Unix nanoseconds). For `counts` and `taken` see `Registry.assign`; `on`
        is the WebSocket that it is a turn of, `past` the history in it where it was looked at before. `upstream` is how
        the call travels to its own host."""
        begun = self._begun(call_id, now)
        peer = _peer(connection)
        app = headers.app_session(request.headers, there.host)
        given = _given(app, call)
        upgrade = on is None and opens_socket(request)
        begins: str | None = None
        if on is not None and on.fresh:
            begins = socket_conversation(call, on.upgrade)
        elif upgrade and call.endpoint.operation != "other":
            begins = socket_conversation(call, call_id)
        asking: Asking | None = None

        def look(name: str, past: History) -> Asking:
            ground = ground_of(call.endpoint.family, connection.caller, peer, name, given)
            return self.conversations.find(ground, call, past, call_id, begun, begins=begins, upgrade=upgrade)

        with self.faults.guard("conversations"):
            past = past or history_of(call)
            # Where the process is not known, the session's name is looked at, too, and that is yet to come.
            call = self._results_named(call, connection, peer, given)
            if connection.caller is not None:
                asking = look("", past)
                call = _as_told(call, asking.link)
        facts = replace(
            facts_of(connection, there, request, call, now),
            client_is_local=peer.local is True,
            exposed=trust.why_exposed(upstream, there.host),
        )
        decision, matched = decide(rules, facts, self.environ)
        if decision.ignore:
            return Plan(decision, Labels(), call)
        with self.faults.guard("conversations"):
            if asking is None and past is not None:
                asking = look(decision.name, past)
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
            counts=counts,
            taken=taken,
            conversation=link.root or (conversation_id(begins) if begins is not None else None),
            listens=_listens(decision, call, connection.caller),
        )
        labels = finish(matched, facts, SessionFacts(session.id, session.name, session.step), self.environ)
        gateway = None
        if (name := decision.gateway) is not None:
            named = matched.named_by(lambda rule: rule.gateway == name)
            why_not_client = trust.why_not_for(facts.client_is_local, named)
            gateway = self._way(rules, name, request, there, upstream, why_not_client)
            if isinstance(gateway, Route) and labels.at_gateway is not None:
                labels = labels.at_gateway
        if link.lineage and "session.path" not in labels.set_by:
            labels = replace(labels, path=agent_path(call.agent, call.endpoint.operation, link.lineage))
        if app and app.path and not (decision.existing == "replace" and "session.path" in labels.set_by):
            labels = replace(labels, path=app.path)
        routed = isinstance(gateway, Route)
        to = gateway.host if isinstance(gateway, Route) else there.host
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
            provider=None if routed else there.provider,
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
            past,
            asking.ground if asking else None,
            edits,
            gateway,
            warnings=tuple(_warnings(decision, labels, gateway, edits)),
        )

    def knows_parent(
        self, connection: Connection, there: Destination, request: Request, call: Call, past: History
    ) -> bool:
        """Whether it is already known for certain what a request goes on from."""
        given = _given(headers.app_session(request.headers, there.host), call)
        ground = ground_of(call.endpoint.family, connection.caller, _peer(connection), "", given)
        return self.conversations.knows_parent(ground, call, past)

    def _results_named(self, call: Call, connection: Connection, peer: Peer, given: str | None) -> Call:
        """The call, with the names of the tools whose results it holds without them."""
        if not call.asked.results:
            return call
        ground = ground_of(call.endpoint.family, connection.caller, peer, "", given)
        return replace(call, asked=self.conversations.named(ground, call.asked))

    def _way(
        self,
        rules: Rules,
        name: str,
        request: Request,
        there: Destination,
        upstream: Upstream,
        why_not_client: str | None,
    ) -> Route | Direct:
        """The way through the gateway `name`: a kind, or an item of the rules' `gateways:`."""
        item = rules.gateways.get(name)
        return gateways.plan(
            item.kind if item else name,
            scheme=request.scheme,
            host=there.host,
            port=request.port,
            headers=request.headers,
            provider=there.provider,
            url=item.url if item else None,
            key=item.key_from(self.environ) if item else None,
            proxy_env=self.environ,
            signed=headers.signed_headers(request.headers, request.target),
            upstream=upstream,
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
    there: Destination,
    request: Request | None = None,
    call: Call | None = None,
    now: int | None = None,
) -> Facts:
    """What the rules may look at; before any request, what is known of the connection."""
    return Facts(
        host=there.host,
        caller=connection.caller,
        is_remote=connection.is_remote,
        client_ip=connection.client_ip,
        proxy_user=connection.proxy_user,
        provider=there.provider,
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


TOO_LARGE = "the request is too large to be read in full"
TOO_LONG = "the request's conversation is too long to be followed"


def read(request: Request, there: Destination, wire: bytes | None) -> tuple[Request, Call, str | None]:
    """The request with its body decoded, what it asks for, and what was wrong with its encoding.

    Of a body that is too large, or whose encoding stands for too much, only a part is read: see `Call.partial`.
    """
    problem, is_beyond = None, False
    if wire is not None:
        decoded = decode(wire, request.headers.get("content-encoding"))
        is_beyond, problem = decoded.beyond, decoded.problem
        request = replace(request, body=None if is_beyond else decoded.data)
    endpoint = endpoint_of(request.method, there.host, request.path, there.provider, operation=there.operation)
    part = readable(request)
    call = read_request(part or request, endpoint)
    if part is not None or is_beyond:
        call = replace(call, partial=True, asked=_with_problem(call, TOO_LARGE))
    elif is_too_long(call):
        call = replace(call, asked=_with_problem(call, TOO_LONG))
    return request, call, problem


def history_of(call: Call) -> History:
    """The conversation so far; an empty one where it is too long to be followed."""
    return History() if call.partial or is_too_long(call) else history(call)


def _with_problem(call: Call, problem: str) -> Asked:
    return replace(call.asked, problems=(problem, *call.asked.problems))
