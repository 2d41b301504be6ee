"""Calls that are at hand, as one Parquet file, or as files in folders by day and host.

The calls come by their time, so the files of a day are complete when one of the next day comes. A file is complete,
too, when it has `FILE_BYTES`. Row groups that are under way hold `HELD_BYTES` together at most, however many hosts
there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import BinaryIO

from sessiontap import private
from sessiontap.export.exported_call import ExportedCall
from sessiontap.parquet.columns import FOLDERS, ParquetColumn, folder_of, row_of, schema
from sessiontap.parquet.part_file import PartWriter

FILE_BYTES = 128 << 20
"""A size that engines like: fewer threads share larger files, and smaller ones mean more files to open."""
HELD_BYTES = 128 << 20


def write_file(calls: Iterable[ExportedCall], columns: Sequence[ParquetColumn], out: BinaryIO) -> None:
    """Write one file, with the columns of its folders in it. Raises OSError of `out`."""
    every = (*columns, *FOLDERS)
    writer = PartWriter(out, schema(every))
    for call in calls:
        writer.add(row_of(call, every))
    writer.close()


def write_folders(calls: Iterable[ExportedCall], columns: Sequence[ParquetColumn], folder: Path) -> None:
    """Write files into folders below an empty one. Raises OSError."""
    writing: dict[str, _Part] = {}
    numbers = count()
    day = ""
    try:
        for call in calls:
            place = folder_of(call)
            if (new := place.partition("/")[0]) != day:
                day = new
                for done in [one for one in writing if not one.startswith(f"{day}/")]:
                    writing.pop(done).close()
            if place not in writing:
                writing[place] = _Part(folder / place, columns, next(numbers))
            part = writing[place].writer
            part.add(row_of(call, columns))
            if part.size >= FILE_BYTES:
                writing.pop(place).close()
            elif sum(one.writer.group_bytes for one in writing.values()) > HELD_BYTES:
                max((one.writer for one in writing.values()), key=lambda one: one.group_bytes).end_group()
    finally:
        for one in writing.values():
            one.close()


class _Part:
    """A file under way."""

    def __init__(self, folder: Path, columns: Sequence[ParquetColumn], number: int) -> None:
        private.make(folder)
        descriptor = os.open(folder / f"part-{number:05}.parquet", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self.writer = PartWriter(self._file, schema(columns))

    def close(self) -> None:
        with self._file:
            self.writer.close()
