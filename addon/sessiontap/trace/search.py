"""The queries that look for a text in prompts, replies, tool results and names, and the reading that they need."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sessiontap.trace.in_flight import InFlightQueries

if TYPE_CHECKING:
    from sqlite3 import Connection

    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.index.search import Hit, Unsearched


class SearchQueries(InFlightQueries):
    """Finds texts. Calls that nobody has read yet are read first, the newest first."""

    def query_hits(
        self, text: str, filters: Filters | None = None, limit: int = 0, seconds: float | None = None
    ) -> tuple[list[Hit], Unsearched]:
        """The places of `text`, without case, in calls that fit `filters`: those of the latest calls first.

        Calls that nobody has read yet are read for about so many seconds, None until all are. Calls that are still left
        are told, too; the next question goes on with them. `limit` 0: all places.
        """
        from sessiontap.trace.index.filters import Filters
        from sessiontap.trace.index.search import hits, unsearched

        wanted = filters or Filters()
        until = self._until if seconds is None else time.monotonic() + seconds

        def answer(database: Connection) -> tuple[list[Hit], Unsearched]:
            return hits(database, text, wanted, limit), unsearched(database, self._opened().is_behind)

        return self._ask(answer, prepare=self._read_parts(until), until=until)

    def read_parts(self, seconds: float) -> bool:
        """Read calls that nobody has read yet, for about so many seconds: searches then find them read.

        Return True if there are more.
        """
        from sessiontap.trace.index.search import unsearched

        until = time.monotonic() + seconds

        def answer(database: Connection) -> Unsearched:
            return unsearched(database, self._opened().is_behind)

        return bool(self._ask(answer, prepare=self._read_parts(until), until=until))

    def query_unread(self) -> Unsearched:
        """The calls that no search has read yet."""
        from sessiontap.trace.index.search import unsearched

        return self._ask(lambda database: unsearched(database, self._opened().is_behind))
