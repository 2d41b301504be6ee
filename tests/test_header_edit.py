"""Carrying edits out."""

from __future__ import annotations

import pytest

from sessiontap.header_edit import Edit, apply, changes

FIELDS = [("Host", "h"), ("x-a", "1"), ("Accept", "*/*"), ("X-A", "2")]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        pytest.param([], FIELDS, id="nothing"),
        pytest.param([Edit("set", "X-New", None, "n")], [*FIELDS, ("X-New", "n")], id="a new header comes last"),
        pytest.param(
            [Edit("set", "X-A", "1, 2", "3")],
            [("Host", "h"), ("x-a", "3"), ("Accept", "*/*")],
            id="one value, in the first one's place and case",
        ),
        pytest.param([Edit("remove", "X-a", "1, 2")], [("Host", "h"), ("Accept", "*/*")], id="remove takes out all"),
        pytest.param([Edit("remove", "X-None")], FIELDS, id="remove what is not there"),
        pytest.param(
            [Edit("keep", "X-A", "1", "3"), Edit("withhold", "Host", "h", "g")], FIELDS, id="no more than said"
        ),
        pytest.param(
            [Edit("set", "X-N", None, "1"), Edit("set", "x-n", None, "2")], [*FIELDS, ("X-N", "2")], id="the last wins"
        ),
    ],
)
def test_apply(edits: list[Edit], expected: list[tuple[str, str]]) -> None:
    assert apply(edits, FIELDS) == expected


def test_what_is_given_is_not_changed() -> None:
    fields = list(FIELDS)
    apply([Edit("remove", "x-a")], fields)
    assert fields == FIELDS


def test_changes_as_a_record_keeps_them() -> None:
    edits = [Edit("set", "X-A", "1", "2", "my rule"), Edit("remove", "X-B", "1")]
    assert changes(edits) == [["set", "X-A", "1", "2", "my rule"], ["remove", "X-B", "1", None, None]]
