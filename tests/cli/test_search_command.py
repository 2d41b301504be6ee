"""`sessiontap search`: hits with their places, as text and as JSON, and what is not searched yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.everything import run

from sessiontap.cli import left_out
from sessiontap.trace.index import index, parts_reader


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


def test_a_filter_that_fits_nothing_is_named_not_the_text(folder: Path) -> None:
    _, _, complained = run(folder, "search", "week one", "--session", "nobody")
    assert "fits the filter" in complained
    assert "no session 'nobody'; there are: " in complained
    assert "no call has the text" not in complained


def test_an_empty_text_is_refused(folder: Path) -> None:
    status, _, complained = run(folder, "search", " ")
    assert status == 2
    assert "the text is empty" in complained


def test_what_is_not_searched_yet_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    monkeypatch.setattr(left_out, "SEARCH_SECONDS", 0.0)

    _, _, complained = run(folder, "search", "nowhere")
    assert "no call has the text 'nowhere' so far" in complained
    assert "not searched yet: 4 calls up to 2025-11-21" in complained
    _, _, complained = run(folder, "search", "nowhere", "--whole")
    assert complained == "sessiontap: no call has the text 'nowhere'\n"


@pytest.mark.parametrize(
    ("command", "sums"), [("calls", ""), ("ls", ", and sums lack these calls")], ids=["calls", "ls"]
)
def test_a_list_with_a_search_reads_no_longer_either_and_goes_on_when_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, sums: str
) -> None:
    monkeypatch.setattr(index, "SMALL_BATCH", 6)  # records, with those of their callers
    monkeypatch.setattr(parts_reader, "SLICE", 1)
    monkeypatch.setattr(left_out, "SEARCH_SECONDS", 0.0)

    _, _, complained = run(folder, command, "--search", "nowhere")
    assert f"not searched yet: more of the log{sums}; ask again to go on" in complained
    assert "fits the filter so far" in complained
    for _ in range(8):
        _, _, complained = run(folder, command, "--search", "nowhere")
    assert "not searched yet" not in complained
    assert complained.endswith("no call has the text 'nowhere'\n")


def test_without_a_search_a_list_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SMALL_BATCH", 1)
    monkeypatch.setattr(left_out, "SEARCH_SECONDS", 0.0)

    _, said, complained = run(folder, "calls", "--json")
    assert len(said.splitlines()) == 5
    assert "not searched yet" not in complained
