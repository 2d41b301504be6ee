"""A clock that is set by hours while the proxy runs: durations stay true, ids valid, sessions whole, lists in order."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.faults import patches
from tests.e2e.lab import Lab, Proxy, own_environment
from tests.support import warm
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate

from sessiontap import trace
from sessiontap.trace import RecordedCall

CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
REPLY = b'{"id": "chatcmpl-1", "choices": [{"index": 0, "finish_reason": "stop"}]}'
RULES: Any = {"version": 1, "rules": [{"session": {"name": "Idle", "id": "process", "idle": "10m"}}]}
HOUR = 3600
SECOND = 10**9
JUMPS = {"forwards": 30 * HOUR, "backwards": -5 * HOUR}


class Clocked:
    """A proxy whose clock can be set, and an app that asks through it."""

    def __init__(self, lab: Lab, folder: Path, off: int = 0) -> None:
        self._off, self._passed = lab.folder / "seconds-off", 0
        self._now = off
        self._write()
        self.proxy: Proxy = lab.proxy(
            RULES,
            options={"session_trace": folder},
            patch=patches.SET_CLOCK,
            environment={"CLOCK": str(self._off)},
        )
        self.proxy.pass_over()

    def set(self, seconds: int) -> None:
        """Set the time of day to be off by so much."""
        self._now = seconds
        self._write()

    def pass_time(self, seconds: int) -> None:
        """All clocks go on by so much."""
        self._passed += seconds
        self._write()

    def _write(self) -> None:
        draft = self._off.with_suffix(".draft")
        draft.write_text(f"{self._now} {self._passed}")
        draft.replace(self._off)

    def ask(self) -> RecordedCall:
        with self.proxy.client() as app:
            assert app.post(CHAT, json=QUESTION).content == REPLY
        (call,) = self.proxy.take()
        return call


async def answer(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, REPLY, [("content-type", "application/json")])


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS.keys())
def test_durations_are_true(lab: Lab, tmp_path: Path, jump: int) -> None:
    """A reply that comes in two parts, and the clock is set between them."""
    gates = [Gate(), Gate()]

    async def stream(request: Request, respond: Respond) -> None:
        await request.body()
        await gates[0].passed()
        await respond.start(200, [("content-type", "text/event-stream")])
        await respond.send(b"data: {}\n\n")
        await gates[1].passed()
        await respond.send(b"data: [DONE]\n\n")
        await respond.end()

    lab.upstream(stream)
    clocked = Clocked(lab, tmp_path / "trace")
    with clocked.proxy.client() as app:
        gates[0].open()
        with app.stream("POST", CHAT, json={**QUESTION, "stream": True}) as reply:
            pieces = reply.iter_raw()
            next(pieces)
            clocked.set(jump)
            gates[1].open()
            assert b"".join(pieces) == b"data: [DONE]\n\n"
    (call,) = clocked.proxy.stop()

    assert 0 < call.record["time_to_first_byte"] <= call.record["duration"] < 60 * SECOND


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS.keys())
def test_calls_ids_and_lists_stay_in_order(lab: Lab, tmp_path: Path, jump: int) -> None:
    """Of this proxy, and of one that is started after the clock was set back."""
    lab.upstream(answer)
    folder = tmp_path / "trace"
    calls = []
    for first, second in ((0, jump), (jump, 0)):
        clocked = Clocked(lab, folder, first)
        calls += [clocked.ask(), clocked.ask()]
        clocked.set(second)
        calls += [clocked.ask(), clocked.ask()]
        clocked.proxy.stop()

    assert len({call.id for call in calls}) == len(calls)
    assert all(uuid.UUID(call.id).version == 7 for call in calls)
    log = trace.open(folder)
    assert log.problems == []
    by_time = sorted(calls, key=lambda call: call.record["time"])
    assert [call.id for call in log.calls(newest_first=False)] == [call.id for call in by_time]
    assert [row["id"] for row in log.query_calls()] == [call.id for call in reversed(by_time)]
    assert sum(row["calls"] for row in log.query_sessions()) == len(calls)
    for row in log.query_sessions():
        assert row["duration"] is None or row["duration"] >= 0
    log.close()
    for words in (["ls", "--json"], ["show", "@1", "--json"], ["calls", "--json"], ["tail", "--json"]):
        done = warm.sessiontap().run([*words, "--trace", str(folder)], own_environment())
        assert (done.returncode, done.stderr) == (0, b"")
        assert [json.loads(line) for line in done.stdout.splitlines()]


def sessions(clocked: Clocked, *offs: int) -> list[str | None]:
    """The session of a call at each setting of the clock."""
    ids = []
    for off in offs:
        clocked.set(off)
        ids.append(clocked.ask().session_id)
    return ids


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS.keys())
def test_a_jump_is_no_silence(lab: Lab, tmp_path: Path, jump: int) -> None:
    """A session that ends after ten minutes without a call goes on: there was no such time."""
    lab.upstream(answer)
    clocked = Clocked(lab, tmp_path / "trace")

    assert len(set(sessions(clocked, 0, jump, jump, 0, jump))) == 1


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS.keys())
def test_silence_after_a_jump_ends_a_session(lab: Lab, tmp_path: Path, jump: int) -> None:
    """As much as before; with time that passes for all clocks."""
    lab.upstream(answer)
    clocked = Clocked(lab, tmp_path / "trace")

    found = sessions(clocked, 0, jump)
    clocked.pass_time(9 * 60)
    found += sessions(clocked, jump)
    clocked.pass_time(11 * 60)
    found += sessions(clocked, jump)
    assert len(set(found[:-1])) == 1
    assert found[-1] != found[0]
