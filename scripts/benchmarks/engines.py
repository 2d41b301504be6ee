"""Parquet of many calls: what it takes to write, how large it is, and whether each engine answers as `sessiontap` does.

    scripts/bench engines [--calls N] [--engine NAME ...] [--folder FOLDER]

The calls are of two machines, 20 to a session, in a log each, which are read as one. The questions are those of
docs/scale.md. Spark and ClickHouse are installed once, outside the clone (2 GB); Spark needs Java. It ends with status
1 if an answer differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from trace_log import ROOT, write

sys.path[:0] = [str(ROOT)]

import pytest  # noqa: E402
from tests.engines.asking import ask  # noqa: E402
from tests.parquet import scale  # noqa: E402


class Done(NamedTuple):
    """What a command printed, and what it took."""

    out: str
    cpu: float
    """Seconds."""
    memory: int
    """Bytes at most."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(folder: Path, *arguments: str) -> Done:
    """Run `sessiontap ARGUMENTS` on the logs in the folder."""
    environment = os.environ | {"SESSIONTAP_TRACE": str(folder / "logs"), "HOME": str(folder)}
    command = [sys.executable, "-P", "-m", "sessiontap.cli", *arguments]
    with tempfile.TemporaryFile("w+") as out:
        running = subprocess.Popen(command, env=environment, cwd=folder, stdout=out)
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            raise SystemExit(f"bench: `sessiontap {' '.join(arguments)}` ended with status {running.returncode}")
        out.seek(0)
        return Done(out.read(), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def cpu() -> float:
    """Seconds of CPU time of this process and of those that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def write_parquet(folder: Path, calls: int) -> None:
    """Export the calls, and print what that takes beside the log."""
    log = sum(path.stat().st_size for path in (folder / "logs").rglob("*.mpk*"))
    run(folder, "ls", "--json", "--limit", "1")  # makes the index
    done = run(folder, "export", "--format", "parquet", "-o", "lake")
    lake = size(folder / "lake")
    print(f"{calls:,} calls of two machines, 20 to a session")
    print(f"  the log     {log / 1e6:>8.1f} MB, {log / calls:.0f} bytes a call")
    print(f"  Parquet     {lake / 1e6:>8.1f} MB, {lake / calls:.0f} bytes a row, {lake / log:.2f} of the log")
    print(f"  export      {done.cpu:>8.1f} s of CPU time, {calls / done.cpu:,.0f} rows/s, {done.memory / 1e6:.0f} MB")


def compare(engine: str, folder: Path, wanted: scale.Answers) -> bool:
    """Ask an engine. Return whether all of its answers are those of `sessiontap`; True if it is not there."""
    began = time.perf_counter()
    try:
        answers = ask(engine, folder)
    except pytest.skip.Exception as skipped:
        print(f"  {engine:<12} skipped: {skipped}")
        return True
    took = time.perf_counter() - began
    wrong = []
    for title in scale.KEYS:
        try:
            scale.is_equal(title, answers[title], wanted[title])
        except AssertionError as error:
            wrong.append(f"    {title}: {error}")
    equal = len(scale.KEYS) - len(wrong)
    said = f"  {engine:<12} {equal} of {len(scale.KEYS)} answers equal, {took:.0f} s with its start"
    print("\n".join([said, *wrong]), flush=True)
    return not wrong


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--engine", action="append", choices=scale.ENGINES, help="ask it alone")
    parser.add_argument("--folder", type=Path, help="an empty one, which stays; without it all is deleted in the end")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        folder = (given.folder or Path(name)).absolute()
        half = given.calls // 2
        write(folder / "logs" / "web-1", half, 0, "web-1")
        write(folder / "logs" / "web-2", given.calls - half, half, "web-2")
        write_parquet(folder, given.calls)
        used = cpu()
        wanted = scale.expected(lambda *arguments: run(folder, *arguments))
        rows = ", ".join(f"{title} {len(answer):,}" for title, answer in wanted.items())
        print(f"  rows of the answers: {rows}")
        print(f"  sessiontap   {cpu() - used:.1f} s of CPU time for all answers", flush=True)
        equal = [compare(engine, folder, wanted) for engine in given.engine or scale.ENGINES]
    if not all(equal):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
