"""The recorder's process as the proxy holds it: started, fed, killed, held up, ended. No proxy is needed for it."""

from __future__ import annotations

import os
import platform
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Endpoint
from sessiontap.llm.read import read_request
from sessiontap.recording import wire
from sessiontap.recording.finished import (
    BodyTransfer,
    Event,
    FinishedCall,
    Note,
    PlannerUpdate,
    ReceivedResponse,
    ReplyRead,
    SentRequest,
    Start,
)
from sessiontap.recording.handle import Handle
from sessiontap.recording.recorder_process import RecorderProcess
from sessiontap.trace.restore import wait_for_orphans

REQUEST = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}'
REPLY = b'{"model": "gpt-4o-1", "choices": [{"index": 0, "message": {"content": "Because."}, "finish_reason": "stop"}]}'


def finished(number: int) -> FinishedCall:
    """A call without a session: what is left of it is what came back."""
    request = Request("POST", "api.openai.com", "/v1/chat/completions", Headers(), REQUEST)
    endpoint = Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions")
    return FinishedCall(
        id=f"0190a000-{number:04x}-7000-8000-000000000000",
        time=1_000_000_000_000 + number,
        duration=5,
        outcome="ok",
        method="POST",
        url=request.url,
        host=request.host,
        target=request.target,
        sent=SentRequest(request.host, "HTTP/1.1"),
        received=ReceivedResponse(200, "HTTP/1.1", ((b"content-type", b"application/json"),)),
        request_body=BodyTransfer(len(REQUEST)),
        response_body=BodyTransfer(len(REPLY)),
        time_to_first_byte=3,
        client="127.0.0.1",
        call=read_request(request, endpoint),
    )


def whole(*bodies: bytes) -> list[wire.Pieces]:
    return [([body], len(body)) for body in bodies]


