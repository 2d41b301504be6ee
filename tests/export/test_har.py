"""HAR 1.2: every key that the format requires, and bodies that its readers give back."""

from __future__ import annotations

import base64
import io
import json
from datetime import datetime
from typing import Any

import pytest
from mitmproxy.io import FlowReader
from tests.export.calls import START, call, damaged, turn, unanswered

import sessiontap
from sessiontap.export import har
from sessiontap.export.exported_call import NOT_RECORDED, ExportedCall
from sessiontap.trace import body

# http://www.softwareishard.com/blog/har-12-spec/: what each object must have, and of which type
NUMBER = (int, float)
PAIR = {"name": str, "value": str}
REQUIRED: dict[str, Any] = {
    "startedDateTime": str,
    "time": NUMBER,
    "request": {
        "method": str,
        "url": str,
        "httpVersion": str,
        "cookies": [PAIR],
        "headers": [PAIR],
        "queryString": [PAIR],
        "headersSize": int,
        "bodySize": int,
    },
    "response": {
        "status": int,
        "statusText": str,
        "httpVersion": str,
        "cookies": [PAIR],
        "headers": [PAIR],
        "content": {"size": int, "mimeType": str},
        "redirectURL": str,
        "headersSize": int,
        "bodySize": int,
    },
    "cache": {},
    "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER},
}
OPTIONAL = {
    "comment": str,
    "text": str,
    "encoding": str,
    "postData": {"mimeType": str, "params": [], "text": str},
    **dict.fromkeys(("blocked", "dns", "connect", "ssl"), NUMBER),
}


def check(value: Any, wanted: Any, where: str = "entry") -> None:
    """`value` has what is wanted, and nothing that neither the format nor an underscore allows."""
    if isinstance(wanted, list):
        for number, one in enumerate(value):
            check(one, wanted[0] if wanted else None, f"{where}[{number}]")
        return
    if not isinstance(wanted, dict):
        assert isinstance(value, wanted), f"{where}: {value!r}"
        return
    assert set(wanted) <= set(value), where
    allowed = OPTIONAL | wanted
    for key, one in value.items():
        if not key.startswith("_"):
            assert key in allowed, f"{where}.{key} is not of the format"
            check(one, allowed[key], f"{where}.{key}")


def archive(*calls: ExportedCall) -> bytes:
    out = io.BytesIO()
    har.write(calls, out)
    return out.getvalue()


def only(one: ExportedCall) -> dict[str, Any]:
    (entry,) = json.loads(archive(one))["log"]["entries"]
    assert isinstance(entry, dict)
    return entry


CALLS = {
    "whole": call(),
    "no bodies": call(None, None),
    "binary": call(b"\xff\x00", b"\xff\x00"),
    "damaged": call(asked={"body": damaged()}, told={"body": damaged()}),
    "only measured": call(asked={"body": body.measured(9)}, told={"body": body.measured(9)}),
    "unanswered": unanswered(),
    "a turn of a web socket": turn(),
    "nothing known": call(asked={"url": None, "method": None, "headers": None}, duration=None, session=None, llm=None),
}


@pytest.mark.parametrize("one", CALLS.values(), ids=CALLS)
def test_every_required_key_is_there(one: ExportedCall) -> None:
    check(only(one), REQUIRED)


def test_the_archive_itself() -> None:
    log = json.loads(archive(call(), turn()))["log"]
    assert (log["version"], log["pages"], len(log["entries"])) == ("1.2", [], 2)
    assert log["creator"] == {"name": "sessiontap", "version": sessiontap.__version__}
    assert json.loads(archive())["log"]["entries"] == []


def test_what_was_asked_and_what_came() -> None:
    entry = only(call())
    assert datetime.fromisoformat(entry["startedDateTime"]).timestamp() == pytest.approx(START / 1e9, abs=1e-6)
    request, response = entry["request"], entry["response"]
    assert request["url"] == "https://api.openai.com/v1/chat?a=1&b=%C3%A4"
    assert request["queryString"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "ä"}]
    assert (request["method"], request["httpVersion"], request["bodySize"]) == ("POST", "HTTP/2", 19)
    assert request["postData"]["text"] == '{"model": "gpt-4o"}'
    assert (response["status"], response["statusText"]) == (200, "OK")
    assert response["content"] == {"size": 12, "mimeType": "application/json", "text": '{"ok": true}'}
    assert entry["comment"] == "Course /outline"


