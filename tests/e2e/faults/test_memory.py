"""What recording holds in memory is bounded, in the proxy and its recorder, and nothing that passes is changed."""

from __future__ import annotations

import gzip
import hashlib
import random
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import brotli
import psutil
import zstandard
from tests.e2e.faults.load import all_at_once
from tests.e2e.faults.test_recorder import recorder_of
from tests.e2e.lab import Lab, Proxy
from tests.support.dialogue import Request, Respond

from sessiontap.demo.proxy_process import MITMDUMP
from sessiontap.trace import RecordedCall

MIB = 1 << 20
HOST = "llm.example"
URL = f"http://{HOST}/v1/chat/completions"
RULES: Any = {"version": 1, "hosts": [{"host": HOST}], "rules": []}
SLACK = 64 * MIB
"""Beyond the option: what the allocator keeps, mitmproxy's own buffers, and code that is loaded at the first call."""


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


class Growth:
    """How much the proxy and its recorder grew from here on, each at its largest."""

    def __init__(self, proxy: Proxy) -> None:
        recorder = recorder_of(proxy)
        assert recorder is not None
        self._pids = proxy.process.pid, recorder.pid
        self._before = [psutil.Process(pid).memory_info().rss for pid in self._pids]

    def bytes(self) -> list[int]:
        return [peak(pid) - before for pid, before in zip(self._pids, self._before, strict=True)]


def downloads(lab: Lab, number: int, size: int, memory: str | None) -> tuple[Proxy, list[int]]:
    """So many downloads at once, each delivered byte for byte; the proxy, and how much it and its recorder grew."""
    block = random.Random(0).randbytes(4 * MIB)
    blocks = size // len(block)
    digest = hashlib.sha256(block * blocks).hexdigest()

    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.start(200, [("content-type", "application/octet-stream")])
        for _ in range(blocks):
            for at in range(0, len(block), 1 << 16):
                await respond.send(block[at : at + (1 << 16)])
        await respond.end()

    lab.upstream(answer, [HOST], tls=False)
    proxy = lab.proxy(RULES, program=MITMDUMP, options={} if memory is None else {"session_memory": memory})
    growth = Growth(proxy)

    def download(n: int) -> None:
        hashed = hashlib.sha256()
        with proxy.client() as app, app.stream("POST", URL, json={"n": n}) as reply:
            for piece in reply.iter_raw():
                hashed.update(piece)
        assert hashed.hexdigest() == digest

    all_at_once(number, download)
    proxy.wait_calls(number)
    return proxy, growth.bytes()


def test_large_downloads_at_once_stay_within_the_memory_and_every_record_is_there(lab: Lab) -> None:
    number, size, memory = 6, 24 * MIB, 32 * MIB
    proxy, grown = downloads(lab, number, size, f"{memory // MIB}MB")
    assert sum(grown) < memory + SLACK, [one >> 20 for one in grown]
    calls = proxy.stop()
    assert len(calls) == number
    for call in calls:
        assert call.record["outcome"] == "ok"
        body = call.record["response"]["body"]
        assert body["size"] < size == body["total"]
        assert "response_cut" in call.record["flags"]
    assert any("over_budget" in call.record["flags"] for call in calls)
    said = [line for line in proxy.process.lines if "session_memory" in line]
    assert len(said) == 1, said
    assert not proxy.notes("dropped")


REPLY = b'{"model": "gpt-4o", "choices": []}'
JSON = ("content-type", "application/json")
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda plain: gzip.compress(plain, 1),
    "zstd": zstandard.compress,
    "br": lambda plain: brotli.compress(plain, quality=1),
    "deflate": lambda plain: zlib.compress(plain, 1),
    "zstd, gzip": lambda plain: gzip.compress(zstandard.compress(plain)),
}
ROUNDS = 3
"""Bombs of each kind that pass at the same time."""


