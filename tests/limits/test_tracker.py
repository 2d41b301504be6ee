"""Which alerts are told, and when: tables of calls with plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessiontap.limits import CallScopes, Counted, Crossing, EndedCall, Measure, Scope, Threshold, Tracker
from sessiontap.limits import tracker as module

SECOND = 10**9
NOON = 1_763_726_400 * SECOND
"""2025-11-21 12:00:00 UTC."""
SESSION = CallScopes(NOON, "5f3a9c21-aaaa", "Course", "/course/lesson/one", "ann", "tree-1", "agent.py")


def alert(measure: Measure, most: float, **more: Any) -> Threshold:
    return Threshold(**({"kind": "alert", "rule": "agent", "measure": measure, "most": most, "per": "session"} | more))


class Calls:
    """Calls through a tracker, one a second."""

    def __init__(self, *thresholds: Threshold, scopes: CallScopes = SESSION) -> None:
        self.tracker, self.thresholds, self.scopes = Tracker(), thresholds, scopes
        self.number = 0

    def one(self, digest: bytes | None = None, *, at: int | None = None, **came_to: Any) -> list[Crossing]:
        """A call that begins and ends at once: what was told of it."""
        self.number += 1
        now = NOON + (self.number if at is None else at) * SECOND
        begun = self.tracker.begin(str(self.number), self.scopes._replace(at=now), self.thresholds, digest)
        return [*begun.crossings, *self.tracker.ended(str(self.number), Counted(now, **came_to))]

    def values(self, *came_to: dict[str, Any]) -> list[float | None]:
        """The value that each of some calls told, None if it told nothing."""
        told = [self.one(**one) for one in came_to]
        return [found[0].value if found else None for found in told]


@pytest.mark.parametrize(
    ("threshold", "calls", "told"),
    [
        (alert("calls", 3), [{}] * 5, [None, None, 3, None, None]),
        (alert("tokens", 100), [{"tokens": 60}, {"tokens": 60}, {"tokens": 60}], [None, 120, None]),
        (alert("tokens", 100), [{"tokens": None}, {"tokens": 99}, {"tokens": 1}], [None, None, 100]),
        (alert("cost_usd", 1.0), [{"cost_usd": 0.5}, {"cost_usd": 0.25}, {"cost_usd": 0.25}], [None, None, 1.0]),
        (alert("cost_usd", 1.0), [{"cost_usd": None}] * 3, [None, None, None]),
        (alert("duration", 3), [{}] * 5, [None, None, None, 3.0, None]),
        (
            alert("error_rate", 0.5),
            [{"failed": failed} for failed in (True, True, True, False, False, False, False, True, True)],
            [None, None, None, None, 0.6, None, None, 0.5, None],
        ),
        (alert("repeats", 3), [{"digest": one} for one in (b"a", b"a", b"a", b"a")], [None, None, 3, None]),
        (alert("repeats", 3), [{"digest": one} for one in (b"a", b"b", b"a", b"b")], [None] * 4),
        (alert("repeats", 2), [{"digest": one} for one in (b"a", b"a", b"b", b"b")], [None, 2, None, 2]),
        (alert("repeats", 2), [{"tools": one} for one in (b"x", b"x", None, b"x", b"x")], [None, 2, None, None, 2]),
    ],
    ids=[
        "calls", "tokens", "tokens, one unknown", "cost", "no known cost", "duration", "errors, twice over",
        "the same request", "two in turn", "two loops", "two loops of a tool",
    ],
)  # fmt: skip
def test_an_alert_is_told_once_for_each_crossing(
    threshold: Threshold, calls: list[dict[str, Any]], told: list[float | None]
) -> None:
    assert Calls(threshold).values(*calls) == told


def test_a_window_tells_of_each_spike() -> None:
    calls = Calls(alert("calls", 3, within=60.0))
    at = [0, 1, 2, 3, 200, 201, 202, 203]
    assert calls.values(*({"at": one} for one in at)) == [None, None, 3, None, None, None, 3, None]


def test_a_slow_leak_crosses_a_day_and_no_window() -> None:
    calls = Calls(alert("cost_usd", 0.5, within=600.0), alert("cost_usd", 1.0, per="day"))
    told = [calls.one(at=hour * 600, cost_usd=0.1) for hour in range(20)]
    assert [(found[0].threshold.per, round(found[0].value, 6)) for found in told if found] == [("day", 1.0)]


def test_a_day_ends_at_midnight_in_utc() -> None:
    calls = Calls(alert("calls", 2, per="day"))
    noon, midnight = 0, 12 * 3600
    days = [calls.one(at=at) for at in (noon, midnight - 1, midnight, midnight + 1)]
    assert [[one.scope.key for one in found] for found in days] == [[], ["2025-11-21"], [], ["2025-11-22"]]


@pytest.mark.parametrize(
    ("per", "others", "counts_together"),
    [
        ("session", {"path": "/other"}, True),
        ("session", {"session": "6f3a9c21-bbbb"}, False),
        ("branch", {"path": "/course/lesson/two"}, True),
        ("branch", {"path": "/course/outline"}, False),
        ("branch", {"session": "6f3a9c21-bbbb"}, False),
        ("user", {"session": "6f3a9c21-bbbb"}, True),
        ("user", {"user": "bob"}, False),
        ("process", {"session": "6f3a9c21-bbbb"}, True),
        ("process", {"process": "tree-2"}, False),
        ("day", {"session": "6f3a9c21-bbbb", "process": "tree-2", "user": "bob"}, True),
    ],
)
def test_calls_of_one_scope_count_together(per: Any, others: dict[str, str], counts_together: bool) -> None:
    tracker, threshold = Tracker(), alert("calls", 2, per=per)
    assert not tracker.begin("1", SESSION, [threshold]).crossings
    told = tracker.begin("2", SESSION._replace(**others), [threshold]).crossings
    assert bool(told) is counts_together


@pytest.mark.parametrize(("per", "unknown"), [("session", "session"), ("user", "user"), ("process", "process")])
def test_a_scope_that_is_not_known_counts_nothing(per: Any, unknown: str) -> None:
    calls = Calls(alert("calls", 1, per=per), scopes=SESSION._replace(**{unknown: None}))
    assert calls.one() == []


def test_conversations_repeat_themselves_and_not_each_other() -> None:
    tracker, threshold = Tracker(), alert("repeats", 2)
    lanes = [SESSION._replace(lane=lane) for lane in ("main", "sub", "main", "sub")]
    told = [tracker.begin(str(at), lane, [threshold], b"a").crossings for at, lane in enumerate(lanes)]
    assert [bool(found) for found in told] == [False, False, True, True]


def test_thresholds_of_one_rule_are_told_each() -> None:
    calls = Calls(alert("calls", 2), alert("calls", 4))
    assert calls.values({}, {}, {}, {}) == [None, 2, None, 4]


def test_rules_count_each_for_itself() -> None:
    tracker, steps, agent = Tracker(), alert("calls", 2, rule="steps"), alert("calls", 3, rule="agent")
    told = [tracker.begin(str(at), SESSION, both).crossings for at, both in enumerate([[agent], [steps, agent]] * 2)]
    assert [[one.threshold.rule for one in found] for found in told] == [[], [], ["agent"], ["steps"]]


def test_a_call_of_which_nothing_more_is_heard_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IN_FLIGHT", 2)
    tracker = Tracker()
    for call in ("1", "2", "3"):
        tracker.begin(call, SESSION, [alert("tokens", 1)])
    assert [bool(tracker.ended(call, Counted(NOON, 5))) for call in ("1", "3")] == [False, True]


def test_scopes_beyond_the_most_are_forgotten_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_METERS", 2)
    tracker, threshold = Tracker(), alert("calls", 2)
    sessions = ["a", "b", "c", "a"]
    told = [tracker.begin(str(at), SESSION._replace(session=one), [threshold]) for at, one in enumerate(sessions)]
    assert [one.crossings for one in told] == [[], [], [], []]


def test_a_crossing_says_what_was_counted_where() -> None:
    calls = Calls(alert("cost_usd", 1.0, name="budget", within=600.0))
    calls.one(cost_usd=None)
    (told,) = calls.one(cost_usd=1.25)
    assert told.text == (
        "cost_usd is at least $1.25 within 10m00s (1 call of unknown cost_usd left out), at or above $1.00, "
        "in session Course (5f3a9c21)"
    )
    facts = told.facts()
    assert facts.pop("id") == told.id
    assert facts == {
        "rule": "agent", "name": "budget", "measure": "cost_usd", "per": "session", "scope": "5f3a9c21-aaaa",
        "value": 1.25, "threshold": 1.0, "within": 600.0, "unknown_calls": 1, "session": "5f3a9c21-aaaa", "call": "2",
    }  # fmt: skip


def test_counts_go_on_after_a_restart_and_are_not_told_again() -> None:
    thresholds = [alert("calls", 3), alert("tokens", 100), alert("duration", 60), alert("cost_usd", 1.0)]
    tracker = Tracker()
    known = [
        EndedCall(SESSION._replace(at=at), thresholds, Counted(at, tokens=60, cost_usd=0.4, failed=False))
        for at in (NOON, NOON + 30 * SECOND)
    ]
    tracker.restore(known, {}, NOON + 40 * SECOND)
    calls = Calls(*thresholds)
    calls.tracker = tracker
    told = calls.one(at=60, tokens=10, cost_usd=0.4)
    assert [(one.threshold.measure, round(one.value, 6)) for one in told] == [
        ("calls", 3), ("duration", 60.0), ("cost_usd", 1.2),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as they came", "a segment of another worker first"])
def test_a_window_holds_none_of_the_calls_before_it_in_whatever_order_the_log_has_them(order: tuple[int, int]) -> None:
    thresholds = [alert("tokens", 100, within=600), alert("calls", 2, within=600)]
    ended = [
        EndedCall(SESSION._replace(at=at), thresholds, Counted(at, tokens=90)) for at in (NOON - 3600 * SECOND, NOON)
    ]
    tracker = Tracker()
    tracker.restore([ended[at] for at in order], {}, NOON)
    begun = tracker.begin("call", SESSION._replace(at=NOON + SECOND), thresholds)
    told = [*begun.crossings, *tracker.ended("call", Counted(NOON + SECOND, tokens=20))]
    assert [(one.threshold.measure, one.value) for one in told] == [("calls", 2), ("tokens", 110)]


def test_the_scope_of_a_branch_is_two_levels_deep() -> None:
    found = [SESSION._replace(path=path).of("branch") for path in ("/chat", "/main/explore/deep/er")]
    assert [one and one.text for one in found] == [
        "/chat of session Course (5f3a9c21)", "/main/explore of session Course (5f3a9c21)",
    ]  # fmt: skip


def test_what_a_scope_is_called() -> None:
    assert [SESSION.of(per) for per in ("user", "process", "day")] == [
        Scope("ann", "user ann"), Scope("tree-1", "the processes of agent.py"), Scope("2025-11-21", "day 2025-11-21"),
    ]  # fmt: skip


def test_the_same_threshold_under_another_name_is_the_same_count() -> None:
    first = alert("calls", 2)
    assert replace(first, name="x", most=3).meter == first.meter
