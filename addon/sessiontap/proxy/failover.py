"""A call's attempt at its gateway, and its way to its own host if the gateway fails.

The layers tell an attempt what happens (`gateway_stream.py`); it decides by `gateways/failing_open.py`, changes the
flow's request into the one for its own host, and tells the breaker, the log and the user. If the layers are not ours
(HTTP/3, or a request that mitmproxy sends again), the hooks tell it afterwards, and only the breaker learns from it.

For the proxy's loop alone. A fault of ours leaves the call as it is: it fails as its gateway let it fail.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from mitmproxy import http

from sessiontap.faults import Faults
from sessiontap.gateways import Direct, failure_of
from sessiontap.gateways.breaker import Breakers
from sessiontap.gateways.failing_open import (
    FailureKind,
    GatewayUse,
    counts_as_failure,
    may_go_direct,
    why_direct,
)
from sessiontap.gateways.failure import BODY_START
from sessiontap.llm.content_encoding import beginning
from sessiontap.proxy import flows
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.notices import Notices

logger = logging.getLogger("sessiontap")


class Failover:
    """Makes the attempts."""

    def __init__(self, breakers: Breakers, notices: Notices, faults: Faults) -> None:
        self.breakers = breakers
        self.notices = notices
        self.faults = faults

    def attempt(self, flow: http.HTTPFlow, context: CallContext, original: flows.OriginalRequest) -> Attempt | None:
        """Return the attempt of a call whose plan has been applied; None if it goes to no gateway."""
        plan = context.plan
        if plan is None or plan.use is None:
            return None
        return Attempt(self, flow, context, original, plan.use)

    def note(self, text: str, use: GatewayUse, call: str | None = None, failure: FailureKind | None = None) -> None:
        """Note in the log what happened at a gateway."""
        self.notices.note("gateway", text, gateway=use.gateway.name, at=use.gateway.origin, call=call, failure=failure)

    def failed(self, use: GatewayUse, begun: float, why: str) -> None:
        """Tell the breaker of a failure, and the user if it opens."""
        if use.fail_open and self.breakers.of(use.gateway).failed(begun, self.breakers.clock()):
            text = f"the gateway {use.gateway} fails, so its calls go to their own hosts until it answers again: {why}"
            logger.warning(f"sessiontap: {text}")
            self.note(text, use)

    def answered(self, use: GatewayUse, begun: float) -> None:
        """Tell the breaker of an answer, and the user if it closes."""
        breaker = self.breakers.of(use.gateway)
        if use.fail_open and breaker.answered(begun, self.breakers.clock()):
            text = f"the gateway {use.gateway} answers again; {breaker.skipped} calls went to their own hosts meanwhile"
            logger.warning(f"sessiontap: {text}")
            self.note(text, use)


class Attempt:
    """A call's attempt at its gateway. If a method returns True, the flow's request is now the one for its own host."""

    __slots__ = ("_begun", "_context", "_failover", "_flow", "_has_failed", "_is_judged", "_original", "_use")

    def __init__(
        self,
        failover: Failover,
        flow: http.HTTPFlow,
        context: CallContext,
        original: flows.OriginalRequest,
        use: GatewayUse,
    ) -> None:
        self._failover = failover
        self._flow = flow
        self._context = context
        self._original = original
        self._use = use
        self._begun = failover.breakers.clock()
        self._has_failed = False
        """The breaker knows of a failure."""
        self._is_judged = False
        """It is known whose the reply is."""

    @property
    def connect_timeout(self) -> float:
        return self._use.connect_timeout

    @property
    def answer_timeout(self) -> float:
        return self._use.answer_timeout

    @property
    def fails_open(self) -> bool:
        """The call may go to its own host."""
        return self._use.fail_open

    def unreachable(self, why: str) -> bool:
        """No connection: nothing of the call was sent."""
        return self._failed("gateway_unreachable", why, body_held=True)

    def unanswered(self, why: str) -> bool:
        """The call was sent; the gateway broke off, or nothing came for `answer_timeout` seconds."""
        return self._failed("gateway_unanswered", why, body_held=not self._flow.request.stream)

    def holds(self, reply: http.Response) -> bool:
        """Take in the head of a reply. True: the client gets nothing of it before `refused` was asked."""
        if reply.status_code >= 400 and not self._flow.request.stream and self._use.fail_open:
            return True
        self.note_reply(reply)
        return False

    def refused(self, reply: http.Response, body: bytes) -> bool:
        """Take in a reply that was held, with the beginning of its body as it came."""
        self._is_judged = True
        with self._failover.faults.guard("gateway failure"):
            failure, code = self._failure_of(reply, body)
            if failure in ("gateway_refused", "gateway_unanswered"):
                why = f"status {reply.status_code}" + (f", {code}" if code else "")
                held = not self._flow.request.stream
                return self._failed(failure, why, body_held=held, is_of_call=reply.status_code < 500)
            self._answered()
        return False

    def note_reply(self, reply: http.Response) -> None:
        """Take in a reply that the client gets, whatever it is."""
        if self._is_judged:
            return
        self._is_judged = True
        with self._failover.faults.guard("gateway failure"):
            failure, _ = self._failure_of(reply, b"")
            if failure in ("gateway_refused", "gateway_unanswered"):
                self._fails(failure, f"status {reply.status_code}", is_of_call=reply.status_code < 500)
            else:
                self._answered()

    def broke(self, why: str) -> None:
        """Take in the end of a call without a reply, of which the client gets to know."""
        if not self._is_judged:
            with self._failover.faults.guard("gateway failure"):
                self._fails("gateway_unanswered", why)

    def _failure_of(self, reply: http.Response, body: bytes) -> tuple[FailureKind | None, str | None]:
        headers = flows.headers_of(reply)
        start = beginning(body, headers.get("content-encoding"), BODY_START + 1)
        found = failure_of(self._use.kind, reply.status_code, headers, start)
        return (found.kind, found.code) if found is not None else (None, None)

    def _failed(self, failure: FailureKind, why: str, *, body_held: bool, is_of_call: bool = False) -> bool:
        with self._failover.faults.guard("gateway failure"):
            self._fails(failure, why, is_of_call=is_of_call)
            if may_go_direct(self._use, failure, reply_begun=False, body_held=body_held) and self._is_at_gateway():
                self._go_direct(failure, why)
                return True
        return False

    def _answered(self) -> None:
        self._failover.answered(self._use, self._begun)

    def _fails(self, failure: FailureKind, why: str, *, is_of_call: bool = False) -> None:
        """Note a failure. `is_of_call`: the gateway works and refuses this call (a model that it does not know)."""
        if self._has_failed:
            return
        self._has_failed = True
        if is_of_call:
            self._answered()
        elif counts_as_failure(failure):
            self._failover.failed(self._use, self._begun, why)
        if not self._use.fail_open:
            text = f"a call failed at the gateway {self._use.gateway}, and was not to go elsewhere: {failure}, {why}"
            self._failover.note(text, self._use, self._context.id, failure)

    def _is_at_gateway(self) -> bool:
        """True if nobody has sent the request elsewhere meanwhile, such as another addon."""
        request = self._flow.request
        return self._use.gateway.origin == f"{request.scheme}://{request.host}:{request.port}"

    def _go_direct(self, failure: FailureKind, why: str) -> None:
        context, request = self._context, self._flow.request
        plan = context.plan
        assert plan is not None
        assert plan.fallback is not None
        reason = why_direct(self._use, failure)
        direct = replace(
            plan,
            filled=plan.fallback.filled,
            edits=plan.fallback.edits,
            gateway=Direct(reason),
            use=None,
            fallback=None,
        )
        self._original.restore(request, plan)
        flows.apply_plan(direct, request)
        context.plan, context.attempt = direct, None
        self._flow.metadata["sessiontap"] = {"call": context.id, **direct.summary()}
        self._failover.note(f"{reason} ({why}); the call went to its own host", self._use, context.id, failure)
