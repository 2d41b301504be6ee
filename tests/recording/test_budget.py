"""The memory that recording may hold, and who gets how much of it."""

from __future__ import annotations

import threading

import pytest
from tests.support.gate import PATIENCE

from sessiontap.recording.budget import COPIES, DEFAULT, LEAST, Budget, Lease, ReadingLease, Shares

MIB = 1 << 20


@pytest.mark.parametrize("total", [LEAST, 100 * MIB, DEFAULT, 1 << 30])
def test_the_shares_are_no_more_than_the_whole(total: int) -> None:
    shares = Shares(total)
    assert shares.proxy + shares.heads + shares.recorder + shares.index <= total
    proxy = shares.proxy + shares.reading + shares.heads
    assert proxy + shares.alone + shares.index <= total, "one large call in the recorder"
    assert shares.alone >= shares.bodies * COPIES
    assert 0 < shares.body < shares.proxy


def test_the_one_body_of_an_idle_proxy_gets_half_and_leaves_half() -> None:
    lease = Lease(Budget(1000))
    grown = 0
    while lease.grow(10):
        grown += 10
    assert grown == 500


def test_many_bodies_that_grow_together_share_equally_and_leave_as_much_for_the_next() -> None:
    budget = Budget(1700)
    leases = [Lease(budget) for _ in range(16)]
    while sum(lease.grow(1) for lease in leases):
        pass
    assert {lease.size for lease in leases} == {100}
    assert Lease(budget).grow(100)


def test_what_ends_is_free_again() -> None:
    budget = Budget(100)
    lease = Lease(budget)
    assert lease.grow(50)
    assert not Lease(budget).grow(60)
    lease.end()
    lease.end()
    assert budget.used == 0
    assert Lease(budget).grow(60)


def test_what_nobody_holds_any_more_is_free_again() -> None:
    budget = Budget(100)
    held = [Lease(budget)]
    assert held[0].grow(50)
    held.clear()
    assert budget.used == 0


def test_a_lease_gives_back_what_it_does_not_need() -> None:
    budget = Budget(100)
    lease = Lease.of(budget, 80)
    lease.shrink(30)
    lease.shrink(90)
    assert (lease.size, budget.used) == (30, 30)


def test_one_that_waits_goes_on_when_there_is_room() -> None:
    budget, went_on = Budget(100), threading.Event()
    budget.force(80)

    def wait() -> None:
        budget.wait(40)
        went_on.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not went_on.is_set()
    budget.give(30)
    assert went_on.wait(PATIENCE)
    waiting.join()
    assert budget.used == 90


def test_more_than_the_whole_is_taken_when_nobody_else_has_any() -> None:
    budget = Budget(100)
    budget.wait(1000)
    assert budget.used == 1000


def test_a_lease_that_reaches_for_more_waits_for_the_others_and_not_for_itself() -> None:
    budget, reached = Budget(100, alone=300), threading.Event()
    others, lease = Lease.of(budget, 60), Lease.of(budget, 30)
    assert lease.reach(20)
    assert lease.reach(40)
    assert budget.used == 100

    def reach() -> None:
        assert lease.reach(250)
        reached.set()

    waiting = threading.Thread(target=reach)
    waiting.start()
    assert not reached.is_set()
    others.end()
    assert reached.wait(PATIENCE)
    waiting.join()
    assert (budget.used, lease.size) == (250, 250)


def test_a_lease_does_not_wait_for_more_than_one_holder_may_ever_have() -> None:
    budget = Budget(100, alone=300)
    others, lease = Lease.of(budget, 60), Lease.of(budget, 30)
    assert not lease.reach(301)
    assert (others.size, lease.size, budget.used) == (60, 30, 90)


def test_what_is_in_use_counts_though_there_is_no_room_for_it() -> None:
    budget = Budget(100)
    lease = Lease.of(budget, 80)
    assert lease.hold(150)
    assert lease.hold(10)
    assert (lease.size, budget.used) == (150, 150)
    assert not Lease(budget).grow(1)


def test_what_is_read_has_room_of_its_own_though_bodies_have_all_of_theirs() -> None:
    budget = Budget(100, reading=50)
    body, first, second = Lease.of(budget, 100), ReadingLease(budget), ReadingLease(budget)
    assert first.read(30)
    assert first.read(20), "it has that many"
    assert not second.read(21)
    assert not Lease(budget).grow(1)
    first.end()
    assert second.read(50)
    assert (first.size, second.size, budget.used) == (0, 50, 150)
    body.end()


def test_what_is_read_leaves_half_to_bodies_and_all_when_it_is_over() -> None:
    budget = Budget(100, reading=50)
    lease, body = ReadingLease(budget), Lease(budget)
    assert not lease.read(101)
    assert lease.read(100)
    assert body.grow(50)
    assert not Lease(budget).grow(1)
    lease.end()
    assert (budget.used, budget.read, budget.free) == (50, 0, 50)


def test_what_is_in_use_counts_whether_there_is_room_or_not() -> None:
    budget = Budget(100)
    lease = Lease.of(budget, 90)
    lease.use(50)
    assert (lease.size, budget.used, budget.free) == (140, 140, -40)
    lease.end()
    assert budget.used == 0
