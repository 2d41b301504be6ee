"""A rules file that changes while calls come: what is in force, what is said, and when."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.gate import PATIENCE

from sessiontap.proxy import rules_file
from sessiontap.proxy.rules_file import RulesFile
from sessiontap.rules import Rules, RulesError, load_file, load_text

GOOD, BETTER, BAD = "rules: [{user: good}]", "rules: [{user: good}, {user: better}]", "rules: [{usr: bad}]"


class Told(list[tuple[int, str | None]]):
    """How many rules were in force, and the error, at each change."""

    def __call__(self, file: RulesFile) -> None:
        self.append((len(file.rules.rules), file.error))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    return path


def replace(path: Path, text: str) -> None:
    """As editors save: another file of this name."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


class Slow:
    """Loads when it is let to."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Semaphore(0)
        self.loads = 0

    def __call__(self, path: Path) -> Rules:
        self.loads += 1
        self.begun.release()
        assert self.free.wait(PATIENCE)
        return load_file(path)


async def test_the_next_call_follows_an_edit(path: Path) -> None:
    told = Told()
    file = RulesFile(path, told)
    replace(path, BETTER)
    assert len((await file.current()).rules) == 2
    assert told == [(2, None)]
    assert file.is_current()


@pytest.fixture
async def watched(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], Awaitable[RulesFile]]]:
    """Saves a text while no call comes, and returns the file once the change was noticed."""
    monkeypatch.setattr(rules_file, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(rules_file, "STILL_SECONDS", 0.001)
    changes: asyncio.Queue[RulesFile] = asyncio.Queue()
    watching = asyncio.create_task(RulesFile(path, changes.put_nowait).watch())

    async def save(text: str) -> RulesFile:
        replace(path, text)
        return await asyncio.wait_for(changes.get(), PATIENCE)

    yield save
    assert changes.empty()  # each change once
    watching.cancel()


async def test_a_change_is_noticed_while_no_call_comes(
    watched: Callable[[str], Awaitable[RulesFile]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert len((await watched(BETTER)).rules.rules) == 2
    assert "usr" in str((await watched(BAD)).error)
    assert (await watched(BETTER)).error is None
    assert [record.levelname for record in caplog.records if record.name == "sessiontap"] == ["INFO", "ERROR", "INFO"]


async def test_a_file_that_is_being_written_is_read_once_it_stands_still(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    file = RulesFile(path, told)
    saved = [BAD, "", BETTER, None]

    async def sleep(seconds: float) -> None:
        """Between two looks the file is saved again, three times; then it stands still."""
        if not saved:
            raise asyncio.CancelledError
        if (text := saved.pop(0)) is not None:
            replace(path, text)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await file.watch()
    assert told == [(2, None)]


async def test_a_second_worker_is_silent(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = Told()
    file = RulesFile(path, told, tells=False)
    for text in (BAD, BETTER):
        replace(path, text)
        await file.current()
    assert [number for number, _ in told] == [1, 2]
    assert caplog.text == ""


async def test_without_a_file_nothing_is_watched() -> None:
    await RulesFile(None).watch()


async def test_without_a_file_nothing_ever_changes() -> None:
    file = RulesFile(None)
    assert file.is_current()
    assert (await file.current()).rules == ()


def test_a_file_that_is_bad_from_the_start_is_refused(path: Path) -> None:
    path.write_text(BAD)
    with pytest.raises(RulesError, match="usr"):
        RulesFile(path)


async def test_a_bad_edit_is_said_once_and_the_good_rules_stay(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    file = RulesFile(path, told)
    for _ in range(3):
        replace(path, BAD)
        assert len((await file.current()).rules) == 1
    assert [number for number, error in told if error and "usr" in error] == [1]
    assert caplog.text.count("not in force") == 1
    replace(path, BETTER)
    assert len((await file.current()).rules) == 2
    assert told[-1] == (2, None)


async def test_the_file_as_it_was_is_good_again_after_a_bad_edit(path: Path) -> None:
    told = Told()
    file = RulesFile(path, told)
    replace(path, BAD)
    await file.current()
    replace(path, GOOD)
    await file.current()
    assert [error is None for _, error in told] == [False, True]
    assert file.error is None


async def test_a_file_that_is_saved_unchanged_is_nothing_new(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = Told()
    file = RulesFile(path, told)
    before = file.rules
    replace(path, GOOD)
    assert await file.current() is before
    assert told == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RecursionError("too deep"), id="recursion"),
        pytest.param(MemoryError(), id="memory"),
        pytest.param(OSError(5, "Input/output error"), id="disk"),
        pytest.param(ValueError("x" * 10_000), id="a long one"),
    ],
)
async def test_no_error_keeps_later_edits_out(path: Path, error: Exception) -> None:
    raised: list[Exception] = []

    def load(path: Path) -> Rules:
        if raised:
            raise raised.pop()
        return load_file(path)

    file = RulesFile(path, load=load)
    raised.append(error)
    replace(path, BETTER)
    assert len((await file.current()).rules) == 1
    assert file.error is not None
    assert len(file.error) < 1_000
    replace(path, BETTER + " ")
    assert len((await file.current()).rules) == 2
    assert file.error is None


async def test_rules_that_load_slowly_are_in_force_when_they_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any further call."""
    monkeypatch.setattr(rules_file, "PATIENCE", 0.01)
    load, applied = Slow(), asyncio.Event()
    file = RulesFile(path, lambda file: applied.set(), load)
    load.free.clear()
    replace(path, BETTER)
    assert len((await file.current()).rules) == 1
    assert not file.is_current()
    load.free.set()
    await asyncio.wait_for(applied.wait(), PATIENCE)
    assert len(file.rules.rules) == 2
    assert file.is_current()


