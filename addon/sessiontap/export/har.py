"""HTTP Archive 1.2 (http://www.softwareishard.com/blog/har-12-spec/), as browsers and mitmproxy read it.

Each entry's `_sessiontap` holds the facts that HAR has no place for. A WebSocket's turn is an entry in Chrome's form:
`_resourceType` `websocket`, its frames in `_webSocketMessages`.

A response is text if readers encode it to the same bytes again, else base64. Readers go by the charset of its
Content-Type; without one mitmproxy takes JSON, HTML, XML and scripts as UTF-8 and all else as Latin-1. HAR has no
base64 for requests: one that is no UTF-8 is written a character a byte, and its comment says so.

mitmproxy's own writer (`mitmproxy.addons.savehar`) is not used. As of mitmproxy 12.2.3 its own reader refuses the whole
file if one URL has an IPv6 host or a byte that is not ASCII, if one reply's charset is `base64`, or if one request's
body was not recorded. A reply's body that was not recorded comes back empty, and UTF-8 that says UTF-16 with two bytes
more. Its wait is 0 without the time at which the request ended, which the log does not have: a reply that took two
seconds to begin then took none.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import string
from collections.abc import Iterable
from email.message import Message
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

import sessiontap
from sessiontap.exchange import UrlParts, in_url, with_brackets
from sessiontap.export.exported_call import ExportedBody, ExportedCall, Record, field, fields, turn_messages

Json = dict[str, Any]

LABELS = ("user", "properties", "tags", "state", "flags")
CODINGS = frozenset({"gzip", "deflate", "br", "zstd", "identity"})
"""Content-Encodings that readers know. mitmproxy refuses the whole file for another one, so that header is left out."""
VERSIONS = {"HTTP/2.0": "HTTP/2", "HTTP/3.0": "HTTP/3"}
"""As readers expect them."""
HOST = re.compile(r"(?=.{1,253}\.?$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
UNKNOWN_HOST = "unknown.invalid"
URL_ASCII = string.punctuation
"""Characters that a URL keeps as they are; mitmproxy refuses the whole file for one that is no ASCII."""
UTF8_TYPES = ("json", "html", "xml", "javascript", "ecmascript", "text/css")
ONE_BYTE_A_CHARACTER = "binary: each character is one byte (Latin-1)"
UNKNOWN_TYPE = "x-unknown"
"""HAR's own word."""

_encode = msgspec.json.Encoder().encode


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """Write one archive, an entry a line. Raises OSError of `out`."""
    creator = {"name": "sessiontap", "version": sessiontap.__version__}
    out.write(b'{"log": {"version": "1.2", "creator": ' + _encode(creator) + b', "pages": [], "entries": [')
    between = b"\n"
    for call in calls:
        out.write(between + _encode(entry(call)))
        between = b",\n"
    out.write(b"\n]}}\n")


def entry(call: ExportedCall) -> Json:
    """Return the entry of one call."""
    timings = _timings(call)
    found = {
        "startedDateTime": call.row["time"],
        "time": sum(value for value in timings.values() if value > 0),
        "request": _request(call),
        "response": _response(call),
        "cache": {},
        "timings": timings,
        "comment": call.title,
        "_sessiontap": _own(call),
    }
    if call.is_websocket:
        found["_resourceType"] = "websocket"
        found["_webSocketMessages"] = [
            {
                "type": "send" if one.from_client else "receive",
                "time": one.time / 1_000_000_000,
                "opcode": 1,
                "data": one.data.decode("utf-8", "replace"),
            }
            for one in turn_messages(call)
        ]
    return found


def _own(call: ExportedCall) -> Json:
    record, missing = call.record, {}
    for side, body in (("request", call.request_body), ("response", call.response_body)):
        if body.missing:
            missing[side] = body.missing
    scores = {"score_details": list(call.scores), "session_score_details": list(call.session_scores)}
    return {**call.row, **{key: record.get(key) for key in LABELS}, **scores, "missing": missing}


def _timings(call: ExportedCall) -> dict[str, float]:
    """Return the timings in milliseconds; -1 if unknown. Sending is not timed apart and counts as part of `wait`."""
    whole, first = call.row["duration"], call.row["time_to_first_byte"]
    if whole is None:
        wait, receive = first, None
    elif first is None:
        wait, receive = whole, 0
    else:
        wait, receive = first, max(whole - first, 0)
    known = {"send": 0, "wait": wait, "receive": receive}
    return {
        **dict.fromkeys(("blocked", "dns", "connect", "ssl"), -1),
        **{name: -1 if value is None else round(value * 1000, 6) for name, value in known.items()},
    }


