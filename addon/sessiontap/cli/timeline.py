"""A session drawn to scale: a line for each path and call, a bar from its start to its end; what overlaps ran at once.

A pause in which no call ran can leave nothing to see of the calls. One that would take more than a quarter of the
picture is cut out, unless calls take half of it anyway. Each cut is a torn line through all of the picture, and its
length is written below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from sessiontap.analysis.time_scale import united
from sessiontap.cli import tree
from sessiontap.cli.listing import FAILED, failed
from sessiontap.cli.output import console, line, on_terminal, write_line
from sessiontap.cli.table import GAP, cut, fill, width
from sessiontap.units import duration, elapsed, plural

PIPED = 100
"""Columns if no terminal says how many."""
LEAST = 20
"""Columns of the picture, however narrow the terminal."""
LONG = 4
"""A pause that takes more than this part of the picture, a quarter, may be cut."""
SECOND = 1_000_000
"""In microseconds, as all times here are."""

WAITING, RUNNING, BROKEN, SHORT, OPEN, TORN = "░", "█", "x", "▏", "?", "┊"
LEGEND = {
    WAITING: "until the first token",
    RUNNING: "running",
    BROKEN: "failed",
    SHORT: "shorter than half a column",
    OPEN: "the end is not known",
}

_STEPS = [digit * 10**power for power in range(6) for digit in (1, 2, 5)] + [
    seconds * SECOND for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)
]
"""Times between marks on the axis; beyond them days."""
_DAY = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class CallTimes:
    """The times that are drawn in a line, in Unix microseconds.

    `end` is None if it is not known, `first_token` if it is not known or not asked.
    """

    label: str
    start: int
    end: int | None
    first_token: int | None = None
    is_call: bool = True
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TimelinePiece:
    """Time without a cut, and its columns."""

    start: int
    end: int
    column: int
    columns: int


@dataclass(frozen=True, slots=True)
class Scale:
    """The place of a time in the picture: `each` column is so many microseconds, except that pauses are cut out."""

    pieces: Sequence[TimelinePiece]
    each: float

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """Column and length of each."""
        ends = zip(self.pieces, self.pieces[1:], strict=False)
        return [(one.column + one.columns, after.start - one.end) for one, after in ends]

    def column(self, time: int, *, is_end: bool = False) -> int:
        """The column in which `time` falls; of an end the last one that it fills. What is later is in the last one."""
        piece = next((one for one in self.pieces if time <= one.end), self.pieces[-1])
        exact = (time - piece.start) / self.each
        inside = ceil(exact) - 1 if is_end else int(exact)
        return piece.column + min(max(inside, 0), piece.columns - 1)


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """A line of the drawing. `style` is rich's."""

    text: str
    style: str = ""


def show(shown: Mapping[str, Any], *, flat: bool) -> None:
    """Print the picture of what `show --json` gives."""
    for one in lines(spans(shown, flat=flat), console().width if on_terminal() else PIPED):
        write_line(one.text, one.style)


def spans(shown: Mapping[str, Any], *, flat: bool) -> list[CallTimes]:
    """The lines of a session: its tree, or its calls in their order."""
    calls = sorted(shown["calls"], key=lambda call: str(call["time"]))
    branches = [tree.Branch("", call=call) for call in calls] if flat else tree.branches(shown)
    return [_span(branch) for branch in branches]


def _span(branch: tree.Branch) -> CallTimes:
    if branch.call is None:
        start = _time(branch.node["started"])
        return CallTimes(branch.label, start, start + _micros(branch.node["duration"] or 0), is_call=False)
    call = branch.call
    start, first = _time(call["time"]), call["time_to_first_token"]
    took = elapsed(call["time"]) if call["in_flight"] else call["duration"]  # it runs until now
    return CallTimes(
        branch.label,
        start,
        None if took is None else start + _micros(took),
        None if first is None else start + _micros(first),
        failed=failed(call),
    )


