"""Rows that are added to a table in a store, as often as the same rows may come.

Who adds rows is told that they are there when the file is. If it is killed before it has noted that, it adds them once
more: a row whose id is in the folder already is left out. So the rule is that a folder has a row an id, whatever is
killed when, and whatever order rows come in. Ids of calls grow with time: of most row groups their statistics say that
they have none of the new ones.

A file under `FILE_BYTES` is written anew with the new rows, so that rows that come a few at a time make few files.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sessiontap.parquet.columns import Row
from sessiontap.parquet.export import FILE_BYTES
from sessiontap.parquet.file_store import FileStore
from sessiontap.parquet.part_file import BATCH_ROWS, PartWriter

KEY = "id"


class PackedRow(NamedTuple):
    """A row that waits, in a tenth of the memory that it takes as Python objects."""

    id: str
    values: bytes
    """In the order of the table's columns."""


def pack(row: Row) -> PackedRow:
    """Return the row packed."""
    return PackedRow(row[KEY], pickle.dumps(tuple(row.values())))


def add_rows(store: FileStore, folder: str, writer: str, rows: Sequence[PackedRow], schema: pa.Schema) -> None:
    """Add rows to a folder, those that are not there. Raises OSError, or an error of the store's.

    `writer` is in the names of its files: no other process writes files with it at the same time.
    """
    sizes = {name: size for name, size in store.sizes(folder).items() if name.endswith(".parquet") and name[0] != "."}
    own = sorted(name for name in sizes if name.startswith(f"part-{writer}-"))
    with ExitStack() as opened:
        files = {name: _opened(opened, store, f"{folder}/{name}") for name in sizes}
        known = set().union(*(_known(file, rows) for file in files.values() if file is not None))
        new = [row for row in rows if row.id not in known]
        if not new:
            return
        last = own[-1] if own else None
        number = int(last[-13:-8]) if last is not None else 0
        before = files[last] if last is not None and sizes[last] < FILE_BYTES else None
        if last is not None and (before is None or not before.schema_arrow.equals(schema)):
            before, number = None, number + 1
        with store.writing(f"{folder}/part-{writer}-{number:05}.parquet") as out:
            made = PartWriter(out, schema)
            for batch in before.iter_batches(BATCH_ROWS) if before is not None else ():
                made.add_batch(batch)
            for row in new:
                made.add(dict(zip(schema.names, pickle.loads(row.values), strict=True)))
            made.close()


def _opened(opened: ExitStack, store: FileStore, path: str) -> pq.ParquetFile | None:
    """The file; None if it is none that can be read."""
    try:
        return pq.ParquetFile(opened.enter_context(store.open(path)))
    except (pa.ArrowInvalid, FileNotFoundError):
        return None


def _known(file: pq.ParquetFile, rows: Sequence[PackedRow]) -> set[str]:
    """The ids of the rows that the file has."""
    if KEY not in file.schema_arrow.names:
        return set()
    wanted = pa.array([row.id for row in rows], pa.string())
    least, most = pc.min_max(wanted).as_py().values()
    column = file.schema_arrow.get_field_index(KEY)
    found: set[str] = set()
    for number in range(file.metadata.num_row_groups):
        range_ = file.metadata.row_group(number).column(column).statistics
        if range_ is not None and range_.has_min_max and (range_.max < least or range_.min > most):
            continue
        ids = file.read_row_group(number, columns=[KEY]).column(KEY)
        found.update(ids.filter(pc.is_in(ids, wanted)).to_pylist())
    return found
