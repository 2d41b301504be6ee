from __future__ import annotations

import pytest

from sessiontap.rules.kinds import duration
from sessiontap.rules.problems import BadValue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86400), ("2d1h1m1s", 176461), ("0h5m", 300)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "30 m", "5m1h", "1.5h", "-5m", "0s", "30min", "٣m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadValue):
        duration(text)


def test_a_bare_number_gets_a_guess() -> None:
    with pytest.raises(BadValue) as caught:
        duration("90")
    assert caught.value.guess == "90s"
