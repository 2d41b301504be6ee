"""The addon: mitmproxy's hooks, each a few lines around a function of another module.

Every hook runs under a guard: a fault of ours is counted and told, and the call goes through as the app sent it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from dataclasses import replace

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer, server_hooks

from sessiontap.faults import Faults
from sessiontap.llm.routes import asks_once
from sessiontap.proxy import bodies, finish, flows, own_address, page_port
from sessiontap.proxy.call_context import CallContext, Plan
from sessiontap.proxy.connections import Connection, Destination, destinations
from sessiontap.proxy.failover import Failover
from sessiontap.proxy.gateway_stream import GatewayAttempt
from sessiontap.proxy.interception import Interception
from sessiontap.proxy.own_answers import Answers
from sessiontap.proxy.passed import Why
from sessiontap.proxy.plan import facts_of
from sessiontap.proxy.release import release_at_end
from sessiontap.proxy.service import Service
from sessiontap.proxy.sockets import Socket, how_closed
from sessiontap.proxy.upstream import is_for_the_proxy, is_verified, upstream_of
from sessiontap.recording.finished import Outcome
from sessiontap.rules import Rules
from sessiontap.sessions.session import call_id

logger = logging.getLogger("sessiontap")


class Tap:
    """One object for the life of the process: a reload of the entry script finds it, and its state, again."""

    name = "sessiontap"

    def __init__(self) -> None:
        self.faults = Faults()
        self.service = Service(self.faults)
        self.calls, self.notices = self.service.calls, self.service.notices
        self.in_flight: dict[str, CallContext] = {}
        self.sockets: dict[str, Socket] = {}
        self.closed_sockets: list[Socket] = []
        """The last one, and those with turns that wait to be decided."""
        self.failover = Failover(self.service.planner.breakers, self.notices, self.faults)
        self.interception = Interception(self.service, self._attempt_of)
        self.answers = Answers(self.service, self.in_flight, self.sockets, self.interception.passed)

    # -- the addon's life ----------------------------------------------------------------------------------------------

    def load(self, loader: Loader) -> None:
        self.service.register(loader)

    def configure(self, updated: set[str]) -> None:
        self.service.configure(updated)

    def running(self) -> None:
        with self.faults.guard("start"):
            self.service.running()

    def done(self) -> None:
        with self.faults.guard("stop"):
            if ctx.master.should_exit.is_set():
                self._cut_all()
        with self.faults.guard("stop"):
            self.service.done()

    def _cut_all(self) -> None:
        """The proxy ends: calls under way are cut, by nobody but the proxy."""
        for socket in self.closed_sockets:
            socket.decide_rest()
        for socket in self.sockets.values():
            socket.stopped(time.perf_counter_ns())
        self.sockets.clear()
        for context in list(self.in_flight.values()):
            if context.flow is not None:
                context.flags.append("proxy_stopped")
                self._end(context.flow, "proxy_stopped")

    # -- connections ---------------------------------------------------------------------------------------------------

    async def client_connected(self, client: connection.Client) -> None:
        await self.service.current_rules()  # whether to intercept is decided before any request
        with self.faults.guard("caller look-up"):
            await self._connection(client)
        with self.faults.guard("server that speaks first"):
            self.interception.await_greeting(client, in_tunnel=False)

    async def _connection(self, client: connection.Client) -> Connection:
        connections, names = self.service.connections, self.service.rules.env_names
        known = connections.open.get(client.id)
        if known is None:
            ends = flows.address_of(client.peername), flows.address_of(client.sockname)
            return await connections.opened(client.id, *ends, names)
        if not names <= known.env_names:
            await connections.look_up(known, names)
        return known

    async def client_disconnected(self, client: connection.Client) -> None:
        with self.faults.guard("clients that have gone"):
            await self.interception.when_answered(client)
        with self.faults.guard("disconnect"):
            known = self.service.connections.closed(client.id)
            if known is not None:
                self.interception.ended(client, known)
        with self.faults.guard("connections that have ended"):
            release_at_end(client, self.faults)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("proxy user"):
            known = self.service.connections.open.get(flow.client_conn.id)
            if known is not None:
                for_proxy = is_for_the_proxy(flow.client_conn, in_tunnel=known.in_tunnel)
                known.proxy_user = flows.proxy_user_of(flow, for_proxy) or known.proxy_user
        self._refuse_page(flow)

    def _refuse_page(self, flow: http.HTTPFlow) -> None:
        """Answer instead of the page of `sessiontap ui`: it is for this machine's browser, not for who uses a proxy."""
        with self.faults.guard("the page's port"):
            if flow.response is None and page_port.leads_to_page(flow.request.host, flow.request.port):
                flow.response = flows.text_response(403, page_port.REFUSED)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("tunnel"):
            known = self.service.connections.open.get(flow.client_conn.id)
            if known is not None:
                known.in_tunnel = True
                self.interception.await_greeting(flow.client_conn, in_tunnel=True)

    async def next_layer(self, data: layer.NextLayer) -> None:
        with self.faults.guard("next layer"):
            if data.layer is None:
                data.layer = await self.interception.next_layer(data)

    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        if data.context.server.address is None:
            return  # TLS with the proxy itself, an `https://` one; what is in it comes to `requestheaders`
        by_another = data.ignore_connection
        data.ignore_connection = True  # what a fault leaves: who does not know our CA must not suffer from it
        with self.faults.guard("TLS client hello"):
            data.ignore_connection = by_another or await self.interception.tls_clienthello(data)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        with self.faults.guard("TLS failure"):
            known = self.service.connections.open.get(data.conn.id)
            if known is not None:
                self.interception.refused(known, data.conn.error)

    def tls_established_server(self, data: tls.TlsData) -> None:
        with self.faults.guard("upstream TLS"):
            known = self.service.connections.open.get(data.context.client.id)
            if known is not None and not is_verified(data):
                known.unverified = True

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        with self.faults.guard("the page's port"):
            server = data.server
            if server.peername is not None and page_port.leads_to_page(*server.peername[:2]):
                flows.cut_server(data.client, server)
                self.notices.leads_to_page(server.address[0] if server.address else server.peername[0])

    # -- calls ---------------------------------------------------------------------------------------------------------

    # What need not wait is done when the hook returns: a coroutine costs, and under `sessiontap run` a task.

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        if flow.request.host == own_address.HOST:
            return None
        self._refuse_page(flow)
        if flow.response is not None:
            return None
        with self.faults.guard("request headers"):
            known = self.service.connections.open.get(flow.client_conn.id)
            if known is None or not self.service.has_current_rules_for(known):
                return self._request_headers_later(flow)
            return self._request_headers(flow, known)
        return None

    async def _request_headers_later(self, flow: http.HTTPFlow, *, settled: bool = False) -> None:
        """The same, once all is known that it needs. `settled`: also the process, as far as it is waited for."""
        with self.faults.guard("request headers"):
            known = await self._connection(flow.client_conn)
            await self.service.current_rules()
            if settled:
                await self.service.connections.settled(known)
            rest = self._request_headers(flow, known, settled=settled)
            if rest is not None:
                await rest

    def _request_headers(
        self, flow: http.HTTPFlow, known: Connection, *, settled: bool = False
    ) -> Awaitable[None] | None:
        for_proxy = is_for_the_proxy(flow.client_conn, in_tunnel=known.in_tunnel)
        known.proxy_user = flows.proxy_user_of(flow, for_proxy) or known.proxy_user
        if for_proxy:
            # Plain HTTP carries the proxy's user on every request, and it is for the proxy alone.
            flow.request.headers.pop("proxy-authorization", None)
        rules = self.service.rules
        sni = None if for_proxy else flow.client_conn.sni  # else it names the proxy
        names = destinations(flow.request.host, sni or flow.request.host_header)
        destination = self.service.destinations.find_call(names, flow.request.port, flow.request.path)
        request = flow.request
        headers = flows.headers_of(request)
        is_likely, has = False, flows.has_body(request, headers)
        if destination is None and has:
            destination = self.interception.likely_destination(flow.request, names)
            is_likely = destination is not None
        if destination is not None:
            if known.look is not None and rules.protects_by_process and not settled:
                return self._request_headers_later(flow, settled=True)
            self.interception.accepted(known)
        if destination is None or self._is_left_alone(known, destination, rules):
            is_known = self.service.destinations.find(names, request.port) is not None
            unnamed: Why = "path" if is_known or request.scheme == "http" else "unknown_host"
            why = unnamed if destination is None else "ignore"
            self.interception.lets_pass(flow, known, names[0], why, streams=has)
            return None
        now = time.time_ns()
        context = CallContext(
            id=call_id(now),
            time=now,
            started=time.perf_counter_ns(),
            connection=known,
            request=flows.request_of(request, destination.host, headers),
            destination=destination,
            is_likely=is_likely,
            flow=flow,
        )
        self.in_flight[flow.id] = context
        length = bodies.content_length(headers.get("content-length"))
        kind = headers.get("content-type") or ""
        whole = kind.startswith("application/grpc") and asks_once(request.method, request.path)
        if has and (request.stream or bodies.upload_streams(kind, length, whole)):
            context.request_tap = flows.tap_body(request, self.calls.budget)
            context.flags.append("streamed_request")
            return self._plan_and_apply(flow, context)
        return None

    def _is_left_alone(self, known: Connection, destination: Destination, rules: Rules) -> bool:
        """True if a rule ignores whatever comes on this connection."""
        self.notices.not_covered(known, protects_by_process=rules.protects_by_process)
        if not rules.ignores:
            return False
        view = rules.connection(facts_of(known, destination))
        if view.protected is not None:
            self.notices.protected(known, destination.host, view.protected)
        return view.ignore

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        if flow.request.host == own_address.HOST:
            return self._answer(flow)
        with self.faults.guard("request"):
            context = self.in_flight.get(flow.id)
            if context is None or context.request_tap is not None:
                return None
            if context.is_likely:
                return self._likely_request(flow, context)
            return self._plan_and_apply(flow, context)
        return None

    async def _likely_request(self, flow: http.HTTPFlow, context: CallContext) -> None:
        """A request that only its body tells from others."""
        with self.faults.guard("request"):
            if not await self.interception.is_llm_call(flow.request, context.destination.host):
                del self.in_flight[flow.id]
                self.interception.lets_pass(flow, context.connection, context.destination.host, "body", streams=False)
                return
            rest = self._plan_and_apply(flow, context)
            if rest is not None:
                await rest

    async def _answer(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("own address"):
            await self.answers.reply(flow)

    def _plan_and_apply(self, flow: http.HTTPFlow, context: CallContext) -> Awaitable[None] | None:
        """Plan the call and apply the plan: headers, route, and what mitmproxy's own tools show."""
        known = context.connection
        context.upstream = upstream_of(
            flow,
            for_proxy=is_for_the_proxy(flow.client_conn, in_tunnel=known.in_tunnel),
            verifies=self.service.verifies and not known.unverified,
        )
        wire = None if context.flags else flow.request.raw_content
        plan = self.calls.plan_at_once(context, wire)
        if plan is None:
            return self._plan_and_apply_later(flow, context, wire)
        self._apply(flow, context, plan)
        return None

    async def _plan_and_apply_later(self, flow: http.HTTPFlow, context: CallContext, wire: bytes | None) -> None:
        with self.faults.guard("request"):
            self._apply(flow, context, await self.calls.plan(context, wire))

    def _apply(self, flow: http.HTTPFlow, context: CallContext, plan: Plan) -> None:
        if plan.session is None:  # a rule says to leave it alone
            del self.in_flight[flow.id]
            self.interception.lets_pass(
                flow, context.connection, context.destination.host, "ignore", streams=False
            )
            return
        try:
            original = flows.OriginalRequest.of(flow.request) if plan.use is not None else None
            flows.apply_plan(plan, flow.request)
            context.plan = plan
            if original is not None:
                context.attempt = self.failover.attempt(flow, context, original)
        except Exception:
            context.plan = replace(plan, edits=(), gateway=None)
            raise
        if context.refusal is not None:
            flow.response = flows.refusal_response(context.refusal)
        flow.comment = flow.comment or f"{plan.session.name} {plan.filled.path}"
        flow.metadata["sessiontap"] = {"call": context.id, **plan.summary()}

    def _attempt_of(self, flow: http.HTTPFlow) -> GatewayAttempt | None:
        """Return a call's attempt at its gateway, if it may go elsewhere."""
        context = self.in_flight.get(flow.id)
        attempt = context.attempt if context is not None else None
        return attempt if attempt is not None and attempt.fails_open else None

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        context, reply = self.in_flight.get(flow.id), flow.response
        if reply is not None and context is not None:
            with self.faults.guard("response headers"):
                self._response_headers(context, reply)
        elif reply is not None:
            self.interception.reply_passes(flow)

    def _response_headers(self, context: CallContext, reply: http.Response) -> None:
        context.first_byte = time.perf_counter_ns() - context.started
        if context.attempt is not None:
            context.attempt.note_reply(reply)
            context.attempt = None
        headers = flows.headers_of(reply)
        with self.faults.guard("response body"):
            length = bodies.content_length(headers.get("content-length"))
            kind = headers.get("content-type") or ""
            if reply.status_code != 101 and (reply.stream or bodies.reply_streams(kind, length)):
                context.reply_tap = flows.tap_body(reply, self.calls.budget)
        if context.plan is not None:
            plan = self.calls.planner.plan_reply(context.plan, headers, context.id)
            if plan is not context.plan:
                flows.edit_headers(reply, plan.reply_edits)
                context.plan = plan

    def response(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("response"):
            self._forget_replayed(flow)
            if flow.websocket is None and flow.response is not None:
                context = self.in_flight.get(flow.id)
                if context is not None and flow.client_conn.state is not connection.ConnectionState.OPEN:
                    context.flags.append("client_gone")
                self._end(flow, flows.outcome_of_response(flow.response.status_code))

    def _forget_replayed(self, flow: http.HTTPFlow) -> None:
        """A request that mitmproxy sends again has a connection of its own, whose end no hook tells."""
        if flow.is_replay == "request":
            self.service.connections.closed(flow.client_conn.id)

    def error(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("error"):
            self._forget_replayed(flow)
            context = self.in_flight.get(flow.id)
            outcome = flows.outcome_of_error(flow)
            if context is not None and context.attempt is not None and outcome.startswith("upstream_"):
                context.attempt.broke(flow.error.msg if flow.error else outcome)
                context.attempt = None
            if flow.id in self.sockets:
                self._close_socket(flow, outcome, "by an error")
            self._end(flow, outcome)

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("web socket"):
            context = self.in_flight.get(flow.id)
            if context is not None:
                self.sockets[flow.id] = Socket(self.calls, context, flow)
                del self.in_flight[flow.id]

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        with self.faults.guard("web socket"):
            socket, data = self.sockets.get(flow.id), flow.websocket
            if data is None or (socket is None and self.service.flows_are_read):
                return
            last = data.messages[-1]
            del data.messages[:-1]  # mitmproxy keeps them all
            if socket is not None:
                socket.message(time.perf_counter_ns(), time.time_ns(), last.from_client, last.content, last.is_text)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        data = flow.websocket
        how, why = how_closed(data.closed_by_client, data.close_code) if data else how_closed(None, None)
        self._close_socket(flow, how, why)

    def _close_socket(self, flow: http.HTTPFlow, how: Outcome, why: str) -> None:
        with self.faults.guard("web socket"):
            socket = self.sockets.pop(flow.id, None)
            if socket is not None:
                self.closed_sockets = [*(one for one in self.closed_sockets if one.waits), socket]
                socket.closed(time.perf_counter_ns(), how, why, flow.websocket.close_code if flow.websocket else None)

    def _end(self, flow: http.HTTPFlow, how: Outcome) -> None:
        context = self.in_flight.pop(flow.id, None)
        if context is None:
            return
        for tap in (context.request_tap, context.reply_tap):
            if tap is not None and tap.fault is not None:
                self.faults.caught("copying a body", tap.fault)
        context.flow = None
        duration = time.perf_counter_ns() - context.started
        heads, captured = finish.Heads.of(flow), finish.captured_bodies(context, flow, self.calls.budget)
        whole = context.reply_tap is not None and not context.reply_tap.cut
        if whole and flow.response is not None and self.service.flows_are_read:
            captured = captured._replace(response=captured.response.joined())  # no second copy of it is held
            flow.response.raw_content = captured.response.data  # it is not sent again
        self.calls.finished(context, how, duration, heads, captured)
