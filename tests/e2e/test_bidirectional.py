"""Calls in which client and server take turns within one HTTP/2 request (gRPC, Connect, Bedrock's): neither waits for
the other's end.
"""

from __future__ import annotations

import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.h2_client import H2Client
from tests.support.http_server import Server

GEMINI = "generativelanguage.googleapis.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
LIVE = "/google.ai.generativelanguage.v1beta.GenerativeService/BidiGenerateContent"
FIRST, SECOND = b"\0\0\0\0\x03one", b"\0\0\0\0\x03two"


async def answer_each(request: Request, respond: Respond) -> None:
    """Answer each message when it comes, and the end of the request with trailers."""
    await respond.start(200, [("content-type", request.headers.get("content-type") or "")])
    async for piece in request.pieces():
        if piece:
            await respond.send(piece.upper())
    await respond.end([("grpc-status", "0"), ("grpc-message", "done")])


@pytest.fixture(scope="module")
def server(shared_lab: Lab) -> Server:
    return shared_lab.upstream(answer_each, [GEMINI, BEDROCK], alpn=["h2"])


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, server: Server) -> Proxy:
    return shared_lab.proxy({"version": 1, "rules": [{"session": {"name": "Live", "path": "/live"}}]})


@pytest.mark.parametrize(
    ("host", "path", "kind"),
    [
        (GEMINI, LIVE, "application/grpc"),
        (GEMINI, LIVE, "application/grpc+proto"),
        (GEMINI, LIVE, "application/connect+json"),
        (BEDROCK, "/model/m/invoke-with-bidirectional-stream", "application/vnd.amazon.eventstream"),
    ],
    ids=["gRPC", "gRPC with its codec", "Connect", "Bedrock's event stream"],
)
def test_a_client_that_waits_for_an_answer_before_it_goes_on_gets_it(
    proxy: Proxy, server: Server, host: str, path: str, kind: str
) -> None:
    server.requests.clear()
    with H2Client(proxy.url, proxy.ca, host) as client:
        client.begin(path, [("content-type", kind), ("te", "trailers")])
        client.send(FIRST)
        assert client.read_until(len(FIRST)) == FIRST.upper()
        client.send(SECOND)
        client.end([("x-checksum", "42")])
        assert client.read_until(None) == FIRST.upper() + SECOND.upper()
    assert client.headers[":status"] == "200"
    assert client.trailers == {"grpc-status": "0", "grpc-message": "done"}
    (seen,) = server.requests
    assert (seen.seen, seen.trailers.get("x-checksum"), seen.headers.get("te")) == (FIRST + SECOND, "42", "trailers")

    (call,) = proxy.take()
    assert (call.record["outcome"], call.record["session"]["name"]) == ("ok", "Live")
    assert (call.request_body(), call.response_body()) == (FIRST + SECOND, FIRST.upper() + SECOND.upper())
    assert "streamed_request" in call.record["flags"]
    assert dict(call.record["response"]["trailers"])["grpc-status"] == "0"
    assert dict(call.record["request"]["trailers"])["x-checksum"] == "42"
