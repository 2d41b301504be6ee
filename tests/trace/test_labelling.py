"""The index of a log with labels and scores: brought up to date step by step, it says what a new one says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trace.conftest import CALLER, INFO, call_map
from tests.trace.oracle import pair, session_rows

from sessiontap import trace
from sessiontap.trace import Filters, Writer
from sessiontap.trace.annotations import annotate, label_record, score_record
from sessiontap.trace.closing import close_segment
from sessiontap.trace.maintenance import prune
from sessiontap.trace.outcomes import is_warm_up

SESSIONS = ("a", "b", "c", "")
"""The last one: no session."""
NAMES = st.sampled_from(["One", "Two", None])


def call(number: int, session: str, *, warm_up: bool = False) -> dict[str, Any]:
    own = {"id": session, "name": f"Of {session}", "path": f"/{number % 2}", "step": number} if session else None
    more = {"flags": ["warm_up"]} if warm_up else {}
    properties = {"n": str(number)} if number % 2 else {}
    return call_map(number, session=own, properties=properties, **more)


def write(folder: Path, *records: dict[str, Any]) -> None:
    writer = Writer(folder, writer_info=INFO)
    writer.start()
    writer.submit(lambda: (CALLER, *records), 0)
    assert writer.close(5)


def told(log: trace.Trace) -> dict[str, Any]:
    """All that lists, trees, sums and filters say."""
    sessions = log.query_sessions()
    return {
        "sessions": sessions,
        "calls": log.query_calls(),
        "shown": [log.query_session(row["id"]) for row in sessions],
        "overviews": [log.query_overview(row["id"]) for row in sessions],
        "stats": [log.stats(by) for by in ("name", "session", "path", "property", "score:good", "model")],
        "starred": [row["id"] for row in log.query_calls(Filters(starred=True))],
        "good": [row["id"] for row in log.query_sessions(Filters(scores=("good>0.4",)), sort="score:good")],
        "named": [row["id"] for row in log.query_calls(Filters(name="One", tags=("t",)))],
        "segments": {
            name: (one.records, one.calls, one.records_that_fit)
            for name, one in log.query_segments(Filters(session="a")).items()
            if "annotations" not in name
        },
        "fitting": log.query_fitting(
            Filters(session="a"), [path.name for path in log._paths() if "annotations" not in path.name]
        ),
        "present": log.query_present([], [*SESSIONS, "x"]),
    }


def told_by_a_new_index(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "trace"
        shutil.copytree(folder, copy, ignore=lambda _, names: [name for name in names if name.startswith("index")])
        return told(trace.open(copy))


changes = st.fixed_dictionaries(
    {
        "name": NAMES,
        "path": st.sampled_from(["/x", None]),
        "session": st.sampled_from(["a", "b", "x", None]),
        "properties": st.sampled_from([{"n": "9"}, {"k": "v"}, {}]),
        "tags": st.sampled_from([["t"], []]),
    }
)
new_calls = st.tuples(
    st.just("calls"), st.lists(st.tuples(st.sampled_from(SESSIONS), st.booleans()), min_size=1, max_size=4)
)
label_of_sessions = st.tuples(
    st.just("sessions"), st.lists(st.sampled_from(["a", "b", "c", "x"]), min_size=1, max_size=2), changes
)
label_of_calls = st.tuples(st.just("label calls"), st.lists(st.integers(0, 9), min_size=1, max_size=3), changes)
number_calls = st.tuples(st.just("number"), st.lists(st.integers(0, 9), min_size=1, max_size=3))
undo = st.tuples(st.just("undo"), st.integers(0, 5))
score = st.tuples(
    st.just("score"),
    st.sampled_from(["a", "b", "x", 0, 1, 2]),
    st.sampled_from(["good", "star", None]),
    st.sampled_from([0.2, 0.7, True, "fine", None]),
)
steps = st.one_of(
    new_calls, label_of_sessions, label_of_calls, number_calls, undo, score, st.just(("ask",)),
    st.just(("close",)),
    st.tuples(st.just("prune"), st.sampled_from(["a", "b", "x"])), st.just(("age",)),
)  # fmt: skip


class Log:
    """A log that grows step by step, and the index that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.labels = folder, 0, []
        folder.mkdir()
        self.log = trace.open(folder)

    def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case "calls", some:
                records = [call(self.calls + n, session, warm_up=warm) for n, (session, warm) in enumerate(some)]
                self.calls += len(some)
                write(self.folder, *records)
            case "sessions", sessions, changed:
                self.label(label_record(sessions=sessions, source="cli", **changed))
            case "label calls", numbers, changed:
                self.label(label_record(calls=[call(n, "a")["id"] for n in numbers], source="cli", **changed))
            case "number", numbers:
                given = {call(n, "a")["id"]: 50 + n for n in numbers}
                self.label(label_record(calls=given, steps=given, source="store"))
            case "undo", number if self.labels:
                self.label(label_record(undoes=self.labels[-1 - number % len(self.labels)], source="cli"))
            case "score", target, name, value:
                of = {"session": target} if isinstance(target, str) else {"call": call(target, "a")["id"]}
                note = "noted" if name is None else None
                annotate(self.folder, [score_record(**of, name=name, value=value if name else None, note=note,
                                                    source="cli")])  # fmt: skip
            case ("ask",):
                self.log.query_sums()
            case ("close",):
                for path in self.folder.glob("*.mpk"):
                    close_segment(path)
            case "prune", session:
                prune(self.folder, filters=Filters(session=session))
            case ("age",):
                prune(self.folder, older_than=call(self.calls // 2, "a")["time"])

    def label(self, record: dict[str, Any]) -> None:
        self.labels.append(record["id"])
        annotate(self.folder, [record])


@pytest.fixture
def log(folder: Path) -> Iterator[Log]:
    made = Log(folder)
    yield made
    made.log.close()


@settings(max_examples=20, deadline=None)
@given(st.lists(steps, min_size=3, max_size=14))
def test_an_index_that_follows_says_what_a_new_one_says(taken):
    with tempfile.TemporaryDirectory() as place:
        log = Log(Path(place) / "trace")
        for step in taken:
            log.take(step)

        found = told(log.log)

        assert found == told_by_a_new_index(log.folder)
        calls = [one for one in log.log.calls(warm_ups=True) if not is_warm_up(one.record)]
        rows = session_rows(pair(one) for one in calls)
        scores = ("scores", "starred", "note", "call_scores")
        assert [without(row, scores) for row in found["sessions"]] == [without(row, scores) for row in rows]
        log.log.close()


def without(row: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.one_of(label_of_sessions, label_of_calls), min_size=1, max_size=5))
def test_undoing_all_labels_gives_what_was_before(taken):
    with tempfile.TemporaryDirectory() as place:
        log = Log(Path(place) / "trace")
        log.take(("calls", [("a", False), ("b", False), ("", False), ("a", True), ("c", False)]))
        before = told(log.log)
        for step in taken:
            log.take(step)
        told(log.log)

        annotate(log.folder, [label_record(undoes=label, source="cli") for label in log.labels])

        assert told(log.log) == before
        assert log.log._ask(lambda database: database.execute("SELECT count(*) FROM recorded").fetchone()) == (0,)
        log.log.close()


def test_a_label_of_a_session_holds_for_calls_that_come_later(log):
    log.take(("calls", [("a", False)]))
    log.take(("sessions", ["a"], {"session": "b", "name": "Merged"}))
    log.log.query_sums()
    log.take(("calls", [("a", False), ("b", False)]))

    (row,) = log.log.query_sessions()

    assert (row["id"], row["name"], row["calls"]) == ("b", "Merged", 3)


def running(number: int, session: str) -> dict[str, Any]:
    """A call in flight as its proxy tells it."""
    one = call(number, session)
    return {key: one[key] for key in ("id", "time", "session")} | {"request": {"method": "POST", "body": {"size": 1}}}


def test_a_call_in_flight_is_seen_in_the_session_that_its_own_was_merged_into(folder):
    write(folder, call(0, "a"), call(1, "b"))
    annotate(folder, [label_record(sessions=["a"], session="b", source="cli")])

    (row,) = trace.open(folder, in_flight=lambda: [running(2, "a")]).query_sessions()

    assert (row["id"], row["calls"], row["calls_in_flight"]) == ("b", 2, 1)


def test_a_call_in_flight_has_the_star_of_its_session(folder):
    write(folder, call(0, "a"), call(1, "b"))
    annotate(folder, [score_record(session="a", name="star", value=True, source="cli")])
    log = trace.open(folder, in_flight=lambda: [running(2, "a"), running(3, "b")])

    rows = log.query_calls(Filters(starred=True))

    assert [(row["id"], row["in_flight"]) for row in rows] == [(call(2, "a")["id"], True), (call(0, "a")["id"], False)]


def annotations_left(folder: Path) -> int:
    from sessiontap.trace.annotations import annotations_in

    return sum(1 for path in folder.glob("*annotations*") for _ in annotations_in(path))


def test_pruning_a_session_takes_its_labels_and_scores(log):
    log.take(("calls", [("a", False), ("a", False), ("b", False)]))
    log.take(("sessions", ["a"], {"name": "A"}))
    log.take(("undo", 0))
    log.take(("label calls", [0, 2], {"tags": ["t"]}))
    log.take(("label calls", [1], {"tags": ["t"]}))
    log.take(("score", "a", "good", 0.5))
    log.take(("score", 0, "good", 0.5))
    log.take(("score", "b", "good", 0.5))

    prune(log.folder, filters=Filters(session="a"))

    assert annotations_left(log.folder) == 2, "the label of a call that stays, and the score of b"
    prune(log.folder, filters=Filters(session="b"))
    assert list(log.folder.glob("*annotations*")) == []


def test_a_prune_leaves_annotations_that_it_cannot_read(log):
    log.take(("calls", [("a", False)]))
    log.take(("score", "a", "good", 0.5))
    damaged = log.folder / "20270101T000000.000000Z-1-abcdef-annotations.mpk"
    damaged.write_bytes(b"what a disk made of it")

    prune(log.folder, filters=Filters(session="a"))

    assert damaged.exists()
    assert annotations_left(log.folder) == 0


def test_pruning_a_merged_session_takes_what_was_merged_into_it(log):
    log.take(("calls", [("a", False), ("a", True), ("b", False)]))
    log.take(("sessions", ["a"], {"session": "b"}))

    found = prune(log.folder, filters=Filters(session="b"))

    assert (found.calls, found.sessions) == (2, 1)
    assert list(log.folder.glob("*.mpk*")) == []


@pytest.mark.parametrize("wish", [{"older_than": 1 << 61}, {"max_bytes": 1}], ids=["age", "size"])
def test_age_and_size_take_no_label_whose_calls_stay(folder, wish):
    of_nothing = score_record(session="gone", name="good", value=1, source="cli")
    annotate(folder, [label_record(sessions=["a"], name="Kept", source="cli"), of_nothing])
    write(folder, call(0, "a"))
    live = Writer(folder, writer_info=INFO)
    live.start()
    live.submit(lambda: (call(1, "a"),), 0)
    assert live.flush()

    prune(folder, **wish)

    assert annotations_left(folder) == 2, "what names nothing that this pruning took stays, too"
    assert [row["name"] for row in trace.open(folder).query_sessions()] == ["Kept"]
    live.close(5)


def test_a_dry_run_takes_no_label(log):
    log.take(("calls", [("a", False)]))
    log.take(("sessions", ["a"], {"name": "A"}))

    prune(log.folder, filters=Filters(session="a"), dry_run=True)

    assert annotations_left(log.folder) == 1


@pytest.mark.parametrize(
    ("asked", "fitting"),
    [
        ("good", [0, 1, 2]),
        ("good>0.5", [0, 1]),
        ("good >= 0.5", [0, 1, 2]),
        ("good<0.6", [2]),
        ("good!=0.5", [0, 1]),
        ("good=0.5", [2]),
        ("grade=FI*", [3]),
        ("grade>1", []),
        ("right=true", [3]),
        ("right=no", []),
        ("right!=no", [3]),
        ("nothing", []),
    ],
)
def test_a_score_is_of_the_call_or_of_its_session(log, asked, fitting):
    log.take(("calls", [("a", False), ("a", False), ("b", False), ("b", False)]))
    log.take(("score", "a", "good", 0.7))
    log.take(("score", 2, "good", 0.9))
    log.take(("score", 2, "good", 0.5))
    annotate(log.folder, [score_record(call=call(3, "b")["id"], name=name, value=value, source="api")
                          for name, value in (("grade", "fine"), ("right", True))])  # fmt: skip

    rows = log.log.query_calls(Filters(scores=(asked,)))

    assert sorted(row["id"] for row in rows) == [call(n, "a")["id"] for n in fitting]


def test_scores_count_until_another_stands_for_them_or_takes_them_away(log):
    log.take(("calls", [("a", False), ("a", False)]))
    for value in (0.2, 0.7):
        log.take(("score", "a", "good", value))
    for number, value in ((0, 0.2), (1, True)):
        log.take(("score", number, "good", value))
    log.take(("score", "a", "star", True))
    log.take(("score", "a", None, None))

    (row,) = log.log.query_sessions()
    assert (row["scores"], row["starred"], row["note"]) == ({"good": 0.7}, True, "noted")
    assert row["call_scores"] == {"good": {"mean": 0.6, "calls": 2}}
    (stats,) = log.log.stats("name")
    assert stats["scores"] == {"good": {"mean": round(1.9 / 3, 12), "count": 3}}

    for name in ("good", "star"):
        log.take(("score", "a", name, None))
    (row,) = log.log.query_sessions()
    assert (row["scores"], row["starred"], row["note"]) == ({}, False, "noted")


def test_statistics_by_a_score_take_the_calls_own_else_its_sessions(log):
    log.take(("calls", [("a", False), ("a", False), ("b", False)]))
    log.take(("score", "a", "good", 0.7))
    log.take(("score", 0, "good", 0.2))

    assert {row["score:good"]: row["calls"] for row in log.log.stats("score:good")} == {0.2: 1, 0.7: 1, None: 1}
