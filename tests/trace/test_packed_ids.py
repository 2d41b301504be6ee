"""Ids in 16 bytes where they are UUIDs, and as they are where they are not: the same comes back."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.trace.conftest import call_map, index_file, open_log

from sessiontap.trace.index.completion import IndexAsItStands
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.index.packed_ids import id_text, pack_id, unpack_id

UUID = "9d3c1a52-00ff-5bbb-8ccc-00000000000a"
IDS = {
    "a UUID": UUID,
    "in capitals": UUID.upper(),
    "without hyphens": UUID.replace("-", "").ljust(36, "0"),
    "hyphens elsewhere": "9d3c1a5-200ff-5bbb-8ccc-00000000000a",
    "36 letters": "conversation number 7 of the morning",
    "spaces between digits": "9d 3c 1a 52 00 ff 5b bb 8c cc 00 000",
    "short": "c-7",
    "letters of a cyrillic alphabet": "разговор",
    "empty": "",
}


@pytest.mark.parametrize("id", [*IDS.values(), None], ids=[*IDS, "none"])
def test_an_id_comes_back_as_it_was(id):
    stored = pack_id(id)

    assert unpack_id(stored) == id
    assert isinstance(stored, bytes) is (id == UUID)
    with closing(sqlite3.connect(":memory:")) as database:
        question = f"SELECT {id_text('one')} FROM (SELECT ? AS one)"
        assert database.execute(question, (stored,)).fetchone() == (id,)


@pytest.mark.parametrize("id", [UUID, IDS["in capitals"], "c-7"], ids=["a UUID", "in capitals", "any text"])
def test_a_call_has_its_conversation_and_parent_in_all_that_is_told_of_it(written, folder, id):
    parent = call_map(1, id=id, conversation=id)
    written(parent, call_map(2, conversation=id, parent=id))
    log = open_log(folder)

    rows = [log.query_calls(limit=1)[0], log.query_session("session-0")["calls"][1], log.query_spans("session-0")[1][1]]
    told = [(one["conversation"], one["parent"]) if isinstance(one, dict) else (one.conversation, one.parent)
            for one in rows]  # fmt: skip

    assert told == [(id, id)] * 3
    with closing(sqlite3.connect(index_file(folder))) as database:
        (size,) = database.execute("SELECT length(parent) FROM calls WHERE parent NOT NULL").fetchone()
    assert size == (16 if id == UUID else len(id))


MIXED = [
    "9d3c1a52-00ff-5bbb-8ccc-00000000000a", "9d3c1a52-00ff-5bbb-8ccc-0000000000ab", "9d3c1a52-1", "9d3c1a53", "9e", "é",
    "9D3C1A52-00FF-5BBB-8CCC-00000000000A", "00000000-0000-4000-8000-000000000000",
    "ffffffff-ffff-4fff-bfff-ffffffffffff", "fffffffff",
]  # fmt: skip
"""Ids of calls, UUIDs and others, that begin alike."""
PREFIXES = [
    "9", "9d3c1a52", "9d3c1a52-", "9d3c1a52-0", "9d3c1a5200ff", "9D3C", "9d 3c", "0", "f", "ffffffff", "fffffffff", "g",
    "é", *MIXED, *(f"{one}0" for one in MIXED),
]  # fmt: skip


@pytest.fixture
def mixed(written, folder):
    written(*[call_map(number, id=id) for number, id in enumerate(MIXED)])
    log = open_log(folder)
    log.query_calls()
    return log


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_calls_whose_id_begins_so_are_found(mixed, folder, prefix):
    with closing(IndexAsItStands(folder)) as index:
        found = [one.text for one in index.calls(prefix)]

    assert sorted(found) == sorted(id for id in MIXED if id.startswith(prefix))


@pytest.mark.parametrize("id", MIXED)
def test_a_call_is_found_by_its_id(mixed, id):
    assert [row["id"] for row in mixed.query_calls(Filters(ids=(id,)))] == [id]


@pytest.mark.parametrize("id", MIXED)
def test_a_calls_id_is_cut_to_what_no_other_begins_with(mixed, id):
    unique = [
        length for length in range(3, len(id)) if not any(one.startswith(id[:length]) for one in MIXED if one != id)
    ]

    assert mixed.query_short_ids("calls", [id], 3) == {id: id[: unique[0] if unique else len(id)]}


def test_an_id_of_a_call_takes_16_bytes_if_it_is_a_uuid(mixed, folder):
    with closing(sqlite3.connect(index_file(folder))) as database:
        sizes = dict(database.execute("SELECT id, length(CAST(packed_id AS BLOB)) FROM calls"))

    assert sizes == {id: 16 if pack_id(id) != id else len(id.encode()) for id in MIXED}
