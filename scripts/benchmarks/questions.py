"""How long one waits for the commands that read a trace: each is a process of its own, its start included.

    scripts/bench trace

Printed are the medians of what a clock says, the goal, the CPU time of the same processes (which other work on the
machine does not lengthen as much), and what the larger log takes compared to the smaller one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

ADDON = Path(__file__).resolve().parents[2] / "addon"
RUNS = 5
COMMANDS: dict[str, tuple[list[str], int | None]] = {
    # what is shown: (its arguments, the goal in milliseconds)
    "sessiontap --version": (["--version"], None),
    "ls": (["ls"], 300),
    "ls --name": (["ls", "--name", "Session 7"], None),
    **{
        f"ls --sort {key}": (["ls", "--sort", key], 500)
        for key in ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
    },
    "ls -n 0": (["ls", "-n", "0"], None),
    "show": (["show", "@7"], 200),
    "show --timeline": (["show", "@7", "--timeline"], None),
    "calls --limit 50": (["calls", "--limit", "50"], None),
    **{
        f"calls --sort {key}": (["calls", "--sort", key], None) for key in ("duration", "first_token", "tokens", "cost")
    },
    "cat": (["cat", "@7", "--json"], None),
    **{f"stats --by {key}": (["stats", "--by", key], 2000) for key in ("name", "model", "path", "session")},
    "trace info": (["trace", "info"], None),
    "prune by age, dry": (["trace", "prune", "--older-than", "2026-09-25", "--dry-run"], 2000),
    "prune by size, dry": (["trace", "prune", "--max-size", "1MB", "--dry-run"], 2000),
    "calls --search": (["calls", "--search", "in one word"], None),
}
CATCH_UP, CATCH_UP_GOAL = "ls after 1,000 new calls", 300
Took = tuple[float, float]
"""Seconds: by the clock, of CPU."""


def ask(logs: dict[int, Path], add: Callable[[Path, int], None]) -> None:
    """Ask each of `logs`, by how many calls they hold. `add(log, first)` writes 1,000 more, numbered from `first`."""
    took: dict[str, list[Took]] = {}
    print(f"\nthe commands, on logs of {' and '.join(f'{count:,}' for count in logs)} small calls, 20 to a session")
    for count, log in logs.items():
        (log.parent / ".sessiontap").mkdir(exist_ok=True)  # a user's own, where a proxy has run
        for file in log.glob("index.sqlite*"):
            file.unlink()
        first, cpu = run(log, ["ls"])
        searched, _ = run(log, COMMANDS["calls --search"][0])
        print(f"  first of all, {count:,} calls: ls in {first:.1f} s (CPU {cpu:.1f} s), a search in {searched:.1f} s")
        for name, (arguments, _) in COMMANDS.items():
            took.setdefault(name, []).append(middle(run(log, arguments) for _ in range(RUNS)))
        caught: list[Took] = []
        for number in range(3):
            add(log, 2 * count + 1_000 * number)
            caught.append(run(log, ["ls"]))
        took.setdefault(CATCH_UP, []).append(middle(caught))
    goals = {name: goal for name, (_, goal) in COMMANDS.items()} | {CATCH_UP: CATCH_UP_GOAL}
    for name, figures in took.items():
        shown = "  ".join(f"{clock * 1e3:>6.0f} ms (CPU {cpu * 1e3:>4.0f})" for clock, cpu in figures)
        growth = f"   CPU x{figures[-1][1] / figures[0][1]:.1f}" if len(figures) > 1 else ""
        print(f"  {name:<26}{shown}{growth}" + (f"   (goal: under {goals[name]} ms)" if goals[name] else ""))


def middle(took: Iterable[Took]) -> Took:
    """The medians of both."""
    clocks, cpus = zip(*took, strict=True)
    return median(clocks), median(cpus)


def run(log: Path, arguments: list[str]) -> Took:
    """What the command takes on `log`, in a home of its own. Fails where the command does."""
    home = {"HOME": str(log.parent), "PYTHONPATH": str(ADDON), "SESSIONTAP_TRACE": str(log)}
    command = [sys.executable, "-m", "sessiontap.cli", *arguments]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=log.parent, env=os.environ | home, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: sessiontap {' '.join(arguments)} ended with {process.returncode}")
    return took, usage.ru_utime + usage.ru_stime
