"""Pushing: calls per second and memory for a backlog, and what a push beside it costs a proxy.

    scripts/bench push [--calls N] [--target NAME] [--content] [--rounds N] [--requests N]

The backlog is a log of N calls, ten to a conversation, half of them with a tool: `sessiontap push TARGET` sends it to a
receiver on this machine that takes everything. Its memory is looked at while it works.

Then two proxies take the same requests in turn, one of them with `push:` in its rules. Ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from proxy import BODY, ROOT, Bench, free_port, process, ratio, until_open
from sessiontap.push.cursor import cursors
from sessiontap.trace import Writer
from sessiontap.trace.body import Plain

CALLER = {"type": "caller", "id": "0aa5b8a2-0000-5000-8000-000000000001", "pid": 4711, "name": "agent"}
SECOND = 10**9
JSON = [["content-type", "application/json"]]
LOOKS = 10
"""At the memory, while the backlog is pushed."""


class Receiver(BaseHTTPRequestHandler):
    """Takes everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def receive(port: int) -> None:
    """Receive until this process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    server.daemon_threads = True
    server.serve_forever()


def call(number: int, began: int) -> dict[str, Any]:
    """The record of a call: the messages of its conversation grow from call to call."""
    conversation, at = divmod(number, 10)
    asks, brings = at % 2 == 0, at % 2 == 1
    said = [{"role": "user", "content": f"Question {conversation}. {'It is about benchmarks. ' * 60}"}]
    said += [{"role": "assistant", "content": f"Answer {n}. {'Measure it. ' * 20}"} for n in range(at)]
    answer = {"choices": [{"message": {"role": "assistant", "content": f"Answer {number}. {'Measure it. ' * 20}"}}]}
    return {
        "type": "call",
        "id": call_id(number),
        "time": began + number * SECOND // 10,
        "duration": SECOND // 20,
        "time_to_first_byte": SECOND // 40,
        "session": {"id": f"session-{conversation}", "name": "Bench", "path": "/bench", "step": at},
        "conversation": f"conversation-{conversation}",
        "parent": call_id(number - 1) if at else None,
        "evidence": "strong" if at else "new",
        "link": {"kind": "continue" if at else "new", "root": f"conversation-{conversation}"},
        "caller": CALLER["id"],
        "llm": {
            "provider": "openai",
            "family": "openai-chat",
            "operation": "chat",
            "request_model": "gpt-4o-mini",
            "response_model": "gpt-4o-mini-2024-07-18",
            "finish_reason": "tool_calls" if asks else "stop",
            "tool_calls": ["search"] if asks else [],
            "tool_results": ["search"] if brings else [],
            "usage": {"input": 400 + 60 * at, "output": 50},
        },
        "outcome": "ok",
        "host": "api.openai.com",
        "route": "/v1/chat/completions",
        "request": {
            "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": JSON,
            "body": Plain(json.dumps({"model": "gpt-4o-mini", "messages": said}).encode(), None, {}),
        },
        "response": {"status": 200, "headers": JSON, "body": Plain(json.dumps(answer).encode(), None, {})},
    }


def call_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def write_log(folder: Path, calls: int) -> None:
    """A log of so many calls that ended just now."""
    log = Writer(folder, writer_info={"pid": 1, "machine": "bench"}, fsync_seconds=None)
    log.start()
    began = time.time_ns() - calls * SECOND // 10
    for number in range(calls):
        record = call(number, began)
        while not log.submit(lambda record=record: [CALLER, record], 4000):  # type: ignore[misc]
            time.sleep(0.01)
    if not log.close(600):
        raise SystemExit("bench: the log was not written")


def backlog(folder: Path, url: str, target: str, calls: int, content: bool) -> None:
    """How long a backlog takes, and how much memory."""
    write_log(folder, calls)
    command = [sys.executable, "-P", "-m", "sessiontap.cli", "push", target, "--endpoint", url, "--trace", str(folder)]
    began = time.monotonic()
    running = subprocess.Popen([*command, *(["--content"] if content else [])], stdout=subprocess.PIPE, text=True)
    seen: list[tuple[float, int]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            try:
                used = psutil.Process(running.pid)
                seen.append((sum(used.cpu_times()[:2]), used.memory_info().rss))
            except psutil.NoSuchProcess:
                return

    threading.Thread(target=look, daemon=True).start()
    said, _ = running.communicate()
    over.set()
    took = time.monotonic() - began
    if running.returncode:
        raise SystemExit(f"bench: the push ended with {running.returncode}")
    cpu = seen[-1][0]
    tenths = [seen[len(seen) * n // LOOKS][1] / 1e6 for n in range(LOOKS)]
    print(f"push {target}{' with content' if content else ''}: {said.strip()}")
    print(f"  {calls / took:,.0f} calls/s, {cpu / calls * 1000:.2f} ms of CPU time a call")
    print(f"  memory by tenths of the time, MB: {' '.join(f'{one:.0f}' for one in tenths)}")


def pushed(log: Path) -> int:
    """The calls of a log that were pushed."""
    found = [one.read() for one in cursors(log)]
    return sum(one.calls for one in found if one is not None)


def settle(log: Path, calls: int) -> None:
    """Wait until so many calls of a log were pushed: a push goes on after the requests of its round."""
    until = time.monotonic() + 120
    while pushed(log) < calls:
        if time.monotonic() > until:
            raise SystemExit(f"bench: {pushed(log):,} of {calls:,} calls were pushed after two minutes")
        time.sleep(0.2)


async def beside(folder: Path, url: str, target: str, rounds: int, requests: int) -> None:
    """A proxy's requests per second with a push beside it, and without."""
    with ExitStack() as stack:
        bench = Bench(stack, folder, (None, None))
        rules = (folder / "rules.yaml").read_text()
        (folder / "push.yaml").write_text(f"{rules}\npush: [{{to: {target}, endpoint: '{url}'}}]\n")
        for name, file in (("alone", "rules.yaml"), ("push", "push.yaml")):
            ours = ["--set", f"session_rules={folder / file}", "--set", f"session_trace={folder / name}"]
            bench.start(name, [sys.executable, "-P", "-m", "sessiontap.cli", "run"], ours)
            await until_open(bench.ports[name])
        rates: dict[str, list[float]] = {"alone": [], "push": []}
        cpu: dict[str, list[float]] = {"alone": [], "push": []}
        taken = 0
        for number in range(rounds + 1):
            for way in ("alone", "push") if number % 2 else ("push", "alone"):
                settle(folder / "push", taken)
                load = bench.load(way)
                before = bench.cpu(way)[0]
                rate = await load.requests(16, requests, BODY)
                taken += requests if way == "push" else 0
                used = (bench.cpu(way)[0] - before) / requests * 1000
                if number:  # the first is for warming up
                    rates[way].append(rate)
                    cpu[way].append(used)
        print(f"\nproxy, 16 clients, {rounds} rounds of {requests} requests")
        for way in rates:
            print(f"  {way:<6} {median(rates[way]):>7,.0f} requests/s, CPU {median(cpu[way]):.2f} ms")
        rate, work = ratio(rates, "push", "alone"), ratio(cpu, "push", "alone")
        print(f"  with the push / without: {rate:.2f} of its requests/s, {work:.2f} of its CPU time")
        settle(folder / "push", taken)
        print(f"  {taken:,} calls were pushed meanwhile")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--target", default="otlp")
    parser.add_argument("--content", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--receiver", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receiver:
        receive(given.receiver)
    os.environ["PYTHONPATH"] = str(ROOT / "addon")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name,
        process([sys.executable, __file__, "--receiver", str(port)], {}, None),
    ):
        asyncio.run(until_open(port))
        folder = Path(name)
        if given.calls:
            backlog(folder / "backlog", url, given.target, given.calls, given.content)
        if given.rounds:
            asyncio.run(beside(folder, url, given.target, given.rounds, given.requests))


if __name__ == "__main__":
    main()
