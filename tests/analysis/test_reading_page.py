"""docs/reading.md: its commands say what is printed beneath them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.analysis import coding_session

from sessiontap.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text("utf-8")
SHOWN = re.findall(r"```sh\n(.*?)\n```\n\n```\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coding_session.write(tmp_path_factory.mktemp("coding") / "trace")


def test_every_command_shows_what_it_says() -> None:
    assert len(SHOWN) == PAGE.count("```sh") == 6


@pytest.mark.parametrize(("command", "said"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_commands_of_the_page(
    folder: Path, command: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONTAP_TRACE", str(folder))
    program, *arguments = shlex.split(command)
    assert (program, main(arguments)) == ("sessiontap", 0)
    assert capsys.readouterr().out == said


def test_the_program_of_the_page(folder: Path) -> None:
    ((program, said),) = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "addon"), "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(folder)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ran.stderr, ran.stdout) == ("", said)


def test_every_reason_is_in_the_table() -> None:
    from typing import get_args

    from sessiontap.analysis.cache import Reason

    table = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert set(get_args(Reason)) <= table


@pytest.mark.parametrize(("command", "number"), [("cache @1", 5), ("show @1 --conversation", 7)])
def test_the_readme_shows_lines_of_the_page(command: str, number: int) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (shown,) = re.findall(rf"```\n\$ sessiontap {command}\n(.*?)```", readme, re.DOTALL)
    lines = [line for line in shown.splitlines() if line != "..."]
    assert len(lines) == number
    assert [line for line in lines if line not in PAGE.splitlines()] == []