def test_the_field_of_our_own() -> None:
    own = only(call())["_sessiontap"]
    expected = {
        "session_id": "1db5055c-ed54-5a42-b919-793b95b7114c",
        "path": "/outline",
        "usage": {"input": 3, "output": 4},
        "cost_usd": 0.25,
        "tags": ["nightly"],
        "missing": {},
    }
    assert {key: own[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("duration", "first", "expected"),
    [
        (1_500_000_000, 500_000_000, (0, 500, 1000, 1500)),
        (1_500_000_000, None, (0, 1500, 0, 1500)),
        (None, 500_000_000, (0, 500, -1, 500)),
        (None, None, (0, -1, -1, 0)),
    ],
    ids=["known", "first byte unknown", "end unknown", "unknown"],
)
def test_timings_in_milliseconds(duration: int | None, first: int | None, expected: tuple[float, ...]) -> None:
    entry = only(call(duration=duration, time_to_first_byte=first))
    timings = entry["timings"]
    assert (timings["send"], timings["wait"], timings["receive"], entry["time"]) == expected
    assert {timings[name] for name in ("blocked", "dns", "connect", "ssl")} == {-1}


@pytest.mark.parametrize(
    ("stored", "missing"),
    [(damaged(), "the body does not fit its sha256"), (body.measured(9), NOT_RECORDED)],
    ids=["damaged", "not recorded"],
)
def test_a_body_that_is_missing_says_why(stored: dict[str, Any], missing: str) -> None:
    entry = only(call(asked={"body": stored}, told={"body": stored}))
    assert "postData" not in entry["request"]
    assert "text" not in entry["response"]["content"]
    assert entry["_sessiontap"]["missing"] == {"request": missing, "response": missing}
    assert (entry["request"]["comment"], entry["response"]["content"]["comment"]) == (missing, missing)
    assert entry["response"]["content"]["size"] == stored["size"]


@pytest.mark.parametrize(
    ("stored", "chunks", "size"),
    [
        (body.encode(b"12345"), None, 5),
        (body.encode(b"12345", "gzip"), None, -1),
        (body.encode(b"12345", "gzip"), [10, 3, 20, 4], 7),
        (body.encode(b"12345") | {"total": 99}, None, 99),
        (body.encode(b"12345", "foo") | {"undecodable": True}, None, 5),
        (None, None, 0),
    ],
    ids=["plain", "packed", "packed and streamed", "cut", "as on the wire", "none"],
)
def test_sizes_on_the_wire(stored: dict[str, Any] | None, chunks: list[int] | None, size: int) -> None:
    assert only(call(told={"body": stored, "chunks": chunks}))["response"]["bodySize"] == size


def test_a_call_without_a_response() -> None:
    response = only(unanswered())["response"]
    assert (response["status"], response["_error"]) == (0, "upstream_unreachable")


def test_a_reply_that_broke_off_says_so() -> None:
    entry = only(call(outcome="upstream_gone"))
    assert (entry["response"]["status"], entry["response"]["_error"]) == (200, "upstream_gone")


def test_a_web_sockets_turn_in_the_form_of_chrome() -> None:
    entry = only(turn())
    began = START / 1e9
    assert (entry["response"]["status"], entry["_resourceType"]) == (101, "websocket")
    assert entry["_webSocketMessages"] == [
        {"type": "send", "time": began, "opcode": 1, "data": '{"type": "response.create"}'},
        {"type": "receive", "time": pytest.approx(began + 0.1), "opcode": 1, "data": '{"n": "ä"}'},
        {"type": "receive", "time": pytest.approx(began + 0.3), "opcode": 1, "data": '{"n": "b"}'},
    ]
    assert "postData" not in entry["request"]


# -- bodies as mitmproxy's reader gives them back ----------------------------------------------------------------------

UTF8, ASCII, BINARY, LATIN1 = '{"a": "ä€"}'.encode(), b"data: {}\n\n", bytes(range(256)), "ä".encode("latin-1")


@pytest.mark.parametrize("coding", [None, "gzip", "br", "zstd", "deflate", "foo", "gzip, br"])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        'text/plain; charset="iso-8859-1"',
        "text/plain; charset=utf-16",
        "text/plain; charset=nonsense",
        "application/octet-stream",
        "no type at all",
    ],
)
@pytest.mark.parametrize(
    "data", [b"", UTF8, ASCII, BINARY, LATIN1], ids=["empty", "UTF-8", "ASCII", "binary", "Latin-1"]
)
def test_responses_come_back_byte_for_byte(data: bytes, kind: str | None, coding: str | None) -> None:
    headers = [["content-type", kind]] if kind else []
    headers += [["Content-Encoding", coding]] if coding else []
    one = call(told={"headers": headers, "body": body.encode(data, coding)})
    (flow,) = FlowReader(io.BytesIO(archive(one))).stream()
    assert flow.response.content == data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (UTF8, "application/json"),
        (ASCII, "text/plain"),
        (BINARY, "application/octet-stream"),
        (BINARY, "multipart/form-data; boundary=x"),
        ("ein Bäcker, 3 €".encode(), "text/plain; charset=utf-8"),
    ],
    ids=["json", "text", "binary", "a form with a file", "text that says its charset"],
)
def test_requests_come_back_byte_for_byte(data: bytes, kind: str) -> None:
    one = call(data, asked={"headers": [["content-type", kind], ["content-encoding", "zstd"]]})
    (flow,) = FlowReader(io.BytesIO(archive(one))).stream()
    assert flow.request.content == data


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/v1?key=[redacted:key:ab]&a=%20", "https://h.example/v1?key=[redacted:key:ab]&a=%20"),
        ("https://h.example/ä b?q=€", "https://h.example/%C3%A4%20b?q=%E2%82%AC"),
        ("http://h_1.example:8080/a[b];c", "http://h_1.example:8080/a[b];c"),
    ],
    ids=["redacted", "not ASCII", "odd"],
)
def test_urls_that_every_reader_takes(url: str, expected: str) -> None:
    (flow,) = FlowReader(io.BytesIO(archive(call(asked={"url": url})))).stream()
    assert flow.request.url == expected


