"""Rows that are added to folders again and again: in whatever order, by whoever, after whatever was killed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sessiontap.parquet import append, part_file
from sessiontap.parquet.append import PackedRow, add_rows, pack
from sessiontap.parquet.file_store import FileStore, FolderStore, ObjectStore, open_store

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())], {"version": "1"})
DAY = "calls/day=2026-11-22/host=a"


def rows(*ids: str) -> list[PackedRow]:
    return [pack({"id": id, "text": f"text of {id}"}) for id in ids]


def ids(store: FileStore, folder: str = DAY) -> dict[str, list[str]]:
    """The ids of each file that an engine reads."""
    found = {}
    for name in sorted(name for name in store.sizes(folder) if name[0] != "."):
        with store.open(f"{folder}/{name}") as file:
            found[name] = pq.read_table(file).column("id").to_pylist()
    return found


@pytest.fixture(params=["folder", "file://", "memory://"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileStore]:
    if request.param == "memory://":
        yield open_store("memory://lake/here")
        fsspec.filesystem("memory").store.clear()
    else:
        yield open_store(f"{request.param.removeprefix('folder')}{tmp_path}/lake")


def test_a_store_by_its_address(tmp_path: Path) -> None:
    found = [open_store(one) for one in (str(tmp_path), f"file://{tmp_path}", "memory://lake")]
    assert [type(one) for one in found] == [FolderStore, FolderStore, ObjectStore]


def test_small_files_are_united(store: FileStore) -> None:
    for one in ("a", "b", "c"):
        add_rows(store, DAY, "w", rows(one), SCHEMA)
    assert ids(store) == {"part-w-00000.parquet": ["a", "b", "c"]}


def test_a_large_file_stays_as_it_is(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rows(store, DAY, "w", rows("a"), SCHEMA)
    monkeypatch.setattr(append, "FILE_BYTES", 10)
    add_rows(store, DAY, "w", rows("b"), SCHEMA)
    assert ids(store) == {"part-w-00000.parquet": ["a"], "part-w-00001.parquet": ["b"]}


def test_a_row_that_comes_again_is_left_out(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is in an older file, or in that of another log."""
    add_rows(store, DAY, "w", rows("a", "b"), SCHEMA)
    add_rows(store, DAY, "other", rows("c"), SCHEMA)
    monkeypatch.setattr(append, "FILE_BYTES", 10)
    add_rows(store, DAY, "w", rows("b", "d"), SCHEMA)
    add_rows(store, DAY, "w", rows("d", "c", "e", "a"), SCHEMA)
    add_rows(store, DAY, "w", rows("a", "b", "c", "d", "e"), SCHEMA)
    assert sorted(itertools.chain(*ids(store).values())) == ["a", "b", "c", "d", "e"]


def test_row_groups_that_cannot_hold_an_id_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append, "FILE_BYTES", 10)
    monkeypatch.setattr(part_file, "GROUP_ROWS", 2)
    monkeypatch.setattr(part_file, "BATCH_ROWS", 2)
    store = FolderStore(tmp_path)
    for some in ("abcd", "efgh"):
        add_rows(store, DAY, "w", rows(*some), SCHEMA)
    read = []
    original = pq.ParquetFile.read_row_group

    def reading(file: pq.ParquetFile, number: int, **more: object) -> pa.Table:
        read.append(number)
        return original(file, number, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", reading)
    add_rows(store, DAY, "w", rows("d"), SCHEMA)
    assert read == [1]


def test_another_schema_begins_another_file(store: FileStore) -> None:
    add_rows(store, DAY, "w", rows("a"), SCHEMA)
    wider = SCHEMA.append(pa.field("more", pa.int64()))
    add_rows(store, DAY, "w", [pack({"id": "b", "text": "b", "more": 1}), *rows("a")], wider)
    assert ids(store) == {"part-w-00000.parquet": ["a"], "part-w-00001.parquet": ["b"]}


def test_files_of_others_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / DAY
    folder.mkdir(parents=True)
    (folder / "part-w-00007.parquet").write_bytes(b"PAR1 torn")
    (folder / "readme.txt").write_text("mine")
    add_rows(FolderStore(tmp_path), DAY, "w", rows("a"), SCHEMA)
    assert pq.read_table(folder / "part-w-00008.parquet").num_rows == 1


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    add_rows(FolderStore(tmp_path), DAY, "w", rows("a"), SCHEMA)
    modes = {oct(one.stat().st_mode & 0o777) for one in (tmp_path / "calls").rglob("*")}
    assert modes == {"0o700", "0o600"}


KILLED = """
import sys, pyarrow as pa
from pathlib import Path
from sessiontap.parquet.file_store import FolderStore
from sessiontap.parquet.append import add_rows, pack
schema = pa.schema([("id", pa.string()), ("text", pa.string())], {"version": "1"})
for number in range(1_000_000):
    ids = [f"{number:06}-{one:03}" for one in range(200)]
    rows = [pack({"id": id, "text": id * 40}) for id in ids]
    add_rows(FolderStore(Path(sys.argv[1])), sys.argv[2], "w", rows, schema)
    print(number, flush=True)
"""


@pytest.mark.parametrize("behind", [1, 3, 6], ids=lambda number: f"behind {number}")
def test_a_killed_writer_leaves_no_torn_file_and_no_row_twice(tmp_path: Path, behind: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), DAY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        noted = [int(process.stdout.readline()) for _ in range(behind)][-1]
        time.sleep(0.01 * behind)  # somewhere in the midst of the next one
        process.kill()
    store = FolderStore(tmp_path)
    found = [id for part in ids(store).values() for id in part]
    assert len(found) >= 200 * (noted + 1)
    assert len(set(found)) == len(found)
    again = [f"{number:06}-{one:03}" for number in range(noted + 3) for one in range(200)]
    add_rows(store, DAY, "w", rows(*again), SCHEMA)
    assert sorted(id for part in ids(store).values() for id in part)[: len(again)] == again
