"""The page: what each page of a long session takes of server and browser, and what an open page costs a proxy.

    scripts/bench page [--calls N] [--rounds N] [--requests N] [--keep FOLDER]

`sessiontap ui` serves a log with the session of a coding agent of N calls (150 parts a request in the mean), and pairs
of calls whose prompts have 1 MB. Each page is opened in Chromium: the server's CPU time, the time until the browser has
drawn it, its elements, and the server's memory behind all of them. At first the server reads the bodies of all calls.

Then two proxies take the same requests in turn. The log of one is shown live by a page that is open in Chromium. Ratios
are taken round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
from playwright.async_api import Browser, Page, async_playwright

from proxy import BODY, ROOT, Bench, cpu_seconds, process, ratio, until_open
from sessiontap.trace import Writer
from sessiontap.trace.body import Plain

CALLER = {"type": "caller", "id": "0aa5b8a2-0000-5000-8000-000000000001", "pid": 4711, "name": "agent"}
SECOND = 10**9
START = 1_764_000_000 * SECOND
JSON = [["content-type", "application/json"]]
SESSION, LARGE = "agent-session", "large-prompts"
OF_A_CONVERSATION = 130
"""Calls until the agent compacts its history."""
SERVERS = ("github", "browser")
PROMPT = 1_000_000
OPENED = 5
"""Times that each page is opened."""
FLAGS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--no-sandbox",
         "--disable-component-update", "--disable-sync")  # fmt: skip
PAGES = ("", "/conversation", "/timeline", "/context", "/cache", "/tools")


# The log -------------------------------------------------------------------------------------------------------------


def call_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def record(number: int, session: str, step: int, body: bytes, usage: dict[str, int], **more: Any) -> dict[str, Any]:
    """The record of a call to Anthropic."""
    reply = {
        "type": "message", "role": "assistant", "stop_reason": "tool_use", "content": more.pop("reply"),
        "usage": {"input_tokens": usage["input"], "output_tokens": usage["output"]},
    }  # fmt: skip
    return {
        "type": "call",
        "id": call_id(number),
        "time": START + number * 4 * SECOND,
        "duration": 2 * SECOND,
        "time_to_first_byte": SECOND // 2,
        "time_to_first_token": SECOND,
        "session": {"id": session, "name": session, "path": "/build", "step": step},
        "evidence": "strong",
        "caller": CALLER["id"],
        "llm": {
            "provider": "anthropic", "family": "anthropic-messages", "operation": "chat",
            "request_model": "claude-sonnet-4-5", "response_model": "claude-sonnet-4-5-20250929",
            "finish_reason": "tool_use", "tool_calls": ["Read"], "tool_results": ["Read"], "usage": usage,
        },
        "outcome": "ok",
        "host": "api.anthropic.com",
        "route": "/v1/messages",
        "request": {"method": "POST", "url": "https://api.anthropic.com/v1/messages", "headers": JSON,
                    "body": Plain(body, None, {})},
        "response": {"status": 200, "headers": JSON, "body": Plain(json.dumps(reply).encode(), None, {})},
        **more,
    }  # fmt: skip


def definitions() -> list[dict[str, Any]]:
    names = ["Read", "Edit", "Bash", "Grep"] + [f"mcp__{server}__tool_{n}" for server in SERVERS for n in range(8)]
    schema = {"type": "object", "properties": {"path": {"type": "string", "description": "An absolute path."}}}
    return [{"name": name, "description": f"The tool {name}. " * 12, "input_schema": schema} for name in names]


def agent(calls: int) -> Iterator[dict[str, Any]]:
    """A session: each turn asks for a tool and brings its result; now and then the history begins anew."""
    chance, words = random.Random(1), ("def", "parse", "week", "return", "test", "file", "line", "error", "token")
    head = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "tools": definitions(),
            "system": [{"type": "text", "text": "You are a coding agent. Be exact. " * 150}]}  # fmt: skip
    said: list[dict[str, Any]] = []
    written = 0
    for number in range(calls):
        at = number % OF_A_CONVERSATION
        if at == 0:
            said = [{"role": "user", "content": f"Part {number}: make the tests pass. " * 8}]
            written = 6_000
        tool = {"type": "tool_use", "id": f"toolu_{number:08}", "name": chance.choice(("Read", "Bash", "Grep")),
                "input": {"path": f"/src/module_{chance.randrange(400)}.py"}}  # fmt: skip
        reply = [{"type": "text", "text": f"I look at {number}."}, tool]
        body = json.dumps(head | {"messages": said}).encode()
        total = 4_000 + len(body) // 4
        read = 0 if at == 0 or chance.random() < 0.03 else written
        usage = {"input": total, "output": 90, "cache_read": read, "cache_write": max(0, total - read - 20)}
        written = total - 20
        yield record(
            number, SESSION, number, body, usage, reply=reply, conversation=f"main-{number // OF_A_CONVERSATION}",
            parent=call_id(number - 1) if at else None, link={"kind": "continue" if at else "new"},
        )  # fmt: skip
        result = " ".join(chance.choices(words, k=chance.randrange(10, 120)))
        answer = {"type": "tool_result", "tool_use_id": tool["id"], "content": result}
        said = [*said, {"role": "assistant", "content": reply}, {"role": "user", "content": [answer]}]


def prompts() -> dict[str, tuple[str, str]]:
    """Pairs of texts of 1 MB, by how they differ."""
    chance = random.Random(2)
    words = [f"{chance.choice('bcdfgklmnprst')}{n:x}" for n in range(4_000)]
    lines = [" ".join(chance.choices(words, k=12)) for _ in range(PROMPT // 65)]
    some = [one if n % 200 else f"{one} changed {n}" for n, one in enumerate(lines)]
    every = [f"{one} changed" for one in lines]
    other = [" ".join(chance.choices(words, k=12)) for _ in lines]
    code = ("        return value", "    } else {", "", "                raise ValueError(name) from None", "    pass")
    repeated = [chance.choice(code) for _ in range(PROMPT // 18)]
    moved = repeated[:]
    for n in range(0, len(moved), 50):
        moved[n] = "  changed"
    return {
        "a line of 200": ("\n".join(lines), "\n".join(some)),
        "every line": ("\n".join(lines), "\n".join(every)),
        "another text": ("\n".join(lines), "\n".join(other)),
        "repeated lines": ("\n".join(repeated), "\n".join(moved)),
        "one line": (" ".join(lines), " ".join(some)),
        "shuffled": ("\n".join(lines), "\n".join(chance.sample(lines, len(lines)))),
    }


def large(first: int) -> Iterator[dict[str, Any]]:
    """Two calls for each pair of prompts, the second of which continues the first."""
    number = first
    for pair in prompts().values():
        for at, text in enumerate(pair):
            body = json.dumps({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": text}]}).encode()
            usage = {"input": 250_000, "output": 5}
            yield record(
                number, LARGE, number - first, body, usage, reply=[{"type": "text", "text": "."}],
                conversation=f"large-{number}", parent=call_id(number - 1) if at else None,
                link={"kind": "continue" if at else "new"},
            )  # fmt: skip
            number += 1


def write_log(folder: Path, calls: int) -> None:
    log = Writer(folder, writer_info={"pid": 1, "machine": "bench"}, fsync_seconds=None)
    log.start()
    for number, one in enumerate(chain(large(calls), agent(calls))):
        log.submit(lambda one=one: [CALLER, one], 4000)  # type: ignore[misc]
        if number % 100 == 99 and not log.flush(600):
            break
    if not log.close(600):
        raise SystemExit("bench: the log was not written")


# A page in a browser -------------------------------------------------------------------------------------------------


@contextmanager
def page_server(trace: Path, home: Path) -> Iterator[tuple[str, int]]:
    """`sessiontap ui`, as a user starts it: the address that it prints, and its process."""
    command = [sys.executable, "-P", "-m", "sessiontap.cli", "ui", "--no-browser", "--port", "0", "--trace", str(trace)]
    with process(command, {"HOME": str(home)}, None, subprocess.PIPE) as running:
        assert running.stdout is not None
        address = next((word for word in running.stdout.readline().split() if word.startswith("http")), None)
        if address is None:
            raise SystemExit("bench: the page did not start")
        yield address, running.pid


@contextmanager
def settled(pid: int) -> Iterator[list[float]]:
    """The CPU time in ms that a process takes meanwhile."""
    before, found = cpu_seconds(pid), list[float]()
    yield found
    found.append((cpu_seconds(pid) - before) * 1000)


class Opened(NamedTuple):
    """A page that was opened."""

    server: float
    """CPU time in ms."""
    drawn: float
    """Milliseconds from the click to the first picture that holds all of it."""
    work: float
    """Of the browser's page, CPU time in ms."""
    bytes: int
    elements: int


