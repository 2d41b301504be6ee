"""Calls are taken up as they began, or as their steps tell; an end comes before what begins at that moment."""

from __future__ import annotations

import pytest

from sessiontap.backtest.order import in_order
from sessiontap.trace import RecordedCall

ORDERS = {
    # what: calls as (name, start, end, session, step); the events, a begin in lower case and an end in upper case
    "one after the other": ([("a", 0, 1, "s", 0), ("b", 2, 3, "s", 1)], "aAbB"),
    "at the same time": ([("a", 0, 9, "s", 0), ("b", 2, 3, "s", 1)], "abBA"),
    "an end at the moment of a begin": ([("a", 0, 2, "s", 0), ("b", 2, 3, "s", 1)], "aAbB"),
    "a later step began first": ([("b", 0, 9, "s", 1), ("a", 2, 8, "s", 0)], "abAB"),
    "three in another order": ([("c", 0, 9, "s", 2), ("b", 1, 9, "s", 1), ("a", 2, 9, "s", 0)], "abcCBA"),
    "a missing step: waits for its end": ([("a", 0, 1, "s", 0), ("c", 2, 4, "s", 2), ("d", 3, 9, "s", 3)], "aAcdCD"),
    "two that wait: one that ends lets the other begin": ([("c", 0, 3, "s", 5), ("b", 1, 2, "s", 4)], "bcBC"),
    "of two sessions": ([("b", 0, 9, "s", 1), ("x", 1, 3, "t", 0), ("a", 2, 8, "s", 0)], "xabXAB"),
    "without a session": ([("a", 0, 3, None, None), ("b", 1, 2, None, None)], "abBA"),
    "a step twice, after a restart": ([("a", 0, 1, "s", 0), ("b", 2, 3, "s", 0)], "aAbB"),
    "no duration": ([("a", 0, None, "s", 3), ("b", 1, None, "s", 4)], "aAbB"),
}  # fmt: skip


def call(name: str, start: int, end: int | None, session: str | None, step: int | None) -> RecordedCall:
    record = {
        "id": name,
        "time": start,
        "duration": end - start if end is not None else None,
        "session": {"id": session, "step": step} if session is not None else None,
    }
    return RecordedCall(record, None, lambda side, stored: None)


@pytest.mark.parametrize("what", ORDERS)
def test_the_order_of_events(what: str) -> None:
    calls, expected = ORDERS[what]
    events = in_order(call(*one) for one in calls)
    assert "".join(one.call.id if one.kind == "begins" else one.call.id.upper() for one in events) == expected
