"""Session ids without memory, call ids that sort."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.cli.listing import CALL_ID_LENGTH as SHOWN
from sessiontap.sessions.session import CallIds, call_id, derived_id, is_verbatim

NOW = 1_763_700_000_123_456_789


@pytest.mark.parametrize(
    ("value", "verbatim"),
    [
        pytest.param("run-2024_A", True, id="letters digits dash underscore"),
        pytest.param("0b7c9b3e-2f5e-4a63-9d55-6a9d2f0b1c11", True, id="a UUID"),
        pytest.param("a" * 8, True, id="shortest"),
        pytest.param("a" * 7, False, id="too short"),
        pytest.param("a" * 128, True, id="longest"),
        pytest.param("a" * 129, False, id="too long"),
        pytest.param("agents-sdk:run:1", False, id="colon"),
        pytest.param("my session", False, id="space"),
        pytest.param("sitzung-für-alle", False, id="not ASCII"),
        pytest.param("١٢٣٤٥٦٧٨٩", False, id="digits of another script"),
        pytest.param("12345678\n", False, id="newline at the end"),
        pytest.param("", False, id="empty"),
    ],
)
def test_given_ids_are_used_as_they_are_where_every_reader_takes_them(value: str, verbatim: bool) -> None:
    assert is_verbatim(value) is verbatim


def test_a_derived_id_never_changes() -> None:
    # Changing one of these ends every session of every user at the upgrade.
    assert derived_id("process", "p-1", "bot") == "c008ba61-51ff-5e10-9647-a06a92f7f92d"
    assert derived_id("process", "p-1", "bot", NOW) == "553b44c5-afd8-5ba3-a5ab-18cac40ab31d"


def test_a_derived_id_is_a_uuid5() -> None:
    assert UUID(derived_id("process", "p-1", "bot")).version == 5


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("native", "p-1", "bot", None), id="source"),
        pytest.param(("process", "p-2", "bot", None), id="evidence"),
        pytest.param(("process", "p-1", "bot2", None), id="name"),
        pytest.param(("process", "p-1", "bot", NOW), id="later session"),
        pytest.param(("process", "p-1b", "ot", None), id="parts that would run together"),
    ],
)
def test_everything_that_goes_into_a_derived_id_tells_it_apart(other: tuple[str, str, str, int | None]) -> None:
    assert derived_id(*other) != derived_id("process", "p-1", "bot")


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_any_text_has_an_id(evidence: str, name: str) -> None:
    assert is_verbatim(derived_id("template", evidence, name))


def test_a_name_of_bytes_that_are_no_utf8_has_an_id() -> None:
    assert is_verbatim(derived_id("template", "\udcff", "\udc80"))


def test_a_call_id_is_a_uuid7_of_its_time() -> None:
    id = UUID(CallIds().next(NOW))
    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert id.int >> 80 == NOW // 1_000_000


@given(st.lists(st.integers(0, 2**60), min_size=2, max_size=50))
def test_call_ids_only_go_up_whatever_the_clock_does(times: list[int]) -> None:
    ids = CallIds()
    given_ids = [ids.next(time) for time in times]
    assert all(before < after for before, after in pairwise(given_ids))
    assert all(UUID(id).version == 7 for id in given_ids)


def test_call_ids_of_one_millisecond_differ_in_what_is_shown_of_them() -> None:
    ids = CallIds()
    given_ids = [ids.next(NOW) for _ in range(1000)]
    assert len({id[:SHOWN] for id in given_ids}) == len(given_ids)


def test_the_counter_carries_into_the_time_when_it_is_full() -> None:
    ids = CallIds()
    first = ids.next(NOW)
    ids._count = (1 << 42) - 1
    second, third = ids.next(NOW), ids.next(NOW)
    assert first < second < third
    assert UUID(second).int >> 80 == NOW // 1_000_000 + 1


def test_two_processes_do_not_give_the_same_call_id() -> None:
    assert CallIds().next(NOW) != CallIds().next(NOW)


def test_call_id_is_one_sequence() -> None:
    assert call_id(NOW) < call_id(NOW - 10**12)
