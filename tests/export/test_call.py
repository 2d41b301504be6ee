"""What a format is given of a recorded call."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from tests.export.calls import ID, call, damaged, unanswered

from sessiontap.export.call import NOT_RECORDED, Body
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
        (None, Body()),
        (body.measured(7, "gzip"), Body(missing=NOT_RECORDED, size=7, encoding="gzip")),
        (body.measured(0), Body(data=b"", size=0)),
        (CUT, Body(b"half", size=4, total=9, encoding="br", undecodable=True, sha256=sha256(b"half").hexdigest())),
    ],
    ids=["none", "only measured", "only measured, and empty", "cut and in its coding"],
)
def test_bodies(stored: dict[str, Any] | None, expected: Body) -> None:
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
    assert (found.response, found.response_body, found.row["status"]) == (None, Body(), None)
