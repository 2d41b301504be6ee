"""Runs the cases of a target: each by a seed of its own, bounded in time and memory, in a process that may die.

A target makes a `Case` of a random generator. Case number N of seed S is the same whenever it is made, so these two
numbers repeat a failure. What fails is written to a file, and the round goes on with the next case.
"""

from __future__ import annotations

import base64
import gc
import json
import multiprocessing
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 1.0
"""CPU time that any case may take ..."""
SECONDS_PER_MB = 10.0
"""... and what it may take more for its size."""
MEMORY = 48 << 20
"""Bytes by which a case may make the process grow ..."""
MEMORY_PER_BYTE = 60
"""... and what it may take more for each byte of its size."""
HANGING = 20.0
"""Seconds of CPU time after which a case is given up."""
MOST_FAILURES = 20
"""Different ones, after which a round ends."""


class Wrong(Exception):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is fed in, and what has to hold: `check` raises what does not."""

    check: Callable[[], None]
    data: bytes
    """For the file of a failure; its length is the size that bounds are relative to."""
    what: str = ""
    """What was done, in a few words."""


Make = Callable[[random.Random], Case]
"""Makes a case, always the same one of the same generator."""


@dataclass(frozen=True, slots=True)
class Failure:
    target: str
    seed: int
    number: int
    what: str
    error: str
    trace: str = ""
    data: bytes = b""

    @property
    def again(self) -> str:
        """The command that repeats it."""
        return f"scripts/fuzz --target {self.target} --seed {self.seed} --case {self.number}"

    def save(self, folder: Path) -> Path:
        """Write it as JSON, what was fed in as base64."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.target}-{self.seed}-{self.number}.json"
        told: dict[str, Any] = {"target": self.target, "seed": self.seed, "case": self.number, "again": self.again}
        told |= {"what": self.what, "error": self.error, "trace": self.trace}
        file.write_text(json.dumps(told | {"data": base64.b64encode(self.data).decode()}, indent=1))
        return file


@dataclass(slots=True)
class Round:
    """What came of a target's cases."""

    target: str
    cases: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def run_round(
    target: str, prepare: Callable[[], Make], seed: int, *, seconds: float = 0.0, cases: int = 0, first: int = 0
) -> Round:
    """Run a target for so many seconds or cases, in a process of its own. One that dies is followed by another."""
    found = Round(target)
    context = multiprocessing.get_context("fork")
    began = time.monotonic()
    at = context.Value("q", first)
    last = first + cases if cases else sys.maxsize
    known: set[str] = set()
    while at.value < last and len(found.failures) < MOST_FAILURES:
        left = seconds - (time.monotonic() - began) if seconds else None
        if left is not None and left <= 0:
            break
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_cases, args=(target, prepare, seed, at, last, left, theirs, known))
        process.start()
        theirs.close()
        try:
            while True:
                failure = ours.recv()
                known.add(failure.error)
                found.failures.append(failure)
        except EOFError:
            process.join()
        if process.exitcode:
            error = f"the process ended with status {process.exitcode}"
            found.failures.append(Failure(target, seed, at.value, "", error))
            at.value += 1
        elif left is not None or at.value >= last:
            break
    found.cases, found.seconds = at.value - first, time.monotonic() - began
    return found


def run_case(target: str, prepare: Callable[[], Make], seed: int, number: int) -> Failure | None:
    """One case, here and now."""
    return _case(target, prepare(), seed, number)


def _cases(
    target: str,
    prepare: Callable[[], Make],
    seed: int,
    at: Any,
    last: int,
    seconds: float | None,
    out: Any,
    known: set[str],
) -> None:
    make = prepare()
    gc.collect()
    gc.freeze()
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    different = set(known)
    while at.value < last and time.monotonic() < until and len(different) < MOST_FAILURES:
        failure = _case(target, make, seed, at.value)
        if failure is not None and failure.error not in different:
            different.add(failure.error)
            out.send(failure)
        at.value += 1
    out.close()


def _case(target: str, make: Make, seed: int, number: int) -> Failure | None:
    case: Case | None = None
    try:
        case = make(random.Random(f"{target} {seed} {number}"))
        _bounded(case)
    except Exception as error:
        what, data = (case.what, case.data) if case is not None else ("while it was made", b"")
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, Wrong) else f" ({Path(where.filename).name}:{where.lineno})"
        told = f"{type(error).__name__}: {str(error)[:500]}{place}"
        return Failure(target, seed, number, what, told, traceback.format_exc(), data)
    return None


def _bounded(case: Case) -> None:
    """Run it. Raises `Wrong` where it takes more time or memory than its size allows."""
    size = len(case.data)
    before = peak()
    used = _seconds(case)
    grown = peak() - before
    if grown > MEMORY + MEMORY_PER_BYTE * size:
        raise Wrong(f"it takes more memory than its size allows: {grown >> 20} MB for {size >> 10} KB")
    allowed = SECONDS + SECONDS_PER_MB * size / 1e6
    if used > allowed and min(_seconds(case), _seconds(case)) > allowed:  # a collection of garbage is nobody's fault
        raise Wrong(f"it takes more time than its size allows: {used:.1f} s for {size >> 10} KB")


def _seconds(case: Case) -> float:
    with _given_up():
        started = time.process_time()
        case.check()
        return time.process_time() - started


def peak() -> int:
    """The most bytes that this process has held."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found << 10


@contextmanager
def _given_up() -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise Wrong(f"it does not end: given up after {HANGING:.0f} s")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
