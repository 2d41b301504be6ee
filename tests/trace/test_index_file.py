"""The file of the index: private, shared by several readers, made again when it is of no use."""

import gc
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.support.gate import PATIENCE
from tests.trace.conftest import CALLER, call_map, index_file, open_log
from tests.trace.test_turns import turn

from sessiontap import trace
from sessiontap.llm.headings import heading
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.trace import Filters, maintenance
from sessiontap.trace.index import database
from sessiontap.trace.index.database import NAME

ADDON = Path(__file__).parents[2] / "addon"


def test_the_index_is_private(sample):
    before = os.umask(0)
    try:
        open_log(sample).query_calls()
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in sample.glob("index.sqlite*")} == {0o600}


def deleted(path: Path) -> None:
    path.unlink()


def rubbish(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_something_else(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes(title)")
    connection.close()


def with_a_page_overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [deleted, rubbish, truncated, emptied, from_the_future, of_something_else, with_a_page_overwritten],
    ids=lambda one: one.__name__.replace("_", " "),
)
def test_an_index_that_is_of_no_use_is_made_again(sample, damage):
    log = open_log(sample)
    expected = log.query_sessions(), log.query_calls(), log.search("brotb")
    log.close()
    for leftover in ("-wal", "-shm"):
        Path(f"{index_file(sample)}{leftover}").unlink(missing_ok=True)

    damage(index_file(sample))
    again = open_log(sample)

    assert (again.query_sessions(), again.query_calls(), again.search("brotb")) == expected
    again.close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_read(sample):
    sample.chmod(0o500)
    try:
        assert len(open_log(sample).query_calls()) == 5
    finally:
        sample.chmod(0o700)


def test_an_index_that_cannot_be_kept_is_held_in_memory(sample):
    """Something else has its name."""
    index_file(sample).mkdir()

    assert len(open_log(sample).query_calls()) == 5


def test_a_disk_that_is_full_for_the_index_is_read_past(sample, monkeypatch):
    """The file may not grow beyond a few pages: the answer comes from an index in memory."""
    settle = database.settle

    def cramped(connection):
        settle(connection)
        if connection.execute("PRAGMA database_list").fetchone()[2]:
            connection.execute("PRAGMA max_page_count = 40")

    monkeypatch.setattr(database, "settle", cramped)
    many = [recorded.chat(number, session=(f"s{number}", "n" * 5000 + str(number), "/", 0), caller=None)
            for number in range(10, 60)]  # fmt: skip
    recorded.write(sample, many)

    assert len(open_log(sample).query_calls()) == 55


READER = """
import sys
from sessiontap import trace
log = trace.open(sys.argv[1])
seen = 0
while seen < int(sys.argv[2]):
    rows, sessions = log.query_calls(), log.query_sessions()
    assert len(rows) >= seen, "calls went away"
    assert sum(row["calls"] for row in sessions) >= len(rows), "sums lag behind the calls"
    seen = len(rows)
assert sum(row["calls"] for row in log.query_sessions()) == seen
print(seen)
"""


def test_several_readers_at_once_while_the_proxy_writes(writers, folder):
    writer = writers(rotate_bytes=40_000)
    count = 1500
    environment = {**os.environ, "PYTHONPATH": str(ADDON)}
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, folder, str(count)], env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for number in range(count):
        writer.submit(lambda number=number: [CALLER, call_map(number)], 1)
    writer.flush()

    assert [int(reader.communicate(timeout=PATIENCE)[0]) for reader in readers] == [count] * 3


def test_threads_of_one_process_each_with_a_trace_of_their_own(sample):
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(open_log(sample).query_calls()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert found == [5] * 8


def test_two_that_make_the_file_at_once_wait_for_each_other(sample, monkeypatch):
    """SQLite tells one of them at once that it is locked, whatever the timeout."""
    refused = []

    class Contended(sqlite3.Connection):
        def execute(self, statement, *values):
            if "journal_mode" in statement and len(refused) < 2:
                refused.append(statement)
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(statement, *values)

    real = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *args, **named: real(*args, factory=Contended, **named))

    assert len(trace.open(sample).query_calls()) == 5
    assert len(refused) == 2
    assert index_file(sample).stat().st_size > 0


def test_a_copied_folder_brings_its_index_along(sample, tmp_path):
    open_log(sample).query_calls()
    copy = tmp_path / "copy"
    shutil.copytree(sample, copy)

    assert len(open_log(copy).query_calls()) == 5


@pytest.mark.parametrize("enabled", [True, False], ids=["on", "off"])
def test_garbage_collection_is_as_it_was(sample: Path, enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        trace.open(sample).query_sessions()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def _marked(number: int) -> dict[str, Any]:
    """A call with a mark of its own in all that the index keeps the text of."""
    said = f"mark{number:05d}"
    session = {"id": f"s{number // 3}", "name": f"name {said}", "path": f"/{said}", "step": number % 3}
    told = {"role": "user", "content": f"prompt {said} {'x' * (number * 37 % 90)}"}
    reply = {"role": "assistant", "content": f"reply {said}"}
    more = {"session": session, "properties": {"k": f"value {said}"}, "user": f"user {said}"}
    return turn(number, [told], reply, error=f"error {said}" if number % 4 == 0 else None, **more)


def test_nothing_that_was_pruned_is_left_in_the_index_file(written, folder):
    """Not in what SQLite left of it in other pages either: rows move when others come and go."""
    calls = list(range(1500))
    random.Random(1).shuffle(calls)
    for first in range(0, len(calls), 100):
        written(*map(_marked, calls[first : first + 100]))
        log = trace.open(folder, parts_of=recorded_parts, headings_of=heading)
        log.query_hits("nowhere")
        log.query_sessions()
        log.close()
    kept = range(0, 500, 3)
    gone = Filters(ids=tuple(call_map(number)["id"] for number in calls if number // 3 not in kept))

    maintenance.prune(folder, filters=gone, parts_of=recorded_parts)

    left = b"".join(file.read_bytes() for file in folder.glob("index.sqlite*"))
    marks = {int(mark) // 3 for mark in re.findall(rb"mark(\d{5})", left)}
    assert marks == set(kept)


def test_the_index_file_is_smaller_after_a_prune(written, folder):
    written(*map(_marked, range(1500)))
    log = open_log(folder)
    log.query_hits("nowhere")
    log.close()
    before = (folder / NAME).stat().st_size

    maintenance.prune(folder, filters=Filters(until=call_map(1400)["time"]))

    assert (folder / NAME).stat().st_size < before / 4
