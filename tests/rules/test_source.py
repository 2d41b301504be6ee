"""A rules file within bounds is read; anything else at its path is refused in one line."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sessiontap.rules import RulesError, load_file
from sessiontap.rules.load import MAX_BYTES, read_source

AS_ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def listening(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def large(path: Path) -> None:
    """50 MB that take no room on the disk."""
    with path.open("wb") as file:
        file.truncate(50_000_000)


def unreadable(path: Path) -> None:
    path.write_text("version: 1\n")
    path.chmod(0)


def written(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(fifo, ":1:1: this is a named pipe; expected a file", id="pipe"),
        pytest.param(Path.mkdir, ":1:1: this is a folder; expected a file", id="folder"),
        pytest.param(listening, ":1:1: this is a socket; expected a file", id="socket"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), ":1:1: this is a device; expected a file", id="device"),
        pytest.param(loop, ":1:1: the file cannot be read: Too many levels of symbolic links", id="link to itself"),
        pytest.param(lambda path: None, ":1:1: the file cannot be read: No such file", id="nothing"),
        pytest.param(
            unreadable,
            ":1:1: the file cannot be read: Permission denied",
            id="unreadable",
            marks=pytest.mark.skipif(AS_ROOT, reason="root may read everything"),
        ),
        pytest.param(large, ":1:1: the file has 50,000,000 bytes; expected at most 1,048,576", id="large"),
        pytest.param(written(b"# \xfcber\n"), ":1:3: no UTF-8: the byte 0xFC cannot stand here", id="Latin-1"),
        pytest.param(
            written("version: 1\n".encode("utf-16")), ":1:1: no UTF-8: the file is saved as UTF-16", id="UTF-16"
        ),
        pytest.param(written("version: 1\n".encode("utf-16-be")), "saved as UTF-16", id="UTF-16 without a mark"),
        pytest.param(written("version: 1\n".encode("utf-32")), "saved as UTF-16", id="UTF-32"),
        pytest.param(written(bytes(range(256))), "no UTF-8: the byte 0x80 cannot stand here", id="binary"),
        pytest.param(written(b"version: 1\nsend: \0\n"), ":2:7: no YAML: a NUL byte stands here", id="zeros"),
        pytest.param(written(b"version: 1 # \x07\n"), "no YAML: the character", id="a bell"),
        pytest.param(written(b""), ":1:1: the file is empty", id="empty"),
        pytest.param(written(b"\xef\xbb\xbf"), ":1:1: the file is empty", id="a byte order mark alone"),
    ],
)
def test_what_is_no_rules_file(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "rules.yaml"
    make(path)
    started = time.process_time()
    with pytest.raises(RulesError) as caught:
        load_file(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 2


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_bytes(b"\xef\xbb\xbfversion: 1\n")
    assert load_file(tmp_path / "rules.yaml").rules == ()


def test_the_largest_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"version: 1\n#".ljust(MAX_BYTES, b"x"))
    assert len(read_source(str(path))) == MAX_BYTES
