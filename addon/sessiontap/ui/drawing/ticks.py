"""Marks on axes: round numbers, and times as clocks have them."""

from __future__ import annotations

import math
from collections.abc import Sequence

_TIMES = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 5)] + [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 43_200.0,
]  # fmt: skip
_DAY = 86_400.0
_LOGARITHMIC = (
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0, 36_000.0,
    108_000.0, 360_000.0,
)  # fmt: skip
"""Marks on a logarithmic axis of times."""


def ticks(top: float, most: int = 4) -> list[float]:
    """Return round numbers from 0 to the first one that is not below `top`, `most` steps at most."""
    if top <= 0:
        return [0.0]
    step = 10.0 ** math.floor(math.log10(top / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= top * (1 - 1e-9))
    return [round(step * at, 12) for at in range(math.ceil(top / step - 1e-9) + 1)]


def time_step(least: float) -> float:
    """Return the shortest usual time between two marks that is `least` seconds or longer."""
    return next((one for one in _TIMES if one >= least), _DAY * math.ceil(least / _DAY))


def log_ticks(values: Sequence[float]) -> list[float]:
    """Return the times between which all of these (more than 0 seconds) lie, each mark a round one; none of none."""
    if not values:
        return []
    first = max((at for at, one in enumerate(_LOGARITHMIC) if one <= min(values)), default=0)
    last = next((at for at, one in enumerate(_LOGARITHMIC) if one >= max(values)), len(_LOGARITHMIC) - 1)
    return list(_LOGARITHMIC[first : max(last, first + 1) + 1])


def log_place(value: float, marks: Sequence[float]) -> float:
    """Return the place of a value between the first and the last mark, 0 to 1."""
    low, high = math.log(marks[0]), math.log(marks[-1])
    return min(max((math.log(max(value, marks[0])) - low) / (high - low), 0.0), 1.0)
