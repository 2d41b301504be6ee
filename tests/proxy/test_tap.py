"""What the hooks themselves decide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from mitmproxy.flow import Error
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow

from sessiontap.callers import Found
from sessiontap.exchange import Headers
from sessiontap.proxy import tap as module
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.flows import has_body
from sessiontap.proxy.tap import Tap


async def waited(rest: Awaitable[None] | None) -> None:
    """A hook that need not wait is done when it returns."""
    if rest is not None:
        await rest


@pytest.mark.parametrize("ends", [Tap.response, Tap.error], ids=["with a response", "with an error"])
@pytest.mark.parametrize("replayed", [True, False])
def test_the_connection_of_a_request_that_is_sent_again_is_forgotten_with_it(
    monkeypatch: pytest.MonkeyPatch, ends: Callable[[Tap, HTTPFlow], None], replayed: bool
) -> None:
    monkeypatch.setattr(module.flows, "outcome_of_error", lambda flow: "upstream_gone")
    tap, flow = Tap(), tflow.tflow(resp=True)
    flow.error = Error("x")
    flow.is_replay = "request" if replayed else None
    known = Connection(flow.client_conn.id, ("127.0.0.1", 1), Found(reason="a test"))
    tap.service.connections.open[known.id] = known
    ends(tap, flow)
    assert list(tap.service.connections.open) == ([] if replayed else [known.id])
    assert not tap.faults.counts


@pytest.mark.parametrize(
    ("peer", "path", "status"),
    [("127.0.0.1", "/recorded?pid=1", 200), ("127.0.0.1", "/else", 404), ("10.0.0.9", "/recorded?pid=1", 404)],
    ids=["this machine", "another question", "another machine"],
)
def test_the_proxy_answers_for_itself_to_its_own_machine_alone(peer: str, path: str, status: int) -> None:
    tap, flow = Tap(), tflow.tflow()
    flow.request.host, flow.request.path = "sessiontap.invalid", path
    flow.client_conn.peername, flow.client_conn.sockname = (peer, 5), ("127.0.0.1", 8080)

    async def pass_by() -> None:
        assert tap.requestheaders(flow) is None
        await waited(tap.request(flow))

    asyncio.run(pass_by())
    assert flow.response is not None
    assert flow.response.status_code == status
    if status == 200:
        assert flow.response.json() == {"recorded": True, "in_flight": 0}
    assert not tap.in_flight
    assert not tap.faults.counts


@pytest.mark.parametrize(
    ("right", "status"), [(True, 200), (False, 404)], ids=["the token of the state file", "a guess"]
)
def test_calls_in_flight_are_told_to_who_has_the_token(right: bool, status: int) -> None:
    tap, flow = Tap(), tflow.tflow()
    token = tap.service.token if right else "guess"
    flow.request.host, flow.request.path = "sessiontap.invalid", f"/in-flight?token={token}"
    flow.client_conn.peername, flow.client_conn.sockname = ("127.0.0.1", 5), ("127.0.0.1", 8080)
    asyncio.run(waited(tap.request(flow)))
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.json()) == (status, {"calls": []} if right else {})


@pytest.mark.parametrize(
    ("method", "version", "headers", "has"),
    [
        ("POST", "HTTP/1.1", {"content-length": "5"}, True),
        ("POST", "HTTP/1.1", {"content-length": "0"}, False),
        ("POST", "HTTP/1.1", {"transfer-encoding": "chunked"}, True),
        ("POST", "HTTP/1.1", {}, False),
        ("GET", "HTTP/2.0", {}, False),
        ("POST", "HTTP/2.0", {}, True),
        ("POST", "HTTP/2.0", {"content-length": "0"}, False),
    ],
)
def test_whether_a_body_may_follow(method: str, version: str, headers: dict[str, str], has: bool) -> None:
    request = tflow.tflow().request
    request.headers.clear()
    request.method, request.http_version = method, version
    request.headers.update(headers)
    assert has_body(request, Headers(headers.items())) is has
