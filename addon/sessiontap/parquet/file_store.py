"""The place of Parquet files: a folder of this machine, or an object store. Files are put there whole.

A folder's file is written beside its place and renamed. An object store, an address such as s3://BUCKET/PATH, is what
fsspec knows by that name: a file is made on this machine and put there in one go.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from sessiontap import private


class FileStore(Protocol):
    """Where files are, by their paths with slashes. Methods raise OSError, or an error of the store's own package."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names of the files in a folder with their bytes; of a folder that is not there, none."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it."""
        ...

    def writing(self, path: str) -> Any:
        """A context manager that gives a binary file, which is at `path`, whole, when the block ends without an error.

        It replaces one that is there; until then that can be read.
        """
        ...


def open_store(address: str) -> FileStore:
    """Return the store at a path, or at an address of fsspec's. Raises ImportError if a package is missing."""
    at = urlsplit(address)
    if "://" not in address or at.scheme == "file":
        return FolderStore(Path(unquote(at.path) if at.scheme == "file" else address).expanduser())
    import fsspec

    files, root = fsspec.core.url_to_fs(address)
    return ObjectStore(files, root)


class FolderStore:
    """A folder of this machine. What is made in it is its owner's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self, folder: str) -> dict[str, int]:
        """See `FileStore`."""
        try:
            with os.scandir(self._root / folder) as found:
                return {one.name: one.stat().st_size for one in found if one.is_file()}
        except FileNotFoundError:
            return {}

    def open(self, path: str) -> BinaryIO:
        """See `FileStore`."""
        return (self._root / path).open("rb")

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """See `FileStore`. A killed process leaves a file with a dot before its name; the next one replaces it."""
        place = self._root / path
        if not place.parent.is_dir():
            private.make(place.parent)
        beside = place.with_name(f".{place.name}.tmp")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)


class ObjectStore:
    """An object store by fsspec."""

    def __init__(self, files: Any, root: str) -> None:
        self._files, self._root = files, root.rstrip("/")

    def sizes(self, folder: str) -> dict[str, int]:
        """See `FileStore`."""
        try:
            self._files.invalidate_cache()  # another machine may have written there
            found = self._files.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return {one["name"].rpartition("/")[2]: one["size"] for one in found if one["type"] == "file"}

    def open(self, path: str) -> BinaryIO:
        """See `FileStore`."""
        opened: BinaryIO = self._files.open(f"{self._root}/{path}", "rb")
        return opened

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """See `FileStore`."""
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            yield file  # type: ignore[misc]
            file.flush()
            place = f"{self._root}/{path}"
            self._files.makedirs(place.rpartition("/")[0], exist_ok=True)  # nothing to do, in most stores
            self._files.put_file(file.name, place)
