"""docs/push.md: its commands run, its rules load."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.command import runner
from tests.push.logs import call, log_of
from tests.push.receiver import receiver

from sessiontap.push import TARGETS
from sessiontap.rules import load_text

PAGE = (Path(__file__).parents[2] / "docs" / "push.md").read_text("utf-8")
COMMANDS = re.findall(r"^sessiontap (push .*?)(?: +#.*)?$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_commands_run(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / ".helicone").write_text("HELICONE_API_KEY=sk-helicone-test\n")
    (tmp_path / ".helicone").chmod(0o600)
    run = runner(capsys, monkeypatch, trace=log_of(tmp_path / "trace", call("c1")))
    with receiver() as received:
        at = ["--endpoint", received.url] if "--credentials" in command else []
        done = run(*shlex.split(command), *at)
    assert done.status == 0, done.err


def test_the_rules_load() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        assert load_text(example).pushes


def test_the_help_names_every_target(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = runner(capsys, monkeypatch)("push", "--help").out
    assert [name for name in TARGETS if f"  {name} " not in out] == []
