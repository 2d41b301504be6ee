"""An attempt at a gateway: what changes in the flow, and what breaker, log and user are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow
from tests.rules.build import call

from sessiontap.callers import Found
from sessiontap.exchange import Request
from sessiontap.faults import Faults
from sessiontap.gateways import Direct, Route
from sessiontap.gateways.breaker import FAILURES, FIRST_PAUSE, Breakers, GatewayAddress
from sessiontap.gateways.failing_open import GatewayUse
from sessiontap.headers import Edit
from sessiontap.proxy import failover as module
from sessiontap.proxy import flows
from sessiontap.proxy.call_context import CallContext, Fallback, Plan
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.failover import Attempt, Failover
from sessiontap.proxy.notices import Notices
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions import Session

ROUTE = Route("http", "127.0.0.1", 8585, (Edit("set", "Gateway-Auth", None, "key"),), kind="helicone")
USE = GatewayUse(GatewayAddress("mine", "http://127.0.0.1:8585"), "helicone")
CLOSED = USE._replace(fail_open=False)
RETRIED = USE._replace(retry_unanswered=True)
REFUSED = http.Response.make(500, b"{}", {"helicone-error": "true"})
POLICY = http.Response.make(429, b"{}", {"helicone-ratelimit-remaining": "0"})
FINE = http.Response.make(200, b"{}")


@dataclass
class Desk:
    """A failover with a clock of its own, and what it has noted."""

    use: GatewayUse = USE
    now: float = 1000.0
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        notices = Notices()
        notices.recorder = self  # type: ignore[assignment]
        self.breakers = Breakers(lambda: self.now)
        self.failover = Failover(self.breakers, notices, self.faults)

    def note(self, kind: str, text: str, **facts: Any) -> None:
        assert kind == "gateway"
        self.notes.append((text, facts))

    def attempt(self) -> tuple[Attempt, HTTPFlow, CallContext]:
        """A call on its way to the gateway."""
        flow = tflow.tflow()
        flow.request = http.Request.make("POST", "https://api.openai.com/v1/chat", b"{}", {"X-App": "own"})
        request = Request("POST", "api.openai.com", "/v1/chat")
        context = CallContext(
            "call-1", 1, 0, Connection("c", ("127.0.0.1", 5), Found()), request, Destination("api.openai.com", "openai")
        )
        session = Session("s", "App", 0, "process")
        direct = Fallback(FilledSettings(path="/direct"), (Edit("set", "X-Direct", None, "1"),))
        filled = FilledSettings(path="/there")
        plan = Plan(Decision(), filled, call(), session, edits=ROUTE.edits, gateway=ROUTE, use=self.use)
        context.plan = replace(plan, fallback=direct if self.use.fail_open else None)
        original = flows.OriginalRequest.of(flow.request)
        flows.apply_plan(context.plan, flow.request)
        found = self.failover.attempt(flow, context, original)
        assert found is not None
        context.attempt = found
        return found, flow, context

    @property
    def is_open(self) -> bool:
        return bool(self.breakers.open_ones())


def test_a_call_that_goes_direct_is_the_apps_own_again() -> None:
    desk = Desk()
    attempt, flow, context = desk.attempt()
    assert flow.request.headers["gateway-auth"] == "key"
    assert attempt.unreachable("Connect call failed")
    assert (flow.request.pretty_url, flow.request.headers.get("x-app")) == ("https://api.openai.com/v1/chat", "own")
    assert "gateway-auth" not in flow.request.headers
    assert flow.request.headers["x-direct"] == "1"
    plan = context.plan
    assert plan is not None
    assert isinstance(plan.gateway, Direct)
    assert (plan.filled.path, plan.use, plan.fallback, context.attempt) == ("/direct", None, None, None)
    assert flow.metadata["sessiontap"]["path"] == "/direct"
    ((text, facts),) = desk.notes
    assert text == f"{plan.gateway.reason} (Connect call failed); the call went to its own host"
    at = "http://127.0.0.1:8585"
    assert facts == {"gateway": "mine", "at": at, "call": "call-1", "failure": "gateway_unreachable"}


TOLD: Any = {
    "unreachable": lambda attempt: attempt.unreachable("refused"),
    "unanswered": lambda attempt: attempt.unanswered("reset"),
    "refused": lambda attempt: attempt.holds(REFUSED) and attempt.refused(REFUSED, b"{}"),
    "policy": lambda attempt: attempt.holds(POLICY) and attempt.refused(POLICY, b"{}"),
    "answered": lambda attempt: attempt.holds(FINE),
    "seen refused": lambda attempt: attempt.note_reply(REFUSED),
    "broke": lambda attempt: attempt.broke("reset"),
}


@pytest.mark.parametrize(
    ("what", "use", "direct", "opens", "notes"),
    [
        pytest.param("unreachable", USE, True, True, FAILURES + 1, id="unreachable"),
        pytest.param("refused", USE, True, True, FAILURES + 1, id="refused"),
        pytest.param("unanswered", USE, False, True, 1, id="unanswered"),
        pytest.param("unanswered", RETRIED, True, True, FAILURES + 1, id="unanswered, retried"),
        pytest.param("policy", RETRIED, False, False, 0, id="a policy"),
        pytest.param("answered", USE, False, False, 0, id="answered"),
        pytest.param("seen refused", USE, False, True, 1, id="refused, seen by the hooks alone"),
        pytest.param("broke", USE, False, True, 1, id="broken off, seen by the hooks alone"),
        pytest.param("seen refused", CLOSED, False, False, FAILURES, id="refused, fail closed"),
        pytest.param("broke", CLOSED, False, False, FAILURES, id="broken off, fail closed"),
    ],
)
def test_what_follows(what: str, use: GatewayUse, direct: bool, opens: bool, notes: int) -> None:
    """Of as many calls as open a breaker. `notes`: one for the breaker, and one for each call of which one is due."""
    desk = Desk(use)
    for _ in range(FAILURES):
        attempt, flow, _ = desk.attempt()
        TOLD[what](attempt)
        assert (flow.request.host == "api.openai.com") is direct
    assert (desk.is_open, len(desk.notes)) == (opens, notes)
    assert not desk.faults.counts


def test_a_breaker_that_opens_and_closes_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    for _ in range(FAILURES):
        desk.attempt()[0].unreachable("refused")
    for _ in range(3):
        assert not desk.breakers.admits(USE.gateway)
    desk.now += FIRST_PAUSE
    assert desk.breakers.admits(USE.gateway)
    probe, _, _ = desk.attempt()
    probe.note_reply(FINE)
    probe.note_reply(FINE)
    assert [record.getMessage() for record in caplog.records if record.name == module.logger.name] == [
        "sessiontap: the gateway mine at http://127.0.0.1:8585 fails, so its calls go to their own hosts until it "
        "answers again: refused",
        "sessiontap: the gateway mine at http://127.0.0.1:8585 answers again; 3 calls went to their own hosts "
        "meanwhile",
    ]


def test_a_probe_that_fails_in_the_midst_closes_no_breaker() -> None:
    """The hooks see its reply, too, without the body that says whose it is."""
    desk = Desk(USE._replace(kind="litellm"))
    reply = http.Response.make(500, b'{"error": {"message": "no worker", "type": "internal"}}')
    for number in range(FAILURES + 1):
        desk.now += FIRST_PAUSE * (number == FAILURES)
        attempt, _, _ = desk.attempt()
        assert attempt.holds(reply)
        assert not attempt.refused(reply, reply.content or b"")
        attempt.note_reply(reply)
    assert desk.is_open


@pytest.mark.parametrize("body", [b"", b"\x1f\x8b damaged", b"{" * 100_000], ids=["none", "damaged", "deep"])
def test_a_body_that_cannot_be_read_is_nobodys_fault(body: bytes) -> None:
    desk = Desk()
    attempt, flow, _ = desk.attempt()
    reply = http.Response.make(502, body, {"content-encoding": "gzip"})
    assert attempt.holds(reply)
    assert not attempt.refused(reply, body)
    assert (flow.request.host, desk.faults.counts) == ("127.0.0.1", {})


def test_an_upload_that_has_gone_by_goes_nowhere_else() -> None:
    desk = Desk(RETRIED)
    attempt, flow, _ = desk.attempt()
    flow.request.stream = True
    assert not attempt.holds(REFUSED)
    assert not attempt.unanswered("reset")
    assert flow.request.host == "127.0.0.1"


def test_a_request_that_another_addon_has_sent_elsewhere_stays_there() -> None:
    desk = Desk()
    attempt, flow, _ = desk.attempt()
    flow.request.host = "elsewhere.example"
    assert not attempt.unreachable("refused")
    assert flow.request.host == "elsewhere.example"


def test_a_fault_of_ours_leaves_the_call_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    attempt, flow, context = desk.attempt()
    plan = context.plan
    monkeypatch.setattr(module, "may_go_direct", None)
    assert not attempt.unreachable("refused")
    assert (flow.request.host, context.plan) == ("127.0.0.1", plan)
    assert desk.faults.counts == {"gateway failure": 1}
