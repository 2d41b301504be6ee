"""Parquet files in a folder or an object store (docs/parquet.md): calls, and with content their bodies beside them.

Rows wait in memory until there are `Target.batch_bytes` of them, or for `Target.batch_seconds`. Then they are added to
the files of their day and host. A call that is sent again has its row already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sessiontap.parquet.append import PackedRow, add_rows, pack
from sessiontap.parquet.columns import BODIES, CALLS, folder_of, row_of, schema
from sessiontap.parquet.file_store import open_store
from sessiontap.push.target import Item, PushedCall, Sender, TargetAnswer, TargetSettings, UserTurn

_TABLES = {"calls": CALLS, "bodies": BODIES}
_SCHEMAS = {table: schema(columns) for table, columns in _TABLES.items()}
_LASTING = (PermissionError, FileNotFoundError, NotADirectoryError, FileExistsError)
"""Faults of the address or of credentials; others pass."""


class Waiting(NamedTuple):
    """A row, and where it belongs."""

    table: str
    folder: str
    row: PackedRow


class ParquetSender:
    """Adds the rows of calls to the tables."""

    max_bytes = 1 << 40  # a file takes any row
    max_items = 1 << 20

    def __init__(self, settings: TargetSettings) -> None:
        self._store = open_store(settings.endpoint)
        self._address, self._writer = settings.endpoint, settings.log
        self._tables = ("calls", "bodies") if settings.content else ("calls",)

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        """See `target.Sender`."""
        for table in self._tables:
            row = pack(row_of(call.call, _TABLES[table]))
            yield Item(call.call.id, Waiting(table, folder_of(call.call), row), len(row.values))

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        """See `target.Sender`."""
        return ()

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        """See `target.Sender`."""
        folders: dict[tuple[str, str], list[PackedRow]] = {}
        for item in items:
            folders.setdefault((item.data.table, item.data.folder), []).append(item.data.row)
        try:
            for (table, folder), rows in folders.items():
                add_rows(self._store, f"{table}/{folder}", self._writer, rows, _SCHEMAS[table])
        except Exception as error:  # each object store has errors of its own
            why = getattr(error, "strerror", None) or type(error).__name__
            return TargetAnswer("misconfigured" if isinstance(error, _LASTING) else "later", f"{self._address}: {why}")
        return TargetAnswer("accepted")


def open_sender(settings: TargetSettings) -> Sender:
    """Return the sender of this target."""
    return ParquetSender(settings)
