"""Candidates for the completion of a shell, from the index as it stands.

A shell asks at each press of a key: so nothing is brought up to date here, no segment is read, and nothing but sqlite3
is imported. A folder without an index has no candidates. `is_current` tells if calls were recorded since.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.trace.index.packed_ids import with_prefix

Values = Sequence[Any] | dict[str, Any]
MOST = 50
"""Candidates of one question."""
_END = chr(0x10FFFF)
_BUSY_SECONDS = 0.05
_SEGMENT, _CLOSED = ".mpk", ".mpk.zst"


class Candidate(NamedTuple):
    """A text to complete to, and what it is."""

    text: str
    about: str = ""


class IndexAsItStands:
    """The candidates of one folder. Raises sqlite3.Error if its index cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = str(folder / "index.sqlite").replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        place = f"file:{path}?mode=ro"
        self._database = sqlite3.connect(place, uri=True, timeout=_BUSY_SECONDS)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @property
    def is_current(self) -> bool:
        """True if the index has all that is recorded."""
        rows = self._all("SELECT name, closed, size FROM segments")
        known = {(name, bool(closed), size) for name, closed, size in rows}
        found: dict[str, tuple[bool, int]] = {}
        for entry in os.scandir(self._folder):
            closed = entry.name.endswith(_CLOSED)
            if not entry.name.startswith(".") and (closed or entry.name.endswith(_SEGMENT)):
                name = entry.name.removesuffix(".zst")
                if closed or name not in found:
                    found[name] = closed, entry.stat().st_size
        return known == {(name, *status) for name, status in found.items()}

    def newest_sessions(self, number: int) -> list[str]:
        """Describe the newest sessions, in the order of `@1`, `@2`, ..."""
        return [about for _, about in self._sessions("ORDER BY last_time DESC LIMIT ?", [number])]

    def newest_calls(self, number: int) -> list[str]:
        """Describe the newest calls, in the order of `@1`, `@2`, ..."""
        return [about for _, _, about in self._calls("ORDER BY calls.time DESC, calls.n DESC LIMIT ?", [number])]

    def sessions(self, prefix: str) -> list[Candidate]:
        """Sessions whose id begins so, newest first."""
        where = "AND sessions.id >= ? AND sessions.id < ? ORDER BY last_time DESC LIMIT ?"
        return self._sessions(where, [prefix, prefix + _END, MOST])

    def calls(self, prefix: str) -> list[Candidate]:
        """Calls whose id begins so, newest first."""
        fitting, values = with_prefix(prefix)
        where = f"WHERE {fitting} ORDER BY calls.time DESC LIMIT :number"
        return [Candidate(call, about) for call, _, about in self._calls(where, values | {"number": MOST})]

    def steps(self, session: str) -> list[Candidate]:
        """The steps of the session that is named by its id, the beginning of it, or `@N`."""
        if session.startswith("@") and session[1:].isdecimal():
            chosen = "SELECT n FROM sessions WHERE calls > 0 ORDER BY last_time DESC LIMIT 1 OFFSET ?"
            values: list[Any] = [int(session[1:19]) - 1]
        else:
            chosen = "SELECT n FROM sessions WHERE id >= ? AND id < ? LIMIT 1"
            values = [session, session + _END]
        found = self._calls(
            f"WHERE calls.session = ({chosen}) AND step NOT NULL ORDER BY step LIMIT ?", [*values, MOST]
        )
        return [Candidate(str(step), about) for _, step, about in found]

    def texts(self, columns: Iterable[str]) -> list[Candidate]:
        """Texts, or items of lists, that stand in these columns."""
        found = dict.fromkeys(one for column in columns for text in self._facet(column) for one in _items(text))
        return [Candidate(one) for one in sorted(found)]

    def properties(self, incomplete: str) -> list[Candidate]:
        """Properties as `KEY=VALUE` that begin so; if there are many, `KEY=` until the `=` is typed."""
        maps = [json.loads(text) for text in self._facet("properties")]
        pairs = {f"{key}={value}" for one in maps for key, value in one.items()}
        fitting = sorted(one for one in pairs if one.startswith(incomplete))
        if len(fitting) > MOST and "=" not in incomplete:
            fitting = sorted({f"{one.partition('=')[0]}=" for one in fitting})
        return [Candidate(one) for one in fitting]

    def scores(self) -> list[Candidate]:
        """Names of scores."""
        found = self._all("SELECT DISTINCT name FROM scores WHERE current AND name NOT NULL AND name != 'star'")
        return [Candidate(one) for (one,) in sorted(found)]

    def machines(self) -> list[Candidate]:
        """Names of machines whose proxies recorded calls."""
        found = self._all("SELECT DISTINCT host FROM segments WHERE calls > 0 AND host NOT NULL ORDER BY host")
        return [Candidate(one) for (one,) in found]

    def processes(self) -> list[Candidate]:
        """Names of processes."""
        found = {one for (names,) in self._all("SELECT DISTINCT names FROM callers") for one in json.loads(names)}
        return [Candidate(one) for one in sorted(found)]

    def statuses(self) -> list[Candidate]:
        """HTTP statuses, and classes of them."""
        found = [str(one) for (one,) in self._all("SELECT DISTINCT status FROM calls WHERE status NOT NULL")]
        return [Candidate(one) for one in sorted({*found, *(f"{one[0]}xx" for one in found)})]

    def _sessions(self, rest: str, values: list[Any]) -> list[Candidate]:
        found = self._all(
            "SELECT sessions.id, coalesce(title, strings.text, '-'), sessions.calls FROM sessions "
            "LEFT JOIN strings ON strings.n = sessions.name LEFT JOIN headings ON headings.session = sessions.n "
            f"WHERE sessions.calls > 0 {rest}",
            values,
        )
        return [Candidate(one, f"{about}, {calls} call{'' if calls == 1 else 's'}") for one, about, calls in found]

    def _calls(self, rest: str, values: Values) -> list[tuple[str, int | None, str]]:
        """Ids, steps, and what the calls are."""
        texts = ("session_name", "path", "operation", "request_model")
        columns = ", ".join(f"(SELECT text FROM strings WHERE n = calls.{one})" for one in texts)
        found = self._all(f"SELECT calls.id, step, {columns} FROM calls {rest}", values)
        return [(call, step, " ".join(filter(None, about))) for call, step, *about in found]

    def _facet(self, column: str) -> list[str]:
        question = "SELECT text FROM strings JOIN facets ON string = n WHERE column = ?"
        return [text for (text,) in self._all(question, [column])]

    def _all(self, question: str, values: Values = ()) -> list[Any]:
        return self._database.execute(question, values).fetchall()


def _items(text: str) -> list[str]:
    """The items of a list in JSON, else the text itself."""
    if not text.startswith("["):
        return [text]
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return [one for one in found if isinstance(one, str)]
