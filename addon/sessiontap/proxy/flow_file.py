"""Recorded calls as mitmproxy's own flow file (`mitmweb -r`, `mitmdump -nr`), a format of `export/`.

A call is a flow with the call's id, `name path` as its comment and the line of `calls --json` as its metadata. Bodies
are there as the log has them, decoded: their Content-Encoding is left out, and stands in the metadata. A body that
could not be decoded keeps it. A flow has an error if the call has another outcome than a whole response.

A turn of a WebSocket is a flow of its own, as it is a call of its own: the upgrade, and the turn's messages. Its close
code is 1005 (RFC 6455: none was received): a turn's end is not the socket's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from mitmproxy import flow, http
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.io import FlowWriter
from mitmproxy.net.http import status_codes
from mitmproxy.websocket import WebSocketData, WebSocketMessage

from sessiontap.exchange import UrlParts, in_url
from sessiontap.export.exported_call import ExportedBody, ExportedCall, HeaderFields, fields, turn_messages

Record = Mapping[str, Any]

TEXT = 1
"""The opcode of a WebSocket's text messages."""
NO_CLOSE_CODE = 1005
LABELS = ("user", "properties", "tags", "state", "flags")
PORTS = {"https": 443, "http": 80}
ALPN = {"HTTP/2.0": b"h2", "HTTP/1.1": b"http/1.1"}
UNKNOWN = ("unknown", 0)
"""mitmproxy knows no client without an address."""


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """A flow a call. Raises OSError of `out`."""
    writer = FlowWriter(out)
    for call in calls:
        writer.add(flow_of(call))


def flow_of(call: ExportedCall) -> http.HTTPFlow:
    """One call as a flow."""
    began = _seconds(call, 0)
    url = _Url.of(str(call.request.get("url") or ""), str(call.row["host"] or ""))
    tls = url.scheme == "https"
    client = Client(
        peername=_peer(call),
        sockname=("", 0),
        state=ConnectionState.CLOSED,
        tls=tls,
        sni=url.host if tls else None,
        alpn=ALPN.get(str(call.request.get("http_version"))),
        timestamp_start=began,
    )
    server = Server(address=_sent_to(call, url), state=ConnectionState.CLOSED, tls=tls)
    found = http.HTTPFlow(client, server)
    found.id = call.id
    found.timestamp_created = began
    found.comment = call.title
    found.metadata["sessiontap"] = _metadata(call)
    found.request = _request(call, url, began)
    found.response = _response(call)
    found.error = _error(call)
    if call.is_websocket:
        found.websocket = _websocket(call)
    return found


@dataclass(frozen=True, slots=True)
class _Url:
    """A recorded URL in parts; `target` is path and query."""

    scheme: str
    host: str
    port: int
    netloc: str
    target: str

    @classmethod
    def of(cls, text: str, host: str) -> _Url:
        """Return the parts of `text`. If it is no URL, the host is `host`."""
        url = UrlParts.of(text, host)
        scheme = url.scheme if url.scheme in PORTS else "https"
        default = PORTS[scheme]
        port = url.port or default
        name = url.host or host
        netloc = in_url(name) if port == default else f"{in_url(name)}:{port}"
        return cls(scheme, name, port, netloc, url.target)


def _sent_to(call: ExportedCall, url: _Url) -> tuple[str, int]:
    """Return the address that the call was sent to. For a gateway it stands in the change that led there."""
    for change in call.record.get("changes") or ():
        if change[0] == "route":
            gateway = _Url.of(str(change[3]), url.host)
            return gateway.host, gateway.port
    return str(call.row["forwarded_host"] or url.host), url.port


