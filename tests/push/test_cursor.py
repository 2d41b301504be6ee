"""The file of a cursor: private, whole or not at all, and held by one process."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from sessiontap.push.cursor import MOST_SET_ASIDE, Cursor, CursorError, CursorFile, cursors, path_of


@pytest.fixture
def file(tmp_path: Path) -> CursorFile:
    return CursorFile(path_of(tmp_path, "otlp", "https://h"))


def test_it_is_read_as_it_was_written(file: CursorFile) -> None:
    cursor = Cursor("otlp", "https://h", 7, {"done": ["a.mpk"], "open": {"b.mpk": ["id", 10, "c1"]}}, calls=3)
    cursor.put_aside("c1", "400")
    with file.held():
        assert file.read() is None
        file.write(cursor)
    assert file.read() == cursor
    assert [one.path for one in cursors(file.path.parents[1])] == [file.path]


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_others_cannot_look_into_it(file: CursorFile) -> None:
    before = os.umask(0)
    try:
        with file.held():
            file.write(Cursor("otlp", "https://h"))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (file.path.parent, *sorted(file.path.parent.iterdir()))]
    assert modes == [0o700, 0o600, 0o600]


def test_each_endpoint_has_its_own(tmp_path: Path) -> None:
    assert path_of(tmp_path, "otlp", "https://h") != path_of(tmp_path, "otlp", "https://g")


def test_a_second_process_is_told_who_pushes_there(file: CursorFile) -> None:
    with file.held():
        assert file.holder() == os.getpid()
        told = f"process {os.getpid()} pushes there already"
        with pytest.raises(CursorError, match=told), CursorFile(file.path).held():
            pass
    assert file.holder() is None


def test_it_may_wait_for_the_other_one(file: CursorFile) -> None:
    first = file.held()
    first.__enter__()
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        first.__exit__(None, None, None)
        return True

    with CursorFile(file.path).held(wait):
        assert len(waited) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": 1}', "is damaged"),
        ('{"version": 1, "target": "t", "endpoint": "e", "position": []}', "is damaged"),
        ('{"version": 99}', "was written by a newer Sessiontap"),
    ],
)
def test_one_that_cannot_be_read_is_told(file: CursorFile, text: str, said: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    with pytest.raises(CursorError, match=said):
        file.read()


def test_keys_of_a_later_version_are_passed_over(file: CursorFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text(json.dumps({"version": 1, "target": "t", "endpoint": "e", "later": 1}))
    assert file.read() == Cursor("t", "e")


def test_what_was_set_aside_is_counted_and_the_latest_named() -> None:
    cursor = Cursor("t", "e")
    for n in range(MOST_SET_ASIDE + 5):
        cursor.put_aside(f"c{n}", "x" * 10_000)
    assert (cursor.set_aside_count, len(cursor.set_aside), cursor.set_aside[0]["call"]) == (105, 100, "c5")
    assert len(cursor.set_aside[0]["reason"]) == 300


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "push").write_text("a file")
    with pytest.raises(CursorError, match="cannot be written"), CursorFile(path_of(tmp_path, "t", "e")).held():
        pass
