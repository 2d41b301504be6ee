"""Searching: where a text stands, how much is read for it, and what the index keeps of it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from tests.trace.conftest import call_map, open_log
from tests.trace.test_turns import ASK, END, RESULT, RUN, turn

from sessiontap import trace
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.part import CallParts, Part
from sessiontap.trace import Filters, indexed
from sessiontap.trace.index import parts_reader
from sessiontap.trace.index.search import Hit


def places(hits: list[Hit]) -> list[tuple[Any, ...]]:
    return [(int(hit.call["id"][9:13], 16), hit.place, hit.tool, hit.reply, hit.snippet) for hit in hits]


def search(folder: Any, text: str, filters: Filters | None = None, limit: int = 0) -> list[tuple[Any, ...]]:
    found, unsearched = open_log(folder).query_hits(text, filters, limit)
    assert not unsearched
    return places(found)


SYSTEM = {"role": "system", "content": "You are\na careful tester.\nBe brief."}
THOUGHT = {"role": "assistant", "content": "Let me see.", "reasoning_content": "The user is impatient."}

FOUND = {
    "a tool's result": ("FAILED tests", [(2, "tool_result", "Bash", False, "2 FAILED tests")]),
    "without case": ("failed TESTS", [(2, "tool_result", "Bash", False, "2 FAILED tests")]),
    "a tool's arguments": ("pytest", [(1, "tool_call", "Bash", True, '{"cmd":"pytest"}')]),
    "a reply, once": ("I run them", [(1, "text", None, True, "I run them.")]),
    "a prompt, once": ("Run the tests", [(1, "text", None, False, "Run the tests.")]),
    "a line of the system prompt": ("careful", [(1, "system", None, False, "a careful tester.")]),
    "over two lines": ("tester.\nBe", [(1, "system", None, False, "a careful tester. Be brief.")]),
    "reasoning": ("impatient", [(3, "reasoning", None, True, "The user is impatient.")]),
    "two letters": ("2 ", [(2, "tool_result", "Bash", False, "2 FAILED tests")]),
    "a session's name, at its latest call": ("Demo", [(3, "session name", None, False, "Demo")]),
    "a path": ("/cour", [(3, "path", None, False, "/course")]),
    "a property": ("nightly", [(2, "property", None, False, "nightly")]),
    "an error": ("overloaded", [(3, "error", None, False, "overloaded")]),
    "nothing": ("nowhere", []),
    "signs of FTS": ('"* OR "', []),
}


@pytest.fixture
def conversation(written, folder):
    session = {"id": "session-0", "name": "Demo", "step": 3}
    written(
        turn(1, [SYSTEM, ASK], RUN),
        turn(2, [SYSTEM, ASK, RUN, RESULT], END, parent=1, properties={"mode": "nightly"}),
        turn(3, [SYSTEM, ASK, RUN, RESULT, END, {"role": "user", "content": "So?"}], THOUGHT, parent=2,
             session=session | {"path": "/course"}, error="overloaded"),
    )  # fmt: skip
    return folder


@pytest.mark.parametrize(("text", "expected"), FOUND.values(), ids=FOUND)
def test_where_a_text_stands(conversation, text, expected):
    assert search(conversation, text) == expected


def test_the_text_is_marked_in_its_snippet(conversation):
    ((hit,), _) = open_log(conversation).query_hits("FAILED tests")

    assert hit.snippet[slice(*hit.match)] == "FAILED tests"
    assert hit.row()["match"] == [2, 14]
    assert json.loads(json.dumps(hit.row()))["call"]["session_id"] == "session-0"


def test_a_long_line_is_cut_around_the_text(written, folder):
    said = "x" * 300 + " needle " + "y" * 300
    written(turn(1, [{"role": "user", "content": said}], END))
    ((hit,), _) = open_log(folder).query_hits("needle")

    assert hit.snippet[slice(*hit.match)] == "needle"
    assert (hit.snippet[:3], hit.snippet[-3:]) == ("…xx", "yy…")
    assert len(hit.snippet) < 200


def test_the_latest_come_first(written, folder):
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in (1, 3, 2)))

    assert [place[0] for place in search(folder, "needle")] == [3, 2, 1]
    assert [place[0] for place in search(folder, "needle", limit=2)] == [3, 2]


def test_filters_hold_for_the_call_that_has_the_text(conversation):
    assert search(conversation, "Run the tests", Filters(path="/course")) == []
    assert search(conversation, "So?", Filters(path="/course")) != []


def test_calls_that_fit_a_search_are_those_that_brought_the_text(conversation):
    found = open_log(conversation).query_calls(Filters(search="Run the tests"))
    assert [row["id"] for row in found] == [call_map(1)["id"]]


def test_a_search_shows_the_newest_at_once_and_the_next_one_goes_on(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in range(1, 6)))

    seen = []
    for _ in range(3):
        found, unsearched = open_log(folder).query_hits("needle", seconds=0)
        seen.append(([place[0] for place in places(found)], unsearched.calls, bool(unsearched)))
    assert seen == [([5, 4], 3, True), ([5, 4, 3, 2], 1, True), ([5, 4, 3, 2, 1], 0, False)]


def test_places_in_all_of_the_log_come_as_they_are_found(written, folder, monkeypatch):
    """What is found first is given before older calls are read, and each place once."""
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    monkeypatch.setattr(indexed, "_READING_SECONDS", 0)
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in range(1, 6)))
    read = []

    def parts_of(record, asked, answered):
        read.append(record["id"])
        return recorded_parts(record, asked, answered)

    found = trace.open(folder, parts_of=parts_of).each_hit("needle", seconds=0)
    given = [([place[0] for place in places(batch)], len(read)) for batch in found]
    assert given == [([5, 4], 2), ([3, 2], 4), ([1], 5)]


def test_all_of_the_log_is_read_though_as_many_places_as_asked_for_are_found_before(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    monkeypatch.setattr(indexed, "_READING_SECONDS", 0)
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in range(1, 6)))

    found = open_log(folder).each_hit("needle", limit=3, seconds=0)
    assert [[place[0] for place in places(batch)] for batch in found] == [[5, 4], [3], []]
    assert search(folder, "needle 1") == [(1, "text", None, False, "needle 1")]


def test_places_of_all_kinds_come_once(conversation, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    monkeypatch.setattr(indexed, "_READING_SECONDS", 0)

    found = open_log(conversation).each_hit("e", seconds=0)
    given = [place for batch in found for place in places(batch)]
    assert sorted(map(repr, given)) == sorted(map(repr, set(given)))
    assert {place[1:] for place in given} == {place[1:] for place in search(conversation, "e")}


def test_an_error_of_several_calls_is_found_once_at_the_latest(written, folder):
    written(*(turn(number, [ASK], END, error="overloaded") for number in range(3)))

    ((hit,), _) = open_log(folder).query_hits("overloaded")
    assert (hit.call["id"], hit.where, hit.calls) == (call_map(2)["id"], "error", 3)


def test_with_little_time_few_calls_are_read_first(written, folder):
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in range(1, 8)))

    found, unsearched = open_log(folder).query_hits("needle", seconds=0)
    assert [place[0] for place in places(found)] == [7, 6, 5, 4]
    assert unsearched.calls == 3


def test_what_an_interrupted_search_has_read_is_kept(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    written(*(turn(number, [{"role": "user", "content": f"needle {number}"}], END) for number in range(1, 6)))
    read = []

    def parts_of(record, asked, answered):
        if len(read) == 3:
            read.append("interrupted")
            raise KeyboardInterrupt
        read.append(record["id"])
        return recorded_parts(record, asked, answered)

    log = trace.open(folder, parts_of=parts_of)
    with pytest.raises(KeyboardInterrupt):
        log.query_hits("needle")
    found, unsearched = log.query_hits("needle", seconds=0)

    assert [place[0] for place in places(found)] == [5, 4, 3, 2]
    assert unsearched.calls == 1


@pytest.mark.parametrize("size", [1, 2, 50], ids="slices of {}".format)
def test_turns_are_the_same_whatever_was_read_first(conversation, monkeypatch, size):
    expected = open_log(conversation).query_turns("session-0")
    (conversation / "index.sqlite").unlink()
    monkeypatch.setattr(parts_reader, "SLICE", size)

    assert len(search(conversation, "FAILED tests")) == 1
    assert open_log(conversation).query_turns("session-0") == expected
    assert stored(conversation, "SELECT count(*) FROM added_parts WHERE reply = 0") == [(8,)]
    assert search(conversation, "I run them") == FOUND["a reply, once"][1]


def stored(folder: Any, question: str) -> list[Any]:
    index = sqlite3.connect(folder / "index.sqlite")
    try:
        return index.execute(question).fetchall()
    finally:
        index.close()


def test_a_call_whose_parent_is_gone_keeps_its_parts(writers, folder):
    for records in ([turn(1, [ASK], RUN)], [turn(2, [ASK, RUN, RESULT], END, parent=1)]):
        writer = writers()
        writer.submit(lambda records=records: records, 0)
        assert writer.close(5)
    _, before = open_log(folder).query_turns("session-0")
    min(folder.glob("*.mpk*")).unlink()

    (after,) = open_log(folder).query_turns("session-0")

    assert after.request == before.request
    assert (after.based_on, after.first_new) == (None, 0)
    assert [place[0] for place in search(folder, "I run them")] == [2]
    assert search(folder, "pytest") == [(2, "tool_call", "Bash", False, '{"cmd":"pytest"}')]


def test_nothing_is_kept_of_what_is_gone(conversation):
    search(conversation, "FAILED tests")
    for segment in conversation.glob("*.mpk*"):
        segment.unlink()

    assert search(conversation, "FAILED tests") == []
    for table in ("parts", "call_parts", "added_parts", "orphans", "unread_calls", "trigrams"):
        assert stored(conversation, f"SELECT count(*) FROM {table}") == [(0,)], table


def test_a_long_text_is_stored_compressed(written, folder):
    said = "All work and no play makes Jack a dull boy.\n" * 200 + "A needle, büyük."
    written(turn(1, [{"role": "user", "content": said}], END))

    assert search(folder, "BÜYÜK") == [(1, "text", None, False, "A needle, büyük.")]
    assert said in [part.text for part in open_log(folder).query_turns("session-0")[0].request]
    ((kind, size),) = stored(folder, "SELECT typeof(text), length(text) FROM parts ORDER BY bytes DESC LIMIT 1")
    assert (kind, size < 200) == ("blob", True)

    for segment in folder.glob("*.mpk*"):
        segment.unlink()
    assert search(folder, "BÜYÜK") == []
    assert stored(folder, "SELECT rowid FROM trigrams WHERE trigrams MATCH 'dul'") == []


def test_of_a_call_that_brings_too_much_the_beginning_is_kept(written, folder, monkeypatch):
    monkeypatch.setattr(parts_reader, "LONGEST", 10)
    monkeypatch.setattr(parts_reader, "MOST_TEXT", 15)
    written(turn(1, [], END))
    texts = [Part("text", "user", n, said, len(said)) for n, said in enumerate(("a" * 20, "b" * 20, "c" * 20))]
    log = trace.open(folder, parts_of=lambda *_: CallParts(texts, []))

    (found,) = log.query_turns("session-0")

    assert [part.text for part in found.request] == ["a" * 10, "b" * 5, ""]
    assert [part.bytes for part in found.request] == [20, 20, 20]
