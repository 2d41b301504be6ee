"""What recording holds in memory, in the proxy and its recorder: bounded whatever passes, and nothing that passes changes."""

from __future__ import annotations

import brotli
import gzip
import hashlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import zstandard
from tests.e2e.faults.test_recorder import recorder_of
from tests.e2e.gate import PATIENCE
from tests.e2e.lab import Lab, Proxy

from sessiontap.demo.dialogue import Request, Respond

MIB = 1 << 20
HOST = "llm.example"
URL = f"http://{HOST}/v1/chat/completions"
RULES: Any = {"version": 1, "hosts": [{"host": HOST}], "rules": []}
SLACK = 96 * MIB
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


def all_at_once(number: int, work: Callable[[int], None]) -> None:
    """Run `work(n)` for each n on threads that begin together; what one raises fails the test."""
    begin, failures = threading.Barrier(number), []

    def run(n: int) -> None:
        try:
            begin.wait(PATIENCE)
            work(n)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


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
    proxy = lab.proxy(RULES, options={} if memory is None else {"session_memory": memory})
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
    number, size, memory = 8, 32 * MIB, 48 * MIB
    proxy, grown = downloads(lab, number, size, "48MB")
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


BOMBS = {
    "gzip": lambda plain: gzip.compress(plain, 1),
    "zstd": zstandard.compress,
    "br": lambda plain: brotli.compress(plain, quality=1),
}


def test_reply_bombs_cost_neither_memory_nor_time_and_pass_as_they_are(lab: Lab) -> None:
    """A megabyte or less of each stands for a quarter of a gigabyte; the calls behind them are in the log at once."""
    plain = bytes(256 * MIB)
    bombs = {coding: encode(plain) for coding, encode in BOMBS.items()}
    del plain

    async def answer(request: Request, respond: Respond) -> None:
        coding = (await request.body()).decode()
        headers = [("content-type", "application/json")]
        if coding in bombs:
            await respond.whole(200, bombs[coding], [*headers, ("content-encoding", coding)])
        else:
            await respond.whole(200, b'{"model": "gpt-4o", "choices": []}', headers)

    lab.upstream(answer, [HOST], tls=False)
    proxy = lab.proxy(RULES)
    growth = Growth(proxy)
    with proxy.client() as app:
        for coding in [*bombs, "none"]:
            with app.stream("POST", URL, content=coding.encode()) as reply:
                assert b"".join(reply.iter_raw()) == bombs.get(coding, b'{"model": "gpt-4o", "choices": []}')
    *bombed, last = proxy.wait_calls(len(bombs) + 1)
    assert sum(growth.bytes()) < 256 * MIB, growth.bytes()
    assert last.record["llm"]["response_model"] == "gpt-4o"
    for call in bombed:
        assert {"undecodable", "response_cut"} <= set(call.record["flags"])
        assert call.record["response"]["body"]["total"] == len(bombs[call.record["response"]["body"]["wire"]])
        assert any("decoded only up to" in problem for problem in call.record["llm"]["problems"])


def test_a_request_bomb_is_forwarded_and_delays_nobody(lab: Lab) -> None:
    bomb = gzip.compress(bytes(256 * MIB), 1)

    async def answer(request: Request, respond: Respond) -> None:
        await respond.whole(200, hashlib.sha256(await request.body()).hexdigest().encode(), [])

    lab.upstream(answer, [HOST], tls=False)
    proxy = lab.proxy(RULES)
    growth = Growth(proxy)
    with proxy.client() as app:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        assert app.post(URL, content=bomb, headers=headers).text == hashlib.sha256(bomb).hexdigest()
    (call,) = proxy.wait_calls(1)
    assert sum(growth.bytes()) < 256 * MIB, growth.bytes()
    assert {"undecodable", "request_cut"} <= set(call.record["flags"])
