"""Which calls a limit refuses: tables of calls with plain values."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.limits import CallScopes, Counted, EndedCall, Measure, Threshold, Tracker

SECOND = 10**9
NOON = 1_763_726_400 * SECOND
CALL = CallScopes(NOON, "5f3a9c21-aaaa", "Course", "/course", "ann", "tree-1", "agent.py")


def limit(measure: Measure, most: float, **more: Any) -> Threshold:
    return Threshold(**({"kind": "limit", "rule": "agent", "measure": measure, "most": most, "per": "process"} | more))


class Calls:
    """Calls through a tracker, one a second."""

    def __init__(self, *thresholds: Threshold) -> None:
        self.tracker, self.thresholds, self.number = Tracker(), thresholds, 0

    def passes(self, digest: bytes | None = None, *, at: int | None = None, **came_to: Any) -> bool:
        """A call that begins and, if it is not refused, ends at once."""
        self.number += 1
        now = NOON + (self.number if at is None else at) * SECOND
        begun = self.tracker.begin(str(self.number), CALL._replace(at=now), self.thresholds, digest)
        if begun.refused is None:
            self.tracker.ended(str(self.number), Counted(now, **came_to))
        return begun.refused is None


PASSES, REFUSED = True, False


@pytest.mark.parametrize(
    ("threshold", "calls", "passed"),
    [
        (limit("calls", 2), [{}] * 4, [PASSES, PASSES, REFUSED, REFUSED]),
        (limit("tokens", 100), [{"tokens": 99}, {"tokens": 1}, {}], [PASSES, PASSES, REFUSED]),
        (limit("cost_usd", 1.0), [{"cost_usd": 5.0}, {}], [PASSES, REFUSED]),
        (limit("cost_usd", 1.0), [{"cost_usd": None}] * 4, [PASSES] * 4),
        (limit("tokens", 100), [{"tokens": None}] * 4, [PASSES] * 4),
        (limit("duration", 3), [{}] * 5, [PASSES, PASSES, PASSES, REFUSED, REFUSED]),
        (limit("error_rate", 0.5), [{"failed": True}] * 6, [PASSES] * 5 + [REFUSED]),
        (limit("error_rate", 0.5), [{}] * 6, [PASSES] * 6),
        (limit("repeats", 2), [{"digest": one} for one in (b"a", b"a", b"a", b"b")], [PASSES, PASSES, REFUSED, PASSES]),
        (limit("repeats", 2), [{}] * 4, [PASSES] * 4),
        (limit("calls", 2, within=60.0), [{"at": at} for at in (0, 1, 2, 100)], [PASSES, PASSES, REFUSED, PASSES]),
    ],
    ids=[
        "calls", "tokens", "cost", "no price", "no count of tokens", "duration", "errors", "unknown ends", "a loop",
        "requests that cannot be told apart", "a window",
    ],
)  # fmt: skip
def test_a_limit_refuses_calls_once_it_is_reached(
    threshold: Threshold, calls: list[dict[str, Any]], passed: list[bool]
) -> None:
    made = Calls(threshold)
    assert [made.passes(**one) for one in calls] == passed


def test_a_refused_call_counts_for_nothing() -> None:
    alert = Threshold("alert", "agent", "calls", 3, "process")
    calls = Calls(limit("calls", 2), alert)
    assert [calls.passes() for _ in range(4)] == [PASSES, PASSES, REFUSED, REFUSED]
    begun = calls.tracker.begin("alone", CALL, [alert])
    assert [one.value for one in begun.crossings] == [3]


def test_only_the_first_refusal_is_told_until_the_count_falls() -> None:
    tracker, threshold = Tracker(), limit("calls", 1, within=60.0)
    found = [tracker.begin(str(at), CALL._replace(at=NOON + at * SECOND), [threshold]) for at in (0, 1, 2, 100, 101)]
    assert [(one.refused is not None, one.is_first) for one in found] == [
        (False, False), (True, True), (True, False), (False, False), (True, True),
    ]  # fmt: skip


def test_what_cannot_be_refused_passes_and_counts() -> None:
    tracker, threshold = Tracker(), limit("calls", 1)
    begun = [tracker.begin(str(at), CALL, [threshold], may_refuse=False) for at in range(3)]
    assert [one.refused for one in begun] == [None] * 3
    (refused,) = filter(None, [tracker.begin("last", CALL, [threshold]).refused])
    assert refused.value == 3


def test_what_is_no_call_of_its_session_is_refused_and_does_not_count() -> None:
    tracker, threshold = Tracker(), limit("calls", 1)
    upgrades = [tracker.begin(str(at), CALL, [threshold], counts=False).refused for at in range(3)]
    assert upgrades == [None] * 3
    tracker.begin("call", CALL, [threshold])
    assert tracker.begin("upgrade", CALL, [threshold], counts=False).refused is not None


def test_a_limit_that_is_lifted_counts_from_0_in_its_scope_alone() -> None:
    tracker, threshold = Tracker(), limit("calls", 1)
    other = CALL._replace(process="tree-2")
    for scopes in (CALL, CALL, other, other):
        tracker.begin("call", scopes, [threshold])
    assert [one.scope.key for one in tracker.refusing()] == ["tree-1", "tree-2"]
    lifted = tracker.lift(tracker.refusing()[0].id)
    assert lifted is not None
    assert lifted.scope.key == "tree-1"
    assert tracker.lift(lifted.id) is None
    passed = [tracker.begin("call", scopes, [threshold]).refused is None for scopes in (CALL, CALL, other)]
    assert passed == [PASSES, REFUSED, REFUSED]


@pytest.mark.parametrize(("lifted_at", "passes"), [(None, REFUSED), (1, REFUSED), (2, PASSES)])
def test_a_restart_remembers_what_was_lifted(lifted_at: int | None, passes: bool) -> None:
    """Calls of the log at the seconds 0 and 1; the limit is one call."""
    threshold = limit("calls", 1)
    first = Tracker()
    first.begin("0", CALL, [threshold])
    refused = first.begin("1", CALL, [threshold]).refused
    assert refused is not None
    lifted = {refused.id: NOON + lifted_at * SECOND} if lifted_at is not None else {}
    tracker = Tracker()
    known = [EndedCall(CALL._replace(at=at), [threshold], Counted(at)) for at in (NOON, NOON + SECOND)]
    tracker.restore(known, lifted, NOON + 2 * SECOND)
    begun = tracker.begin("2", CALL._replace(at=NOON + 2 * SECOND), [threshold])
    assert (begun.refused is None) is passes
    assert begun.is_first is not passes