async def opened(page: Page, address: str, pid: int) -> Opened:
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await _metrics(cdp)
    with settled(pid) as took:
        await page.goto(address, wait_until="load")
        drawn = await page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
        )
    after = await _metrics(cdp)
    elements, size = await page.evaluate(
        "() => [document.querySelectorAll('*').length, performance.getEntriesByType('navigation')[0].decodedBodySize]"
    )
    await cdp.detach()
    work = (after["TaskDuration"] - before["TaskDuration"]) * 1000
    return Opened(took[0], drawn, work, size, elements)


async def _metrics(cdp: Any) -> dict[str, float]:
    return {one["name"]: one["value"] for one in (await cdp.send("Performance.getMetrics"))["metrics"]}


async def read_all(page: Page, address: str) -> None:
    """Ask until all bodies of the sessions have been read."""
    until = time.monotonic() + 1_800
    for path in (f"/sessions/{SESSION}/context.json", f"/sessions/{LARGE}/context.json"):
        while not (found := await (await page.request.get(address + path)).json()).get("complete"):
            if time.monotonic() > until:
                raise SystemExit(f"bench: {path} is not there after half an hour: {found.get('error')}")


async def pages(browser: Browser, trace: Path, home: Path, calls: int) -> None:
    with page_server(trace, home) as (address, pid):
        page = await (await browser.new_context(viewport={"width": 1400, "height": 900})).new_page()
        await page.goto(address)
        site = address.split("/?")[0]
        await read_all(page, site)
        print(f"\npages of a session of {calls:,} calls, opened {OPENED} times")
        for path in PAGES:
            await _told(page, path or "overview", f"{site}/sessions/{SESSION}{path}", pid)
        print("\ndifferences of two calls whose prompts have 1 MB")
        for number, name in enumerate(prompts()):
            before, after = call_id(calls + 2 * number), call_id(calls + 2 * number + 1)
            await _told(page, name, f"{site}/compare?a={before}&b={after}", pid)
        resident = psutil.Process(pid).memory_info().rss / 1e6
        print(f"\nmemory of the page's process behind all of them: {resident:.0f} MB (goal: under 150)")


