"""`tail -f`: calls as they begin and as they end, through whichever proxies they go and into whichever segments.

On a terminal a last line, below the rows, says what is in flight: how long each call has run, and what has come of its
reply. It is rewritten in place at each look; whoever prints a row clears it first.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sessiontap.cli.characters import shown
from sessiontap.cli.listing import model, so_far
from sessiontap.cli.output import ReaderGone, flush, line, write
from sessiontap.cli.output import pause as wait
from sessiontap.cli.table import cut
from sessiontap.units import duration, elapsed

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall, Trace
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters

Row = dict[str, Any]

LOOK_EVERY = 0.25
"""Seconds between two looks at the log."""
GIVE_UP_AFTER = 5.0
"""Seconds for which a call may be neither in flight nor in the log: its proxy may be writing it. Then it was lost."""

_CLEAR = "\r\x1b[2K"
"""Back to the line's begin, and erase it."""
_LEAST_WIDTH = 24
"""Columns that there are at least: below, nothing can be read."""


def follow(
    log: Trace,
    wanted: Filters,
    prices: Prices | None,
    listed: Iterable[Mapping[str, Any]],
    news: Callable[[], Iterable[RecordedCall]],
    pause: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Row]:
    """Yield a row when a call begins and one when it has ended, for ever.

    Of a call that was lost, `in_flight` is false and `outcome` unknown in the second row. `listed`: rows that are on
    the screen already. `news` returns the calls that were written since it was last called (`Trace.news`).
    """
    known = {row["id"] for row in listed if not row["in_flight"]}
    ended: set[str] = set()
    """Those that a proxy may still tell, since it was asked before they ended."""
    begun = {row["id"]: (dict(row), clock()) for row in listed if row["in_flight"]}
    while True:
        now = clock()
        in_flight = {row["id"]: row for row in log.query_in_flight(wanted)}
        ended &= in_flight.keys()
        for id, row in in_flight.items():
            if id in ended:
                continue
            if id not in begun:
                yield row
            begun[id] = row, now
        for call in news():
            begun.pop(call.id, None)
            ended.add(call.id)
            if call.id not in known:
                found = log.query_calls(replace(wanted, ids=(call.id,)), prices=prices)
                yield from (row for row in found if not row["in_flight"])
        for id, (row, last) in list(begun.items()):
            if now - last > GIVE_UP_AFTER:
                del begun[id]
                yield row | {"in_flight": False}
        pause(LOOK_EVERY)


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
        text = in_flight_text(list(self._in_flight())) if self._wanted else ""
        if text:
            room = max(shutil.get_terminal_size().columns - 1, _LEAST_WIDTH)  # in the last column it would wrap
            write(_CLEAR + cut(shown(text), room))
            flush()
            self._stands = True
        else:
            self.clear()
        wait(seconds)

    def clear(self) -> None:
        """Take it from the terminal, so that a row can stand there."""
        if self._stands:
            self._stands = False
            write(_CLEAR)
            flush()


def in_flight_text(rows: list[Mapping[str, Any]]) -> str:
    """`2 in flight: Bot /ask gpt-5 12s, 4.2 KB so far; ...`; empty if there are none."""
    if not rows:
        return ""
    return line(f"{len(rows)} in flight: {'; '.join(map(_one_in_flight, rows))}")


def _one_in_flight(row: Mapping[str, Any]) -> str:
    names = (row["session_name"], row["path"], model(row), duration(elapsed(row["time"])))
    return f"{' '.join(filter(None, names))}, {so_far(row)}"