def test_binary_for_browsers() -> None:
    entry = only(call(BINARY, BINARY))
    assert base64.b64decode(entry["response"]["content"]["text"]) == BINARY
    assert entry["response"]["content"]["encoding"] == "base64"
    assert entry["request"]["postData"]["text"].encode("latin-1") == BINARY
    assert entry["request"]["postData"]["comment"] == har.ONE_BYTE_A_CHARACTER


def reread(*calls: ExportedCall) -> list[Any]:
    return list(FlowReader(io.BytesIO(archive(*calls))).stream())


@pytest.mark.parametrize(
    ("url", "host", "read"),
    [
        ("http://::1:8080/v1?a=1", "::1", "http://::1:8080/v1?a=1"),
        ("http://[::1]:8080/v1", "::1", "http://::1:8080/v1"),
        ("https://2001:db8::7/v1", "2001:db8::7", "https://2001:db8::7/v1"),
        ("https://api.openai.com:99999/v1", "api.openai.com", "https://api.openai.com/v1"),
        ("https://bücher.example/v1", "bücher.example", "https://unknown.invalid/v1"),
        ("https://a..b/v1", None, "https://unknown.invalid/v1"),
        ("http://[/v1", "api.openai.com", "http://api.openai.com/v1"),
        ("ws://api.openai.com/v1", "api.openai.com", "https://api.openai.com/v1"),
        ("", None, "https://unknown.invalid/"),
    ],
)
def test_a_url_that_mitmproxy_would_refuse_costs_no_other_call(url: str, host: str | None, read: str) -> None:
    flows = reread(call(), call(asked={"url": url}, host=host, forwarded_host=host), call())
    assert [flow.request.url for flow in flows] == [call().request["url"], read, call().request["url"]]


def test_the_url_that_no_reader_takes_stands_in_the_comment() -> None:
    comment = only(call(asked={"url": "https://a..b/v1"}))["request"]["comment"]
    assert comment == "the recorded URL, which no reader takes: https://a..b/v1"


@pytest.mark.parametrize("charset", ["base64", "idna", "no-such", "utf-16", '"', "\0"], ids=repr)
@pytest.mark.parametrize("data", [None, b'{"model": "gpt"}', "ü".encode()], ids=["no body", "ASCII", "UTF-8"])
def test_a_charset_that_is_none_of_text_costs_no_body(charset: str, data: bytes | None) -> None:
    headers = {"headers": [["content-type", f"text/plain; charset={charset}"]]}
    flows = reread(call(), call(data, data, asked=headers, told=headers))
    assert [flow.request.raw_content for flow in flows] == [b'{"model": "gpt-4o"}', data or b""]
    assert [flow.response.raw_content for flow in flows] == [b'{"ok": true}', data or b""]