class Held:
    """A handle, and what it says."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.read: queue.SimpleQueue[PlannerUpdate] = queue.SimpleQueue()
        self.said: queue.SimpleQueue[str] = queue.SimpleQueue()
        start = Start(str(folder), {"pid": os.getpid()}, None, b"k" * 32)
        self.handle = Handle(lambda: start, self._heard, lambda kind, text: self.said.put(f"{kind}: {text}"), **options)

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, ReplyRead):
                self.read.put(event.update)

    def submit(self, number: int) -> bool:
        call = finished(number)
        update = PlannerUpdate(call.id, None, call.time, None, None)
        return self.handle.submit(wire.message(wire.CALL, call, whole(REQUEST, REPLY)), (), update)

    def wait_read(self, numbers: int) -> list[PlannerUpdate]:
        return [self.read.get(timeout=PATIENCE) for _ in range(numbers)]

    @property
    def pid(self) -> int:
        assert self.handle.pid is not None
        return self.handle.pid


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    made: list[Held] = []

    def make(**options: Any) -> Held:
        made.append(Held(tmp_path / "trace", **options))
        return made[-1]

    yield make
    for one in made:
        one.handle.close(PATIENCE)


def notes(folder: Path) -> list[str]:
    return [note["kind"] for note in trace.open(folder).notes()]


def recorded(folder: Path) -> list[str]:
    return [call.id for call in trace.open(folder).calls(newest_first=False)]


def test_a_call_is_read_and_written(held: Callable[..., Held]) -> None:
    one = held()
    one.submit(1)
    (left,) = one.wait_read(1)
    assert left.call_id == finished(1).id
    assert one.handle.close(PATIENCE)
    (call,) = trace.open(one.folder).calls()
    assert call.record["llm"]["response_model"] == "gpt-4o-1"
    assert (call.request_body(), call.response_body()) == (REQUEST, REPLY)
    assert notes(one.folder) == []


def test_it_says_when_it_is_up(held: Callable[..., Held]) -> None:
    one = held()
    assert one.handle.wait_ready(PATIENCE)
    os.kill(one.pid, signal.SIGKILL)
    assert "no record is lost" in one.said.get(timeout=PATIENCE)
    assert not one.handle.wait_ready(0)  # until there is a call for another


def test_a_new_proxy_waits_for_the_recorder_of_one_that_was_killed(held: Callable[..., Held]) -> None:
    one = held()
    assert one.handle.wait_ready(PATIENCE)
    assert wait_for_orphans(one.folder, 0)  # its proxy lives
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = one.folder.with_name("orphaned")
    start = Start(str(folder), {"pid": gone.pid, "host": platform.node()}, None, b"k" * 32)
    orphan = Handle(lambda: start, lambda events: None, lambda kind, text: None)
    assert orphan.wait_ready(PATIENCE)
    assert not wait_for_orphans(folder, 0)
    assert orphan.close(PATIENCE)
    assert wait_for_orphans(folder, 0)


def test_what_was_handed_over_is_written_at_the_end(held: Callable[..., Held]) -> None:
    one = held()
    assert all(one.submit(number) for number in range(500))
    assert one.handle.close(PATIENCE)
    assert recorded(one.folder) == [finished(number).id for number in range(500)]


def test_a_recorder_that_is_killed_gives_way_to_another(held: Callable[..., Held]) -> None:
    one = held()
    one.submit(1)
    one.wait_read(1)
    killed = one.pid
    os.kill(killed, signal.SIGKILL)
    assert "was ended by signal 9" in one.said.get(timeout=PATIENCE)
    one.submit(2)
    (left,) = one.wait_read(1)
    assert left.call_id == finished(2).id
    assert one.pid != killed
    assert one.handle.close(PATIENCE)
    assert recorded(one.folder)[-1] == finished(2).id


def test_a_recorder_that_is_killed_before_it_begins_is_told_as_one_that_was_killed(
    held: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = held()
    one.submit(1)
    one.wait_read(1)
    begin = RecorderProcess.send

    def die(process: RecorderProcess, pieces: list[bytes]) -> None:
        monkeypatch.undo()
        process.popen.kill()
        process.popen.wait()
        begin(process, pieces)

    os.kill(one.pid, signal.SIGKILL)
    assert "was ended by signal 9" in one.said.get(timeout=PATIENCE)
    monkeypatch.setattr(RecorderProcess, "send", die)
    one.submit(2)
    assert "was ended by signal 9" in one.said.get(timeout=PATIENCE)
    one.wait_read(1)


def test_calls_that_died_with_the_recorder_are_counted_and_nobody_waits_for_them(held: Callable[..., Held]) -> None:
    one = held(linger_seconds=0)
    os.kill(one.pid, signal.SIGSTOP)
    for number in range(3):
        one.submit(number)
    while one.handle.waiting:
        threading.Event().wait(0.01)
    os.kill(one.pid, signal.SIGKILL)
    assert "records are lost (up to 3)" in one.said.get(timeout=PATIENCE)
    assert {left.call_id for left in one.wait_read(3)} == {finished(number).id for number in range(3)}
    one.submit(4)
    one.wait_read(1)
    assert one.handle.close(PATIENCE)
    (note,) = trace.open(one.folder).notes()
    assert (note["kind"], note["dropped"]) == ("dropped", {"died": 3})
    assert recorded(one.folder) == [finished(4).id]


def test_a_recorder_that_hangs_fills_the_queue_and_holds_nobody_up(held: Callable[..., Held]) -> None:
    one = held(max_calls=10, linger_seconds=0)
    os.kill(one.pid, signal.SIGSTOP)
    big = bytes(4 << 20)  # more than the pipe takes
    assert one.handle.submit(wire.message(wire.NOTE, Note("big", "x"), whole(big, b"")))
    taken = [one.submit(number) for number in range(30)]
    assert sum(taken) < 30
    assert "queue" in one.said.get(timeout=PATIENCE)
    os.kill(one.pid, signal.SIGCONT)
    one.wait_read(sum(taken))
    one.submit(99)
    one.wait_read(1)
    assert one.handle.close(PATIENCE)
    assert len(recorded(one.folder)) == sum(taken) + 1
    dropped = [note["dropped"] for note in trace.open(one.folder).notes() if note["kind"] == "dropped"]
    assert {kind for each in dropped for kind in each} == {"queue"}
    assert sum(each["queue"] for each in dropped) == 30 - sum(taken)  # a note may be written while more is lost
    assert one.handle.lost == 30 - sum(taken)


def test_what_could_not_be_put_into_a_message_is_noted(held: Callable[..., Held]) -> None:
    one = held()
    one.handle.count("fault")
    one.submit(1)
    one.wait_read(1)
    assert one.handle.close(PATIENCE)
    assert [note["dropped"] for note in trace.open(one.folder).notes()] == [{"fault": 1}]


def test_what_is_lost_behind_the_last_call_is_noted_as_well(held: Callable[..., Held]) -> None:
    one = held()
    one.submit(1)
    one.wait_read(1)
    one.handle.count("fault", 2)
    assert one.handle.close(PATIENCE)
    assert [note["dropped"] for note in trace.open(one.folder).notes()] == [{"fault": 2}]
    assert one.handle.untold() == {}


def test_calls_that_died_with_the_last_recorder_are_known_though_the_log_does_not_tell(
    held: Callable[..., Held],
) -> None:
    one = held(linger_seconds=0)
    os.kill(one.pid, signal.SIGSTOP)
    one.handle.count("fault", 2)
    for number in range(3):
        one.submit(number)
    while one.handle.waiting:
        threading.Event().wait(0.01)
    assert not one.handle.close(0.1)
    assert one.handle.untold() == {}  # it may still write them
    os.kill(one.pid, signal.SIGKILL)
    assert one.handle.close(PATIENCE)
    assert one.handle.untold() == {"died": 3, "fault": 2}


def test_calls_that_could_not_be_sent_in_time_are_known(held: Callable[..., Held]) -> None:
    one = held(linger_seconds=0)
    os.kill(one.pid, signal.SIGSTOP)
    assert one.handle.submit(wire.message(wire.NOTE, Note("big", "x"), whole(bytes(4 << 20), b"")))
    for number in range(3):
        one.submit(number)
    assert not one.handle.close(0.1)
    assert one.handle.untold() == {"closed": 4}
    os.kill(one.pid, signal.SIGCONT)
    assert one.handle.close(PATIENCE)
    assert one.handle.untold() == {}


def test_signals_are_for_the_proxy(held: Callable[..., Held]) -> None:
    one = held()
    one.submit(1)
    one.wait_read(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(one.pid, number)
    one.submit(2)
    one.wait_read(1)
    assert one.handle.close(PATIENCE)
    assert len(recorded(one.folder)) == 2


def test_a_proxy_that_is_gone_is_noted(held: Callable[..., Held]) -> None:
    """The pipe ends without a word, as where the proxy is killed."""
    one = held()
    one.submit(1)
    one.wait_read(1)
    process = one.handle._process
    assert process is not None
    process.into.close()
    assert process.popen.wait(PATIENCE) == 0
    assert recorded(one.folder) == [finished(1).id]
    assert notes(one.folder) == ["proxy_gone"]


def test_a_fault_in_hearing_it_is_told_and_it_is_heard_all_the_same(held: Callable[..., Held]) -> None:
    one = held()
    heard = one._heard
    failing = [True]

    def fail_once(events: Sequence[Event]) -> None:
        if failing and any(isinstance(event, ReplyRead) for event in events):
            failing.clear()
            raise ValueError("no such thing")
        heard(events)

    one.handle._on_events = fail_once
    one.submit(1)
    assert one.said.get(timeout=PATIENCE) == "recorder: an event could not be handled: ValueError: no such thing"
    one.submit(2)
    assert one.wait_read(1)[0].call_id == finished(2).id


def test_a_recorder_that_speaks_nonsense_gives_way_to_another(held: Callable[..., Held]) -> None:
    one = held()
    one.submit(1)
    one.wait_read(1)
    process = one.handle._process
    assert process is not None
    pretend, speak = os.pipe()
    os.dup2(pretend, process.out.fileno())  # what comes next to the listener is ours
    os.write(speak, b"\xff\xff\xff\x7f")
    one.submit(2)  # its answer still comes by the old pipe, on which the listener waits
    assert "It is started again with the next call" in one.said.get(timeout=PATIENCE)
    one.submit(3)
    while one.wait_read(1)[0].call_id != finished(3).id:
        pass
    assert one.pid != process.popen.pid
    assert one.handle.close(PATIENCE)
    assert set(recorded(one.folder)) == {finished(number).id for number in (1, 2, 3)}
    for end in (pretend, speak):
        os.close(end)


def test_a_receipt_tells_when_what_came_before_it_is_written(held: Callable[..., Held]) -> None:
    one = held()
    for number in range(20):
        one.submit(number)
    receipt = one.handle.receipt()
    while not receipt():
        threading.Event().wait(0.01)
    assert len(recorded(one.folder)) == 20


def test_a_receipt_of_a_recorder_that_dies_says_that_no_more_will_be_written(held: Callable[..., Held]) -> None:
    one = held(linger_seconds=0)
    assert one.handle.wait_ready(PATIENCE)
    os.kill(one.pid, signal.SIGSTOP)
    one.submit(1)
    receipt = one.handle.receipt()
    while one.handle.waiting:
        threading.Event().wait(0.01)
    assert not receipt()
    os.kill(one.pid, signal.SIGKILL)
    while not receipt():
        threading.Event().wait(0.01)
    assert recorded(one.folder) == []


def test_whoever_hurries_a_recorder_that_hangs_fills_no_memory(held: Callable[..., Held]) -> None:
    one = held(max_calls=10, linger_seconds=0)
    os.kill(one.pid, signal.SIGSTOP)
    big = bytes(4 << 20)  # more than the pipe takes
    assert one.handle.submit(wire.message(wire.NOTE, Note("big", "x"), whole(big, b"")))
    for _ in range(100):
        one.handle.hurry()
    assert one.handle.waiting <= 11
    os.kill(one.pid, signal.SIGCONT)
