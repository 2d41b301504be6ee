"""docs/exports.md: its commands run, and it leaves no format and no key out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.export.calls import call, turn

from sessiontap.cli.commands.export import EXAMPLES
from sessiontap.cli.main import main
from sessiontap.export import jsonl
from sessiontap.export.formats import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text("utf-8")
COMMANDS = re.findall(r"^sessiontap (export .*)$", PAGE, re.MULTILINE)
SHOWN = [example.removeprefix("sessiontap ") for example in EXAMPLES]


@pytest.mark.parametrize("command", [*COMMANDS, *SHOWN])
def test_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SESSIONTAP_TRACE", str(recorded.write(tmp_path / "trace", recorded.calls())))
    ours = re.split(r" \| | && ", command)[0]
    assert main(shlex.split(ours)) == 0


def test_every_format_has_its_section() -> None:
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == list(FORMATS)


def test_every_key_of_jsonl_is_there() -> None:
    section = PAGE.partition("## jsonl")[2].partition("## har")[0]
    line = jsonl.as_json(turn())
    keys = (set(line) - set(call().row)) | set(line["request"]) | set(line["response"])
    assert [key for key in sorted(keys) if f"`{key}`" not in section] == []
