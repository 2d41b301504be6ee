"""The last line of `tail -f` on a terminal: the calls in flight, how long each has run, and what has come of its reply.

It is rewritten in place at each look, and stands below the rows: whoever prints one clears it first.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sessiontap.cli.characters import shown
from sessiontap.cli.listing import model, so_far
from sessiontap.cli.output import ReaderGone, flush, line, pause, write
from sessiontap.cli.table import cut
from sessiontap.units import duration, elapsed

_CLEAR = "\r\x1b[2K"
"""Back to the line's begin, and erase it."""
_LEAST_WIDTH = 24
"""Columns that there are at least: below, nothing can be read."""


InFlight = Callable[[], Iterable[Mapping[str, Any]]]
"""Returns the rows of the calls in flight, oldest first."""


class LiveLine:
    """The line, from the first pause until the `with` block ends. If it is not `wanted`, it is never written."""

    def __init__(self, in_flight: InFlight, wanted: bool) -> None:
        self._in_flight, self._wanted = in_flight, wanted
        self._stands = False

    def __enter__(self) -> LiveLine:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ReaderGone):
            self.clear()

    def pause(self, seconds: float) -> None:
        """Write it anew and wait. Raises ReaderGone as soon as nobody reads stdout any more."""
        text = told(list(self._in_flight())) if self._wanted else ""
        if text:
            room = max(shutil.get_terminal_size().columns - 1, _LEAST_WIDTH)  # in the last column it would wrap
            write(_CLEAR + cut(shown(text), room))
            flush()
            self._stands = True
        else:
            self.clear()
        pause(seconds)

    def clear(self) -> None:
        """Take it from the terminal, so that a row can stand there."""
        if self._stands:
            self._stands = False
            write(_CLEAR)
            flush()


def told(rows: list[Mapping[str, Any]]) -> str:
    """`2 in flight: Bot /ask gpt-5 12s, 4.2 KB so far; ...`; empty if there are none."""
    if not rows:
        return ""
    return line(f"{len(rows)} in flight: {'; '.join(map(_told, rows))}")


def _told(row: Mapping[str, Any]) -> str:
    names = (row["session_name"], row["path"], model(row), duration(elapsed(row["time"])))
    return f"{' '.join(filter(None, names))}, {so_far(row)}"
