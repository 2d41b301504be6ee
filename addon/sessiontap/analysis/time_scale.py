"""A scale from time to places in a picture, 0 to 1, by which long pauses take no more room than they must.

A pause is a time in which no call ran. Squeezed, all pauses together take half of the picture at most: those that are
longer than a certain length are drawn as if they had that length. The length follows from the pauses themselves, so
that there is nothing to set.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

MOST_SQUEEZED = 100
"""Pauses that are squeezed, the longest ones: a scale is a short list."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, in seconds, and its place in the picture. All of a piece is drawn to one scale."""

    begin: float
    end: float
    at: float
    size: float
    squeezed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, rounded."""
        return {
            "from": round(self.begin, 6),
            "to": round(self.end, 6),
            "at": round(self.at, 9),
            "size": round(self.size, 9),
            "squeezed": self.squeezed,
        }


class TimeScale:
    """Times and their places, by pieces that follow each other."""

    def __init__(self, pieces: Sequence[Stretch]) -> None:
        self.pieces = pieces
        self._begins = [one.begin for one in pieces]

    def place(self, time: float) -> float:
        """Return the place of a time; 0 and 1 of what is outside."""
        piece = self.pieces[max(bisect_right(self._begins, time) - 1, 0)]
        took = piece.end - piece.begin
        share = (time - piece.begin) / took if took > 0 else 0.0
        return piece.at + piece.size * min(max(share, 0.0), 1.0)


def time_scale(busy: Sequence[tuple[float, float]], *, squeeze: bool) -> TimeScale:
    """Return the scale of a session from its first start to its last end. `busy`: see `united`."""
    if not busy:
        return TimeScale([Stretch(0.0, 0.0, 0.0, 1.0)])
    most = _longest_drawn(busy) if squeeze else float("inf")
    times: list[tuple[float, float, float, bool]] = []
    begin = busy[0][0]
    for (_, before), (after, _) in pairwise(busy):
        if after - before > most:
            times += [(begin, before, before - begin, False), (before, after, most, True)]
            begin = after
    times.append((begin, busy[-1][1], busy[-1][1] - begin, False))
    whole = sum(drawn for _, _, drawn, _ in times) or 1.0
    pieces: list[Stretch] = []
    at = 0.0
    for start, end, drawn, squeezed in times:
        pieces.append(Stretch(start, end, at, drawn / whole, squeezed))
        at += drawn / whole
    return TimeScale(pieces)


def _longest_drawn(busy: Sequence[tuple[float, float]]) -> float:
    """The length beyond which pauses are squeezed, by which all of them take as long as the calls."""
    worked = sum(end - start for start, end in busy)
    pauses = sorted(after - before for (_, before), (after, _) in pairwise(busy))
    if sum(pauses) <= worked or not worked:
        return float("inf")
    left = worked
    for number, pause in enumerate(pauses):
        length = left / (len(pauses) - number)
        if pause >= length:
            return max(length, pauses[-MOST_SQUEEZED - 1]) if len(pauses) > MOST_SQUEEZED else length
        left -= pause
    return float("inf")


def united[N: (int, float)](times: Iterable[tuple[N, N]]) -> list[tuple[N, N]]:
    """Return the times in which at least one of these ran, in their order."""
    found: list[tuple[N, N]] = []
    for start, end in sorted(times):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found
