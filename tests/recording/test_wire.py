"""Messages between the proxy and the recorder: whatever is put in comes out, however the pipe cuts it."""

from __future__ import annotations

import os
import pickle
import threading
import tracemalloc
from typing import Any

import pytest

from sessiontap.callers import Caller
from sessiontap.llm.history import DelegatedPrompt, ReplyFingerprint
from sessiontap.recording import wire
from sessiontap.recording.budget import Budget, Lease
from sessiontap.recording.finished import Event, Fault, Handled, Note, PlannerUpdate, ReplyRead, UserMessage

LARGE = bytes(range(256)) * 4096
MESSAGES: dict[str, tuple[int, Any, tuple[bytes, bytes]]] = {
    "rules": (wire.RULES, (("x-key",), ("re:k[0-9]+",), (("my-*", "1", "2", "0.5", "1"),)), (b"", b"")),
    "a caller": (wire.CALLER, Caller("c", 7, 1, "bot.py", argv=("python", "bot.py"), env={"A": "b"}), (b"", b"")),
    "text that is no UTF-8": (wire.CALLER, Caller("c", 7, None, "bot\udcff"), (b"", b"")),
    "a note": (wire.NOTE, Note("rules", "3 rules", {"file": "a", "count": 3, "list": [1, None]}), (b"", b"")),
    "a number of over 64 bits": (wire.NOTE, Note("x", "y", {"n": 1 << 70}), (b"", b"")),
    "bodies": (wire.NOTE, Note("x", "y"), (b"a", LARGE)),
    "the end": (wire.END, None, (b"", b"")),
}


def whole(*bodies: bytes) -> list[wire.Pieces]:
    """Bodies in a piece each."""
    return [([body], len(body)) for body in bodies]


def sent(pieces: list[bytes], sizes: int | None) -> list[wire.Message]:
    """What comes out of a pipe into which `pieces` go, `sizes` bytes at a time."""
    out, into = os.pipe()

    def send() -> None:
        data = b"".join(pieces)
        if sizes is None:
            wire.write(into, pieces)
        else:
            for at in range(0, len(data), sizes):
                os.write(into, data[at : at + sizes])
        os.close(into)

    thread = threading.Thread(target=send)
    thread.start()
    found = [message for messages in wire.Messages(out) for message in messages]
    thread.join()
    os.close(out)
    return found


@pytest.mark.parametrize("sizes", [None, 1, 7, 65_536], ids=["as written", "single bytes", "seven", "a pipe's"])
def test_messages_come_out_as_they_went_in(sizes: int | None) -> None:
    given = [one for one in MESSAGES.values() if sizes != 1 or len(one[2][1]) < 10]
    pieces = [piece for kind, value, bodies in given for piece in wire.message(kind, value, whole(*bodies))]
    found = sent(pieces, sizes)
    assert [(one.kind, wire.value_of(one), one.bodies) for one in found] == given


def test_a_body_goes_in_the_pieces_that_it_came_in() -> None:
    pieces = wire.message(wire.NOTE, Note("a", "b"), [([b"one", b"two"], 6), ([LARGE, b"", LARGE], 2 * len(LARGE))])
    assert [one.bodies for one in sent(pieces, None)] == [(b"onetwo", LARGE + LARGE)]


def test_more_pieces_than_one_write_takes() -> None:
    pieces = [piece for _ in range(3000) for piece in wire.message(wire.NOTE, Note("a", "b"), whole(b"c", b"d"))]
    assert len(sent(pieces, None)) == 3000


def test_under_load_messages_come_together_and_what_hurries_does_not_wait() -> None:
    out, into = os.pipe()
    note = b"".join(wire.message(wire.NOTE, Note("a", "b")))
    messages = iter(wire.Messages(out, linger=60.0))
    os.write(into, note)
    assert len(next(messages)) == 1  # after a silence: at once
    os.write(into, note)
    hurried = threading.Timer(0.1, os.write, (into, note + b"".join(wire.message(wire.HURRY))))
    hurried.start()
    assert [one.kind for one in next(messages)] == [wire.NOTE, wire.NOTE, wire.HURRY]
    os.write(into, note * 2)
    os.close(into)
    assert [len(found) for found in messages] == [2]  # nor is the end waited for
    os.close(out)


