"""A recorded call as every format is given it, and when the messages of a WebSocket's turn came."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from tests.export.calls import ID, START, call, damaged, turn, unanswered

from sessiontap.export.exported_call import NOT_RECORDED, ExportedBody, TurnMessage, turn_messages
from sessiontap.trace import body


def test_a_call_with_both_bodies() -> None:
    found = call(b"asked", b"told")
    assert (found.id, found.title) == (ID, "Course /outline")
    assert (found.request_body.data, found.response_body.data) == (b"asked", b"told")
    assert (found.row["cost_usd"], found.row["path"], found.row["status"]) == (0.25, "/outline", 200)
    assert found.damage == []


CUT = body.encode(b"half", "br") | {"total": 9, "undecodable": True}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, ExportedBody()),
        (body.measured(7, "gzip"), ExportedBody(missing=NOT_RECORDED, size=7, encoding="gzip")),
        (body.measured(0), ExportedBody(data=b"", size=0)),
        (
            CUT,
            ExportedBody(
                b"half", size=4, total=9, encoding="br", undecodable=True, sha256=sha256(b"half").hexdigest()
            ),
        ),
    ],
    ids=["none", "only measured", "only measured, and empty", "cut and in its coding"],
)
def test_bodies(stored: dict[str, Any] | None, expected: ExportedBody) -> None:
    assert call(told={"body": stored}).response_body == expected


def test_a_damaged_body_is_missing_and_says_why() -> None:
    found = call(asked={"body": damaged()})
    assert (found.request_body.data, found.request_body.is_damaged) == (None, True)
    assert found.damage == [f"call {ID}, request: the body does not fit its sha256"]
    assert found.response_body.data == b'{"ok": true}'


@pytest.mark.parametrize(
    ("session", "title"), [(None, ""), ({"id": "s", "name": "N", "path": None}, "N")], ids=["no session", "no path"]
)
def test_titles(session: dict[str, Any] | None, title: str) -> None:
    assert call(session=session).title == title


def test_a_call_without_a_response() -> None:
    found = unanswered()
    assert (found.response, found.response_body, found.row["status"]) == (None, ExportedBody(), None)


SENT = TurnMessage(START, True, b'{"type": "response.create"}')
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
    came = [TurnMessage(first, False, FIRST), TurnMessage(second, False, SECOND)]
    assert turn_messages(turn(chunks=chunks)) == [SENT, *came]
