"""The values that a log has, for a filter that fits no call: the nearest to what was asked for come first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from itertools import islice
from typing import Any

from sessiontap.trace.index import scores
from sessiontap.trace.index.filter_columns import FILTER_COLUMNS
from sessiontap.trace.index.filters import REPEATED, Filters, condition, given, texts_in
from sessiontap.trace.values import iso

NAMED = 8
"""Values that are named, at most."""
_COMPARED = 20_000
"""Values that are looked through for the nearest, at most."""
_COMPARED_LENGTH = 80
_CANDIDATES = 20
"""So many times the values that are named are compared in full."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A filter that fits no call of the log, whatever the other filters are."""

    filter: str
    """Its name in `Filters`."""
    asked: Any
    known: tuple[str, ...] = ()
    """Values that calls have: the nearest of them. Of `properties`: keys, or `KEY=VALUE`s if the key is known; of
    `since` and `until` the time of the last or first call."""
    more: int = 0
    """Further values."""


def unmatched(database: sqlite3.Connection, filters: Filters) -> list[Unmatched]:
    """The filters that fit no call by themselves. None: it is all of them together that fit none."""
    found = []
    for name, asked in given(filters):
        alone: dict[str, Any] = {name: (asked,) if name in REPEATED else asked}
        where, values = condition(database, Filters(**alone))
        if database.execute(f"SELECT 1 FROM calls WHERE {where} LIMIT 1", values).fetchone() is None:
            known = set(islice(_known(database, name, asked), _COMPARED))
            found.append(Unmatched(name, asked, nearest(str(asked), known), max(0, len(known) - NAMED)))
    return found


def nearest(asked: str, known: Iterable[str], most: int = NAMED) -> tuple[str, ...]:
    """The `most` of `known` that are the most like `asked`; those that hold it as it is come first."""
    wanted = asked.casefold().strip("*?")[:_COMPARED_LENGTH]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)

    def distance(text: str, *, exact: bool) -> tuple[bool, float, str]:
        folded = text.casefold()
        matcher.set_seq1(folded[:_COMPARED_LENGTH])
        return wanted not in folded, -(matcher.ratio() if exact else matcher.quick_ratio()), folded

    near = sorted(known, key=partial(distance, exact=False))[: most * _CANDIDATES]
    return tuple(sorted(near, key=partial(distance, exact=True))[:most])


def _known(database: sqlite3.Connection, name: str, asked: Any) -> Iterable[str]:
    """Values that calls have."""
    match name:
        case "session":
            return (one for (one,) in database.execute("SELECT id FROM sessions WHERE calls > 0"))
        case "machine":
            return (one for (one,) in database.execute("SELECT DISTINCT host FROM segments WHERE host NOT NULL"))
        case "process":
            return (one for (names,) in database.execute("SELECT names FROM callers") for one in json.loads(names))
        case "properties":
            return _properties(database, asked.partition("=")[0])
        case "status":
            return (str(one) for (one,) in database.execute("SELECT DISTINCT status FROM calls WHERE status NOT NULL"))
        case "scores":
            return scores.names(database)
        case "since" | "until":
            which = "max" if name == "since" else "min"
            return filter(None, [iso(database.execute(f"SELECT {which}(time) FROM calls").fetchone()[0])])
        case _:
            columns = FILTER_COLUMNS.get(name, ())
            return (text for column in columns for _, texts in texts_in(database, column) for text in texts)


def _properties(database: sqlite3.Connection, key: str) -> Iterable[str]:
    """The values of the property `key` as `KEY=VALUE`; if no call has it, the keys that calls have."""
    rows = database.execute("SELECT text FROM strings JOIN facets ON string = n WHERE column = 'properties'").fetchall()
    maps = [json.loads(text) for (text,) in rows]
    values = [f"{key}={one[key]}" for one in maps if key in one]
    return values or [key for one in maps for key in one]
