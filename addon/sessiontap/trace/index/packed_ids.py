"""Ids as the index holds those by which it finds no rows: a UUID in 16 bytes, any other text as it is.

A call's conversation and parent are such ids.
"""

from __future__ import annotations

from functools import lru_cache

_LETTERS = 36


@lru_cache(maxsize=4096)
def pack_id(id: str | None) -> str | bytes | None:
    """The id as a row holds it."""
    if id is not None and len(id) == _LETTERS:
        try:
            found = bytes.fromhex(id.replace("-", ""))
        except ValueError:
            return id
        return found if unpack_id(found) == id else id
    return id


def unpack_id(value: str | bytes | None) -> str | None:
    """The id that a row holds."""
    if not isinstance(value, bytes):
        return value
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_text(column: str) -> str:
    """The same of a column, in SQL."""
    digits = f"lower(hex({column}))"
    places = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    parts = " || '-' || ".join(f"substr({digits}, {at}, {size})" for at, size in places)
    return f"CASE typeof({column}) WHEN 'blob' THEN {parts} ELSE {column} END"
