"""A command's own file is private and whole, and recorded text is spelled out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import line, out_file, safe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_it_is_private_and_there_when_it_is_whole(folder: Path) -> None:
    path = folder / "calls.har"
    with out_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        (draft,) = folder.iterdir()
        assert draft.stat().st_mode & 0o777 == 0o600
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_what_was_there(folder: Path, error: type[BaseException]) -> None:
    path = folder / "calls.har"
    path.write_bytes(b"old")
    with pytest.raises(error), out_file(path):
        raise error
    assert path.read_bytes() == b"old"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (OSError(28, "No space left on device"), Failure, "calls.har cannot be written: No space left on device"),
        (PermissionError(13, "Permission denied", "/other"), PermissionError, "/other"),
    ],
    ids=["its own", "another file's"],
)
def test_what_went_wrong_is_said_of_the_right_file(
    folder: Path, error: OSError, raised: type[Exception], words: str
) -> None:
    with pytest.raises(raised, match=words), out_file(folder / "calls.har"):
        raise error
    assert list(folder.iterdir()) == []


def test_a_link_leads_to_the_file(folder: Path) -> None:
    target, link = folder / "target", folder / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with out_file(link) as file:
        file.write(b"new")
    assert (target.read_bytes(), link.is_symlink()) == (b"new", True)


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    with out_file(Path(os.devnull)) as file:
        file.write(b"gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/such/folder/x", "No such file or directory"), (".", "Is a directory")],
    ids=["no folder", "a folder"],
)
def test_what_cannot_be_written_is_said(folder: Path, name: str, words: str) -> None:
    with pytest.raises(Failure, match=words), out_file(folder / name):
        pass


@pytest.mark.parametrize(
    ("text", "on_lines", "on_one"),
    [
        ("plain ✓ ü", "plain ✓ ü", "plain ✓ ü"),
        ("a\nb\tc", "a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
        ("\x9b31m", "\\x9b31m", "\\x9b31m"),
        ("a\r\x00", "a\\x0d\\x00", "a\\x0d\\x00"),
        ("\u202eevil", "\\u202eevil", "\\u202eevil"),
    ],
)
def test_control_characters_are_spelled_out(text: str, on_lines: str, on_one: str) -> None:
    assert (safe(text), line(text)) == (on_lines, on_one)
