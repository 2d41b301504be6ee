"""Recorded calls with whatever a network may bring, as every format writes them, and as their readers give them back.

Between two plain calls stands one of odd values: its URL, headers, status, bodies, names. Each format is to hold all
three, bodies byte for byte, and to be read by what it is meant for.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from mitmproxy.exceptions import FlowReadException
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from pyarrow import parquet
from tests.export import calls
from tests.fuzz import mutate
from tests.fuzz.material import exchanges
from tests.fuzz.rounds import Case, Make, Wrong

from sessiontap.export import FORMATS
from sessiontap.export.exported_call import ExportedCall

HOSTS = (
    *(
        "api.openai.com",
        "localhost",
        "127.0.0.1",
        "::1",
        "fe80::1%eth0",
        "2001:db8::7",
        "[::1]",
        "a..b",
        "a b",
        "-",
        "",
    ),
    *(
        "xn--a",
        "xn--80ak6aa92e.com",
        "bücher.example",
        "a" * 70,
        ".".join(["a" * 60] * 5),
        "a_b.example",
        "x.",
        "[",
        "a]b",
    ),
    *("1.2.3", "0x7f.1", "%41", "a\tb", "\u2100.example", "user@host", "host:80:90"),
)
SCHEMES = ("https", "http", "HTTP", "ws", "", "a b", "https:")
PORTS = ("", ":443", ":8080", ":0", ":65535", ":65536", ":-1", ":x", ":", ":080", ":²")
TARGETS = (
    *("/v1/chat/completions", "/", "", "?a=1", "/a?b=%zz&c", "/a#b", "/ü?ä=ö", "/a b\tc", "//x", "/{a}[b]", "/[::1]"),
    *("/%00\x00", "/\x1b[31m", "/" + "a" * 5000, "/?" + "&".join("abcdefgh"), "/\\..\\x", "*", "example.com:443"),
)
TYPES = (
    *("application/json", "text/plain", "text/html; charset=iso-8859-1", "text/event-stream", "image/png", ""),
    *("text/plain; charset=utf-16", "text/plain; charset=no-such", 'text/html; charset="', "a/b; charset*=x''y", ";;;"),
    *(
        "application/json; charset=\x00",
        "ü/ö",
        "text/html; charset=idna",
        "text/plain; charset=base64",
        "text/css; charset=utf-7",
    ),
)
CODINGS = ("gzip", "br", "zstd", "deflate", "identity", "x-own", "GZIP", "gzip, br", "")
NAMES = ("X-A", "x-ü", "a b", "", ":authority", "Content-Length", "Set-Cookie", "a" * 300, "x\ny")
VALUES = ("", "1", "é\x80\xff", "a\r\nb: c", "\x00", "x" * 9000, '"', "\x1b]0;a\x07")


def prepare(corpus: Path | None) -> Make:
    """The target."""
    bodies = [one.response.body for one in exchanges(corpus)] + [one.request.body or b"" for one in exchanges(corpus)]

    def make(chance: Random) -> Case:
        odd = odd_call(chance, bodies)
        return Case(partial(_check, odd), odd.request + odd.response, repr(odd.call.record)[:3000])

    # The modules that formats and readers load take 50 MB, which are no case's own.
    _check(Odd(plain(3), b'{"n": 3}', b'{"ok": true}', is_websocket=False, coded=False))
    return make


def _check(odd: Odd) -> None:
    """Write the call between two plain ones in every format, and read what was written."""
    sent = [plain(1), odd.call, plain(2)]
    for name in FORMATS:
        out = io.BytesIO()
        FORMATS[name].load()(sent, out)
        READ[name](out.getvalue(), odd)


@dataclass(frozen=True, slots=True)
class Odd:
    """The call, and what of it is to be found again."""

    call: ExportedCall
    request: bytes
    response: bytes
    is_websocket: bool
    coded: bool
    """Its bodies are still in an encoding, which a reader of messages undoes or cannot."""


def plain(number: int) -> ExportedCall:
    return calls.call(f'{{"n": {number}}}'.encode(), b'{"ok": true}')


def odd_call(chance: Random, bodies: list[bytes]) -> Odd:
    """A call whose values are of the right types, and as odd as a network can make them."""
    host = chance.choice(HOSTS)
    request, response = (_body(chance, bodies) for _ in range(2))
    url = f"{chance.choice(SCHEMES[:2] if chance.random() < 0.7 else SCHEMES)}://{host}{chance.choice(PORTS)}{chance.choice(TARGETS)}"
    if chance.random() < 0.1:
        url = chance.choice((*_text(), url[: chance.randrange(len(url) + 1)]))
    coding = chance.choice(CODINGS) if chance.random() < 0.4 else None
    websocket = chance.random() < 0.15
    asked = {
        "method": chance.choice(("POST", "GET", "", "PO ST", "é", "x" * 100)),
        "url": url,
        "http_version": _version(chance),
        "headers": _headers(chance),
        "trailers": _headers(chance) if chance.random() < 0.2 else None,
    }
    told = {
        "status": 101 if websocket else chance.choice((200, 204, 304, 404, 429, 500, 0, 99, 600, 999)),
        "http_version": _version(chance),
        "headers": _headers(chance) + ([["content-encoding", coding]] if coding is not None else []),
        "chunks": chance.choice((None, [], [1, len(response)], [5, 3, 7, 2], [10**9, 10**12])),
    }
    more: dict[str, Any] = {
        "host": chance.choice((host, None, "api.openai.com")),
        "forwarded_host": chance.choice((host, None, "api.openai.com")),
        "outcome": chance.choice(("ok", "http_error", "stream_error", "client_gone", "upstream_gone")),
        "flags": ["websocket"] if websocket else [],
        "duration": chance.choice((None, 0, 1, 10**9, 2**62 - 1)),
        "time_to_first_byte": chance.choice((None, 0, 10**8, 2**61)),
        "properties": {chance.choice(_text()): chance.choice(_text())},
        "tags": [chance.choice(_text())],
        "user": chance.choice(_text()),
        "client": chance.choice((None, "127.0.0.1", "::1", "")),
        "changes": chance.choice(
            (None, [["route", None, host, f"https://{host}:8443", "r"]], [["set", "A", None, "b", "r"]])
        ),
    }
    one = calls.call(request, response, asked=asked, told=told, **more)
    return Odd(one, request, response, websocket, coding is not None)


def _body(chance: Random, bodies: list[bytes]) -> bytes:
    body = chance.choice(bodies)
    return (
        mutate.mangled(chance, body) if chance.random() < 0.5 else chance.choice((body, b"", b"\xff", b"\r\n", b"\n\n"))
    )


def _headers(chance: Random) -> list[list[str]]:
    found = [[chance.choice(NAMES), chance.choice(VALUES)] for _ in range(chance.randrange(4))]
    return [["content-type", chance.choice(TYPES)], *found]


def _version(chance: Random) -> str:
    return chance.choice(("HTTP/1.1", "HTTP/2.0", "HTTP/1.0", "HTTP/3.0", "", "x", "HTTP/é"))


def _text() -> tuple[str, ...]:
    """Text as a log may hold it: without halves of surrogate pairs."""
    return tuple(one for one in mutate.STRINGS if one.encode("utf-8", "ignore").decode() == one)


# What readers make of it ----------------------------------------------------------------------------------------------


def _jsonl(data: bytes, odd: Odd) -> None:
    lines = data.splitlines() if data.count(b"\n") == 3 else data.split(b"\n")[:-1]
    if len(lines) != 3:
        raise Wrong(f"jsonl: {len(lines)} lines of 3 calls")
    told = [json.loads(line) for line in lines]
    for side, body in (("request", odd.request), ("response", odd.response)):
        message = told[1][side]
        found = base64.b64decode(message["body_base64"] or "") if message["body"] is None else message["body"].encode()
        if found != body:
            raise Wrong(f"jsonl: another body of the {side}")


def _har(data: bytes, odd: Odd) -> None:
    entries = json.loads(data)["log"]["entries"]
    if len(entries) != 3:
        raise Wrong(f"har: {len(entries)} entries of 3 calls")
    if not odd.is_websocket:
        content = entries[1]["response"]["content"]
        text = content.get("text", "")
        if content.get("encoding") == "base64" and base64.b64decode(text) != odd.response:
            raise Wrong("har: another body")
    _flows("har", data, odd)


def _flow(data: bytes, odd: Odd) -> None:
    flows = _flows("flow", data, odd)
    if flows[1].id != odd.call.id:
        raise Wrong("flow: another id")


def _flows(name: str, data: bytes, odd: Odd) -> list[HTTPFlow]:
    try:
        flows = [one for one in FlowReader(io.BytesIO(data)).stream() if isinstance(one, HTTPFlow)]
    except FlowReadException as error:
        raise Wrong(f"{name}: mitmproxy refuses the file: {error.__cause__ or error.__context__ or error!r}") from error
    if len(flows) != 3:
        raise Wrong(f"{name}: mitmproxy reads {len(flows)} flows of 3 calls")
    bodies = [(one.request.raw_content, one.response.raw_content if one.response else None) for one in flows]
    if (bodies[0], bodies[2]) != ((b'{"n": 1}', b'{"ok": true}'), (b'{"n": 2}', b'{"ok": true}')):
        raise Wrong(f"{name}: a neighbour reads otherwise: {bodies[0]}, {bodies[2]}")
    if not odd.is_websocket and bodies[1][1] != odd.response:
        raise Wrong(f"{name}: mitmproxy reads another reply: {bodies[1][1]!r:.100}, not {odd.response!r:.100}")
    if not odd.is_websocket and name == "flow" and bodies[1][0] != odd.request:
        raise Wrong(f"{name}: mitmproxy reads another request: {bodies[1][0]!r:.100}, not {odd.request!r:.100}")
    for one in flows:
        _shown(one)
    return flows


def _shown(one: HTTPFlow) -> None:
    """What mitmweb and mitmdump ask of every flow."""
    _ = one.request.pretty_url, one.request.pretty_host, one.request.get_text(strict=False)
    _ = one.response and one.response.get_text(strict=False)


def _markdown(written: bytes, odd: Odd) -> None:
    found = {one for one in written.decode() if ord(one) < 32 and one not in "\n\t"}
    if found:
        raise Wrong(f"control characters in the document: {found}")


class _Elements(HTMLParser):
    """Refuses elements and attributes that only something recorded can have brought."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        odd = [name for name, value in attrs if name.startswith("on") or name in ("src", "style", "srcdoc")]
        known = tag != "svg" or dict(attrs).get("class") in ("strip", "times")  # the session in time
        if tag in ("img", "iframe", "object", "embed", "base", "form", "use") or odd or not known:
            raise Wrong(f"the page has an element {tag} with {attrs}")


def _html(written: bytes, odd: Odd) -> None:
    _markdown(written, odd)
    reader = _Elements()
    reader.feed(written.decode())
    reader.close()


def _parquet(written: bytes, odd: Odd) -> None:
    rows = parquet.read_table(io.BytesIO(written)).num_rows
    if rows != 3:
        raise Wrong(f"parquet: {rows} rows of 3 calls")


def _parquet_bodies(written: bytes, odd: Odd) -> None:
    _parquet(written, odd)
    told = parquet.read_table(io.BytesIO(written)).to_pylist()[1]
    for side, body in (("request", odd.request), ("response", odd.response)):
        text = told[f"{side}_body"]
        found = text.encode() if text is not None else told[f"{side}_body_binary"] or b""
        if found != body:
            raise Wrong(f"parquet-bodies: another body of the {side}")


READ = {
    "jsonl": _jsonl,
    "har": _har,
    "flow": _flow,
    "html": _html,
    "markdown": _markdown,
    "parquet": _parquet,
    "parquet-bodies": _parquet_bodies,
}
