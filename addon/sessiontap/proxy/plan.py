"""Plan a call: facts -> decision -> session -> headers -> route, each package asked in turn. Asks mitmproxy nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import msgspec

from sessiontap import gateways, headers, trust
from sessiontap.callers import Caller, listens
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.gateways.breaker import Breakers, GatewayAddress
from sessiontap.gateways.failing_open import GatewayUse, why_skipped
from sessiontap.headers import AppSession, Edit, OutgoingCall
from sessiontap.limits.shared import CountAhead
from sessiontap.llm.agents import UNTYPED_WORDS
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.call_context import NO_LINK, CallContext, Fallback, Plan
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.prepare import Client, history_of
from sessiontap.proxy.set_clock import SetClock
from sessiontap.recording.finished import PlannerUpdate
from sessiontap.rules import Decision, Facts, FilledSettings, Matched, Rules, SessionFacts, decide, finish
from sessiontap.rules.gateway_items import gateway_call, gateway_kind
from sessiontap.sessions import Link, Registry, Session, agent_path, session_evidence
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.declared import conversation_id
from sessiontap.sessions.joined import JoinedConversations, JoinedSession
from sessiontap.sessions.links import LinkedCall
from sessiontap.sessions.shared_calls import SharedCall, evidence_keys
from sessiontap.sessions.store import SessionStore, WantedSession, wanted_session
from sessiontap.trace.outcomes import LOCAL_STEP, WARM_UP
from sessiontap.trace.restore import RestorableCall
from sessiontap.value_classes import dataclass

_NOT_KNOWN = trust.why_exposed(trust.UNKNOWN, "")

LOOK_AGAIN_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3)
"""Pauses until a store is asked, behind a call, whether another proxy has read the reply that it goes on from."""
_COUNTING = ("limit", "alert")
"""Keys of rules whose values are thresholds."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A call as it is decided before its session is known."""

    context: CallContext
    rules: Rules
    client: Client
    call: Call
    """With what its conversation tells of it."""
    history: History | None
    begun: int
    facts: Facts
    decision: Decision
    matched: Matched
    exposed: str | None
    found: LinkedCall | None
    """None after a fault of ours, and if a rule ignores the call."""

    @property
    def link(self) -> Link:
        return self.found.link if self.found is not None else NO_LINK