def _request(call: ExportedCall) -> Json:
    request, body = call.request, call.request_body
    recorded = str(request.get("url") or "")
    hosts = str(call.row["host"] or ""), str(call.row["forwarded_host"] or "")
    url = readable_url(recorded, *hosts)
    found: Json = {
        "method": str(request.get("method") or ""),
        "url": url,
        "httpVersion": _version(request),
        "cookies": [],  # credentials: the log has none
        "headers": _headers(request),
        "queryString": _pairs(parse_qsl(url.partition("?")[2].partition("#")[0], keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": _wire_size(body, ()),
    }
    kind = field(request, "content-type")
    comments = [body.missing] if body.missing else []
    if body.data and not call.is_websocket:
        found["postData"] = _post_data(body.data, kind or UNKNOWN_TYPE)
        if kind and charset_of(kind) is not None and as_text(body.data, kind) is None:
            found["headers"] = [_in_utf8(pair) for pair in found["headers"]]
            comments.append(f"the recorded content-type, by which no reader gives the body back: {kind}")
    if unquote(url) != unquote(with_brackets(recorded, *hosts)):
        comments.append(f"the recorded URL, which no reader takes: {recorded}")
    if comments:
        found["comment"] = "; ".join(comments)
    return found


def readable_url(recorded: str, *hosts: str) -> str:
    """Return a recorded URL as mitmproxy takes it: in ASCII, to a possible host and port.

    mitmproxy refuses the whole file for any other URL. An impossible host becomes `UNKNOWN_HOST`.
    """
    url = with_brackets(recorded, *hosts)
    parts = UrlParts.of(url)
    try:
        if parts.scheme in ("http", "https") and urlsplit(url).port == parts.port and is_host(parts.host):
            return quote(url, URL_ASCII)
    except ValueError:
        pass
    scheme = parts.scheme if parts.scheme in ("http", "https") else "https"
    host = next((one for one in (parts.host, *hosts) if is_host(one)), UNKNOWN_HOST)
    port = f":{parts.port}" if parts.port else ""
    return quote(f"{scheme}://{in_url(host)}{port}{parts.target}", URL_ASCII)


def is_host(host: str) -> bool:
    """Return True if it is a name or an address as mitmproxy checks them."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            host.encode("ascii").decode("idna")
        except UnicodeError:
            return False
        return HOST.fullmatch(host) is not None
    return True


def _post_data(data: bytes, kind: str) -> Json:
    try:
        return {"mimeType": kind, "params": [], "text": data.decode()}
    except UnicodeDecodeError:
        return {"mimeType": kind, "params": [], "text": data.decode("latin-1"), "comment": ONE_BYTE_A_CHARACTER}


def _response(call: ExportedCall) -> Json:
    response, body = call.response, call.response_body
    if response is None:
        return {
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": UNKNOWN_TYPE},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
            "_error": call.row["outcome"],
        }
    status = int(response.get("status") or 0)
    kind = field(response, "content-type")
    found: Json = {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in HTTPStatus else "",
        "httpVersion": _version(response),
        "cookies": [],
        "headers": _headers(response),
        "content": _content(ExportedBody(data=b"", size=0) if call.is_websocket else body, kind),
        "redirectURL": field(response, "location") or "",
        "headersSize": -1,
        "bodySize": _wire_size(body, response.get("chunks") or ()),
    }
    if call.row["outcome"] not in ("ok", "http_error"):
        found["_error"] = call.row["outcome"]
    return found


def _content(body: ExportedBody, kind: str | None) -> Json:
    found: Json = {"size": -1 if body.size is None else body.size, "mimeType": kind or UNKNOWN_TYPE}
    if body.missing:
        found["comment"] = body.missing
    if body.data is not None:
        text = as_text(body.data, kind or "")
        if text is None:
            found |= {"text": base64.b64encode(body.data).decode(), "encoding": "base64"}
        else:
            found["text"] = text
    elif body.size is None:
        found["size"] = 0 if not body.missing else -1
    return found


def as_text(data: bytes, kind: str) -> str | None:
    """Return the body as text that a reader encodes to the same bytes by the Content-Type `kind`, or None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    charset = charset_of(kind)
    if charset is None:
        same = text.isascii() or any(word in kind for word in UTF8_TYPES)
    else:
        same = charset in ("utf-8", "utf8") or (charset in ("us-ascii", "iso-8859-1", "latin-1") and text.isascii())
    return text if same else None


def charset_of(kind: str) -> str | None:
    """Return the charset that a Content-Type names, or None."""
    parsed = Message()
    parsed["content-type"] = kind
    return parsed.get_content_charset()


def _is_known(charset: str | None) -> bool:
    """Return True for None, and for a charset of text without a byte order mark (UTF-16 writes two bytes for "").

    Python also knows `base64` and the like as charsets; mitmproxy refuses the whole file for one of those.
    """
    try:
        return not "".encode(charset or "utf-8")
    except (LookupError, ValueError):
        return False


def _in_utf8(pair: Json) -> Json:
    """Return the header; a Content-Type with the charset UTF-8."""
    if pair["name"].lower() != "content-type":
        return pair
    return {**pair, "value": f"{pair['value'].partition(';')[0]}; charset=utf-8"}


def _wire_size(body: ExportedBody, chunks: Iterable[int]) -> int:
    """Return the bytes on the wire; -1 if unknown, since the log has bodies decoded."""
    streamed = sum(list(chunks)[1::2])
    if streamed:
        return streamed
    if body.total is not None:
        return body.total
    known = body.encoding is None or body.undecodable
    return (body.size or 0) if known and (body.size is not None or not body.missing) else -1


def _version(message: Record) -> str:
    version = str(message.get("http_version") or "unknown")
    return VERSIONS.get(version, version)


def _headers(message: Record) -> list[Json]:
    codings = [value.lower() for name, value in fields(message) if name.lower() == "content-encoding"]
    fit = len(codings) == 1 and codings[0] in CODINGS
    pairs = _pairs((name, value) for name, value in fields(message) if fit or name.lower() != "content-encoding")
    charsets = [charset_of(value) for name, value in fields(message) if name.lower() == "content-type"]
    return pairs if all(map(_is_known, charsets)) else [_in_utf8(pair) for pair in pairs]


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]
