"""The demo's HTTPS server on loopback: OpenAI's and Anthropic's routes in front of a deterministic model.

`reply_to` takes a request in plain values and gives the reply. `Server` serves it: HTTP/1.1, a thread a connection. Any
API key will do; a request without one gets the provider's own 401. The model's answers: see `model`.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from sessiontap.demo import anthropic_wire, openai_wire
from sessiontap.demo.provider_replies import BadRequest, HeaderList, Ids, StreamedReply, WholeReply
from sessiontap.exchange import Headers

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.deepseek.com",
    "openrouter.ai",
    "*.helicone.ai",
    "localhost",
    "127.0.0.1",
)
"""The names that its certificate covers, and whose connections a redirect brings to it."""

STOP_LIMIT = 10.0  # seconds

_ROUTE = re.compile(r"/(chat/completions|embeddings|models(?:/[^/]+)?|messages(?:/count_tokens)?)$")


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as a server received it."""

    method: str
    path: str
    """Without its query."""
    host: str
    headers: Headers
    body: bytes

    @property
    def is_anthropic(self) -> bool:
        return "/messages" in self.path or "anthropic-version" in self.headers or "anthropic" in self.host


def reply_to(request: ReceivedRequest, ids: Ids) -> WholeReply | StreamedReply:
    """The provider's reply; an error is a reply too."""
    found = _ROUTE.search(request.path)
    route = f"{request.method} {found[1]}" if found else ""
    try:
        return _anthropic(request, route, ids) if request.is_anthropic else _openai(request, route, ids)
    except BadRequest as bad:
        return bad.reply


def reply_headers(request: ReceivedRequest, ids: Ids) -> HeaderList:
    """The headers that the provider, or Helicone in front of it, adds to every reply."""
    headers = anthropic_wire.reply_headers(ids) if request.is_anthropic else openai_wire.reply_headers(ids)
    return headers + gateway_headers(request.host)


def gateway_headers(host: str) -> HeaderList:
    """The headers that Helicone adds when it was asked under `host`; none for other hosts."""
    if not host.partition(":")[0].endswith(".helicone.ai"):
        return []
    return [("helicone-id", str(uuid.uuid4())), ("helicone-status", "success")]


def check_openai_key(request: ReceivedRequest) -> None:
    """Raises BadRequest if the request has no bearer key."""
    if not (request.headers.get("authorization") or "").startswith("Bearer "):
        text = "You didn't provide an API key. Use HTTP Bearer auth (Authorization: Bearer YOUR_KEY)."
        raise BadRequest(openai_wire.error(401, text))


def openai_json(body: bytes) -> Any:
    """The request's JSON. Raises BadRequest with OpenAI's own words."""
    try:
        return json.loads(body)
    except ValueError:
        text = (
            "We could not parse the JSON body of your request. "
            "(HINT: This likely means you aren't using your HTTP library correctly.)"
        )
        raise BadRequest(openai_wire.error(400, text)) from None


def _openai(request: ReceivedRequest, route: str, ids: Ids) -> WholeReply | StreamedReply:
    check_openai_key(request)
    match route:
        case "POST chat/completions":
            return openai_wire.chat(openai_json(request.body), ids)
        case "POST embeddings":
            return openai_wire.embeddings(openai_json(request.body))
        case "GET models":
            return openai_wire.models()
        case _ if route.startswith("GET models/"):
            return openai_wire.one_model(route.removeprefix("GET models/"))
    raise BadRequest(openai_wire.error(404, f"Invalid URL ({request.method} {request.path})"))


def _anthropic(request: ReceivedRequest, route: str, ids: Ids) -> WholeReply | StreamedReply:
    if not route:  # Claude Code also asks for settings, policies, ...
        raise BadRequest(anthropic_wire.error(404, "Not Found"))
    if "x-api-key" not in request.headers and "authorization" not in request.headers:
        raise BadRequest(anthropic_wire.error(401, "x-api-key header is required"))
    if "anthropic-version" not in request.headers:
        raise BadRequest(anthropic_wire.error(400, "anthropic-version: header is required"))
    match route:
        case "POST messages":
            return anthropic_wire.messages(_anthropic_json(request.body), ids)
        case "POST messages/count_tokens":
            return anthropic_wire.count_tokens(_anthropic_json(request.body))
        case "GET models":
            return anthropic_wire.models()
    raise BadRequest(anthropic_wire.error(404, "Not Found"))


def _anthropic_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BadRequest(anthropic_wire.error(400, "The request body is not valid JSON")) from None


class Server(ThreadingHTTPServer):
    """Listens while its `with` block lasts; `received` holds every request, oldest first."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        """Raises OSError if no port of 127.0.0.1 can be listened on."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[ReceivedRequest] = []
        self.faults: list[str] = []
        """Requests that could not be answered, in words."""
        self.ids = Ids()
        self._tls = tls
        self._thread = threading.Thread(target=self.serve_forever, name="demo-server", daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join(STOP_LIMIT)
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the TLS handshake on the connection's own thread, so that none waits for another's."""
        with self._tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair, and is not printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each event of a stream leaves at once
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """The demo prints its own lines."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = Headers(self.headers.items())
        request = ReceivedRequest(self.command, self.path.partition("?")[0], headers.get("host") or "", headers, body)
        self.server.received.append(request)
        try:
            reply = reply_to(request, self.server.ids)
        except Exception as error:
            self.server.faults.append(f"{request.method} {request.path}: {error!r}")
            self.send_error(500)
            return
        extra = reply_headers(request, self.server.ids)
        if isinstance(reply, StreamedReply):
            framing = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
            self._head(200, [*framing, *extra])
            for event in reply.events:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.write(b"0\r\n\r\n")
            return
        data = json.dumps(reply.body).encode()
        framing = [("content-type", "application/json"), ("content-length", str(len(data)))]
        self._head(reply.status, [*framing, *extra, *reply.headers])
        self.wfile.write(data)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
