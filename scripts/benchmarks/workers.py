"""`sessiontap run` as one process, and with `--workers 2`: requests per second, and the CPU time of a call.

    scripts/bench workers [--rounds N] [--requests N] [--clients N] [--workers N]

The clients are processes of their own, each a process tree, so that both workers get some. Load generator, upstream,
proxies and recorders share the machine's cores: with two cores the rates say little of what a larger machine would do,
and the CPU time of a call, of front, workers and recorders together, is what can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import psutil
from load import Load

from proxy import BODY, ROOT, Bench, another, ratio, until_open

CONNECTIONS = 4
"""Of each client."""


def main() -> None:
    """The benchmark; with a port alone, one of its clients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--client", nargs=3, type=int, metavar=("UPSTREAM", "PORT", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        upstream, port, count = given.client
        print(asyncio.run(Load(upstream, port).requests(CONNECTIONS, count, another)))
        return
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name, ExitStack() as stack:
        asyncio.run(measure(Bench(stack, Path(name), (None, None)), given))


async def measure(bench: Bench, given: argparse.Namespace) -> None:
    """Rounds of both, interleaved."""
    settings = ["--set", f"session_rules={bench.folder / 'rules.yaml'}"]
    run = [sys.executable, "-P", "-m", "sessiontap.cli", "run"]
    ways = {"one": [], "workers": ["--workers", str(given.workers)]}
    for way, more in ways.items():
        bench.start(way, run, [*settings, "--set", f"session_trace={bench.folder / way}", *more])
        await until_open(bench.ports[way])
        await bench.load(way).requests(1, 20, BODY)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(given.rounds):
        for way in list(ways)[:: 1 if number % 2 else -1]:
            before = used(bench.pids[way])
            rates[way].append(clients(bench, way, given.clients, given.requests // given.clients))
            await asyncio.sleep(1)  # the recorders' last calls
            after = used(bench.pids[way])
            cpu[way].append((sum(after.values()) - sum(before.values())) / given.requests * 1000)
            shares = sorted((after[pid] - before.get(pid, 0.0) for pid in after), reverse=True)
            by_process = "  ".join(f"{share / given.requests * 1000:.2f}" for share in shares)
            print(f"{shown(way, rates[way][-1], cpu[way][-1])}   by process: {by_process}", flush=True)
    clients_are = f"{given.clients} clients, {CONNECTIONS} connections each"
    print(f"\n{clients_are}, {given.rounds} rounds of {given.requests} requests")
    for way in ways:
        print(shown(way, median(rates[way]), median(cpu[way])))
    rate, work = ratio(rates, "workers", "one"), ratio(cpu, "workers", "one")
    print(f"  {given.workers} workers / one process: {rate:.2f} of its requests/s, {work:.2f} of its CPU time")


def shown(way: str, rate: float, work: float) -> str:
    """One line."""
    return f"  {way:<8} {rate:>7,.0f} requests/s   CPU of a call {work:5.2f} ms"


def used(pid: int) -> dict[int, float]:
    """Seconds of CPU time of a proxy and of what it started, by process."""
    proxy = psutil.Process(pid)
    found = {}
    for one in [proxy, *proxy.children(recursive=True)]:
        times = one.cpu_times()
        found[one.pid] = times.user + times.system
    return found


def clients(bench: Bench, way: str, number: int, count: int) -> float:
    """Requests per second of so many clients together, each a process tree of its own."""
    command = [sys.executable, str(Path(__file__)), "--client", str(bench.upstream), str(bench.ports[way]), str(count)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
        for _ in range(number)
    ]
    said = [one.communicate()[0] for one in running]
    return sum(map(float, said))


if __name__ == "__main__":
    main()