def _request(call: ExportedCall, url: _Url, began: float) -> http.Request:
    request = call.request
    version = str(request.get("http_version") or "HTTP/1.1")
    content, headers = _message(call, request, call.request_body)
    return http.Request(
        host=url.host,
        port=url.port,
        method=str(request.get("method") or "").encode("utf-8", "surrogateescape"),
        scheme=url.scheme.encode(),
        authority=url.netloc.encode() if version == "HTTP/2.0" else b"",
        path=url.target.encode(),
        http_version=version.encode(),
        headers=headers,
        content=content,
        trailers=_fields(fields(request, "trailers")),
        timestamp_start=began,
        timestamp_end=None,
    )


def _response(call: ExportedCall) -> http.Response | None:
    response = call.response
    if response is None:
        return None
    status = int(response.get("status") or 0)
    content, headers = _message(call, response, call.response_body)
    version = str(response.get("http_version") or "HTTP/1.1")
    reason = "" if version.startswith(("HTTP/2", "HTTP/3")) else status_codes.RESPONSES.get(status, "")
    return http.Response(
        http_version=version.encode(),
        status_code=status,
        reason=reason.encode(),
        headers=headers,
        content=content,
        trailers=_fields(fields(response, "trailers")),
        timestamp_start=_seconds(call, call.record.get("time_to_first_byte") or 0),
        timestamp_end=_end(call),
    )


def _message(call: ExportedCall, message: Record, body: ExportedBody) -> tuple[bytes | None, http.Headers]:
    """Content, None if it is missing, and headers that fit it."""
    headers = _fields(fields(message)) or http.Headers()
    if call.is_websocket:
        return b"", headers
    if not body.undecodable:
        headers.pop("content-encoding", None)
    if body.data and "content-length" in headers:
        headers["content-length"] = str(len(body.data))
    return (None if body.missing else body.data or b""), headers


def _websocket(call: ExportedCall) -> WebSocketData:
    outcome = call.row["outcome"]
    whole = outcome in ("ok", "websocket_closed")
    return WebSocketData(
        messages=[WebSocketMessage(TEXT, one.from_client, one.data, one.time / 1e9) for one in turn_messages(call)],
        closed_by_client={"client_gone": True, "upstream_gone": False}.get(outcome),
        close_code=NO_CLOSE_CODE if whole else None,
        close_reason="end of the turn" if outcome == "ok" else str(outcome),
        timestamp_end=_end(call),
    )


def _error(call: ExportedCall) -> flow.Error | None:
    outcome, error = call.row["outcome"], call.row["error"] or {}
    if outcome in ("ok", "http_error", "websocket_closed", None):
        return None
    error_text = ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    return flow.Error(f"{outcome} ({error_text})" if error_text else str(outcome), _end(call) or _seconds(call, 0))


def _metadata(call: ExportedCall) -> dict[str, Any]:
    """Return the facts that the addon leaves on a live flow, and more. An unknown fact has no key."""
    known = {"call": call.id, **call.row, **{key: call.record.get(key) for key in LABELS}}
    facts = {key: value for key, value in known.items() if value is not None}
    for side, body in (("request", call.request_body), ("response", call.response_body)):
        if body.encoding is not None:
            facts[f"{side}_content_encoding"] = body.encoding
        if body.missing is not None:
            facts[f"{side}_missing"] = body.missing
        if body.total is not None:
            facts[f"{side}_total"] = body.total
    return facts


def _peer(call: ExportedCall) -> tuple[str, int]:
    """The log has the client's address, not its port."""
    client = call.record.get("client")
    return (str(client), 0) if client else UNKNOWN


def _fields(pairs: HeaderFields) -> http.Headers | None:
    """None if there are none. The log has them decoded as Latin-1."""
    if not pairs:
        return None
    return http.Headers((_bytes(name), _bytes(value)) for name, value in pairs)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _seconds(call: ExportedCall, after: int) -> float:
    """Unix time so many nanoseconds after the call's start."""
    return (int(call.record.get("time") or 0) + after) / 1e9


def _end(call: ExportedCall) -> float | None:
    duration = call.record.get("duration")
    return None if duration is None else _seconds(call, duration)
