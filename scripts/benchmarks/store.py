"""What sharing sessions by Redis costs: `sessiontap run` alone and with a store on this machine, interleaved.

    scripts/bench store [--rounds N] [--requests N] [--calls N] [--bound DURATION]

Each proxy is another process tree's, as far as its clients are concerned. It prints the latency that the store adds to
a call, the ratio of requests per second, and the memory that Redis takes for a call. It needs redis-server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from hashlib import sha1
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.request import ProxyHandler, build_opener

from upstream import TEXT

from proxy import Bench, another, free_port, process, ratio, until_open
from sessiontap.proxy.own_address import health_url
from sessiontap.stores.connection import SCRIPTS

BY_CONVERSATION = "version: 1\nrules: [{session: {name: Bench, id: conversation}}]\n"
TURNS = 10


def turn(number: int) -> bytes:
    """A request of a conversation of ten turns, which holds the replies that the upstream gave; turns of a hundred
    conversations take turns."""
    conversation, at = number % 100 + number // 1000 * 100, number // 100 % TURNS
    said = [
        {"role": "assistant", "content": TEXT}
        if one % 2
        else {"role": "user", "content": f"Conversation {conversation}, message {one}."}
        for one in range(2 * at + 1)
    ]
    return json.dumps({"model": "gpt-4o-mini", "messages": said}).encode()


async def latency(bench: Bench, rounds: int, requests: int) -> None:
    """Latencies and rates with and without the store, for one client and for sixteen."""
    ways = ["alone", "store"]
    for clients in (1, 16):
        rates: dict[str, list[float]] = {way: [] for way in ways}
        p50: dict[str, list[float]] = {way: [] for way in ways}
        p99: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        recorder: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds):
            for way in ways[:: 1 if number % 2 else -1]:
                load, before = bench.load(way), bench.cpu(way)
                rates[way].append(await load.requests(clients, requests, another))
                after = bench.cpu(way)
                cpu[way].append((after[0] - before[0]) / requests * 1000)
                recorder[way].append((after[1] - before[1]) / requests * 1000)
                p50[way].append(median(load.latencies) * 1000)
                p99[way].append(quantiles(load.latencies, n=100)[98] * 1000)
        print(f"\n{clients} client{'s' if clients > 1 else ''}, {rounds} rounds of {requests} requests")
        for way in ways:
            shown = f"p50 {median(p50[way]):6.2f} ms   p99 {median(p99[way]):6.2f} ms"
            used = f"CPU {median(cpu[way]):5.2f} ms, recorder {median(recorder[way]):5.2f} ms"
            print(f"  {way:<6} {median(rates[way]):>7,.0f} requests/s   {shown}   {used}")
        for name, figures in (("p50", p50), ("p99", p99)):
            added = median(a - b for a, b in zip(figures["store"], figures["alone"], strict=True))
            print(f"  added by the store at {name}: {added:+.2f} ms")
        print(f"  store / alone: {ratio(rates, 'store', 'alone'):.2f} of its requests/s")


async def memory(bench: Bench, port: int, calls: int) -> None:
    """What calls take of Redis, by INFO before and after them."""
    before = taken(port)
    await bench.load("store").requests(8, calls, turn)
    await asyncio.sleep(2)
    size, keys, scripts, cpu = [(late - early) / calls for early, late in zip(before, taken(port), strict=True)]
    print(f"\n{calls} calls of conversations of {TURNS} turns, a session each")
    used = f"{scripts:.1f} scripts and {cpu * 1e6:.0f} µs of CPU time"
    print(f"  Redis: {size:,.0f} bytes, {keys:.1f} keys, {used} a call")


async def scripts_by_name(bench: Bench, port: int, calls: int) -> None:
    """How often calls have each script run, as Redis tells whoever watches it."""
    import redis as client

    names = {sha1(text.encode()).hexdigest(): name for name, text in SCRIPTS.items()}
    ran: Counter[str] = Counter()
    with client.Redis(port=port, decode_responses=True).monitor() as watched:

        def count() -> None:
            for command in watched.listen():
                words = command["command"].split(" ", 2)
                if words[0] == "ECHO":
                    return
                if words[0] == "EVALSHA":
                    ran[names[words[1]]] += 1

        counting = asyncio.get_running_loop().run_in_executor(None, count)
        await bench.load("store").requests(8, calls, lambda number: turn(number + 1_000_000))
        await asyncio.sleep(1)
        redis(port, "ECHO", "over")
        await counting
    shown = ", ".join(f"{name} {times / calls:.2f}" for name, times in ran.most_common())
    print(f"  scripts of {calls} such calls, each: {shown}")


def taken(port: int) -> tuple[float, ...]:
    """Bytes of memory, keys, scripts that ran, and seconds of CPU time."""
    info = redis(port, "INFO", "everything")
    cpu = info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]
    return info["used_memory"], redis(port, "DBSIZE"), info["cmdstat_evalsha"]["calls"], cpu


def health(bench: Bench) -> dict[str, Any]:
    """What the proxy says of the store."""
    proxy = ProxyHandler({"http": f"http://127.0.0.1:{bench.ports['store']}"})
    with build_opener(proxy).open(health_url(), timeout=20) as answer:
        return dict(json.load(answer)["session_store"])


def until_it_gives_steps(bench: Bench) -> None:
    """Wait for the store, which gives no steps for a second after its start."""
    while health(bench)["away"] is not None:
        time.sleep(0.1)


def redis(port: int, *command: str) -> Any:
    """What Redis answers."""
    import redis as client

    return client.Redis(port=port, decode_responses=True).execute_command(*command)


async def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--calls", type=int, default=5000, help="of the memory measurement")
    parser.add_argument("--bound", default="5ms", help="for which a call waits for the store (a busy machine: 1s)")
    given = parser.parse_args()
    if shutil.which("redis-server") is None:
        raise SystemExit("bench: redis-server is not installed. Install it with: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        server = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", name]
        stack.enter_context(process(server, {}, None))
        bench = Bench(stack, folder, (None, None))
        (folder / "rules.yaml").write_text(BY_CONVERSATION)
        await until_open(port)
        run = [sys.executable, "-P", "-m", "sessiontap.cli", "run", "--set", f"session_rules={folder / 'rules.yaml'}"]
        store = f"redis://127.0.0.1:{port}?timeout={given.bound}"
        for way, more in (("alone", []), ("store", ["--set", f"session_store={store}"])):
            bench.start(way, run, ["--set", f"session_trace={folder / way}", *more])
            await until_open(bench.ports[way])
            await bench.load(way).requests(1, 20, another)
        await asyncio.to_thread(until_it_gives_steps, bench)
        before = health(bench)["local_steps"]
        await latency(bench, given.rounds, given.requests)
        local = health(bench)["local_steps"] - before
        print(f"  calls with local steps, since the store was too slow for them: {local}")
        await memory(bench, port, given.calls)
        await scripts_by_name(bench, port, min(given.calls, 1000))


if __name__ == "__main__":
    asyncio.run(main())