def test_bombs_cost_neither_memory_nor_time_and_pass_as_they_are(lab: Lab) -> None:
    """Each is far below a megabyte and stands for 128; as a request it comes back as the reply."""
    plain = bytes(128 * MIB)
    bombs = {coding: encode(plain) for coding, encode in CODINGS.items()}

    async def echo(request: Request, respond: Respond) -> None:
        body, coding = await request.body(), request.headers.get("content-encoding")
        await respond.whole(200, body if coding else REPLY, [JSON, *([("content-encoding", coding)] if coding else [])])

    lab.upstream(echo, [HOST], tls=False)
    proxy = lab.proxy(RULES, program=MITMDUMP)
    growth = Growth(proxy)
    codings = list(bombs) * ROUNDS

    def send(n: int) -> None:
        bomb, coding = bombs[codings[n]], ("content-encoding", codings[n])
        with proxy.client() as app, app.stream("POST", URL, content=bomb, headers=[JSON, coding]) as reply:
            assert b"".join(reply.iter_raw()) == bomb

    all_at_once(len(codings), send)
    with proxy.client() as app:
        assert app.post(URL, json={"model": "gpt-4o"}).content == REPLY
    calls = proxy.wait_calls(len(codings) + 1)
    assert sum(growth.bytes()) < 2 * SLACK, growth.bytes()
    bombed = [call for call in calls if "response_cut" in call.record["flags"]]
    (last,) = (call for call in calls if call not in bombed)
    assert last.record["llm"]["response_model"] == "gpt-4o"
    assert sorted(call.record["request"]["body"]["wire"] for call in bombed) == sorted(codings)
    for call in bombed:
        assert_is_said(call, "request", bombs)
        assert_is_said(call, "response", bombs)
        assert "request_cut" in call.record["flags"]
    assert not proxy.notes("dropped")


def test_bombs_in_chunks_of_streams_cost_no_memory_and_pass_as_they_are(lab: Lab) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * MIB)
    bombs = {coding: encode(event * 64) for coding, encode in CODINGS.items()}

    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        coding = request.headers.get("x-want") or ""
        await respond.start(200, [("content-type", "text/event-stream"), ("content-encoding", coding)])
        for at in range(0, len(bombs[coding]), 1024):
            await respond.send(bombs[coding][at : at + 1024])
        await respond.end()

    lab.upstream(answer, [HOST], tls=False)
    proxy = lab.proxy(RULES, program=MITMDUMP)
    growth = Growth(proxy)
    codings = list(bombs) * ROUNDS

    def ask(n: int) -> None:
        with proxy.client() as app, app.stream("POST", URL, json={}, headers={"x-want": codings[n]}) as reply:
            assert b"".join(reply.iter_raw()) == bombs[codings[n]]

    all_at_once(len(codings), ask)
    calls = proxy.wait_calls(len(codings))
    assert sum(growth.bytes()) < 2 * SLACK, growth.bytes()
    assert sorted(call.record["response"]["body"]["wire"] for call in calls) == sorted(codings)
    for call in calls:
        assert_is_said(call, "response", bombs)
        assert call.record["llm"]["usage"] is None
    assert not proxy.notes("dropped")


def assert_is_said(call: RecordedCall, side: str, bombs: Mapping[str, bytes]) -> None:
    """The record says that the body is not there, and how large it was."""
    body = call.record[side]["body"]
    assert (body["size"], body["total"]) == (0, len(bombs[body["wire"]]))
    assert {"undecodable", f"{side}_cut", "unread"} <= set(call.record["flags"])
    assert any("decoded only up to" in problem for problem in call.record["llm"]["problems"])


def question(number: int) -> bytes:
    messages = b",".join(b'{"role":"user","content":"%d"}' % n for n in range(number))
    return b'{"messages":[' + messages + b'],"model":"gpt-4o"}'


LARGE_REQUESTS = {
    "400,000 messages": (question(400_000), "gpt-4o"),
    "20,000 messages": (question(20_000), "gpt-4o"),
    "300,000 keys": (b'{"model":"gpt-4o",%s}' % b",".join(b'"k%d":{}' % n for n in range(300_000)), "gpt-4o"),
    "two million empty lists": (b'{"x":[%s],"model":"gpt-4o"}' % b",".join([b"[]"] * 2_000_000), "gpt-4o"),
    "a million levels": (b'{"model":"gpt-4o","x":%s}' % (b"[" * 1_000_000 + b"]" * 1_000_000), None),
}


def test_large_requests_pass_as_they_are_and_their_model_is_known(lab: Lab) -> None:
    received: list[bytes] = []

    async def answer(request: Request, respond: Respond) -> None:
        received.append(await request.body())
        await respond.whole(200, REPLY, [JSON])

    lab.upstream(answer, [HOST], tls=False)
    proxy = lab.proxy({**RULES, "rules": [{"match": {"model": "gpt-4o"}, "properties": {"known": "yes"}}]})
    with proxy.client(headers=[JSON]) as app:
        for body, _ in LARGE_REQUESTS.values():
            assert app.post(URL, content=body).content == REPLY
    assert received == [body for body, _ in LARGE_REQUESTS.values()]
    for call, (body, model) in zip(proxy.wait_calls(len(LARGE_REQUESTS)), LARGE_REQUESTS.values(), strict=True):
        assert call.record["llm"]["request_model"] == model
        assert call.record["properties"] == ({"known": "yes"} if model else {})
        assert any("too large to be read" in one or "too long" in one for one in call.record["llm"]["problems"])
        assert call.request_body() == body
    assert "a fault of its own" not in proxy.process.output
