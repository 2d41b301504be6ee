"""One call's plan: facts -> decision -> session -> headers -> route, each room asked in turn. Knows no mitmproxy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sessiontap import gateways, headers
from sessiontap.callers import Caller, listens
from sessiontap.exchange import Headers, Request
from sessiontap.gateways import Direct, Route
from sessiontap.headers import Edit
from sessiontap.llm.call import Call
from sessiontap.llm.decode import decode
from sessiontap.llm.history import Ending, History, history
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.proxy.connections import Connection, Destination, is_local
from sessiontap.proxy.faults import Faults
from sessiontap.rules import Decision, Facts, Labels, Rules, SessionFacts, decide, finish
from sessiontap.sessions import Link, Peer, Registry, Session
from sessiontap.sessions.agent_path import agent_path
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.ground import Ground, ground_of
from sessiontap.trace.record import WARM_UP
from sessiontap.trace.restore import Head

NO_LINK = Link()
MOST_WARM_UPS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a call, and why. `session` is None only where the call is ignored."""

    decision: Decision
    labels: Labels
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


class Planner:
    """Makes plans; remembers sessions and what replies issued. For the proxy's loop alone."""

    def __init__(self, environ: Mapping[str, str], faults: Faults) -> None:
        self.environ = environ
        self.faults = faults
        self.registry = Registry()
        self.conversations = Conversations()
        self._warm_ups: OrderedDict[str, Link] = OrderedDict()
        """A warm-up's id -> its link: what goes on from it hangs where it hung, since it is listed nowhere."""

    def restore(self, head: Head) -> None:
        """Take over a recorded call."""
        session = head.session
        if not session:
            return
        if session["step"] is not None:  # else it was not counted
            ended = head.time + (head.duration or 0)
            self.registry.restore(session["id"], session["name"], session["step"], ended, session.get("key"))
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
            self.conversations.restore(head.id, at, link, head.link, head.response_id, head.tool_call_ids)
            if WARM_UP in head.flags:
                self._remember_warm_up(head.id, link)

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
    ) -> Plan:
        """The plan of a call that begins `now` (Unix nanoseconds). For `counts` and `taken` see `Registry.assign`."""
        facts = Facts(
            host=there.host,
            caller=connection.caller,
            client_ip=connection.client_ip,
            proxy_user=connection.proxy_user,
            provider=there.provider,
            request=request,
            call=call,
            time=now,
        )
        decision, matched = decide(rules, facts, self.environ)
        if decision.ignore:
            return Plan(decision, Labels())
        local = is_local(connection.client_ip, connection.proxy[0] if connection.proxy else None)
        app = headers.app_session(request.headers, there.host)
        peer = Peer(connection.id, connection.client_ip, connection.proxy_user, local)
        link, past, ground = NO_LINK, None, None
        with self.faults.guard("conversations"):
            past = history(call)
            given = app.id if app and app.id else call.agent.session if call.agent else None
            ground = ground_of(call.endpoint.family, connection.caller, peer, decision.name, given)
            link = self.conversations.ask(ground, call, past, call_id, now)
            before = self._warm_ups.get(link.parent or "")
            if before is not None:
                link = replace(before, conversation=link.conversation, root=link.root, lineage=link.lineage)
            if not counts:
                self._remember_warm_up(call_id, link)
        session = self.registry.assign(
            decision,
            app_id=app.id if app else None,
            app_name=app.name if app else None,
            call=call,
            caller=connection.caller,
            peer=peer,
            now=now,
            counts=counts,
            taken=taken,
            conversation=link.root,
            listens=_listens(decision, call, connection.caller),
        )
        labels = finish(matched, facts, SessionFacts(session.id, session.name, session.step), self.environ)
        # The proxy's own keys are for clients on this machine, and for those that a rule names.
        trusted = local or any(rule.names_clients for rule, _ in matched.rules)
        gateway = None
        if decision.gateway is not None:
            gateway = self._way(rules, decision.gateway, request, there, trusted)
            if isinstance(gateway, Route) and labels.at_gateway is not None:
                labels = labels.at_gateway
        if link.lineage and "session.path" not in labels.set_by:
            labels = replace(labels, path=agent_path(call.agent, call.endpoint.operation, link.lineage))
        if app and app.path and not (decision.existing == "replace" and "session.path" in labels.set_by):
            labels = replace(labels, path=app.path)
        routed = isinstance(gateway, Route)
        edits = headers.plan(
            decision=decision,
            labels=labels,
            session=session,
            link=link,
            headers=request.headers,
            target=request.target,
            scheme=gateway.scheme if isinstance(gateway, Route) else request.scheme,
            host=gateway.host if isinstance(gateway, Route) else there.host,
            provider=None if routed else there.provider,
            proxy_env=self.environ,
            client_is_local=trusted,
            gateway=gateway.edits if isinstance(gateway, Route) else (),
        )
        return Plan(decision, labels, session, link, past, ground, edits, gateway)

    def _way(
        self, rules: Rules, name: str, request: Request, there: Destination, trusted: bool
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
            client_is_local=trusted,
        )

    def _remember_warm_up(self, call_id: str, link: Link) -> None:
        self._warm_ups[call_id] = link
        while len(self._warm_ups) > MOST_WARM_UPS:
            self._warm_ups.popitem(last=False)

    def plan_reply(self, plan: Plan, reply: Headers, call_id: str) -> Plan:
        """The plan with what the app is told in the response's headers."""
        if plan.session is None:
            return plan
        edits = headers.reply_plan(plan.edits, reply, session=plan.session, call_id=call_id)
        return replace(plan, reply_edits=edits) if edits else plan

    def ended(self, left: Left) -> None:
        """A call ended, and its reply, if any, has been read."""
        if left.session_id is not None:
            self.registry.ended(left.session_id, left.at)
        self.conversations.reply(left.call_id, left.ending, left.at, left.trace_id)


@dataclass(frozen=True, slots=True)
class Left:
    """What a call that ended leaves for later ones."""

    call_id: str
    session_id: str | None
    at: int
    """When it ended, Unix nanoseconds."""
    ending: Ending | None
    trace_id: str | None
    """The server's own name for the call."""


def _listens(decision: Decision, call: Call, caller: Caller | None) -> bool | None:
    """Whether the process is a server: asked only where the id ladder wants to know."""
    native = call.agent is not None and call.agent.session is not None
    if native or caller is None or all(rung.source != "auto" for rung in decision.ladder):
        return None
    return listens(caller)


def goes_on(call: Call) -> bool:
    """Whether a request may go on from an earlier reply: it names one, or holds more than an opening."""
    asked = call.asked
    if asked.previous or asked.answered:
        return True
    body = call.json
    messages = body.get("messages") or body.get("input") or body.get("contents") if isinstance(body, dict) else None
    return isinstance(messages, list) and len(messages) > 2


def read(request: Request, there: Destination, wire: bytes | None) -> tuple[Request, Call, str | None]:
    """The request with its body decoded, what it asks for, and what was wrong with its encoding."""
    problem = None
    if wire is not None:
        decoded = decode(wire, request.headers.get("content-encoding"))
        request, problem = replace(request, body=decoded.data), decoded.problem
    endpoint = endpoint_of(request.method, there.host, request.path, there.provider, operation=there.operation)
    return request, read_request(request, endpoint), problem