class Planner:
    """Makes plans; remembers sessions and what replies issued. For one thread: the proxy's loop, or a backtest."""

    def __init__(
        self, environ: Mapping[str, str], faults: Faults, listens: Callable[[Caller], bool | None] = listens
    ) -> None:
        """`listens` tells if a process is a server."""
        self.environ = environ
        self.faults = faults
        self._listens = listens
        self.registry = Registry()
        self.store: SessionStore = self.registry
        """Where sessions are remembered: here, or with other proxies."""
        self.conversations = Conversations()
        self.joined = JoinedConversations()
        self.breakers = Breakers(time.monotonic)
        self._clock = SetClock()
        self._started = time.time_ns()

    def restore(self, head: RestorableCall) -> None:
        """Take over a recorded call."""
        session = head.session
        if not session:
            return
        name, step = session.get("name"), session.get("step")
        if name is not None and step is not None:  # else it was not counted
            ended = min(head.time + (head.duration or 0), self._started)  # else the clock was set back meanwhile
            step = -1 if LOCAL_STEP in head.flags else step
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
            if session.get("source") == "join":
                key = session.get("key") or session["id"]
                self.joined.restore(link, JoinedSession(key, session.get("rank") or 0, head.time))
            at = head.time + (head.duration or 0)
            warm_up = WARM_UP in head.flags
            given = session["id"] if session.get("source") in ("app", "native") else None
            self.conversations.restore(
                head.id, at, link, head.link, head.response_id, head.tools, warm_up=warm_up, session=given
            )

    def plan(self, context: CallContext, rules: Rules) -> Plan:
        """Return the plan of a call whose request was read, by what this process remembers. Remembers the call, but
        not if a rule ignores it."""
        draft = self._draft(context, rules)
        if draft.decision.ignore:
            return Plan(draft.decision, FilledSettings(), draft.call)
        return self._finish(draft, self.store.assign(self._wanted(draft)))

    async def plan_shared(
        self, context: CallContext, rules: Rules, ahead: Callable[[Plan], CountAhead | None] | None = None
    ) -> Plan:
        """As `plan`, by what all proxies remember that share a store. It is asked once.

        `ahead` returns what is to be counted of a call with a limit. It is given the plan as it is if the store knows
        no more than this process.

        The store's answer may show that the call belongs to another conversation, and so to another session, than this
        process took it for. The store looks for that itself, and takes the step there. If the call still turns out to
        belong elsewhere, the step is released, and it gets one by what this process knows.
        """
        draft = self._draft(context, rules)
        if draft.decision.ignore:
            return Plan(draft.decision, FilledSettings(), draft.call)
        wanted = self._wanted(draft)
        keys = evidence_keys(draft.found) if draft.found is not None else []
        counts = ahead is not None and "limit" in draft.decision.more
        asks = partial(self._ahead, draft, ahead) if counts and ahead is not None else None
        session, key, calls = await self.store.begin(wanted, keys, follows=_follows(draft, wanted), ahead=asks)
        if calls:
            self._take_in(calls)
            draft = self._draft(context, rules)
            if draft.decision.ignore:
                if wanted.increments_step and wanted.reserved is None:
                    self.store.release(session, context.id)
                return Plan(draft.decision, FilledSettings(), draft.call)
            wanted = self._wanted(draft)
        if key == wanted.id:
            session = wanted.session(session.id, session.name, session.step, is_local=session.is_local)
        else:
            session = self.store.instead(wanted, session, is_own=_is_own(draft, wanted))
        if draft.found is not None and _lacks_reply(draft.found, calls):
            context.awaits_reply = draft.found
        return self._finish(draft, session)

    def _ahead(self, draft: _Draft, ahead: Callable[[Plan], CountAhead | None], session: Session) -> CountAhead | None:
        filled = FilledSettings()
        if any(one.per in ("user", "branch") for key in _COUNTING for one in draft.decision.more.get(key, ())):
            filled = self.fill(draft.matched, draft.facts, SessionFacts(session.id, session.name, session.step))
            filled = self._with_path(draft, filled.at_gateway or filled)
        return ahead(Plan(draft.decision, filled, draft.call, session, draft.link, draft.history))

    async def look_again(self, context: CallContext) -> None:
        """Find the link of a call again, behind its back, when another proxy has read the reply that it may go on from.
        Its record then has the right parent; its session is the one that was sent."""
        for pause in LOOK_AGAIN_SECONDS:
            await asyncio.sleep(pause)
            if (found := context.awaits_reply) is None:
                return
            calls = await self.store.look(evidence_keys(found))
            self._take_in(calls)
            if context.awaits_reply is None:
                return
            with self.faults.guard("conversations"):
                linked = self.conversations.find_again(found, Client.of(context).conversation_key)
                if not _lacks_reply(linked, calls):
                    self._relink(context, linked)
                    return

    def _relink(self, context: CallContext, linked: LinkedCall) -> None:
        plan, context.awaits_reply = context.plan, None
        if plan is None or plan.session is None:
            return
        before, link = plan.link, linked.link
        if link.parent == before.parent:  # it is a child of that one already
            link = replace(before, evidence=link.evidence, parent_trace=link.parent_trace)
        if link != before:
            self.conversations.relink(replace(linked, link=link))
            context.plan = replace(plan, link=link)
            self._share(context.id, plan.session)

    def _draft(self, context: CallContext, rules: Rules) -> _Draft:
        """Return the call as it is decided before its session is known. Remembers nothing."""
        assert context.call is not None
        call, history, connection = context.call, context.history, context.connection
        client = Client.of(context)
        begun = self._clock.begun(context.id, context.time)
        found: LinkedCall | None = None
        with self.faults.guard("conversations"):
            history = history or history_of(call)
            call = self._results_named(call, context, client)
            # If the process is not known, the session's name is compared, too, and that is yet to come.
            if connection.caller is not None:
                found = self.find_link(context, client, call, history, begun)
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
        decision, matched = self.decide(rules, facts)
        if not decision.ignore:
            with self.faults.guard("conversations"):
                if found is None and history is not None:
                    found = self.find_link(context, client, call, history, begun, decision.name)
                    call = _as_told(call, found.link)
        return _Draft(context, rules, client, call, history, begun, facts, decision, matched, exposed, found)

    def _finish(self, draft: _Draft, session: Session) -> Plan:
        """Return the plan of a call whose session is known, and remember the call."""
        context, rules, client, call = draft.context, draft.rules, draft.client, draft.call
        decision, matched, link = draft.decision, draft.matched, draft.link
        with self.faults.guard("conversations"):
            if draft.found is not None:
                self.conversations.remember(draft.found)
                self._share(context.id, session)
        self.joined.note(link, session, draft.begun)
        filled = self.fill(matched, draft.facts, SessionFacts(session.id, session.name, session.step))

        def written(gateway: Route | Direct | None) -> Fallback:
            """The settings and edits of the call on this way."""
            found = self._with_path(draft, filled.at_gateway or filled if isinstance(gateway, Route) else filled)
            outgoing = self._outgoing(context, client, rules, matched, gateway, draft.exposed)
            return Fallback(found, headers.plan(decision, found, session, link, outgoing))

        gateway = self._gateway(context, rules, decision, matched, client, session)
        warned, use = gateway, None
        if isinstance(gateway, Route) and context.socket is None:
            use = _use(gateway, decision, rules)
            if use.fail_open and not self.breakers.admits(use.gateway):
                gateway, warned, use = Direct(why_skipped(use)), None, None  # its breaker was told of when it opened
        written_settings, edits = written(gateway)
        return Plan(
            decision,
            written_settings,
            call,
            session,
            link,
            draft.history,
            draft.found.scope if draft.found else None,
            edits,
            gateway,
            use,
            written(None) if use is not None and use.fail_open else None,
            warnings=tuple(_warnings(decision, written_settings, warned, edits)),
        )

    def _with_path(self, draft: _Draft, filled: FilledSettings) -> FilledSettings:
        path = _path(filled, draft.decision, draft.call, draft.link, draft.client.app)
        return filled if path == filled.path else replace(filled, path=path)

    def _take_in(self, calls: Iterable[SharedCall]) -> None:
        """Take in calls that other proxies told of."""
        for call in calls:
            with self.faults.guard("conversations"):
                self.conversations.take_in(call)
                if call.rank is not None:
                    link = Link(call.conversation, root=call.root)
                    self.joined.restore(link, JoinedSession(call.session_key, call.rank, call.at))

    def _share(self, call_id: str, session: Session) -> None:
        """Tell other proxies of a call that begins."""
        if self.store.is_shared and (call := self.conversations.shared(call_id)) is not None:
            rank = session.rank if session.source == "join" else None
            self.store.remember(msgspec.structs.replace(call, session_key=session.key or session.id, rank=rank))

    def decide(self, rules: Rules, facts: Facts) -> tuple[Decision, Matched]:
        """Return what the rules say before the session is known."""
        return decide(rules, facts, self.environ)

    def fill(self, matched: Matched, facts: Facts, session: SessionFacts) -> FilledSettings:
        """Return what they say once it is."""
        return finish(matched, facts, session, self.environ)

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

    def find_link(
        self, context: CallContext, client: Client, call: Call, history: History, begun: int, name: str = ""
    ) -> LinkedCall:
        """Find the conversation of a call and its place in it; `name` is the session's if it is compared."""
        scope, key = client.scope(context, name), client.conversation_key
        return self.conversations.find_link(
            scope, call, history, context.id, begun, conversation_key=key, upgrade=client.is_upgrade
        )

    def _wanted(self, draft: _Draft) -> WantedSession:
        context, client, call, decision = draft.context, draft.client, draft.call, draft.decision
        socket, app, caller, key = context.socket, client.app, context.connection.caller, client.conversation_key
        link = draft.link
        evidence = session_evidence(
            decision,
            app_id=app.id if app else None,
            agent=call.agent,
            caller=caller,
            connection=client.peer,
            conversation=link.root or (conversation_id(key) if key is not None else None),
            is_server=self._is_server(decision, call, caller),
            joined=self.joined.session_of(link),
        )
        return wanted_session(
            decision,
            evidence,
            app_name=app.name if app else None,
            now=draft.begun,
            increments_step=socket is None or socket.increments_step,
            reserved_session=socket.reserved_session if socket is not None else None,
            call=context.id,
        )

    def _is_server(self, decision: Decision, call: Call, caller: Caller | None) -> bool | None:
        """Return True if the process is a server; None if the id sources do not ask."""
        native = call.agent is not None and call.agent.session is not None
        if native or caller is None or all(source.kind != "auto" for source in decision.id_sources):
            return None
        return self._listens(caller)

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
            gateway_call(rules.gateways, name, matched.known, facts, self.environ),
            signed=bool(headers.signed_headers(request.headers, request.target)),
            upstream=context.upstream,
            why_not_client=trust.why_not_for(client.peer.local is True, named),
        )
        return gateways.plan(gateway_kind(rules.gateways, name), call)

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

    def note_end(self, call_id: str) -> None:
        """Note that a call was answered, and that its reply is yet to be read."""
        self.conversations.note_end(call_id)
        self.store.answered(call_id)

    def update(self, update: PlannerUpdate) -> None:
        """Take in a call that ended; its reply, if any, has been read."""
        at = self._clock.ended(update.call_id, update.at)
        self.conversations.note_reply(update.call_id, update.ending, at, update.trace_id)
        call = self.conversations.shared(update.call_id, update.ending) if self.store.is_shared else None
        if update.session_id is not None:
            self.store.ended(update.session_id, at, call)
        elif call is not None:
            self.store.remember(call)


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


