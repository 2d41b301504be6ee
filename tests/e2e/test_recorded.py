"""Recorded traffic of many client libraries and providers, replayed through a real mitmdump in pieces of random sizes:
what the log says of each exchange is what was expected of it, and the app gets every byte.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import Lab, Proxy
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded
from tests.support.dialogue import Request, Respond

from sessiontap.analysis.recorded_call import read
from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall, call_row

pytestmark = needs_corpus

NUMBER = "x-exchange"
TYPES = {
    "json": "application/json",
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "eventstream": "application/vnd.amazon.eventstream",
    "text": "text/plain",
}
"""For exchanges whose response headers were not recorded."""
NOT_REPLAYED = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "te"}
CLIENTS = 6


def wanted(item: Recorded) -> bool:
    """It is an LLM call, or one to a local server: what neither the table nor a rule names passes undecrypted."""
    return item.expect["family"] is not None


def pieces(body: bytes, chance: random.Random) -> list[bytes]:
    """A body in pieces of random sizes, single bytes among them."""
    most = 1 if len(body) < 300 else chance.choice((7, 100, 1500, 20_000)) * (1 + len(body) // 20_000)
    found, at = [], 0
    while at < len(body):
        size = chance.randint(1, most)
        found.append(body[at : at + size])
        at += size
    return found


def replay_through(lab: Lab, items: list[Recorded]) -> Proxy:
    """A proxy whose upstream answers with the recorded responses; each exchange is told by a header's number."""

    async def handle(request: Request, respond: Respond) -> None:
        item = items[int(request.headers.get(NUMBER) or "")]
        await request.body()
        headers = [(name, value) for name, value in item.response_headers if name.lower() not in NOT_REPLAYED]
        kind = item.expect["body_kind"]
        if "content-type" not in item.response_headers and kind in TYPES:
            headers.append(("content-type", TYPES[kind]))
        if not item.response_raw:
            await respond.whole(item.response_status, b"", headers)
            return
        await respond.start(item.response_status, headers)
        for piece in pieces(item.response_raw, random.Random(item.id)):
            await respond.send(piece)
        await respond.end()

    places = {(item.request.scheme, item.request.host, item.request.port) for item in items}
    for scheme in ("https", "http"):
        hosts = sorted({host for way, host, _ in places if way == scheme})
        server = lab.upstream(handle, hosts, tls=scheme == "https", alpn=("http/1.1",))
        lab.redirect(*(Redirect(host, port, server.port) for way, host, port in sorted(places) if way == scheme))
    local = sorted({host for _, host, port in places if port != 443})
    return lab.proxy({"version": 1, "hosts": [{"host": host} for host in local], "rules": []})


def send(proxy: Proxy, items: list[Recorded], numbers: range) -> dict[int, str | None]:
    """Send the exchanges' requests; what was wrong with the reply that the app got, by number."""
    wrong: dict[int, str | None] = {}
    with proxy.client() as app:
        for number in numbers:
            item = items[number]
            asked = item.request
            headers = [(name, value) for name, value in asked.headers if name.lower() not in NOT_REPLAYED]
            headers.append((NUMBER, str(number)))
            request = app.build_request(asked.method, asked.url, content=asked.body, headers=headers)
            try:
                reply = app.send(request, stream=True)
                body = b"".join(reply.iter_raw())
            except httpx2.HTTPError as error:
                wrong[number] = repr(error)
                continue
            if (reply.status_code, body) != (item.response_status, item.response_raw):
                wrong[number] = f"status {reply.status_code}, {len(body)} of {len(item.response_raw)} bytes"
    return wrong


def told(call: RecordedCall) -> dict[str, Any]:
    """What the log says of a call."""
    row = call_row(call.record, call.caller)
    _, reply = read(call)
    return {key: row[key] for key in ("provider", "family", "request_model", "response_model", "stream", "usage")} | {
        "finish_reason": row["finish_reason"],
        "error": row["error"],
        "tool_calls": row["tool_calls"],
        "text": reply.text if reply else None,
        "flags": call.record["flags"],
    }


def expected(item: Recorded) -> dict[str, Any]:
    expect = item.expect
    return {key: expect[key] for key in ("provider", "request_model", "response_model", "stream", "usage")} | {
        "family": expect["family"],
        "finish_reason": expect["finish_reason"],
        "error": expect["error"] or expect.get("error_in_200"),
        "tool_calls": expect["tool_calls"] or [],
        "text": expect["text"],
        "flags": [],
    }


@pytest.fixture(scope="module")
def items() -> list[Recorded]:
    return [item for item in recorded() if wanted(item)]


@pytest.fixture(scope="module")
def replayed(shared_lab: Lab, items: list[Recorded]) -> dict[int, RecordedCall]:
    proxy = replay_through(shared_lab, items)
    with ThreadPoolExecutor(CLIENTS) as clients:
        done = clients.map(lambda first: send(proxy, items, range(first, len(items), CLIENTS)), range(CLIENTS))
        wrong = {number: fault for faults in done for number, fault in faults.items()}
    assert wrong == {}
    return {_number(call): call for call in proxy.stop()}


def _number(call: RecordedCall) -> int:
    return next(int(value) for name, value in call.record["request"]["headers"] if name.lower() == NUMBER)


def test_every_exchange_reaches_the_app_and_the_log(replayed: dict[int, RecordedCall], items: list[Recorded]) -> None:
    assert sorted(replayed) == list(range(len(items)))


def test_the_log_says_of_each_what_is_expected(replayed: dict[int, RecordedCall], items: list[Recorded]) -> None:
    differ = {}
    for number, call in replayed.items():
        found, right = told(call), expected(items[number])
        if wrong := {key: (found[key], right[key]) for key in right if found[key] != right[key]}:
            differ[items[number].id] = wrong
    assert differ == {}


def test_the_bodies_in_the_log_are_those_that_passed(replayed: dict[int, RecordedCall], items: list[Recorded]) -> None:
    changed = [
        items[number].id
        for number, call in replayed.items()
        if (call.response_body() or b"") != items[number].response().body
        and b"[redacted:" not in (call.response_body() or b"")
    ]
    assert changed == []
