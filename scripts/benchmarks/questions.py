"""How long one waits for the commands that read a trace: each is a process of its own, its start included.

    scripts/bench trace --commands --calls 100000 1000000

Printed are the medians of what a clock says, the goal, the CPU time of the same processes (which other work on the
machine does not lengthen as much), and what the larger log takes compared to the smaller one. The benchmark fails if a
command takes longer on the larger log than its output grows; commands that look at every call may grow as the log does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

ADDON = Path(__file__).resolve().parents[2] / "addon"
RUNS, SECONDS = 3, 10.0
"""Each command is run so often, or until it has taken so long."""
SLACK = 1.3
"""Times that a figure may be larger than it should be, and ..."""
LEAST = 0.1
"""... seconds that no figure is compared for: what starting a process differs by on a busy machine."""


class Asked(NamedTuple):
    """A command."""

    arguments: list[str]
    goal: int | None = None
    """Milliseconds."""
    looks_at_all: bool = True
    """At every call or session, so that it may take as much more as the log is larger; else as its output is."""


def _shown(*arguments: str, goal: int | None = None) -> Asked:
    """A command that shows a part of the log."""
    return Asked([*arguments], goal, looks_at_all=False)


COMMANDS: dict[str, Asked] = {
    "sessiontap --version": _shown("--version"),
    "ls": _shown("ls", goal=300),
    "ls --name": _shown("ls", "--name", "Session 7", goal=300),
    "ls --model": _shown("ls", "--model", "gpt-4o", goal=300),
    "ls --since": _shown("ls", "--since", "2026-09-22", goal=300),
    "ls --property": _shown("ls", "--property", "mode=bench", goal=300),
    "ls --error": _shown("ls", "--error", goal=300),
    **{
        f"ls --sort {key}": Asked(["ls", "--sort", key], 500)
        for key in ("started", "ended", "name", "duration", "calls", "errors", "tokens", "cost")
    },
    "ls -n 0": Asked(["ls", "-n", "0"]),
    "ls -n 0 --json": Asked(["ls", "-n", "0", "--json"]),
    "show": _shown("show", "@7", goal=200),
    "show --timeline": _shown("show", "@7", "--timeline"),
    "show --conversation": _shown("show", "@7", "--conversation"),
    "calls": _shown("calls", goal=300),
    "calls --error": Asked(["calls", "--error"]),
    "calls --property": Asked(["calls", "--property", "mode=bench"]),
    **{
        f"calls --sort {key}": Asked(["calls", "--sort", key], 1000)
        for key in ("duration", "first_token", "tokens", "cost")
    },
    "tail": _shown("tail"),
    "cat": _shown("cat", "@7", "--json"),
    "cat SESSION/STEP": _shown("cat", "@7/3", "--text"),
    "diff of calls": _shown("diff", "@7/3", "@7/2"),
    "diff of sessions": _shown("diff", "@7", "@8"),
    "tools": _shown("tools", "@7"),
    "context": _shown("context", "@7"),
    "cache": _shown("cache", "@7"),
    "waste": _shown("waste", "@7"),
    "export": _shown("export", "--format", "jsonl", "@7"),
    **{
        f"stats --by {key}": Asked(["stats", "--by", key], 2000)
        for key in (
            "name", "path", "step", "model", "process", "tool", "property", "property:mode", "provider", "operation",
            "agent", "user", "session", "outcome",
        )
    },
    "trace info": _shown("trace", "info"),
    "prune --older-than, dry": Asked(["trace", "prune", "--older-than", "2026-09-25", "--dry-run"], 2000),
    "prune --max-size, dry": Asked(["trace", "prune", "--max-size", "1MB", "--dry-run"], 2000),
    "prune --session, dry": Asked(["trace", "prune", "--session", "@7", "--dry-run"], 2000),
    "search": _shown("search", "in one word", goal=1000),
    "calls --search": Asked(["calls", "--search", "in one word"]),
}  # fmt: skip


class Took(NamedTuple):
    """What a command took."""

    clock: float
    """Seconds."""
    cpu: float
    """Seconds of it and of the processes that it started."""
    output: int = 0
    """Bytes."""


def ask(logs: dict[int, Path], add: Callable[[Path, int], None]) -> None:
    """Ask each of `logs`, by how many calls they hold. `add(log, first)` writes 1,000 more, numbered from `first`."""
    took: dict[str, list[Took]] = {}
    times, last = max(logs) / min(logs), max(logs)
    grown: list[str] = []

    def tell(name: str, asked: Asked, found: Took) -> None:
        took.setdefault(name, []).append(found)
        if count == last and not show(name, asked, took[name], times):
            grown.append(name)

    print(f"\nthe commands, on logs of {' and '.join(f'{count:,}' for count in logs)} small calls, 20 to a session")
    for count, log in logs.items():
        (log.parent / ".sessiontap").mkdir(exist_ok=True)  # a user's own, where a proxy has run
        for file in log.glob("index.sqlite*"):
            file.unlink()
        first = run(log, ["ls"])
        print(f"  {count:,} calls, which no command has read yet:")
        print(f"    ls         {first.clock:>6.1f} s, {count / first.clock:,.0f} calls/s (CPU {first.cpu:.1f} s)")
        searched = run(log, ["search", "in one word"])
        print(f"    search     {searched.clock:>6.1f} s (CPU {searched.cpu:.1f} s)", flush=True)
        for name, asked in COMMANDS.items():
            tell(name, asked, repeated(log, asked.arguments))
        caught: list[Took] = []
        for number in range(3):
            add(log, 2 * count + 1_000 * number)
            caught.append(run(log, ["ls"]))
        tell("ls after 1,000 new calls", _shown(goal=300), middle(caught))
        tell("prune --session", Asked([]), run(log, ["trace", "prune", "--session", "@7", "--yes"]))
    if grown:
        raise SystemExit(f"bench: these take longer than their output grows: {', '.join(grown)}")


def show(name: str, asked: Asked, figures: list[Took], times: float) -> bool:
    """Print a line. Return False if the last figure is larger than the first one allows."""
    first, last = figures[0], figures[-1]
    allowed = max(times if asked.looks_at_all else 1.0, last.output / max(first.output, 1))
    grown = last.cpu > first.cpu * allowed * SLACK + LEAST
    shown = "  ".join(f"{one.clock * 1e3:>7.0f} ms (CPU {one.cpu * 1e3:>6.0f})" for one in figures)
    growth = f"   CPU x{last.cpu / first.cpu:.1f}, output x{last.output / max(first.output, 1):.1f}"
    goal = f"   (goal: under {asked.goal} ms)" if asked.goal else ""
    print(f"  {name:<26}{shown}{growth}{goal}" + ("   TOO MUCH" if grown else ""), flush=True)
    return not grown


def repeated(log: Path, arguments: list[str]) -> Took:
    """The middle of several runs."""
    took = [run(log, arguments)]
    while len(took) < RUNS and sum(one.clock for one in took) < SECONDS:
        took.append(run(log, arguments))
    return middle(took)


def middle(took: Iterable[Took]) -> Took:
    """The medians of all figures."""
    clocks, cpus, outputs = zip(*took, strict=True)
    return Took(median(clocks), median(cpus), int(median(outputs)))


def run(log: Path, arguments: list[str]) -> Took:
    """What the command takes on `log`, in a home of its own. Fails where the command does."""
    home = {"HOME": str(log.parent), "PYTHONPATH": str(ADDON), "SESSIONTAP_TRACE": str(log)}
    command = [sys.executable, "-m", "sessiontap.cli", *arguments]
    written = log.parent / "output"
    with written.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=log.parent, env=os.environ | home, stdout=out, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: sessiontap {' '.join(arguments)} ended with {process.returncode}:\n{said}")
    return Took(took, usage.ru_utime + usage.ru_stime, written.stat().st_size)
