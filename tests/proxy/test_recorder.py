"""The recorder as the proxy holds it: calls and notes go in, updates come back, and no credential goes anywhere."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mitmproxy import ctx, options
from tests.recording.test_handle import PATIENCE, REPLY, REQUEST, finished

from sessiontap import trace
from sessiontap.faults import Faults
from sessiontap.proxy.finish import Bodies, CapturedBody
from sessiontap.proxy.recorder import Recorder
from sessiontap.proxy.settings import Settings
from sessiontap.recording.finished import BodyTransfer, CallCounted, PlannerUpdate
from sessiontap.rules import Rules, load_text
from sessiontap.trace import TraceError

SECRET = "marmalade-4711-ladder"
PLAIN, KNOWING = load_text("rules: []"), load_text(f"redact: {{patterns: ['{SECRET}']}}\nrules: []")


class Held:
    """A recorder, and the updates that came back."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.folder = folder
        self.read: queue.SimpleQueue[PlannerUpdate] = queue.SimpleQueue()
        self.counted: queue.SimpleQueue[CallCounted] = queue.SimpleQueue()
        self.recorder = Recorder(Settings(None, folder, None), rules, self.read.put, Faults(), self.counted.put)

    def record(self, number: int) -> None:
        bodies = [CapturedBody([body], len(body), BodyTransfer(len(body))) for body in (REQUEST, REPLY)]
        assert self.recorder.submit(finished(number), Bodies(*bodies), None)
        assert self.read.get(timeout=PATIENCE).call_id == finished(number).id

    def notes(self) -> list[str]:
        self.recorder.close(PATIENCE)
        return [str(note["text"]) for note in trace.open(self.folder).notes()]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Rules], Held]]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ctx, "options", options.Options(), raising=False)
    made: list[Held] = []

    def make(rules: Rules = PLAIN) -> Held:
        made.append(Held(tmp_path / "trace", rules))
        return made[-1]

    yield make
    for one in made:
        one.recorder.close(PATIENCE)


def test_a_call_is_read_at_once_and_written_by_the_end(held: Callable[..., Held]) -> None:
    one = held()
    one.record(1)
    one.recorder.close(PATIENCE)
    (call,) = trace.open(one.folder).calls()
    assert (call.id, call.response_body()) == (finished(1).id, REPLY)


def test_a_receipt_tells_when_what_came_before_it_is_written(held: Callable[..., Held]) -> None:
    one = held()
    one.record(1)
    receipt = one.recorder.receipt()
    one.recorder.close(PATIENCE)
    assert receipt()


@pytest.mark.parametrize("later", [False, True], ids=["known from the start", "known since the rules changed"])
def test_what_the_rules_call_a_secret_is_in_no_note(held: Callable[..., Held], later: bool) -> None:
    one = held(PLAIN if later else KNOWING)
    if later:
        one.recorder.rules_changed(KNOWING)
    one.recorder.note("test", f"it says {SECRET}")
    (text,) = one.notes()
    assert text.startswith("it says [redacted:")
    assert SECRET not in text


def test_what_the_rules_call_a_secret_is_not_on_the_terminal(
    held: Callable[..., Held], caplog: pytest.LogCaptureFixture
) -> None:
    held(KNOWING)
    with caplog.at_level(logging.INFO, logger="sessiontap"):
        logging.getLogger("sessiontap").info("it says %s", SECRET)
    (line,) = [record.getMessage() for record in caplog.records if "it says" in record.getMessage()]
    assert SECRET not in line


def test_a_note_after_the_end_stands_on_the_terminal_alone(held: Callable[..., Held]) -> None:
    one = held()
    one.recorder.note("test", "first")
    one.recorder.close(PATIENCE)
    one.recorder.note("test", "second")
    assert one.notes() == ["first"]


def test_a_call_that_could_not_be_made_is_counted(held: Callable[..., Held]) -> None:
    one = held()
    one.recorder.count_fault()
    one.record(1)
    assert one.notes() == ["records were lost (fault 1)"]


def test_one_that_is_closed_aside_holds_nobody_up(held: Callable[..., Held]) -> None:
    one = held()
    one.record(1)
    one.recorder.close_aside()
    one.recorder.wait_closed(PATIENCE)
    assert not one.recorder.is_closing
    assert len(list(trace.open(one.folder).calls())) == 1


def test_a_folder_that_cannot_be_written_is_said_before_the_proxy_starts(
    held: Callable[..., Held], tmp_path: Path
) -> None:
    (tmp_path / "trace").write_text("a file")
    with pytest.raises(TraceError, match="cannot be written") as raised:
        held()
    assert "session_trace" in raised.value.hint


def test_what_died_with_the_recorder_at_the_end_is_told_in_the_log(
    held: Callable[..., Held], caplog: pytest.LogCaptureFixture
) -> None:
    before = set(psutil.Process().children())
    one = held()
    (process,) = set(psutil.Process().children()) - before
    one.recorder.wait_ready()
    process.suspend()
    one.recorder.note("made_up", "never written")
    one.recorder.close(0.2)
    process.kill()
    assert one.notes()[-1] == "records were lost at the end (died 1)"
    assert "records were lost at the end" in caplog.text


def test_of_a_call_that_dies_with_the_recorder_nothing_is_known(held: Callable[..., Held]) -> None:
    before = set(psutil.Process().children())
    one = held()
    (process,) = set(psutil.Process().children()) - before
    one.recorder.wait_ready()
    process.suspend()
    call, nothing = finished(1), CapturedBody((), 0, BodyTransfer())
    assert one.recorder.submit(call, Bodies(nothing, nothing), None)
    process.kill()
    assert one.counted.get(timeout=PATIENCE) == CallCounted(call.id, call.time + call.duration)
