"""A listed id can be typed back."""

from __future__ import annotations

import pytest

from sessiontap.cli.ids import shortest


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        pytest.param([], {}, id="none"),
        pytest.param(["abc"], {"abc": "abc"}, id="shorter than the least"),
        pytest.param(["0123456789", "1123456789"], {"0123456789": "01234567", "1123456789": "11234567"}, id="eight"),
        pytest.param(
            ["run-2025-01", "run-2025-02", "x"],
            {"run-2025-01": "run-2025-01", "run-2025-02": "run-2025-02", "x": "x"},
            id="as long as it takes",
        ),
        pytest.param(
            ["nightly-run", "nightly-run-2"],
            {"nightly-run": "nightly-run", "nightly-run-2": "nightly-run-"},
            id="one begins with the other",
        ),
    ],
)
def test_shortest(ids: list[str], expected: dict[str, str]) -> None:
    assert shortest(ids) == expected
