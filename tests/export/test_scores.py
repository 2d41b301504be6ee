"""Scores, stars and notes in what is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.recorded import COURSE, call_id, calls, write

from sessiontap.cli.main import main
from sessiontap.export import FORMATS
from sessiontap.trace.annotations import annotate, score_record

TEXTS = [name for name, one in FORMATS.items() if one.is_text]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("scores") / "trace", calls())
    given: list[dict[str, Any]] = [
        {"session": COURSE, "name": "helpful", "value": 0.8, "note": "acme plans *well*"},
        {"session": COURSE, "name": "star", "value": True},
        {"call": call_id(1), "name": "correct", "value": False},
        {"call": call_id(1), "note": "ask <acme> again"},
        {"call": call_id(1), "name": "grade", "value": "acme-like"},
        {"call": call_id(2), "name": "gone", "value": 1},
        {"call": call_id(2), "name": "gone", "value": None},
    ]
    annotate(folder, [score_record(source="page", by="ada", **one) for one in given])
    return folder


def exported(folder: Path, name: str, *options: str) -> str:
    out = folder.parent / f"out.{name}"
    assert main(["export", "--format", name, "--trace", str(folder), COURSE, "-o", str(out), "--force", *options]) == 0
    return out.read_text()


def lines(folder: Path, *options: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in exported(folder, "jsonl", *options).splitlines()]


def test_jsonl_has_them_by_call_and_by_session(folder: Path) -> None:
    first, second, _ = lines(folder)
    assert (first["scores"], first["starred"], first["note"]) == (
        {"correct": False, "grade": "acme-like"}, False, "ask <acme> again"
    )  # fmt: skip
    assert [(one["name"], one["value"], one["by"], one["source"]) for one in first["score_details"]] == [
        ("correct", False, "ada", "page"), (None, None, "ada", "page"), ("grade", "acme-like", "ada", "page")
    ]  # fmt: skip
    assert [(one["name"], one["note"]) for one in first["session_score_details"]] == [
        ("helpful", "acme plans *well*"), ("star", None)
    ]  # fmt: skip
    assert (second["scores"], second["score_details"]) == ({}, [])
    assert second["session_score_details"] == first["session_score_details"]


def test_har_has_them_in_its_own_field(folder: Path) -> None:
    entry = json.loads(exported(folder, "har"))["log"]["entries"][0]["_sessiontap"]
    assert entry["scores"] == {"correct": False, "grade": "acme-like"}
    assert [one["name"] for one in entry["session_score_details"]] == ["helpful", "star"]


def test_html_shows_them_as_text(folder: Path) -> None:
    page = exported(folder, "html")
    shown = ("helpful 0.8: acme plans *well* (ada, ", "★ (ada, ", "correct no (ada, ", "note: ask &lt;acme&gt; again")
    for said in shown:
        assert said in page
    assert "gone" not in page


def test_markdown_shows_them_as_text(folder: Path) -> None:
    text = exported(folder, "markdown")
    for said in (r"- helpful 0.8: acme plans \*well\* \(ada, ", r"- correct no \(ada", r"- note: ask \<acme\> again"):
        assert said in text


@pytest.mark.parametrize("name", TEXTS)
def test_without_content_there_are_no_notes(folder: Path, name: str) -> None:
    text = exported(folder, name, "--no-content")
    assert "helpful" in text
    assert "plans" not in text
    assert "again" not in text


@pytest.mark.parametrize("name", TEXTS)
def test_redaction_reaches_them(folder: Path, name: str) -> None:
    text = exported(folder, name, "--redact", "acme")
    assert "plans" in text
    assert "acme" not in text


def test_the_preview_names_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "html", "--trace", str(folder), COURSE, "--preview"]) == 0
    out = capsys.readouterr().out
    assert "scores: helpful (3), star (3), correct (1)" in out
    assert "a note (1)" in out
    assert "scored by: ada (4)" in out
