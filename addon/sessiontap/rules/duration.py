"""Durations as people write them: `90s`, `30m`, `1h30m`, `1d`."""

from __future__ import annotations

import re

from sessiontap.rules.problems import Wrong, quoted

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SYNTAX = r"(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"
EXPECTED = "a duration such as 90s, 30m, 1h30m or 1d"


def parse_duration(text: str) -> float:
    """Seconds. Raises `Wrong` for anything but units in falling order with a sum above 0."""
    if re.fullmatch(SYNTAX, text) is None:
        guess = f"{text}s" if text.isdigit() and int(text) else None
        raise Wrong(f"{quoted(text)} is no duration", EXPECTED, guess)
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", text))
    if seconds == 0:
        raise Wrong("a duration of nothing", EXPECTED)
    return float(seconds)
