"""Labels as they are applied to calls."""

from typing import Any

import pytest

from sessiontap.trace.labels import LabelFacts, Labels, touched

CALL = {
    "id": "c1",
    "session": {"id": "a", "name": "Demo", "path": "/one", "step": 3},
    "properties": {"mode": "test"},
    "tags": ["x"],
    "outcome": "ok",
}


def label(number: int, **changes: Any) -> dict[str, Any]:
    return {"type": "label", "id": f"l{number}", "time": number, **changes}


@pytest.mark.parametrize(
    ("labels", "seen"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([label(1, sessions=["other"], name="No")], {}, id="of another session"),
        pytest.param([label(1, calls=["c2"], name="No")], {}, id="of another call"),
        pytest.param([label(1, sessions=["a"], name="New")], {"name": "New"}, id="a name for its session"),
        pytest.param([label(1, calls=["c1"], path="/two")], {"path": "/two"}, id="a path for the call"),
        pytest.param([label(1, calls=["c1"], session="b")], {"id": "b"}, id="moved"),
        pytest.param([label(2, calls=["c1"], name="Second"), label(1, sessions=["a"], name="First")],
                     {"name": "Second"}, id="the later one counts, in whatever order they are read"),
        pytest.param([label(1, sessions=["a"], session="b"), label(2, sessions=["b"], name="Of b")],
                     {"id": "b", "name": "Of b"}, id="it follows what is said of the session that it was moved to"),
        pytest.param([label(1, sessions=["b"], name="Of b"), label(2, sessions=["a"], session="b")],
                     {"id": "b"}, id="not what was said of that session before"),
        pytest.param([label(1, sessions=["a"], session="b"), label(2, sessions=["a"], name="Of a")],
                     {"id": "b"}, id="nor what is said of the one that it has left"),
        pytest.param([label(1, sessions=["a"], session="b"), label(2, sessions=["b"], session="a")],
                     {}, id="there and back"),
        pytest.param([label(1, calls=["c1"], name="New"), label(2, undoes="l1")], {}, id="undone"),
        pytest.param([label(1, calls=["c1"], name="New"), label(2, undoes="l1"), label(3, undoes="l2")],
                     {"name": "New"}, id="an undoing undone"),
        pytest.param([label(5, calls=["c1"], name="New"), label(2, undoes="l5")], {}, id="undone by an older clock"),
        pytest.param([label(1, calls=["c1"], name="One", undoes="l2"), label(2, calls=["c1"], name="Two", undoes="l1")],
                     {}, id="labels that undo each other do not count"),
    ],
)  # fmt: skip
def test_the_session_of_a_call_is_seen_as_labelled(labels, seen):
    assert Labels(labels).labelled(CALL)["session"] == CALL["session"] | seen


def test_properties_and_tags_are_added():
    labels = Labels([label(1, sessions=["a"], properties={"mode": "live", "team": "core"}, tags=["x", "y"])])

    record = labels.labelled(CALL)

    assert record["properties"] == {"mode": "live", "team": "core"}
    assert record["tags"] == ["x", "y"]
    assert (CALL["properties"], CALL["tags"]) == ({"mode": "test"}, ["x"])


def test_a_call_that_nothing_changes_is_the_record_itself():
    assert Labels([label(1, calls=["c1"], name="Demo")]).labelled(CALL) is CALL


def test_a_call_without_a_session_has_a_name_only_in_one_that_it_is_moved_to():
    bare = {"id": "c1", "session": None}

    assert Labels([label(1, calls=["c1"], name="New")]).labelled(bare)["session"] is None
    moved = Labels([label(1, calls=["c1"], name="New", session="b")]).labelled(bare)
    assert moved["session"] == {"id": "b", "name": "New", "path": None}


def test_a_copy_of_a_label_counts_once():
    one = label(1, calls=["c1"], tags=["y"])

    assert Labels([one, dict(one)]).in_force == [one]


def test_the_calls_of_a_changed_label_are_those_of_sessions_that_were_moved_into_its_own_too():
    moving = [label(1, sessions=["a"], session="b"), label(2, calls=["c9"], session="b"), label(3, calls=["c7"])]
    naming = label(4, sessions=["b"], name="Of b")

    assert touched([naming], [*moving, naming]) == (frozenset({"c9"}), frozenset({"a", "b"}))


def test_the_facts_of_a_call_are_those_of_its_record():
    labels = Labels([label(1, sessions=["a"], session="b", name="New", tags=["y"])])

    facts = labels.facts("c1", LabelFacts("a", "Demo", "/one", None, None))

    assert facts == LabelFacts("b", "New", "/one", None, ["y"])
