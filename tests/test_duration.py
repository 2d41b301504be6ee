from __future__ import annotations

import pytest

from sessiontap.units import seconds


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("1h30m", 5400),
        ("30m 1h", 5400),
        ("1.5 d", 129_600),
        ("2w", 1_209_600),
        ("0s", 0),
        ("", None),
        ("30", None),
        ("30min", None),
        ("m", None),
        ("-5m", None),
        ("1h and 5m", None),
    ],
)
def test_durations(text: str, length: float | None) -> None:
    assert seconds(text) == length
