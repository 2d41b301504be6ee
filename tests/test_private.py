"""Folders for their user alone, and where Sessiontap keeps its own state when the home folder does not do."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiontap import private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and umasks are POSIX's")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=lambda umask: f"umask {umask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("readable", "most"), [(False, 0o600), (True, 0o644)])
def test_others_can_never_write_to_a_file_that_is_new(tmp_path: Path, umask: int, readable: bool, most: int) -> None:
    written, appended = tmp_path / "written", tmp_path / "appended"
    private.write_text(written, "text", readable=readable)
    private.append_text(appended, "text", readable=readable)
    assert (mode(written), mode(appended)) == (most & ~umask,) * 2


def test_a_text_is_replaced_or_added_to(tmp_path: Path) -> None:
    file = tmp_path / "file"
    private.write_text(file, "a long one")
    private.write_text(file, "ö\n")
    private.append_text(file, "more\n")
    assert file.read_text(encoding="utf-8") == "ö\nmore\n"


def test_a_new_folder_and_those_above_it_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    private.make(tmp_path / "one" / "two" / "three")
    assert [mode(tmp_path / place) for place in ("one", "one/two", "one/two/three")] == [0o700] * 3


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o700, 0o700), (0o755, 0o755), (0o777, 0o755), (0o770, 0o750), (0o1777, 0o1755)],
    ids=lambda value: f"{value:o}",
)
def test_others_can_no_longer_write_to_a_folder_that_is_there(tmp_path: Path, before: int, after: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(before)
    private.make(folder)
    assert mode(folder) == after


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_what_is_no_folder_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        private.make(tmp_path / place)


def test_the_usual_place(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert private.home() == tmp_path / ".sessiontap"
    assert not private.home().exists()
    assert private.prepare_home() is None
    assert mode(private.home()) == 0o700
    assert list(temporary.iterdir()) == []


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("home", "why"),
    [
        ("/dev/null", "/dev/null/.sessiontap cannot be written"),
        ("/proc", "/proc/.sessiontap cannot be written"),
        (None, "no home folder is known"),
    ],
    ids=["no folder", "a folder that takes no files", "no home"],
)
def test_another_folder_stands_in(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, why: str
) -> None:
    if home is None:
        monkeypatch.setattr(Path, "home", no_home)
    else:
        monkeypatch.setenv("HOME", home)
    said = private.prepare_home()
    assert said is not None
    assert said.startswith(why)
    assert private.home() == temporary / f"sessiontap-{os.geteuid()}"
    assert str(private.home()) in said
    assert mode(private.home()) == 0o700


def test_a_link_that_somebody_laid_there_is_not_followed(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    (tmp_path / "elsewhere").mkdir()
    private.stand_in().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to another user"):
        private.prepare_home()


def test_a_log_in_a_home_that_can_only_be_read_is_found(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".sessiontap").mkdir()
    monkeypatch.setattr(os, "access", lambda folder, mode: str(tmp_path / ".sessiontap") != str(folder))
    assert private.home() == tmp_path / ".sessiontap"
    private.prepare_home()
    assert private.home() == private.stand_in()
