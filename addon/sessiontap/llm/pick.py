"""Looking into JSON whose shape nobody promised: a value of the right type, or None.

`parse` also reads what is no JSON by the letter and what servers take all the same: half of a surrogate pair (in a text
that JavaScript has sliced), `NaN`, numbers beyond all bounds, line ends within strings, bytes that are no UTF-8. Half a
pair becomes U+FFFD, so that no text here fails to be written as UTF-8; what is no finite number becomes null.
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

MOST = 10**12
"""The largest count: more is a mistake or an attack, and would break sums of 64 bits that others make of counts."""
MOST_DOLLARS = 10**9
"""The largest amount of money."""

_decode = msgspec.json.decode
_BOM = b"\xef\xbb\xbf"
MOST_TOLERATED = 16 * 1024 * 1024
"""Bytes, as a text, that are read a second time, tolerantly: about 50 ms a MiB at worst."""
_MOST_DIGITS = 308
"""Of a whole number, as many as a float can have."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_BEYOND_BASIC = tuple(bytes([lead]) for lead in range(0xF0, 0x100))
"""The first bytes of characters beyond the first 65,536, and what begins none."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""In a parsed text: pairs are one character by then."""


def parse(data: bytes | str | msgspec.Raw) -> tuple[Any, str | None]:
    """Return the JSON value and None, or None and the fault in words."""
    if isinstance(data, bytes) and data.startswith(_BOM):
        data = data[len(_BOM) :]
    try:
        return _decode(data), None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        try:
            return _tolerant(data), None
        except (ValueError, RecursionError):
            return None, f"no JSON ({fault})"


def _tolerant(data: bytes | str | msgspec.Raw) -> Any:
    """The value of what is nearly JSON. Raises ValueError or RecursionError."""
    if len(data) * (1 if isinstance(data, str) else text_width(data)) > MOST_TOLERATED:
        raise ValueError("too long to be read twice")
    if not isinstance(data, str):
        data = bytes(data)  # it may be msgspec's Raw, a part of a value that is not decoded yet
    decoded = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "replace")
    value = _LENIENT.decode(decoded)
    return _without_surrogates(value) if _SURROGATE_ESCAPE.search(decoded) or not isinstance(data, bytes) else value


def text_width(data: bytes | msgspec.Raw) -> int:
    """Return the bytes that a character of the text takes at most if these are its UTF-8."""
    data = bytes(data)
    if data.isascii():
        return 1
    return 4 if any(lead in data for lead in _BEYOND_BASIC) else 2


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


_LENIENT = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=lambda name: None, strict=False)


def _without_surrogates(value: Any) -> Any:
    """Changes lists and maps in place. Raises RecursionError if it is nested too deep."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        for key, inner in value.items():
            value[key] = _without_surrogates(inner)
        if any(map(_SURROGATE.search, value)):
            return {_without_surrogates(key): inner for key, inner in value.items()}
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            value[at] = _without_surrogates(inner)
    return value


def dig(value: Any, *keys: str | int) -> Any:
    """`value[k1][k2]...`, None if anything on the way is missing or of another shape."""
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
    """A whole number from 0 to `MOST`; 28.0 is 28, true is no number."""
    value = dig(value, *keys)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else None


def counts(value: Any, *paths: tuple[str | int, ...] | str) -> int | None:
    """The sum of the counts at `paths`: None if the first is not known, or another one is stated and is no count.

    A part that is absent or null adds nothing: providers leave out what there was none of.
    """
    places = [(path,) if isinstance(path, str) else path for path in paths]
    if count(value, *places[0]) is None or unreadable(value, *places):
        return None
    return in_range(sum(count(value, *place) or 0 for place in places))


def unreadable(value: Any, *paths: tuple[str | int, ...]) -> bool:
    """Return whether one of `paths` states something that is no count."""
    return any(count(value, *path) is None and dig(value, *path) is not None for path in paths)


def in_range(total: int) -> int | None:
    """A sum of counts, None if it is more than a count may be."""
    return total if total <= MOST else None


def place(value: Any, *keys: str | int) -> int:
    """The index that a part of a stream states for itself, 0 if it states none.

    What is no index is -1: a part that belongs nowhere is not put to the first one.
    """
    value = dig(value, *keys)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def first_count(value: Any, *paths: tuple[str | int, ...]) -> int | None:
    """The count at the first path that has one."""
    if isinstance(value, dict):
        for path in paths:
            if path[0] in value and (found := count(value, *path)) is not None:
                return found
    return None


def dollars(value: Any, *keys: str | int) -> float | None:
    """An amount of money from 0 to `MOST_DOLLARS`."""
    value = dig(value, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_DOLLARS:
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


def written(value: Any) -> str | None:
    """A JSON value as JSON text, half of a surrogate pair as its escape; None if it is nested too deeply for that."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    except RecursionError:
        return None


def names(found: Iterable[str | None]) -> tuple[str, ...]:
    """Return the names that are there, in order, each once."""
    return tuple(dict.fromkeys(name for name in found if name))