def _lacks_reply(linked: LinkedCall, calls: Iterable[SharedCall]) -> bool:
    """Return True if another proxy may be reading the reply that a call goes on from: its history holds one to a
    request whose reply is not read, or it names one that is not known."""
    before = set(linked.history.chain[1:-1])
    if any(call.state in ("open", "unread") and call.request_chain in before for call in calls):
        return True
    return bool(linked.call.asked.previous) and linked.link.evidence != "exact"


def _is_own(draft: _Draft, wanted: WantedSession) -> bool:
    """Return True if a call begins a session that follows from its own id, so that nobody else can know it."""
    link = draft.link
    own = link.parent is None and link.root == conversation_id(f"call {draft.context.id}")
    return own and wanted.evidence.source == "conversation"


def _follows(draft: _Draft, wanted: WantedSession) -> bool:
    """Return True if the call's session is that of its conversation, which others may know better."""
    evidence, agent = wanted.evidence, draft.call.agent
    if evidence.source == "conversation" or (agent is not None and agent.of_run):
        return True
    joins = any(source.kind == "join" for source in draft.decision.id_sources)
    return joins and evidence.source != "app" and (evidence.source != "join" or bool(evidence.rank))


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
    decision: Decision, filled: FilledSettings, gateway: Route | Direct | None, edits: Iterable[Edit]
) -> Iterator[str]:
    """The sentences that a user is told of a plan. They are equal for calls of one kind, so that each is said once."""
    withheld = (*decision.withheld, *filled.withheld)
    yield from map(str, withheld)
    if isinstance(gateway, Direct):
        yield gateway.reason
    elif gateway is not None:
        yield from gateway.notes
    for edit in edits:
        key = headers.OWN_KEYS.get(edit.header)
        if key is not None and edit.action == "withhold" and not withheld:
            yield f"{edit.header} is withheld from {key.server}: {edit.rule}"


def _path(filled: FilledSettings, decision: Decision, call: Call, link: Link, app: AppSession | None) -> str:
    """Return the session path: the app's own unless a rule replaces it, else a rule's, else the agent's place."""
    is_set = "session.path" in filled.set_by
    if app and app.path and not (decision.existing == "replace" and is_set):
        return app.path
    if link.lineage and not is_set:
        return agent_path(call.agent, call.endpoint.operation, link.lineage)
    return filled.path


def _as_told(call: Call, link: Link) -> Call:
    """Return the call, with its agent completed from its link."""
    agent = call.agent
    if agent is not None and link.session is not None:
        agent = replace(agent, session=link.session)
    typed = agent is not None and agent.subagent is not None and agent.subagent not in UNTYPED_WORDS
    inferred = link.lineage[-1] if link.lineage and not typed else None
    return replace(call, agent=agent, inferred=inferred) if inferred or agent is not call.agent else call