def lines(spans: Sequence[CallTimes], room: int) -> list[TimelineLine]:
    """The picture in `room` columns: axis, a line for each span, and what its signs mean."""
    if not spans:
        return []
    took = [duration((one.end - one.start) / SECOND if one.end is not None else None) for one in spans]
    right = max(map(len, took))
    labels = [line(one.label) for one in spans]
    left = min(max(map(width, labels)), max(min(room * 2 // 5, room - LEAST - right - 2 * GAP), 8))
    drawn = scale(spans, max(room - left - right - 2 * GAP, LEAST))
    size = drawn.pieces[-1].column + drawn.pieces[-1].columns
    found = [TimelineLine(f"{'':{left + GAP}}{axis(drawn, size)}".rstrip(), "dim")]
    for span, label, time in zip(spans, labels, took, strict=True):
        text = fill(cut(label, left), left, False) + " " * GAP + bar(span, drawn, size) + " " * GAP + f"{time:>{right}}"
        found.append(TimelineLine(text, FAILED if span.failed else "" if span.is_call else "bold"))
    return [*found, TimelineLine(""), *(TimelineLine(text, "dim") for text in _notes(drawn, found))]


def scale(spans: Sequence[CallTimes], columns: int) -> Scale:
    """The scale by which calls take `columns`, and which pauses it leaves out."""
    busy = _united(spans)
    cuts = _cuts(busy, most=columns // 10)
    whole: list[list[int]] = []
    for number, (start, end) in enumerate(busy):
        if number == 0 or number in cuts:
            whole.append([start, end])
        else:
            whole[-1][1] = end
    # Each cut takes a column, and a piece up to one more than its share: one at least.
    each = sum(end - start for start, end in whole) / (columns - 2 * len(cuts)) or 1.0
    pieces: list[TimelinePiece] = []
    at = 0
    for start, end in whole:
        size = max(1, round((end - start) / each)) if len(whole) > 1 else columns
        pieces.append(TimelinePiece(start, end, at, size))
        at += size + 1
    return Scale(pieces, each)


def _united(spans: Sequence[CallTimes]) -> list[tuple[int, int]]:
    """The times in which calls ran, overlaps joined, in their order."""
    return united((one.start, one.start if one.end is None else one.end) for one in spans if one.is_call)


def _cuts(busy: Sequence[tuple[int, int]], most: int) -> set[int]:
    """Numbers of the times before which the pause is cut."""
    pauses = {number: busy[number][0] - busy[number - 1][1] for number in range(1, len(busy))}
    idle, worked = sum(pauses.values()), sum(end - start for start, end in busy)
    cuts: set[int] = set()
    for number in sorted(pauses, key=pauses.__getitem__, reverse=True):
        is_long = idle > worked > 0 and pauses[number] * LONG > idle + worked
        if not is_long or len(cuts) >= most:
            break
        cuts.add(number)
        idle -= pauses[number]
    return cuts


def bar(span: CallTimes, drawn: Scale, size: int) -> str:
    """Return the bar of a call or path, `size` columns wide."""
    cells = [" "] * size
    for at, _ in drawn.cuts:
        cells[at] = TORN
    first = drawn.column(span.start)
    for at, sign in enumerate(_signs(span, drawn, first), first):
        if cells[at] != TORN:
            cells[at] = sign
    return "".join(cells)


def _signs(span: CallTimes, drawn: Scale, first: int) -> str:
    """The text from the column `first` on."""
    if span.end is None:
        return OPEN
    more = max(drawn.column(span.end, is_end=True) - first, 0)
    if not span.is_call:
        return "├" + "─" * (more - 1) + "┤" if more else "─"
    if span.end - span.start < drawn.each / 2:
        return SHORT
    if span.failed:
        return BROKEN * (more + 1)
    token = first if span.first_token is None else drawn.column(min(span.first_token, span.end))
    return f"{WAITING * (token - first)}{RUNNING * (more + 1)}"[: more + 1]


def axis(drawn: Scale, size: int) -> str:
    """Times since the first start, if there is room for them."""
    begun = drawn.pieces[0].start
    step = next((one for one in _STEPS if one >= 10 * drawn.each), _DAY * ceil(10 * drawn.each / _DAY))
    text = ""
    for piece in drawn.pieces:
        if piece.column:
            text = f"{text[: piece.column - 1]:<{piece.column - 1}}{TORN}"
        marks = range(-(-(piece.start - begun) // step) * step, piece.end - begun + 1, step)
        for mark in dict.fromkeys((piece.start - begun, *marks)):
            at, label = drawn.column(begun + mark), duration(mark / SECOND) if mark else "0"
            if (at >= len(text) + GAP or at == piece.column >= len(text)) and at + len(label) <= size:
                text = f"{text:<{at}}{label}"
    return text


def _notes(drawn: Scale, picture: Sequence[TimelineLine]) -> Iterator[str]:
    used = {sign for one in picture for sign in one.text}
    meanings = ", ".join(f"{sign} {meaning}" for sign, meaning in LEGEND.items() if sign in used)
    each = duration(drawn.each / SECOND) if drawn.each >= 100 else f"{drawn.each:.2g}µs"
    yield f"each column is {each}; {meanings}" if drawn.pieces[-1].end > drawn.pieces[0].start else meanings
    if cuts := drawn.cuts:
        lengths = ", ".join(duration(length / SECOND) for _, length in cuts)
        yield f"{TORN} {plural(len(cuts), 'pause')} without a call {'is' if len(cuts) == 1 else 'are'} cut: {lengths}"


def _time(iso: str) -> int:
    moment = datetime.fromisoformat(iso)
    return int(moment.replace(microsecond=0).timestamp()) * SECOND + moment.microsecond


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)
