"""The messages of a WebSocket's turn, and when they came."""

from __future__ import annotations

import pytest
from tests.export.calls import START, turn

from sessiontap.export.frames import Message, messages

SENT = Message(START, True, b'{"type": "response.create"}')
FIRST, SECOND = '{"n": "ä"}'.encode(), b'{"n": "b"}'
MS = 1_000_000


@pytest.mark.parametrize(
    ("chunks", "times"),
    [
        ([100_000, 12, 200_000, 11], (100, 300)),
        ([100_000, 500, 200_000, 11], (100, 300)),
        ([100_000, 23], (100, 100)),
        ([100_000, 12, 100_000, 5, 100_000, 6], (100, 200)),
        ([100_000, 99], (0, 0)),
        (None, (0, 0)),
    ],
    ids=["one each", "redacted", "put together", "in pieces", "redacted and put together", "not known"],
)
def test_times(chunks: list[int] | None, times: tuple[int, int]) -> None:
    first, second = (START + time * MS for time in times)
    assert messages(turn(chunks=chunks)) == [SENT, Message(first, False, FIRST), Message(second, False, SECOND)]
