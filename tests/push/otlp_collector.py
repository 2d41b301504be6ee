"""An OTLP collector: requests as OpenTelemetry's own protobuf reads them, spans by id, answers as they are set."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sessiontap.exchange import Headers
from sessiontap.push.target import HttpReply


class Collector:
    """Keeps what was sent. It is an `Http` of its own, for senders without a network; `served` puts it behind one."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[Headers] = []
        self.urls: list[str] = []
        self.spans: dict[bytes, Span] = {}
        """By id; a span that comes again is counted once."""
        self.received = 0
        self.answers: list[HttpReply] = []
        """The next answers; then 200."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        came = Headers(headers.items())
        assert came.get("content-type") == "application/x-protobuf"
        plain = gzip.decompress(body) if came.get("content-encoding") == "gzip" else body
        request = ExportTraceServiceRequest.FromString(plain)
        self.urls.append(url)
        self.headers.append(came)
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        for span in spans_in(request):
            self.received += 1
            self.spans[span.span_id] = span
        return HttpReply(200, Headers(), ExportTraceServiceResponse().SerializeToString())

    def attributes(self, name: str) -> list[dict[str, Any]]:
        """The attributes of the spans of this name, by their begin."""
        found = [span for span in self.spans.values() if span.name == name]
        found.sort(key=lambda span: span.start_time_unix_nano)
        return [attributes_of(span) for span in found]


def spans_in(request: ExportTraceServiceRequest) -> list[Span]:
    return [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]


def attributes_of(span: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""
    keys = [one.key for one in span.attributes]
    assert len(keys) == len(set(keys)), "an attribute stands twice"
    return {one.key: plain(one.value) for one in span.attributes}


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None, "a value of no type"
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def partly(rejected: int, message: str) -> HttpReply:
    """The answer of a collector that did not take all."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return HttpReply(200, Headers(), response.SerializeToString())


@contextmanager
def served(collector: Collector, port: int = 0) -> Iterator[str]:
    """The collector behind HTTP on a port of this machine, 0: a free one; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = collector.post(self.path, body, {name.title(): value for name, value in self.headers.items()})
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
