"""A path that begins with `~`, where nobody knows the user's home folder: a container with a user of no name."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from tests.cli.command import Run, runner

from sessiontap.cli.named_path import expanded

HINT = "hint: give the whole path: HOME is not set\n"


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_the_home_is_known(own_place: Path) -> None:
    assert expanded("~/rules.yaml") == own_place / "rules.yaml"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["--trace", "~/x", "ls"], id="a log"),
        pytest.param(["rules", "check", "~/x"], id="rules"),
        pytest.param(["ls", "--rules", "~/x"], id="rules with prices"),
        pytest.param(["export", "-f", "jsonl", "-o", "~/x"], id="a file to write"),
        pytest.param(["export", "-f", "jsonl", "-o", "~/x", "--force"], id="a file to overwrite"),
        pytest.param(["export", "-f", "parquet", "-o", "~/x"], id="a folder to write"),
        pytest.param(["score", "--from", "~/x"], id="scores"),
        pytest.param(["rules", "test", "--expect", "~/x"], id="expectations"),
        pytest.param(["relabel", "--rules", "~/x"], id="rules to relabel by"),
        pytest.param(["ui", "--unix", "~/x"], id="a socket"),
        pytest.param(["replay", "a", "--report", "~/x", "--", "true"], id="a report"),
        pytest.param(["push", "traceforge", "--endpoint", "~/x"], id="a target's folder"),
        pytest.param(["push", "langfuse", "--credentials", "~/x"], id="credentials"),
    ],
)
@pytest.mark.usefixtures("no_home")
def test_the_user_is_told(run: Run, command: list[str]) -> None:
    done = run(*command)
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith(f"sessiontap: what ~ stands for in ~/x is not known\n{HINT}")


def test_no_shell_replaces_it(run: Run, own_place: Path) -> None:
    done = run("export", "-f", "parquet", "--output=~/tables")
    assert (done.status, [one.name for one in own_place.iterdir()]) == (0, ["tables"])


@pytest.mark.usefixtures("no_home")
def test_rules_by_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONTAP_RULES", "~/x")
    assert run("rules", "check").err == f"sessiontap: what ~ stands for in ~/x is not known\n{HINT}"


@pytest.mark.usefixtures("no_home")
def test_completion_has_no_home(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = runner(capsys, monkeypatch)("--install-completion", "bash")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "sessiontap: no home folder is known for this user\n"
        "hint: install by hand what --show-completion prints\n"
    )
