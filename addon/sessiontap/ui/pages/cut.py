"""The part of a long list that a page shows: so many rows behind the first `after`, else the last ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def cut(rows: Sequence[Any], parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the rows under their name, the place of the `first` of them, and how many are `matching`."""
    limit, after = parameters["limit"], parameters["after"]
    first = max(len(rows) - limit, 0) if after is None else after
    return {name: rows[first : first + limit], "first": first, "matching": len(rows)}