async def test_calls_wait_no_longer_than_the_first_of_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_file, "PATIENCE", 0.01)
    load = Slow()
    file = RulesFile(path, load=load)
    load.free.clear()
    replace(path, BETTER)
    await file.current()
    await asyncio.sleep(rules_file.PATIENCE)  # it is over for certain
    waits: list[Any] = []
    monkeypatch.setattr(asyncio, "wait", lambda *given, **named: waits.append(given))
    await file.current()
    assert waits == []
    load.free.set()


async def test_a_storm_of_edits_is_read_twice(path: Path) -> None:
    """The file is being read while it changes a hundred times: then once more, and that is what is in force."""
    load = Slow()
    file = RulesFile(path, load=load)
    load.loads = 0
    load.free.clear()
    replace(path, "rules: [{user: first}]")
    calls = [asyncio.create_task(file.current()) for _ in range(5)]
    for _ in range(2):  # the start's, and that of the edit
        assert await asyncio.to_thread(load.begun.acquire, timeout=PATIENCE)
    for number in range(100):
        replace(path, f"rules: [{{user: u{number}}}, {{user: x}}]")
    load.free.set()
    last = load_text("rules: [{user: u99}, {user: x}]").digest
    assert [rules.digest for rules in await asyncio.gather(*calls, file.current())] == [last] * 6
    assert load.loads == 2


async def test_a_call_that_is_cancelled_stops_no_loading(path: Path) -> None:
    load, applied = Slow(), asyncio.Event()
    file = RulesFile(path, lambda file: applied.set(), load)
    load.free.clear()
    replace(path, BETTER)
    call = asyncio.create_task(file.current())
    for _ in range(2):
        assert await asyncio.to_thread(load.begun.acquire, timeout=PATIENCE)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    load.free.set()
    await asyncio.wait_for(applied.wait(), PATIENCE)
    assert len(file.rules.rules) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
async def test_whatever_stands_there_for_a_while(path: Path) -> None:
    told = Told()
    file = RulesFile(path, told)
    kinds = (
        ("a folder", Path.mkdir, Path.rmdir),
        ("a named pipe", os.mkfifo, Path.unlink),
        ("No such file", lambda path: None, lambda path: None),
        ("symbolic links", lambda path: path.symlink_to(path), Path.unlink),
        ("a device", lambda path: path.symlink_to("/dev/zero"), Path.unlink),
    )
    for number, (said, make, remove) in enumerate(kinds):
        os.unlink(path)
        make(path)
        before = file.rules
        assert await file.current() is before
        assert file.error is not None
        assert said in file.error
        remove(path)
        replace(path, f"rules: [{{user: u{number}}}]")
        assert (await file.current()) is not before
        assert file.error is None
    assert len(told) == 2 * len(kinds)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
async def test_a_change_of_its_mode_alone_is_seen(path: Path) -> None:
    """A file that could not be read, and may be again, is as old as before."""
    os.chmod(path, 0o640)
    file = RulesFile(path)
    os.chmod(path, 0o600)
    assert not file.is_current()
    await file.current()
    assert file.is_current()
