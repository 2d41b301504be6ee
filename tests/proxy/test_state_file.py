"""Where a proxy says that it listens: for its user alone, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from sessiontap.proxy import state_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where this user may have a stand-in for a home folder
    return tmp_path


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_it_and_its_folders_are_its_users_under_any_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = state_file.write({"trace": "/log"})
    finally:
        os.umask(before)
    assert path == home / ".sessiontap" / "run" / f"{os.getpid()}.json"
    modes = [place.stat().st_mode & 0o777 for place in (path.parent.parent, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_folder_that_an_earlier_version_left_open_is_closed_to_others(home: Path) -> None:
    folder = home / ".sessiontap" / "run"
    folder.mkdir(parents=True)
    for place in (folder.parent, folder):
        place.chmod(0o777)
    state_file.write({})
    assert [place.stat().st_mode & 0o022 for place in (folder.parent, folder)] == [0, 0]


def test_it_holds_what_was_given_and_replaces_an_older_one() -> None:
    state_file.write({"trace": "/old", "rules": None})
    path = state_file.write({"trace": "/new"})
    found = json.loads(path.read_text())
    assert (found["pid"], found["uid"], found["trace"], "rules" in found) == (os.getpid(), os.getuid(), "/new", False)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_to_remove_it_twice_is_no_matter() -> None:
    path = state_file.write({})
    state_file.remove(path)
    state_file.remove(path)
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_an_error(home: Path) -> None:
    (home / ".sessiontap").touch()
    with pytest.raises(OSError, match="Not a directory"):
        state_file.write({})


@pytest.mark.parametrize(("told", "expected"), [(None, None), ("4711", 4711), ("", None), ("x", None)])
def test_it_says_which_exec_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch, told: str | None, expected: int | None
) -> None:
    if told is not None:
        monkeypatch.setenv(state_file.PRIVATE_TO, told)
    assert json.loads(state_file.write({}).read_text())["private_to"] == expected
