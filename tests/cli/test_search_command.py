"""`sessiontap search`: hits with their places, as text and as JSON, and what is not searched yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.everything import run

from sessiontap.cli.commands import search
from sessiontap.trace.index import parts_reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded.write(tmp_path / "trace", recorded.calls())


def test_each_place_is_shown_once_with_its_line(folder: Path) -> None:
    status, said, _ = run(folder, "search", "week one")

    head, snippet, *more = said.splitlines()
    assert (status, more) == (0, [])
    assert head.split("  ")[-1] == "reply"
    assert snippet.startswith("    ")
    assert "week one" in snippet.lower()


def test_json(folder: Path) -> None:
    _, said, _ = run(folder, "search", "week one", "--json")

    (row,) = map(json.loads, said.splitlines())
    start, end = row["match"]
    assert row["snippet"][start:end].lower() == "week one"
    assert (row["place"], row["role"], row["reply"], row["calls"]) == ("text", "assistant", True, 1)
    assert row["call"]["session_name"]


def test_nothing_is_found(folder: Path) -> None:
    assert run(folder, "search", "nowhere") == (0, "", "sessiontap: no call has the text 'nowhere'\n")


def test_an_empty_text_is_refused(folder: Path) -> None:
    status, _, complained = run(folder, "search", " ")
    assert status == 2
    assert "the text is empty" in complained


def test_what_is_not_searched_yet_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    monkeypatch.setattr(search, "SECONDS", 0.0)

    _, _, complained = run(folder, "search", "nowhere")
    assert "no call has the text 'nowhere' so far" in complained
    assert "not searched yet: 4 calls up to 2025-11-21" in complained
    _, _, complained = run(folder, "search", "nowhere", "--whole")
    assert complained == "sessiontap: no call has the text 'nowhere'\n"
