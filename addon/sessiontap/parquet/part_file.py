"""One Parquet file, written in batches: rows become columns a few thousand at a time, and row groups are large.

Engines read a row group at a time and share a file's row groups among their threads. What a writer holds is one row
group at most, as columns, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sessiontap.parquet.columns import Row

BATCH_ROWS = 4096
"""Rows that are held as Python objects."""
GROUP_ROWS = 122_880
"""Rows of a row group: DuckDB's own number, and near to what other engines like."""
GROUP_BYTES = 64 << 20
"""The same, of columns in memory: rows with bodies are large."""


class PartWriter:
    """Writes rows of a schema into a binary file, which stays open."""

    def __init__(self, out: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._out = out
        self._writer = pq.ParquetWriter(pa.PythonFile(out, mode="w"), schema, compression="zstd")
        self._rows: list[Row] = []
        self._batches: list[pa.RecordBatch] = []
        self.group_rows = self.group_bytes = 0
        """Rows and bytes of the row group under way."""

    @property
    def size(self) -> int:
        """Bytes of the row groups that are written."""
        return self._out.tell()

    def add(self, row: Row) -> None:
        """Add a row. Raises OSError of the file."""
        self._rows.append(row)
        if len(self._rows) >= BATCH_ROWS:
            self._add_rows()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows of the schema, behind those that were added. Raises OSError of the file."""
        if self._rows:
            self._add_rows()
        self._batches.append(batch)
        self.group_rows += batch.num_rows
        self.group_bytes += batch.nbytes
        if self.group_rows >= GROUP_ROWS or self.group_bytes >= GROUP_BYTES:
            self.end_group()

    def end_group(self) -> None:
        """Write the rows that are held. Raises OSError of the file."""
        if self._rows:
            self._add_rows()
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema))
            self._batches, self.group_rows, self.group_bytes = [], 0, 0

    def close(self) -> None:
        """Write what is held, and the file's end. Raises OSError of the file."""
        self.end_group()
        self._writer.close()

    def _add_rows(self) -> None:
        rows, self._rows = self._rows, []
        self.add_batch(batch_of(rows, self._schema))


def batch_of(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows as columns. Half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes `?`."""
    try:
        return pa.RecordBatch.from_pylist(rows, schema)
    except UnicodeEncodeError:
        return pa.RecordBatch.from_pylist([_in_utf8(row) for row in rows], schema)


def _in_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_in_utf8(key): _in_utf8(inner) for key, inner in value.items()}
    return [_in_utf8(inner) for inner in value] if isinstance(value, list) else value
