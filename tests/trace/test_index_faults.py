"""The index while several readers ask at once: damaged, deleted, of another version, locked. No answer is wrong."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.seed import SEED
from tests.trace.conftest import CALLER, INFO, call_map

from sessiontap import trace
from sessiontap.trace import TraceError, Writer
from sessiontap.trace.index import database

ADDON = Path(__file__).parents[2] / "addon"
CALLS = 300
READERS = 3
READER = """
import json, sys
from sessiontap import trace
from sessiontap.trace import TraceError
expected = int(sys.argv[2])
log = trace.open(sys.argv[1])
for line in sys.stdin:
    told = {"busy": 0, "wrong": 0}
    for number in range(int(line)):
        if number % 3 == 0:  # as another command would
            log.close()
            log = trace.open(sys.argv[1])
        try:
            calls = len(log.query_calls()), sum(row["calls"] for row in log.query_sessions()), log.query_sums()["calls"]
            told["wrong"] += calls != (expected,) * 3
        except TraceError as error:
            assert "index.sqlite cannot be used" in str(error), error
            told["busy"] += 1
    print(json.dumps(told), flush=True)
"""


def write_sample(folder: Path) -> Path:
    writer = Writer(folder, writer_info=INFO, rotate_bytes=20_000)
    writer.start()
    for number in range(CALLS):
        writer.submit(lambda number=number: [CALLER, call_map(number)], 1)
    assert writer.close(10)
    return folder


@pytest.fixture
def sample(folder: Path) -> Path:
    return write_sample(folder)


class Reader:
    """A process that asks as often as it is told to."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, folder, str(CALLS)],
            env={**os.environ, "PYTHONPATH": str(ADDON)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, times: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        found: dict[str, int] = json.loads(line)
        return found

    def stop(self) -> None:
        said = self._process.communicate()[1]
        assert self._process.returncode == 0, said


@contextmanager
def reading(folder: Path) -> Iterator[list[Reader]]:
    readers = [Reader(folder) for _ in range(READERS)]
    yield readers
    for reader in readers:
        reader.stop()


@pytest.fixture
def readers(sample: Path) -> Iterator[list[Reader]]:
    with reading(sample) as readers:
        yield readers


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Reader]]]:
    """A log whose index is well again behind each test, and its readers."""
    folder = write_sample(tmp_path_factory.mktemp("damaged") / "trace")
    with reading(folder) as readers:
        yield folder, readers


def deleted(path: Path) -> None:
    database.remove(path.parent)


def the_file_alone_deleted(path: Path) -> None:
    path.unlink(missing_ok=True)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(SEED).randbytes(30_000))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def from_the_future(path: Path) -> None:
    new = path.with_name("future")
    with sqlite3.connect(new) as connection:
        connection.execute("CREATE TABLE calls(whatever)")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    new.replace(path)


@pytest.mark.parametrize(
    "damage",
    [deleted, the_file_alone_deleted, garbage, truncated, emptied, from_the_future],
    ids=lambda one: one.__name__.replace("_", " "),
)
def test_several_readers_while_it_is_damaged(
    damaged: tuple[Path, list[Reader]], damage: Callable[[Path], None]
) -> None:
    """Whatever becomes of the file under them, no answer is wrong, and in the end all is well again."""
    folder, readers = damaged
    for reader in readers:
        reader.ask(2)
    for reader in readers:
        assert reader.told() == {"busy": 0, "wrong": 0}
    for _ in range(6):
        for reader in readers:
            reader.ask(12)
        damage(folder / database.NAME)
        for reader in readers:
            assert reader.told()["wrong"] == 0
    for reader in readers:
        reader.ask(2)
    for reader in readers:
        assert reader.told() == {"busy": 0, "wrong": 0}


# -- locked by another process -----------------------------------------------------------------------------------------

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM calls")
print("held", flush=True)
sys.stdin.readline()
"""


class Holder:
    """A process that holds the index until it is let go."""

    def __init__(self, folder: Path, how: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, folder / database.NAME, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        self._process.communicate("\n")


def test_while_another_process_writes_it_what_is_known_can_be_asked(sample: Path) -> None:
    trace.open(sample).query_calls()
    holder = Holder(sample, "BEGIN IMMEDIATE")

    assert len(trace.open(sample).query_calls()) == CALLS
    holder.let_go()


def test_readers_wait_for_the_process_that_brings_it_up_to_date(
    sample: Path, readers: list[Reader], writers: Callable[..., Writer]
) -> None:
    trace.open(sample).query_calls()
    holder = Holder(sample, "BEGIN IMMEDIATE")
    writer = writers()
    writer.submit(lambda: [call_map(999, flags=["warm_up"])], 1)  # something to take in that counts as no call
    writer.flush()
    for reader in readers:
        reader.ask(1)
    holder.let_go()

    for reader in readers:
        assert reader.told() == {"busy": 0, "wrong": 0}


def test_one_that_is_never_let_go_is_said(
    sample: Path, writers: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    trace.open(sample).query_calls()
    holder = Holder(sample, "BEGIN IMMEDIATE")
    writer = writers()
    writer.submit(lambda: [call_map(999)], 1)
    writer.flush()

    with pytest.raises(TraceError, match=r"index\.sqlite cannot be used: database is locked") as told:
        trace.open(sample).query_calls()
    assert "try again in a moment" in told.value.hint
    holder.let_go()
    assert len(trace.open(sample).query_calls()) == CALLS + 1