def test_memory_is_had_for_large_bodies_before_they_are_read_and_all_before_them_is_taken_by_then() -> None:
    out, into = os.pipe()
    note, body = b"".join(wire.message(wire.NOTE, Note("a", "b"))), LARGE * 16
    pieces = wire.message(wire.CALL, None, whole(b"asked", body))
    done: list[Any] = []
    budget = Budget(1 << 30)

    def reserve(size: int) -> Lease:
        done.append(size)
        return Lease.of(budget, size)

    def send() -> None:
        wire.write(into, [note, *pieces, *pieces, note])
        os.close(into)

    thread = threading.Thread(target=send)
    messages = wire.Messages(out, linger=60.0)
    messages.reserve = reserve
    tracemalloc.start()
    try:
        thread.start()
        for found in messages:
            done += ["taken" if one.bodies == (b"asked", body) else "a note" for one in found]
            leases = [one.lease.size if one.lease is not None else None for one in found]
            assert leases == [5 + len(body) if any(one.bodies) else None for one in found]
            found.clear()
            assert budget.used == 0, "a message that was taken is held"
            at_most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    thread.join()
    os.close(out)
    assert done == ["a note", *[5 + len(body), "taken"] * 2, "a note"]
    assert at_most < 1.5 * len(body)


def test_a_large_call_that_breaks_off_is_none_and_ends_the_messages() -> None:
    pieces = wire.message(wire.CALL, None, whole(b"asked", LARGE * 4))
    assert sent([b"".join(pieces)[:-1]], None) == []


EVENTS: list[Event] = [
    ReplyRead(
        PlannerUpdate(
            "a",
            "s",
            5,
            ReplyFingerprint(b"k", delegated=(DelegatedPrompt(b"d", "Task", None),), lines=frozenset([b"l"])),
            "t",
        ),
        "a line",
    ),
    ReplyRead(PlannerUpdate("b", None, 5, None, None), None),
    Fault("reading a reply", "ValueError: no"),
    UserMessage("disk", "records are lost"),
    Handled(7),
]


@pytest.mark.parametrize("more", [[], [Fault("x", "\udcff")]], ids=["plain", "text that is no UTF-8"])
def test_events_come_back(more: list[Event]) -> None:
    out, into = os.pipe()
    for event in EVENTS + more:
        os.write(into, wire.events([event]))
    os.write(into, wire.events(EVENTS + more)[:-1])  # cut in its middle, as by a kill
    os.close(into)
    assert [event for events in wire.events_from(out) for event in events] == EVENTS + more
    os.close(out)


def framed(data: bytes, *, pickled: bool = False) -> bytes:
    return (len(data) | (pickled << 31)).to_bytes(4, "little") + data


@pytest.mark.parametrize(
    "malformed",
    [
        framed(b"\xc1"),
        framed(b""),
        framed(b"\x91\x80"),
        framed(b"\x05"),
        framed(b"not a pickle", pickled=True),
        framed(pickle.dumps([object]), pickled=True),
        framed(pickle.dumps(7), pickled=True),
    ],
    ids=["no MessagePack", "nothing", "no event", "no list", "no pickle", "a pickle of something else", "a number"],
)
def test_an_event_that_cannot_be_read_is_told_and_later_ones_are_heard(malformed: bytes) -> None:
    out, into = os.pipe()
    os.write(into, wire.events(EVENTS[:2]) + malformed + wire.events(EVENTS[2:]))
    os.close(into)
    found = [event for events in wire.events_from(out) for event in events]
    os.close(out)
    fault = found.pop(2)
    assert found == EVENTS
    assert isinstance(fault, Fault)
    assert "could not be read" in fault.text


def test_a_length_that_no_message_has_ends_the_listening_and_is_told() -> None:
    out, into = os.pipe()
    os.write(into, wire.events(EVENTS) + b"\xff\xff\xff\x7f" + wire.events(EVENTS))
    found = [event for events in wire.events_from(out) for event in events]
    os.close(into)
    os.close(out)
    assert found[: len(EVENTS)] == EVENTS
    (fault,) = found[len(EVENTS) :]
    assert isinstance(fault, Fault)
