"""Ids as rows of calls hold them: a UUID in 16 bytes, any other text as it is.

Such are a call's own id, its conversation and its parent. `calls.id` is the text of the first, as answers show it;
`calls.packed_id` is what finds calls. In SQL `pack_id(text)` is the function of this module.
"""

from __future__ import annotations

import sys
from functools import lru_cache

_LETTERS, _DIGITS, _BYTES = 36, 32, 16
_END = chr(sys.maxunicode)
"""Behind every other text that begins with the same prefix."""


@lru_cache(maxsize=4096)
def pack_id(id: str | None) -> str | bytes | None:
    """The id as a row holds it."""
    if id is not None and len(id) == _LETTERS:
        try:
            found = bytes.fromhex(id.replace("-", ""))
        except ValueError:
            return id
        if len(found) == _BYTES and id[8:24:5] == "----" and id == id.lower():  # as `unpack_id` spells it
            return found
    return id


def unpack_id(value: str | bytes | None) -> str | None:
    """The id that a row holds."""
    if not isinstance(value, bytes):
        return value
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def with_prefix(prefix: str) -> tuple[str, dict[str, str | bytes]]:
    """The condition, with its named values, on calls whose id begins so."""
    found, values = "packed_id >= :first AND packed_id < :end", dict[str, str | bytes](first=prefix, end=prefix + _END)
    digits = prefix.replace("-", "")
    try:
        first, last = (bytes.fromhex(digits.ljust(_DIGITS, digit)) for digit in "0f")
    except ValueError:
        return found, values
    if not (unpack_id(first) or "").startswith(prefix):
        return found, values
    return f"({found} OR packed_id BETWEEN :least AND :most)", values | {"least": first, "most": last}


def id_text(column: str) -> str:
    """The same of a column, in SQL."""
    digits = f"lower(hex({column}))"
    places = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    parts = " || '-' || ".join(f"substr({digits}, {at}, {size})" for at, size in places)
    return f"CASE typeof({column}) WHEN 'blob' THEN {parts} ELSE {column} END"
