"""The commands that set up: `init` and `env`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.command import Run, runner

from sessiontap.cli.commands.start import starter_rules
from sessiontap.cli.completion_scripts import install
from sessiontap.cli.main import app
from sessiontap.rules import lint, load_text


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_others_can_write_neither_to_rules_nor_to_a_script_for_the_shell(
    run: Run, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules say where calls go, and a shell runs the script."""
    home = own_place / "home"
    home.mkdir(mode=0o755)
    monkeypatch.setenv("HOME", str(home))
    before = os.umask(0)
    try:
        assert run("init")[0] == 0
        install("zsh", app)
    finally:
        os.umask(before)
    made = [own_place / "rules.yaml", *(one for one in home.rglob("*") if one != home)]
    assert [str(one) for one in made if one.stat().st_mode & 0o022] == []


def test_init_writes_a_file_that_validates(run: Run, own_place: Path) -> None:
    status, out, _ = run("init")
    assert status == 0
    assert str(own_place / "rules.yaml") in out
    assert (own_place / "rules.yaml").read_text() == starter_rules()
    status, _, err = run("rules", "check")
    assert (status, "warning" in err) == (0, False)


def test_the_starter_is_valid_in_every_example_of_its_comments() -> None:
    text = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith(("# -", "#   ", "# hosts:", "# redact:")) else line
        for line in starter_rules().splitlines()
        if not line.startswith("#   sessiontap")
    )
    rules = load_text(text)
    labels = ["web search", "course generator", "not this one", "errands", "defaults"]
    assert [rule.label for rule in rules.rules] == labels
    assert rules.hosts
    assert rules.redact_patterns
    assert lint(rules) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_init_leaves_alone_what_is_no_file(run: Run, own_place: Path, make: Callable[[Path], None]) -> None:
    make(own_place / "rules.yaml")
    status, _, err = run("init", "--force")
    assert status == 1
    assert "exists and is not a file" in err
    status, _, err = run("rules", "check")
    assert status == 2
    assert "expected a file" in err


def test_init_does_not_overwrite(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text("mine")
    status, out, err = run("init")
    assert (status, out) == (1, "")
    assert err.splitlines()[1] == "hint: --force overwrites it"
    assert (own_place / "rules.yaml").read_text() == "mine"
    assert run("init", "--force")[0] == 0
    assert (own_place / "rules.yaml").read_text() == starter_rules()


def test_env_says_that_no_proxy_runs(run: Run, own_place: Path) -> None:
    status, out, err = run("env")
    assert status == 0
    assert out.splitlines()[0] == "export HTTPS_PROXY=http://127.0.0.1:8080"
    assert f"export SSL_CERT_FILE={own_place.parent}/sessiontap-ca-{os.getuid()}/ca-bundle-" in out
    assert err.startswith("sessiontap: no proxy runs here")


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("fish", "set -gx HTTPS_PROXY 'http://127.0.0.1:8080'"),
        ("pwsh", "$env:HTTPS_PROXY = 'http://127.0.0.1:8080'"),
        ("docker", " -e HTTPS_PROXY=http://host.docker.internal:8080 "),
    ],
)
def test_env_in_the_words_of_a_shell(run: Run, shell: str, line: str) -> None:
    assert line in run("env", "--shell", shell)[1]


def test_env_json(run: Run) -> None:
    assert json.loads(run("env", "--json")[1])["NODE_USE_ENV_PROXY"] == "1"
