"""Completion: what a shell offers, and how it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import Run
from tests.support import warm

COMPLETIONS = {
    "a command": ("sessiontap ru", ["run", "rules"]),
    "a command of a command": ("sessiontap trace re", ["reindex"]),
    "an option": ("sessiontap ls --so", ["--sort"]),
    "a choice": ("sessiontap ls --sort sta", ["started"]),
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("line", "expected"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_a_shell_completes(shell: str, line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's script sets these variables and reads the candidates from the output."""
    words = line.split(" ")
    monkeypatch.setenv("_SESSIONTAP_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    done = warm.sessiontap().run([], os.environ)
    lines = done.stdout.decode().splitlines()
    found = lines[1::3] if shell == "zsh" else [each.split(",")[1].split("\t")[0] for each in lines]
    assert (found, done.stderr) == (expected, b"")


def test_bash_itself_completes() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    code = """
    sessiontap() { "$PYTHON" -m sessiontap.cli "$@"; }
    export -f sessiontap
    eval "$(sessiontap --show-completion bash)"
    COMP_LINE='sessiontap tr'; COMP_POINT=${#COMP_LINE}
    _sessiontap_completion sessiontap_command
    echo "${COMPREPLY[*]}"
    """
    # The script runs its first argument by `env`, which knows files only.
    runs = Path("sessiontap_command")
    runs.write_text(f'#!/bin/sh\nexec {sys.executable} -m sessiontap.cli "$@"\n')
    runs.chmod(0o755)
    environ = {**os.environ, "PYTHON": sys.executable, "PATH": f"{Path.cwd()}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", code], env=environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("trace\n", "")


@pytest.mark.parametrize(
    ("shell", "file", "startup"),
    [
        ("bash", ".bash_completions/sessiontap.sh", ".bashrc"),
        ("zsh", ".zfunc/_sessiontap", ".zshrc"),
        ("fish", ".config/fish/completions/sessiontap.fish", None),
    ],
)
def test_completion_is_installed_once_where_the_shell_looks(
    run: Run, own_place: Path, shell: str, file: str, startup: str | None
) -> None:
    if startup:
        (own_place / startup).write_text("mine")
    for _ in range(2):
        status, out, err = run("--install-completion", shell)
        assert (status, err) == (0, "")
        assert str(own_place / file) in out
    assert (own_place / file).read_text() == run("--show-completion", shell)[1]
    if startup:
        mine, ours = (own_place / startup).read_text().splitlines()
        assert mine == "mine"
        assert Path(file).parts[0] in ours


@pytest.mark.parametrize(
    ("environ", "status", "says"),
    [
        ("/usr/bin/zsh", 0, "#compdef sessiontap"),
        ("/bin/tcsh", 2, "sessiontap: there is no completion for 'tcsh'"),
        ("", 2, "sessiontap: SHELL does not say which shell is yours"),
    ],
)
def test_the_users_shell_is_meant_if_none_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: str, status: int, says: str
) -> None:
    monkeypatch.setenv("SHELL", environ)
    found = run("--show-completion")
    assert found[0] == status
    assert (found[1] or found[2]).startswith(says)
