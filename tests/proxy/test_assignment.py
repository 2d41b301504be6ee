"""Which worker serves whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from sessiontap.proxy import assignment
from sessiontap.proxy.assignment import Assignment


@dataclass(eq=False)
class Worker:
    name: str
    connections: int = 0
    keys: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
def workers() -> list[Worker]:
    made = [Worker("A"), Worker("B"), Worker("C")]
    for one in made:
        one.up.set()
    return made


@pytest.mark.parametrize(
    ("connections", "expected"),
    [((0, 0, 0), "ABCABC"), ((1, 0, 0), "BCBCBC"), ((2, 1, 3), "BBBBBB")],
    ids=["in turn if all are idle", "not to a busy one", "to the least busy one"],
)
async def test_a_new_key(workers: list[Worker], connections: tuple[int, ...], expected: str) -> None:
    for one, number in zip(workers, connections, strict=True):
        one.connections = number
    assigned = Assignment(workers)
    assert "".join([(await assigned.worker(f"tree {number}")).name for number in range(6)]) == expected


async def test_a_key_stays_where_it_is(workers: list[Worker]) -> None:
    assigned = Assignment(workers)
    first = await assigned.worker("tree")
    first.connections = 100
    assert await assigned.worker("tree") is first


async def test_a_key_waits_for_its_worker_to_be_up_again(workers: list[Worker]) -> None:
    assigned = Assignment(workers)
    first = await assigned.worker("tree")
    first.up.clear()
    waiting = asyncio.create_task(assigned.worker("tree"))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.up.set()
    assert await waiting is first


async def test_but_another_worker_takes_it_in_the_end(workers: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "RESTART_PATIENCE", 0.01)
    assigned = Assignment(workers)
    first = await assigned.worker("tree")
    first.up.clear()
    # Two connections of the key wait, and both go to the same one.
    taken = await asyncio.gather(assigned.worker("tree"), assigned.worker("tree"))
    assert taken[0] is taken[1] is not first
    assert sum(one.keys for one in workers) == 1


async def test_if_none_is_up_the_first_that_comes_takes_it(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assignment, "RESTART_PATIENCE", 0.01)
    for one in workers:
        one.up.clear()
    waiting = asyncio.create_task(Assignment(workers).worker("tree"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    workers[2].up.set()
    assert await waiting is workers[2]


async def test_a_key_that_is_forgotten_is_not_counted(workers: list[Worker]) -> None:
    assigned = Assignment(workers, most_keys=2)
    for number in range(10):
        await assigned.worker(f"tree {number}")
    assert sum(one.keys for one in workers) == 2
