"""The report of a replay: what was answered at which rung, what missed, and what was never asked for.

`text` tells it to a person, `as_json` to a program. A replay is `is_clean` if every request was answered and every
recorded call was asked for; errands do not count, for a program makes as many as it has time for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sessiontap.replay.question import RUNGS, Rung
from sessiontap.units import plural

_TOLD: tuple[Rung, ...] = ("tools", "place")
"""Rungs at which a person is told how a request differs: at `canonical` it differs in what means nothing."""


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A live request, and what became of it."""

    method: str
    url: str
    rung: Rung | None = None
    """None if it missed."""
    call: str | None = None
    """The recorded call that answered; if it missed, the one that is most like it."""
    difference: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    """Sentences on the reply: it breaks off, a credential in it was replaced."""
    reason: str | None = None
    """Why it missed."""
    again: bool = False
    """The recorded call had answered before."""
    errand: bool = False


@dataclass(frozen=True, slots=True)
class UnaskedCall:
    """A recorded call that no request asked for."""

    call: str
    method: str
    url: str
    errand: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a replay."""

    asked: tuple[AskedCall, ...]
    """In the order in which they were asked."""
    unasked: tuple[UnaskedCall, ...]
    """In the order of the recording, without those behind the last one that was to be replayed."""

    @property
    def misses(self) -> tuple[AskedCall, ...]:
        """The requests without an answer, errands left out."""
        return tuple(one for one in self.asked if one.rung is None and not one.errand)

    @property
    def is_clean(self) -> bool:
        """Every request was answered, and every recorded call was asked for; errands do not count."""
        return not self.misses and all(one.errand for one in self.unasked)

    @property
    def rungs(self) -> dict[Rung, int]:
        """How many requests were answered at each rung; those that were not are left out."""
        count = Counter(one.rung for one in self.asked)
        return {rung: count[rung] for rung in RUNGS if count[rung]}


def text(report: Report) -> str:
    """Return the report as lines for a person."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    missed = Counter(one for one in report.asked if one.rung is None)
    counts = [f"{number} at {rung}" for rung, number in report.rungs.items()]
    if missed:
        counts.append(f"{missed.total()} missed")
    yield f"{plural(len(report.asked), 'request')}{': ' if counts else ''}{', '.join(counts)}"
    for one, times in missed.items():
        yield from _missed(one, times)
    for one in report.asked:
        remarks = (*(one.difference if one.rung in _TOLD else ()), *one.marks)
        if one.rung is not None and remarks:
            yield f"{one.method} {one.url}: call {one.call} at {one.rung}"
            yield from (f"    {sentence}" for sentence in remarks)
    if again := sum(one.again for one in report.asked):
        yield f"{plural(again, 'request')} answered by a call that had answered before: errands, or what only reads"
    unasked = [one for one in report.unasked if not one.errand]
    if unasked:
        yield f"{plural(len(unasked), 'recorded call')} never asked for:"
        yield from (f"    {one.method} {one.url}: call {one.call}" for one in unasked)
    if errands := len(report.unasked) - len(unasked):
        yield f"{plural(errands, 'errand')} never asked for"


def _missed(one: AskedCall, times: int) -> Iterator[str]:
    errand, often = " (an errand)" if one.errand else "", f" {times} times" if times > 1 else ""
    yield f"{one.method} {one.url}: missed{often}{errand}: {one.reason}"
    if one.call is not None and one.call not in (one.reason or ""):
        yield f"    most like call {one.call}{'' if one.difference else ', which asks the same'}"
    yield from (f"    {remarks}" for remarks in one.difference)


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as one JSON object."""
    return {
        "clean": report.is_clean,
        "rungs": report.rungs,
        "missed": len(report.misses),
        "asked": [asdict(one) for one in report.asked],
        "unasked": [asdict(one) for one in report.unasked],
    }
