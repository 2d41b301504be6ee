"""Calls under keys: the newest of many, and nothing left of what was forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiontap.sessions.known_calls import MAX_AGE, KnownCall, KnownCalls
from sessiontap.sessions.match_scope import MatchScope


def call(id: str, at: int = 0) -> KnownCall:
    return KnownCall(id, MatchScope("p", "f"), at, "c", "c", (), b"", None, None)


def ids(calls: list[KnownCall]) -> list[str]:
    return [one.id for one in calls]


def test_one_key_for_several_calls_the_oldest_first() -> None:
    calls = KnownCalls()
    for id in ("a", "b", "a2"):
        calls.add(one := call(id))
        calls.index(one, ["key"])
        calls.index(one, ["key"])
    assert ids(calls.under("key")) == ["a", "b", "a2"]
    assert calls.under("other") == []


def test_of_very_many_under_one_key_the_newest() -> None:
    calls = KnownCalls()
    for n in range(100):
        calls.add(one := call(str(n)))
        calls.index(one, ["key"])
    assert ids(calls.under("key")) == [str(n) for n in range(84, 100)]


def test_a_key_taken_back() -> None:
    calls = KnownCalls()
    calls.add(one := call("a"))
    calls.index(one, ["key", "stays"])
    calls.unindex(one, "key")
    calls.unindex(one, "never there")
    assert calls.under("key") == []
    assert ids(calls.under("stays")) == ["a"]


def test_what_was_forgotten_is_not_indexed_again() -> None:
    calls = KnownCalls(max_calls=1)
    calls.add(gone := call("a"))
    calls.add(call("b"))
    calls.index(gone, ["key"])
    assert calls.under("key") == []


def test_age_counts_from_the_last_use() -> None:
    calls = KnownCalls()
    calls.add(old := call("old", 1))
    calls.add(call("mid", 2))
    calls.use(old, 10)
    calls.forget_old(MAX_AGE + 3)
    assert calls.get("old") is old
    assert calls.get("mid") is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=80))
def test_every_key_leads_to_a_call_that_is_known(events: list[tuple[int, int]]) -> None:
    calls = KnownCalls(max_calls=5)
    for n, (id, key) in enumerate(events):
        one = calls.get(str(id))
        if one is None:
            calls.add(one := call(str(id), n))
        calls.index(one, [f"key {key}"])
        assert len(calls) <= 5
        assert all(calls.get(known.id) is known for key in range(5) for known in calls.under(f"key {key}"))
