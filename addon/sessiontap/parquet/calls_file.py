"""The export format `parquet`: the table `calls`, in one file or in folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from sessiontap.export.exported_call import ExportedCall
from sessiontap.parquet.columns import CALLS
from sessiontap.parquet.export import write_file, write_folders


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """Write one file. Raises OSError of `out`."""
    write_file(calls, CALLS, out)


def write_folder(calls: Iterable[ExportedCall], folder: Path) -> None:
    """Write files into folders by day and host. Raises OSError."""
    write_folders(calls, CALLS, folder)
