"""Looking into JSON whose shape nobody promised: a value of the right type, or None."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

_decode = msgspec.json.decode
_BOM = b"\xef\xbb\xbf"


def parse(data: bytes | str) -> tuple[Any, str | None]:
    """The JSON value and None, or None and what was wrong with it."""
    if isinstance(data, bytes) and data.startswith(_BOM):
        data = data[len(_BOM) :]
    try:
        return _decode(data), None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return None, f"no JSON ({fault})"


def dig(value: Any, *keys: str | int) -> Any:
    """`value[k1][k2]...`, None where anything on the way is missing or of another shape."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def text(value: Any, *keys: str | int) -> str | None:
    """A string that is not empty."""
    value = dig(value, *keys)
    return value if isinstance(value, str) and value else None


def count(value: Any, *keys: str | int) -> int | None:
    """A whole number that is not negative; 28.0 is 28, true is no number."""
    value = dig(value, *keys)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def first_count(value: Any, *paths: tuple[str | int, ...]) -> int | None:
    """The count at the first path that has one."""
    if isinstance(value, dict):
        for path in paths:
            if path[0] in value and (found := count(value, *path)) is not None:
                return found
    return None


def number(value: Any, *keys: str | int) -> float | None:
    """A finite number that is not negative."""
    value = dig(value, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return float(value)


def flag(value: Any, *keys: str | int) -> bool | None:
    """True or false."""
    value = dig(value, *keys)
    return value if isinstance(value, bool) else None


def items(value: Any, *keys: str | int) -> list[Any]:
    """A list, else an empty one."""
    value = dig(value, *keys)
    return value if isinstance(value, list) else []


def dicts(value: Any, *keys: str | int) -> Iterator[dict[str, Any]]:
    """The objects of a list."""
    return (item for item in items(value, *keys) if isinstance(item, dict))


def names(found: Iterable[str | None]) -> tuple[str, ...]:
    """What is there, in order, each once."""
    return tuple(dict.fromkeys(name for name in found if name))
