"""`tail -f`: calls as they begin and as they end, through whichever proxies they go and into whichever segments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall, Trace
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters

Row = dict[str, Any]

LOOK_EVERY = 0.25
"""Seconds between two looks at the log."""
GIVE_UP_AFTER = 5.0
"""Seconds for which a call may be neither in flight nor in the log: its proxy may be writing it. Then it was lost."""


def follow(
    log: Trace,
    wanted: Filters,
    prices: Prices | None,
    shown: Iterable[Mapping[str, Any]],
    news: Callable[[], Iterable[RecordedCall]],
    pause: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Row]:
    """Yield a row when a call begins and one when it has ended, for ever.

    Of a call that was lost, `in_flight` is false and `outcome` unknown in the second row. `shown`: rows that are on the
    screen already. `news` returns the calls that were written since it was last called (`Trace.news`).
    """
    known = {row["id"] for row in shown if not row["in_flight"]}
    ended: set[str] = set()
    """Those that a proxy may still tell, since it was asked before they ended."""
    begun = {row["id"]: (dict(row), clock()) for row in shown if row["in_flight"]}
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
