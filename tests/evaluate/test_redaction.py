"""Redaction finds all of what it says it finds, and takes nothing else from recorded traffic."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.evaluate.redaction import CORPUS, Recall, bodies, judge, main, recall, redactions
from tests.redaction.made_up import FORMS, NAMES, PLACES, SHAPES, Made

from sessiontap.redaction import Redactor

needs_corpus = pytest.mark.skipif(not any(CORPUS.glob("*.gz")), reason=f"no recorded exchanges in {CORPUS}")
REDACTOR = Redactor(b"k" * 32)


@pytest.fixture(scope="module")
def result() -> Recall:
    return recall(REDACTOR)


def test_every_made_up_credential_is_found(result: Recall) -> None:
    assert result.by_place.total() == 5000
    assert +result.missed == {}
    assert +result.missed_in == {}


def test_the_figures_in_the_document_are_those_measured(result: Recall) -> None:
    document = (Path(__file__).parents[2] / "docs" / "redaction.md").read_text()
    for by in ("name", "shape"):
        made = sum(number for key, number in result.made.items() if key.startswith(f"{by} "))
        lost = sum(number for key, number in result.missed.items() if key.startswith(f"{by} "))
        assert f"| by {by} | {made:,} | {made - lost:,} |" in document
    assert f"{len(NAMES)} names in {len(FORMS)} forms and {len(SHAPES)} shapes" in document


def test_every_name_shape_form_and_place_is_tried(result: Recall) -> None:
    tried = {"name": NAMES, "shape": SHAPES, "form": FORMS}
    assert set(result.made) == {f"{by} {name}" for by, names in tried.items() for name in names}
    assert set(result.by_place) == set(PLACES)
    assert len(PLACES) == 30


def test_what_is_missed_is_counted() -> None:
    result = Recall()
    result.add(Made("x", "name TOKEN, form XML", "plain text", str), False)

    assert +result.missed == {"name TOKEN": 1, "form XML": 1}
    assert +result.missed_in == {"plain text": 1}


def test_a_redactor_that_finds_nothing_finds_nothing() -> None:
    """The measure measures: of what is left as it is, all is missed."""

    class Blind(Redactor):
        def body(self, data: bytes) -> bytes:
            return data

    result = recall(Blind(b"k"), 30)
    assert +result.missed_in == {place: 1 for place in result.by_place if place not in NOT_BODIES}


NOT_BODIES = {"error message", "command line", "environment", "state", "query", "header"}


def test_what_is_redacted_is_named_with_what_stands_around_it() -> None:
    body = b'{"a": "PASSWORD=hunter2! and TOKEN=abcdef123456", "b": 1}'

    assert redactions(REDACTOR, body) == [
        b'{"a": "PASSWORD=\0hunter2!\0 and TOKEN=abcdef123456", "b": 1}',
        b'{"a": "PASSWORD=hunter2! and TOKEN=\0abcdef123456\0", "b": 1}',
    ]


@needs_corpus
def test_nothing_but_credentials_is_taken_from_recorded_traffic() -> None:
    judged = judge(place for body in bodies(CORPUS) for place in redactions(REDACTOR, body))

    assert [what for what in judged if what.startswith("not judged")] == []
    assert 0 < judged.total() <= 12


def test_the_measure_runs_where_nothing_is_recorded(tmp_path, capsys) -> None:
    assert main([str(tmp_path), "--count", "60"]) == 0
    assert "60 made up, 60 found, 0 missed" in capsys.readouterr().out
