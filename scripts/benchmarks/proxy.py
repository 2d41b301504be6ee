"""What the addon costs: rounds of direct, bare mitmdump, mitmdump with the addon, and `sessiontap run`, interleaved.

    scripts/bench [--rounds N] [--requests N] [--one-core]

Ratios are taken round by round and their median is printed: the machine's speed drifts, a ratio within a round does
less. Each process runs where the system puts it; with --one-core a proxy and its recorder have one core between them,
client and upstream another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import psutil
from load import HOST, Load

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BODY = json.dumps(
    {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 10},
            {"role": "user", "content": "Write a paragraph about interleaved benchmarks. " * 5},
        ],
    }
).encode()
BARE_STREAM = "def responseheaders(flow): flow.response.stream = True\n"


@contextmanager
def process(
    command: list[str], environment: dict[str, str], core: int | None, output: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """A process on a core of its own, ended at the end."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    running = subprocess.Popen(
        command, env=os.environ | environment, stdout=output, text=True, cwd=ROOT, preexec_fn=pin
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def until_open(port: int) -> None:
    """Wait until something listens on `port`."""
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"bench: nothing listens on port {port} after 30 s")


class Bench:
    """The processes under test: an upstream and three proxies, all up for the whole run."""

    def __init__(self, stack: ExitStack, folder: Path, cores: tuple[int | None, int | None]) -> None:
        self.stack, self.folder, self.cores = stack, folder, cores
        upstream = stack.enter_context(
            process([sys.executable, str(HERE / "upstream.py"), str(folder)], {}, cores[1], subprocess.PIPE)
        )
        assert upstream.stdout is not None
        self.upstream = int(upstream.stdout.readline())
        (folder / "stream.py").write_text(BARE_STREAM)
        (folder / "rules.yaml").write_text((ROOT / "rules.yaml").read_text())
        self.ports: dict[str, int] = {}
        self.pids: dict[str, int] = {}

    def start(self, name: str, command: list[str], more: list[str]) -> None:
        """Start a proxy that connects to the upstream whatever host is asked for."""
        port = free_port()
        arguments = [
            *command,
            *("--listen-host", "127.0.0.1", "-p", str(port)),
            *("-s", str(ROOT / "addon/sessiontap/demo/redirect.py")),
            *("--set", f"confdir={self.folder / 'confdir'}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={self.folder / 'ca.pem'}"),
            *("--set", "connection_strategy=lazy"),
            *more,
        ]
        environment = {"SESSIONTAP_DEMO_REDIRECT": f"{HOST}={self.upstream}", "HOME": str(self.folder)}
        running = self.stack.enter_context(process(arguments, environment, self.cores[0]))
        self.ports[name], self.pids[name] = port, running.pid

    def cpu(self, name: str) -> tuple[float, float]:
        """Seconds of CPU time that a proxy has taken, and its recorder; 0 of the direct way."""
        if name not in self.pids:
            return 0.0, 0.0
        proxy = psutil.Process(self.pids[name])
        return cpu_seconds(proxy.pid), sum(cpu_seconds(child.pid) for child in proxy.children())

    def load(self, name: str) -> Load:
        return Load(self.upstream, self.ports.get(name))


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU time that a process has taken, as fine as the system has them."""
    if sys.platform == "linux":
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3); cpu_times() counts in 10 ms
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def ratio(figures: dict[str, list[float]], over: str, under: str) -> float:
    """The median over the rounds of one figure divided by another of the same round."""
    return median(a / b for a, b in zip(figures[over], figures[under], strict=True))


async def throughput(bench: Bench, rounds: int, requests: int) -> None:
    """Requests per second, added latency, and the CPU time for a request of the proxy and its recorder: other work
    changes that least."""
    ways = ["direct", "bare", "addon", "run"]
    for clients in (1, 16):
        rates: dict[str, list[float]] = {way: [] for way in ways}
        p50: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        recorder: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds):
            for way in ways[number % 4 :] + ways[: number % 4]:
                load = bench.load(way)
                count = requests * 4 if way == "direct" else requests
                before = bench.cpu(way)
                rates[way].append(await load.requests(clients, count, BODY))
                after = bench.cpu(way)
                cpu[way].append((after[0] - before[0]) / count * 1000)
                recorder[way].append((after[1] - before[1]) / count * 1000)
                p50[way].append(median(load.latencies) * 1000)
        print(f"\n{clients} client{'s' if clients > 1 else ''}, {rounds} rounds of {requests} requests")
        for way in ways:
            shown = f"{median(rates[way]):>9,.0f} requests/s   median latency {median(p50[way]):6.2f} ms"
            used = f"   CPU {median(cpu[way]):5.2f} ms, recorder {median(recorder[way]):5.2f} ms"
            print(f"  {way:<8} {shown}" + (used if way in bench.pids else ""))
        for way, note in (("addon", "goal: at least 0.85 of its requests/s"), ("run", "goal: at least 1.25")):
            rate, work = ratio(rates, way, "bare"), ratio(cpu, way, "bare")
            print(f"  {way:<5} / bare mitmdump: {rate:.2f} of its requests/s, {work:.2f} of its CPU time ({note})")
        if clients == 1:
            for way in ("addon", "run"):
                added = median(a - b for a, b in zip(p50[way], p50["bare"], strict=True))
                print(f"  added by {way} at the median: {added:+.2f} ms (goal: under 0.5)")


async def streams(bench: Bench, rounds: int) -> None:
    """First-event delay and events per second."""
    ways = ["direct", "bare-stream", "addon", "run"]
    first: dict[str, list[float]] = {way: [] for way in ways}
    events: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds * 2):
        for way in ways[number % 4 :] + ways[: number % 4]:
            load = bench.load(way)
            first[way].append((await load.stream("/v1/chat/completions/paced", BODY))[0] * 1000)
            _, took, count = await load.stream("/v1/chat/completions/stream", BODY)
            events[way].append(count / took)
    print(f"\nstreams, {rounds * 2} rounds; bare-stream is mitmdump with only `flow.response.stream = True`")
    for way in ways:
        print(f"  {way:<12} first event after {median(first[way]):6.2f} ms   {median(events[way]):>9,.0f} events/s")
    for way in ("addon", "run"):
        later = median(a - b for a, b in zip(first[way], first["bare-stream"], strict=True))
        share = ratio(events, way, "bare-stream")
        print(f"  {way:<5} / bare-stream: {share:.2f} of its events/s (goal: at least 0.95), ", end="")
        print(f"first event {later:+.2f} ms (goal: at most 0.2 later)")
    print("  bare mitmdump without that line holds a stream back until its end: 200 ms here")


def another(number: int) -> bytes:
    """The request of a conversation of its own."""
    said = [{"role": "user", "content": f"Question {number}: {number * 7919 % 10007} or {number * 104729 % 10009}?"}]
    return json.dumps({"model": "gpt-4o-mini", "messages": said}).encode()


def growing(number: int) -> bytes:
    """One of ten conversations, which grows to 1 MB in steps of 20 KB and then begins anew."""
    turn = number // 10 % 50
    said = [
        {"role": "user" if n % 2 == 0 else "assistant", "content": f"{number % 10} {number // 500} {n} " * 1000}
        for n in range(2 * turn + 1)
    ]
    return json.dumps({"model": "gpt-4o-mini", "messages": said}).encode()


async def memory(bench: Bench, calls: int) -> None:
    """Resident memory after the first part of the calls and after all, of the proxy and what it started."""
    print("\nmemory of the proxy with the addon, and of its recorder (goal: the proxy's within 20 MB)")
    for name, way, body, first, count in (
        ("the same call", "addon", BODY, calls // 10, calls),
        ("a conversation each", "addon", another, calls // 10, calls),
        ("ten that grow to 1 MB", "addon", growing, 500, 1500),  # each has once been at its largest
        ("the same, bare mitmdump", "bare", growing, 500, 1500),
    ):
        proxy = psutil.Process(bench.pids[way])
        await bench.load(way).requests(8, first, body)
        early = resident(proxy)
        await bench.load(way).requests(8, count - first, body)
        late = resident(proxy)
        print(f"  {name:<23} after {first:>5,} calls {early[0] / 1e6:>4.0f} + {early[1] / 1e6:.0f} MB, ", end="")
        grown = (late[0] - early[0]) / 1e6
        print(f"after {count:>6,} {late[0] / 1e6:>4.0f} + {late[1] / 1e6:.0f} MB ({grown:+.0f} MB)")


def resident(proxy: psutil.Process) -> tuple[int, int]:
    """Bytes of a proxy, and of what it started."""
    return proxy.memory_info().rss, sum(child.memory_info().rss for child in proxy.children(recursive=True))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--calls", type=int, default=10_000, help="of the memory measurement")
    parser.add_argument("--one-core", action="store_true", help="give a proxy and its recorder one core")
    given = parser.parse_args()
    can_pin = given.one_core and len(os.sched_getaffinity(0)) > 1
    cores = sorted(os.sched_getaffinity(0)) if can_pin else []
    if can_pin:
        os.sched_setaffinity(0, {cores[1]})
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        bench = Bench(stack, folder, (cores[0], cores[1]) if can_pin else (None, None))
        mitmdump = str(Path(sys.executable).with_name("mitmdump"))
        ours = ["--set", f"session_rules={folder / 'rules.yaml'}", "--set", f"session_trace={folder / 'trace'}"]
        bench.start("bare", [mitmdump], [])
        await until_open(bench.ports["bare"])  # it makes the CA that the others then find
        bench.start("bare-stream", [mitmdump], ["-s", str(folder / "stream.py")])
        bench.start("addon", [mitmdump, "-s", str(ROOT / "addon/main.py")], ours)
        bench.start("run", [sys.executable, "-P", "-m", "sessiontap.cli", "run"], ours)
        for port in bench.ports.values():
            await until_open(port)
        await throughput(bench, given.rounds, given.requests)
        await streams(bench, given.rounds)
        await memory(bench, given.calls)


if __name__ == "__main__":
    asyncio.run(main())
