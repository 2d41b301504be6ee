"""The loop of pushing, on logs as the recorder writes them, with a sender of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.push.logs import ACCEPTED, SECOND, START, Log, ScriptedSender, call, log_of, target

from sessiontap import trace
from sessiontap.push import pushed_calls
from sessiontap.push.cursor import Cursor, CursorFile, path_of
from sessiontap.push.delivery import LONGEST_PAUSE, NotDelivered
from sessiontap.push.pusher import LONGEST_REST, LOOK_EVERY, Clocks, Pusher, cursor_of
from sessiontap.push.target import TargetAnswer
from sessiontap.trace.backlog import Backlog

LOOP = [
    call("c1", 0, conversation="v", asks=["search"]),
    call("c2", 1, conversation="v", parent="c1", results=["search"], step=1),
    call("c3", 60, conversation="v", parent="c2", step=2),
]
"""A user's message, a tool, the reply; then the next message."""


def push(folder: Path, sender: ScriptedSender, told: list[str] | None = None, **more: object) -> Cursor:
    """Push what there is, and return the cursor as it was written."""
    file, cursor = cursor_of(folder, "made-up", "http://h", more.pop("since", None))  # type: ignore[arg-type]
    pushed = Pusher(
        trace.open(folder),
        sender,
        file,
        cursor,
        target=target(has_turns=more.pop("has_turns", True)),
        content=bool(more.pop("content", False)),
        pause=lambda seconds: True,
        tell=(told if told is not None else []).append,
        clocks=Clocks(now=lambda: START + 70 * SECOND),
        **more,  # type: ignore[arg-type]
    )
    with file.held():
        pushed.run()
    written = file.read()
    assert written is not None
    return written


def test_each_call_is_sent_and_then_each_complete_turn(tmp_path: Path) -> None:
    sender = ScriptedSender()
    push(log_of(tmp_path, *LOOP), sender)
    assert sender.taken == ["c1", "c2", "turn c1", "c3", "turn c3"]
    assert [[one.call.id for one in turn.calls] for turn in sender.turns] == [["c1", "c2"], ["c3"]]
    assert [(one.turn, one.number) for one in sender.calls] == [("c1", 0), ("c1", 0), ("c3", 1)]


