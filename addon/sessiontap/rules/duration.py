"""Durations as people write them: `90s`, `30m`, `1h30m`, `1d`."""

from __future__ import annotations

import re

from sessiontap.rules.problems import Wrong, quoted

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SYNTAX = r"(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"
MAX_SECONDS = 3_650 * 86_400
"""Ten years: more is a slip, or past what a clock can add."""
EXPECTED = "a duration such as 90s, 30m, 1h30m or 1d"


def parse_duration(text: str) -> float:
    """Seconds. Raises `Wrong` for anything but units in falling order with a sum above 0 and of at most ten years."""
    if len(text) > 60 or re.fullmatch(SYNTAX, text) is None:
        guess = f"{text}s" if re.fullmatch("[0-9]{1,9}", text) and int(text) else None
        raise Wrong(f"{quoted(text)} is no duration", EXPECTED, guess)
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", text))
    if seconds == 0:
        raise Wrong("a duration of nothing", EXPECTED)
    if seconds > MAX_SECONDS:
        raise Wrong(f"{quoted(text)} is longer than ten years", EXPECTED)
    return float(seconds)
