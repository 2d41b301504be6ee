"""Lists, trees, search and statistics of a trace folder, by its index: no segment is read that it knows already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sessiontap.trace.folder import TraceError

if TYPE_CHECKING:
    from sessiontap.trace.index.answers import Sort
    from sessiontap.trace.index.costs import Prices
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.index import Index

Row = dict[str, Any]
Place = tuple[Path, int]
"""A call's segment, by its name, and its offset in it."""


class TraceQueries:
    """The queries of a `Trace`. Every one first brings the index up to date with what was written meanwhile.

    `prices` say what calls cost; without them costs are unknown. `progress(done, total)` is called during a long
    catch-up. All raise TraceError if the index cannot be used.
    """

    folder: Path
    progress: Callable[[int, int], None] | None = None
    _index: Index | None = None

    def query_sessions(
        self,
        filters: Filters | None = None,
        sort: Sort | None = None,
        limit: int = 0,
        prices: Prices | None = None,
    ) -> list[Row]:
        """Sessions in which one call fits `filters`, as `ls --json` gives them.

        Newest first (by their last call), or by `sort` with the most first (names from a to z). `limit` 0: all.
        """
        return self._asked().sessions(filters or _none(), sort, limit, prices)

    def query_calls(
        self, filters: Filters | None = None, limit: int = 0, prices: Prices | None = None
    ) -> list[Row]:
        """Calls that fit `filters`, newest first, as `calls --json` gives them. `limit` 0: all."""
        return self._asked().calls(filters or _none(), limit, prices)

    def query_session(self, prefix: str, prices: Prices | None = None) -> Row:
        """One session as `show --json` gives it: by its id, a unique prefix of it, or `@1` the newest."""
        return self._asked().session(prefix, prices)

    def query_session_id(self, prefix: str) -> str:
        """The whole id of a session: by a unique prefix of it, or `@1` the newest. Raises TraceError."""
        return self._asked().session_id(prefix)

    def query_places(self, filters: Filters | None = None, sessions: Iterable[str] = ()) -> list[Place]:
        """Where the calls that fit `filters` stand, oldest first: what `Trace.calls_at` reads one by one.

        `sessions`: ids; where there are any, only calls of these.
        """
        files: dict[str, Path] = {}
        found = self._asked().places(filters or _none(), sessions)
        return [(files.setdefault(name, self.folder / name), offset) for name, offset in found]

    def query_short_ids(self, of: Literal["sessions", "calls"], ids: Iterable[str], least: int) -> dict[str, str]:
        """Each id -> its shortest prefix of `least` characters or more that no other id begins with."""
        return self._asked().short_ids(of, ids, least)

    def search(self, text: str, limit: int = 0) -> list[Row]:
        """Calls with `text`, without case, in prompt, reply, names, paths, models, tools or errors, newest first."""
        from sessiontap.trace.index.filters import Filters

        return self.query_calls(Filters(search=text), limit)

    def stats(self, by: str, filters: Filters | None = None, prices: Prices | None = None) -> list[Row]:
        """Statistics of calls by name, path, model, process, tool, property and more (`index.stats.BYS`), or by the
        values of one property: `property:KEY`.

        A row for each value, most calls first: `{by: value, calls, errors, error_rate, sessions, input_tokens,
        output_tokens, cache_read_tokens, cost_usd, cost_unknown_calls, session_cost_usd_mean, ..._p50, ..._p95,
        session_cost_partial, session_cost_unknown, session_duration_p50, ..._p95, duration_p50, ..._p95, ..._p99,
        time_to_first_token_p50, ..._p95, ..._p99}`, durations in seconds, what is unknown None.
        """
        return self._asked().stats(by, filters or _none(), prices)

    def query_sums(self) -> Row:
        """`calls`, `sessions`, `first` and `last` start (Unix nanoseconds), `body_bytes` as they went by."""
        return self._asked().sums()

    def count_sessions_within(self, files: list[str], session: str | None, others: list[str]) -> int:
        """Sessions whose calls all stand in segments named `files`; those of `session` may stand in `others`, too."""
        return self._asked().count_sessions_within(files, session, others)

    def rebuild_index(self) -> None:
        """Make the index anew: what other processes ask it meanwhile they are answered."""
        self._asked().rebuild()

    def compact_index(self) -> None:
        """Bring the index up to date and leave nothing in its file of what is gone from the log."""
        self._asked().compact()

    def query_notes(self, since: int | None = None) -> list[Row]:
        """Notes, oldest first, those from `since` (Unix nanoseconds) on."""
        return self._asked().notes(since)

    def query_problems(self) -> list[tuple[Path, int, int, str]]:
        """File, offset, size and words of all that could not be read."""
        return self._asked().problems()

    def place(self, prefix: str) -> Place:
        """Segment and offset of the call whose id begins with `prefix`, or of `@N`. Raises TraceError."""
        _, path, offset, _ = self._found(prefix)
        return path, offset

    def _found(self, prefix: str) -> tuple[str, Path, int, int | None]:
        """The call's id, its place, and the offset of its caller, None if that is unknown. Raises TraceError."""
        found = self._asked().place(prefix.lower())
        if len(found) > 1:
            raise TraceError(f"more than one call's id begins with {prefix!r}", "Give more of it.")
        if not found:
            what = f"there is no call {prefix}" if prefix.startswith("@") else f"no call's id begins with {prefix!r}"
            raise TraceError(f"{what} in {self.folder}", "List them with `sessiontap calls`.")
        (call_id, name, offset, caller), *_ = found
        return call_id, self.folder / name, offset, caller

    def close(self) -> None:
        """Let go of the index's file."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _asked(self) -> Index:
        if self._index is None:
            from sessiontap.trace.index.index import Index

            self._index = Index(self.folder, lambda done, total: self.progress and self.progress(done, total))
        return self._index


def _none() -> Filters:
    from sessiontap.trace.index.filters import Filters

    return Filters()
