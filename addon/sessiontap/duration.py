"""Durations as people write them: `500ms`, `90s`, `1h30m`, `1.5d`."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])"


def seconds(text: str) -> float | None:
    """The sum of the parts, in whatever order they stand; None if the text is no duration."""
    if re.fullmatch(rf"(?:{_PART}\s*)+", text) is None:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))