async def _told(page: Page, name: str, address: str, pid: int) -> None:
    found = [await opened(page, address, pid) for _ in range(OPENED)]
    server, drawn, work = (median(getattr(one, key) for one in found) for key in ("server", "drawn", "work"))
    last = found[-1]
    print(
        f"  {name.lstrip('/'):<16} server {server:>6,.0f} ms of CPU, browser {work:>5,.0f} ms, "
        f"drawn after {drawn:>6,.0f} ms; {last.elements:>5,} elements, {last.bytes / 1000:>5,.0f} KB"
    )


# A proxy that a page looks at ----------------------------------------------------------------------------------------


async def beside(browser: Browser, folder: Path, rounds: int, requests: int) -> None:
    """A proxy's requests per second and CPU time with a page open that follows its log, and without."""
    with ExitStack() as stack:
        bench = Bench(stack, folder, (None, None))
        for name in ("alone", "page"):
            ours = ["--set", f"session_rules={folder / 'rules.yaml'}", "--set", f"session_trace={folder / name}"]
            bench.start(name, [sys.executable, "-P", "-m", "sessiontap.cli", "run"], ours)
            await until_open(bench.ports[name])
        address, pid = stack.enter_context(page_server(folder / "page", folder))
        page = await browser.new_page()
        await page.goto(address, wait_until="load")
        rates: dict[str, list[float]] = {"alone": [], "page": []}
        cpu: dict[str, list[float]] = {"alone": [], "page": []}
        own: list[float] = []
        for number in range(rounds + 1):
            for way in ("alone", "page") if number % 2 else ("page", "alone"):
                before, reader = bench.cpu(way), cpu_seconds(pid)
                rate = await bench.load(way).requests(16, requests, BODY)
                after = bench.cpu(way)
                if number:  # the first is for warming up
                    rates[way].append(rate)
                    cpu[way].append((sum(after) - sum(before)) / requests * 1000)
                    if way == "page":
                        own.append((cpu_seconds(pid) - reader) / requests * 1000)
        new = await page.locator(".news").inner_text()
        print(f"\nproxy and its recorder, 16 clients, {rounds} rounds of {requests} requests; the page says {new!r}")
        for way in rates:
            print(f"  {way:<6} {median(rates[way]):>7,.0f} requests/s, CPU {median(cpu[way]):.2f} ms a call")
        rate, work = ratio(rates, "page", "alone"), ratio(cpu, "page", "alone")
        print(f"  with the page / without: {rate:.2f} of its requests/s, {work:.2f} of its CPU time")
        print(f"  the page's own process: {median(own):.2f} ms of CPU a call")


async def run(given: argparse.Namespace, chromium: str, folder: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        if given.calls:
            await pages(browser, given.keep or folder / "trace", folder, given.calls)
        if given.rounds:
            await beside(browser, folder, given.rounds, given.requests)
        await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--keep", type=Path, help="keep the log in this folder, or take the one that is there")
    given = parser.parse_args()
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit("bench: needs Chromium: apt-get install chromium")
    os.environ["PYTHONPATH"] = str(ROOT / "addon")
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        folder = Path(name)
        if given.calls and not (given.keep and given.keep.exists()):
            write_log(given.keep or folder / "trace", given.calls)
        asyncio.run(run(given, chromium, folder))


if __name__ == "__main__":
    main()
