"""What we make is for its user alone, whatever the umask; what was open to others is closed, or said."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, INFO, call_map

from sessiontap import trace
from sessiontap.proxy import page_port
from sessiontap.redaction import user_key
from sessiontap.trace import Writer
from sessiontap.trace.files import secure
from sessiontap.trace.folders import read_together
from sessiontap.trace.index.database import NAME

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where a folder could stand in for the usual one
    (tmp_path / "home").mkdir(mode=0o755)
    return tmp_path / "home" / ".sessiontap"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_on_the_way_are_private_too(home: Path) -> None:
    writer = Writer(home / "trace", writer_info=INFO)
    writer.start()
    writer.close(5)
    assert (mode(home), mode(home / "trace")) == (0o700, 0o700)


def test_what_is_written_beside_the_log_is_private(home: Path, tmp_path: Path) -> None:
    together = read_together([tmp_path / "a", tmp_path / "b"])
    page = page_port.announce(7001)

    files = [page, *(one for one in together.iterdir() if one.is_file())]
    assert {mode(one) for one in files} == {0o600}
    assert {mode(one) for one in (together, together.parent, page.parent, page.parent.parent)} == {0o700}


def test_the_secrets_folder_is_private(home: Path) -> None:
    user_key.load()

    assert mode(home) == 0o700


def test_a_folder_in_ones_own_is_closed(home: Path) -> None:
    (home / "trace").mkdir(parents=True)
    assert mode(home) == 0o777

    assert secure(home / "trace") is None

    assert (mode(home), mode(home / "trace"), mode(home.parent)) == (0o700, 0o700, 0o755)


def test_a_folder_elsewhere_is_left_and_said(home: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)

    said = secure(shared)

    assert said == f"others can look into the trace folder {shared} (mode 755): chmod 700 closes it to them"
    assert mode(shared) == 0o755
    shared.chmod(0o700)
    assert secure(shared) is None


@pytest.mark.parametrize("end", ["", "-wal", "-journal", "-shm"])
@pytest.mark.parametrize("target", ["empty", "a file", "nothing"])
def test_a_link_in_the_place_of_the_index_is_not_followed(
    written: Any, folder: Path, tmp_path: Path, end: str, target: str
) -> None:
    written(CALLER, call_map(1))
    other = tmp_path / "other"
    if target != "nothing":
        other.write_bytes(b"" if target == "empty" else b"somebody's work")
    link = folder / (NAME + end)
    link.symlink_to(other)
    log = trace.open(folder)

    assert len(log.query_calls()) == 1

    log.close()
    assert not link.is_symlink()
    assert (folder / NAME).is_file()
    assert mode(folder / NAME) == 0o600
    assert (other.read_bytes() if other.exists() else None) == {"empty": b"", "a file": b"somebody's work"}.get(target)


def test_an_index_that_others_may_read_is_closed(written: Any, folder: Path) -> None:
    written(CALLER, call_map(1))
    trace.open(folder).query_calls()
    (folder / NAME).chmod(0o666)

    trace.open(folder).query_calls()

    assert mode(folder / NAME) == 0o600


def drop(database: sqlite3.Connection) -> None:
    database.execute("DROP TABLE call_rows")


def rename(database: sqlite3.Connection) -> None:
    database.execute("ALTER TABLE sessions RENAME COLUMN name TO nom")


def numbers(database: sqlite3.Connection) -> None:
    database.execute("UPDATE alike SET outcome = 99, request_model = -1")


def texts(database: sqlite3.Connection) -> None:
    database.execute("UPDATE strings SET text = 'no JSON ' || n")


def times(database: sqlite3.Connection) -> None:
    database.execute("UPDATE call_rows SET time = 'soon', duration = 'long'")


def view(database: sqlite3.Connection) -> None:
    database.executescript("DROP TABLE problems; CREATE VIEW problems AS SELECT 1 AS segment, 2 AS offset")


def end(database: sqlite3.Connection) -> None:
    database.execute("UPDATE segments SET \"end\" = 'x', size = -5")


@pytest.mark.parametrize("spoil", [drop, rename, numbers, texts, times, view, end], ids=lambda one: one.__name__)
def test_an_index_that_another_program_has_filled_is_made_anew(written: Any, folder: Path, spoil: Any) -> None:
    written(CALLER, *[call_map(number, properties={"a": "b"}) for number in range(3)])
    log = trace.open(folder)
    expected = log.query_calls(), log.query_sessions(), log.stats("path"), log.query_session("@1")["calls"]
    log.close()
    with sqlite3.connect(folder / NAME) as database:
        spoil(database)
    database.close()

    log = trace.open(folder)

    assert (log.query_calls(), log.query_sessions(), log.stats("path"), log.query_session("@1")["calls"]) == expected
