"""What `exec -- true` takes beside `true` alone: with a proxy of its own, and with a running one, interleaved.

    scripts/bench exec [--rounds N]

Its home is empty but for what a first `exec` leaves, the byte code of what it loads among it. CPU time is that of the
whole tree of processes; of a running proxy it is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from proxy import free_port, process, until_open

COMMAND = [sys.executable, "-P", "-m", "sessiontap.cli"]
PROGRAM = ["true"]


class Taken(NamedTuple):
    """Milliseconds."""

    clock: float
    cpu: float


def taken(command: list[str], environment: dict[str, str]) -> Taken:
    """What a command takes from its start to its end. Raises SystemExit if it fails."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    clock = time.perf_counter() - begun
    if child.returncode:
        raise SystemExit(f"bench: {' '.join(command)} ended with {child.returncode}")
    return Taken(clock * 1000, (used.ru_utime + used.ru_stime) * 1000)


async def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        home = Path(name)
        written = {"HOME": name, "PYTHONPYCACHEPREFIX": str(home / "byte-code")}
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        alone = kept | written
        beside = alone | {"HOME": str(home / "running")}
        (home / "running").mkdir()
        port = free_port()
        run = [*COMMAND, "run", "--listen-host", "127.0.0.1", "-p", str(port)]
        with process(run, beside, None):
            await until_open(port)
            ways = {
                "true": (PROGRAM, alone),
                "own proxy": ([*COMMAND, "exec", "--", *PROGRAM], alone),
                "running": ([*COMMAND, "exec", "--", *PROGRAM], beside),
            }
            for command, environment in ways.values():
                taken(command, environment)
            figures: dict[str, list[Taken]] = {way: [] for way in ways}
            for number in range(given.rounds):
                for way in list(ways)[:: 1 if number % 2 else -1]:
                    figures[way].append(taken(*ways[way]))
    print(f"exec -- true, median of {given.rounds} rounds (least of them)")
    for way, found in figures.items():
        clock, cpu = [one.clock for one in found], [one.cpu for one in found]
        print(f"  {way:<10} {median(clock):>6.0f} ms ({min(clock):.0f})   CPU {median(cpu):>6.0f} ms ({min(cpu):.0f})")


if __name__ == "__main__":
    asyncio.run(main())
