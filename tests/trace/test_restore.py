"""Restoring: the newest heads first, within a budget, whatever state the files are in."""

import itertools

import pytest
from tests.trace.conftest import CALLER, call_map

from sessiontap.trace import frame
from sessiontap.trace.restore import RestorableCall, RestorableCalls


def numbers(restored: RestorableCalls) -> list[int]:
    return [int(head.id[9:13], 16) for head in restored]


def test_heads_come_from_the_call_written_last_back(written, folder):
    written(CALLER, *map(call_map, (0, 1)))
    written(CALLER, *map(call_map, (2, 3)))
    restored = RestorableCalls(folder)

    assert numbers(restored) == [3, 2, 1, 0]
    assert restored.note is None


def test_a_head_holds_what_state_is_made_of(written, folder):
    written(call_map(12, session={"id": "s", "step": 2, "key": "k"}, conversation="c", parent="p", evidence="exact"))

    assert list(RestorableCalls(folder)) == [
        RestorableCall(
            id=call_map(12)["id"],
            time=call_map(12)["time"],
            duration=500_000_000,
            session={"id": "s", "step": 2, "key": "k"},
            caller="caller-1",
            conversation="c",
            parent="p",
            evidence="exact",
            response_id="resp-12",
            tools=(("tool-12", None),),
        )
    ]


def test_a_budget_that_is_used_up_is_noted(written, folder):
    written(*map(call_map, range(10)))
    clock = itertools.count()
    restored = RestorableCalls(folder, 14, clock=lambda: float(next(clock)))

    assert numbers(restored) == [9, 8, 7]
    assert restored.note == "restoring stopped after 14 s (calls so far: 3), in segment 1 of 1"


@pytest.mark.parametrize("damage", ["a flipped length", "a flipped bit", "torn", "foreign bytes before"])
def test_damage_costs_the_damaged_call_alone(written, folder, damage):
    written(*map(call_map, range(4)))
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        offsets = [one.offset for one in frame.scan(file)]
    at = offsets[2]  # the second call
    lost = {1}
    if damage == "a flipped length":
        data[at + 7] ^= 1
    elif damage == "a flipped bit":
        data[at + 40] ^= 1
    elif damage == "torn":
        del data[-3:]
        lost = {3}
    else:
        data[at:at] = b"foreign"
        lost = set()
    path.write_bytes(data)

    assert numbers(RestorableCalls(folder)) == [n for n in (3, 2, 1, 0) if n not in lost]


def test_other_versions_and_missing_folders_restore_nothing(folder):
    assert numbers(RestorableCalls(folder)) == []
    folder.mkdir()
    header = {"type": "segment", "format": "sessiontap-trace", "version": 1}
    (folder / "a.mpk").write_bytes(frame.encode(header) + frame.encode(call_map(1)))

    assert numbers(RestorableCalls(folder)) == []
