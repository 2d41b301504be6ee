"""A log without calls, or none at all: each command says so, where, and how to record some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli import recorded

from sessiontap.cli.main import main

OF_A_SESSION = ("show @1", "tools @1", "context @1", "cache @1", "waste @1", "trace prune --session @1 --yes")
OF_A_CALL = ("cat @1", "rules explain @1")
LISTS = ("ls", "calls", "tail", "stats", "export --format jsonl")
RECORD = "`sessiontap exec -- PROGRAM` records"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command says on stderr."""

    def said(folder: Path, command: str) -> str:
        main(["--trace", str(folder), *command.split()])
        return capsys.readouterr().err

    return said


@pytest.mark.parametrize("command", [*LISTS, *OF_A_SESSION, *OF_A_CALL, "trace info"])
def test_without_a_folder(said: Callable[..., str], tmp_path: Path, command: str) -> None:
    folder = tmp_path / "none"
    assert said(folder, command).splitlines()[0] == f"sessiontap: there is no trace folder {folder}"
    assert RECORD in said(folder, command)


@pytest.mark.parametrize("command", [*LISTS, *OF_A_SESSION, *OF_A_CALL])
def test_in_an_empty_folder(said: Callable[..., str], tmp_path: Path, command: str) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    told = said(folder, command)
    assert str(folder) in told
    assert RECORD in told


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("show nothing", "hint: list them with `sessiontap ls`"),
        ("show @9", "hint: list them with `sessiontap ls`"),
        ("cat nothing", "hint: list them with `sessiontap calls`"),
        ("cat @99", "hint: list them with `sessiontap calls`"),
    ],
)
def test_of_a_log_with_calls_it_says_where_they_are_listed(
    said: Callable[..., str], tmp_path: Path, command: str, words: str
) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    assert words in said(folder, command)