def test_a_second_push_sends_only_what_is_new(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(LOOP[:1])
    log.close()
    first = ScriptedSender()
    cursor = push(tmp_path, first)
    assert (first.taken, len(cursor.turns["open"])) == (["c1"], 1)
    log = Log(tmp_path)
    log.write(LOOP[1:])
    log.close()
    second = ScriptedSender()
    push(tmp_path, second)
    assert second.taken == ["c2", "turn c1", "c3", "turn c3"]
    assert [one.call.id for one in second.turns[0].calls] == ["c1", "c2"]


def test_content_is_parts_and_how_many_of_them_were_sent_before(tmp_path: Path) -> None:
    begun = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
    went_on = (
        b'{"model": "m", "messages": [{"role": "user", "content": "hello"}, '
        b'{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "and now?"}]}'
    )
    first = call("c1", conversation="v", asked=begun)
    log_of(tmp_path, first, call("c2", 9, parent="c1", conversation="v", asked=went_on))
    sender = ScriptedSender()
    push(tmp_path, sender, content=True)
    second = sender.calls[1]
    assert second.parts is not None
    assert [part.text for part in second.parts.request[second.first_new :]] == ["and now?"]
    plain = ScriptedSender()
    (tmp_path / "push").rename(tmp_path / "other")
    push(tmp_path, plain)
    assert [(one.parts, one.title) for one in plain.calls] == [(None, None)] * 2


def test_a_target_that_is_down_keeps_the_cursor_where_it_is(tmp_path: Path) -> None:
    log_of(tmp_path, *LOOP)
    down = ScriptedSender(lambda sent: TargetAnswer("later", "503 down"))
    with pytest.raises(NotDelivered, match="503 down"):
        push(tmp_path, down)
    assert down.taken == []
    back = ScriptedSender()
    cursor = push(tmp_path, back)
    assert back.taken == ["c1", "c2", "turn c1", "c3", "turn c3"]
    assert (cursor.calls, cursor.last_error) == (3, None)


def test_a_target_that_is_down_for_a_day_costs_a_try_every_few_minutes_and_one_sentence(tmp_path: Path) -> None:
    day, now, tries, told = 86_400.0, 0.0, 0, list[str]()

    def pause(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return now < day + 60

    def answer(sent: list[str]) -> TargetAnswer:
        nonlocal tries
        if now >= day - 300:
            return ACCEPTED
        tries += 1
        return TargetAnswer("later", f"503 request {tries}")

    log_of(tmp_path, *(call(f"c{n}", n) for n in range(500)))
    sender = ScriptedSender(answer)
    file, cursor = cursor_of(tmp_path, "made-up", "http://h", None)
    with file.held():
        Pusher(
            trace.open(tmp_path), sender, file, cursor, target=target(), content=False, follow=True, pause=pause,
            tell=told.append, clocks=Clocks(lambda: now, now=lambda: START + 3600 * SECOND),
        ).run()  # fmt: skip
    assert tries < 2 * day / LONGEST_PAUSE
    assert told == ["503 request 1; it is tried again until it goes"]
    assert sorted(sender.taken) == sorted([f"c{n}" for n in range(500)] + [f"turn c{n}" for n in range(500)])


def test_one_item_that_is_refused_is_set_aside_alone(tmp_path: Path) -> None:
    log_of(tmp_path, *(call(f"c{n}", n) for n in range(20)))
    told: list[str] = []
    sender = ScriptedSender(lambda sent: TargetAnswer("refused", "400 bad id") if "c7" in sent else ACCEPTED)
    cursor = push(tmp_path, sender, told)
    assert [(one["call"], one["reason"]) for one in cursor.set_aside] == [("c7", "400 bad id")]
    assert set(sender.taken) == {f"c{n}" for n in range(20) if n != 7} | {f"turn c{n}" for n in range(20)}
    assert told == ["call c7 was set aside: 400 bad id"]


def test_a_call_that_its_target_cannot_make_items_of_is_set_aside(tmp_path: Path) -> None:
    class Faulty(ScriptedSender):
        def call_items(self, call):  # type: ignore[no-untyped-def]
            if call.call.id == "c1":
                raise KeyError("x")
            return super().call_items(call)

    log_of(tmp_path, call("c1"), call("c2", 5))
    sender = Faulty()
    cursor = push(tmp_path, sender)
    assert sender.taken == ["turn c1", "c2", "turn c2"]
    assert cursor.set_aside[0]["reason"] == "it could not be read: KeyError"


def test_one_that_follows_begins_where_the_first_of_them_was_to_begin(tmp_path: Path) -> None:
    """A proxy's push that has died before any call came is followed by one that was told a later time."""
    log = Log(tmp_path)
    endings = iter([False])
    file, cursor = cursor_of(tmp_path, "made-up", "http://h", LOOP[1]["time"])
    with file.held():
        Pusher(
            trace.open(tmp_path), ScriptedSender(), file, cursor, target=target(), content=False, follow=True,
            pause=lambda seconds: next(endings), tell=[].append,
        ).run()  # fmt: skip
    log.write(LOOP)
    log.close()
    sender = ScriptedSender()
    push(tmp_path, sender, since=LOOP[2]["time"])
    assert [one.call.id for one in sender.calls] == ["c2", "c3"]


def test_errands_of_agents_are_not_sent(tmp_path: Path) -> None:
    count = call("c1", agent="claude-code")
    count["llm"]["operation"] = "count_tokens"
    sender = ScriptedSender()
    cursor = push(log_of(tmp_path, count, call("c2", 1)), sender)
    assert sender.taken == ["c2", "turn c2"]
    assert cursor.calls == 1


def test_a_call_that_a_target_passes_over_is_not_counted_as_sent(tmp_path: Path) -> None:
    class Choosy(ScriptedSender):
        def call_items(self, call):  # type: ignore[no-untyped-def]
            return [] if call.call.id == "c1" else super().call_items(call)

    cursor = push(log_of(tmp_path, call("c1"), call("c2", 5)), Choosy())
    assert cursor.calls == 1


def test_a_target_of_calls_alone_is_asked_for_no_turns(tmp_path: Path) -> None:
    sender = ScriptedSender()
    cursor = push(log_of(tmp_path, *LOOP), sender, has_turns=False)
    assert sender.taken == ["c1", "c2", "c3"]
    assert (sender.turns, cursor.turns_sent) == ([], 0)


def test_segments_that_went_away_are_told_and_the_rest_is_sent(tmp_path: Path) -> None:
    log_of(tmp_path, *LOOP[:2])
    cursor = Cursor("made-up", "http://h")
    backlog = Backlog(tmp_path)
    next(iter(backlog))
    cursor.position = backlog.position
    file = CursorFile(path_of(tmp_path, "made-up", "http://h"))
    with file.held():
        file.write(cursor)
    for path in tmp_path.glob("*.mpk*"):
        path.unlink()
    log_of(tmp_path, call("c9", 90))
    told: list[str] = []
    sender = ScriptedSender()
    assert push(tmp_path, sender, told).gone_count == 1
    assert sender.taken == ["c9", "turn c9"]
    assert told == ["1 segment of the log went away before all calls in it were sent"]


def test_a_turn_that_is_too_large_is_told_without_the_bodies_in_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed_calls, "TURN_BYTES", 500)
    calls = [
        call(f"c{n}", n, conversation="v", parent=f"c{n - 1}" if n else None, asks=["f"] if n < 5 else [])
        for n in range(6)
    ]
    sender = ScriptedSender()
    push(log_of(tmp_path, *calls), sender)
    (turn,) = sender.turns
    assert [one.call.request_body.data is not None for one in turn.calls] == [True, True, False, False, False, True]
    assert turn.calls[2].call.request_body.missing == "left out: the turn is very long"


def test_since_leaves_out_older_calls_for_good(tmp_path: Path) -> None:
    log_of(tmp_path, *LOOP)
    sender = ScriptedSender()
    push(tmp_path, sender, since=LOOP[2]["time"])
    push(tmp_path, sender)
    assert sender.taken == ["c3", "turn c3"]


@pytest.mark.parametrize(
    ("pace", "rest"),
    [
        pytest.param(1 / 64, 0.125, id="idle machine"),
        pytest.param(5 / 64, 0.625, id="busy machine"),
        pytest.param(30.0, LONGEST_REST, id="a machine that stood still"),
    ],
)
def test_it_takes_no_more_than_its_share_of_a_core(tmp_path: Path, pace: float, rest: float) -> None:
    """The clocks of the test: each call takes a 64th second of CPU time, and `pace` seconds."""
    log_of(tmp_path, *(call(f"c{n}", n) for n in range(6)))
    sender = ScriptedSender()
    rests: list[float] = []

    def pause(seconds: float) -> bool:
        rests.append(round(seconds, 6))
        return seconds != LOOK_EVERY  # it ends after its first look

    file, cursor = cursor_of(tmp_path, "made-up", "http://h", None)
    with file.held():
        Pusher(
            trace.open(tmp_path),
            sender,
            file,
            cursor,
            target=target(),
            content=False,
            pause=pause,
            tell=str,
            follow=True,
            share=0.2,
            clocks=Clocks(monotonic=lambda: len(sender.calls) * pace, cpu=lambda: len(sender.calls) / 64),
        ).run()
    assert rests == [rest, rest, rest, LOOK_EVERY]
    assert [one for one in sender.taken if not one.startswith("turn")] == [f"c{n}" for n in range(6)]


def test_time_without_calls_is_no_work_to_rest_from(tmp_path: Path) -> None:
    """An hour passes with looks at the log that take CPU time; then two calls come."""
    log = Log(tmp_path)
    sender = ScriptedSender()
    rests: list[float] = []
    now, cpu = 0.0, 0.0

    def pause(seconds: float) -> bool:
        nonlocal now, cpu
        if seconds != LOOK_EVERY:
            rests.append(round(seconds, 6))
        elif now == 0.0:
            log.write(LOOP[:2])
            log.settle()
        now, cpu = now + 3600, cpu + 1
        return seconds != LOOK_EVERY or now < 4 * 3600

    file, cursor = cursor_of(tmp_path, "made-up", "http://h", None)
    with file.held():
        Pusher(
            trace.open(tmp_path),
            sender,
            file,
            cursor,
            target=target(),
            content=False,
            pause=pause,
            tell=str,
            follow=True,
            share=0.2,
            clocks=Clocks(monotonic=lambda: now, cpu=lambda: cpu),
        ).run()
    assert sender.taken[:2] == ["c1", "c2"]
    assert rests == []


@pytest.mark.parametrize(
    ("seconds", "work", "sent"),
    [
        pytest.param(0.001, 0.001, 6, id="idle machine"),
        pytest.param(30.0, 0.001, 6, id="busy machine"),
        pytest.param(3.0, 0.6, 2, id="too much is left"),
    ],
)
def test_at_its_end_it_sends_what_the_log_has_by_then(tmp_path: Path, seconds: float, work: float, sent: int) -> None:
    """The clocks of the test: each call takes `seconds`, and `work` seconds of CPU time."""
    log = Log(tmp_path)
    sender = ScriptedSender()

    def pause(_: float) -> bool:
        log.write([call(f"c{n}", n) for n in range(6)])
        log.settle()
        return False

    file, cursor = cursor_of(tmp_path, "made-up", "http://h", None)
    with file.held():
        Pusher(
            trace.open(tmp_path),
            sender,
            file,
            cursor,
            target=target(has_turns=False),
            content=False,
            pause=pause,
            tell=str,
            follow=True,
            clocks=Clocks(monotonic=lambda: len(sender.calls) * seconds, cpu=lambda: len(sender.calls) * work),
        ).run()
    assert sender.taken == [f"c{n}" for n in range(sent)]
