"""Values that a shell must not touch reach the program as they are."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from sessiontap.cli.environment import docker_arguments, shell_script

AWKWARD = {
    "plain": "http://127.0.0.1:8080",
    "spaces": "-Da=1 -Db=2",
    "quotes": """it's "so" ‘quoted’""",
    "dollar and backtick": "$HOME `id` $(id) %PATH%",
    "backslashes": "C:\\new\\'folder\\",
    "newline": "one\ntwo",
    "semicolon and bang": "a; rm -rf / !! # no",
}


@pytest.mark.parametrize(
    ("shell", "value", "expected"),
    [
        ("bash", "it's", """export X='it'"'"'s'"""),
        ("bash", "a|b", "export X='a|b'"),
        ("fish", "it's", r"set -gx X 'it\'s'"),
        ("fish", "a\\b", r"set -gx X 'a\\b'"),
        ("fish", "$HOME", "set -gx X '$HOME'"),
        ("pwsh", "it's", "$env:X = 'it''s'"),
        ("pwsh", "‘x’", "$env:X = '‘‘x’’'"),
        ("pwsh", "$HOME", "$env:X = '$HOME'"),
    ],
)
def test_a_line(shell: str, value: str, expected: str) -> None:
    assert shell_script(shell, {"X": value}) == expected + "\n"


EVALUATED = {
    "bash": ["bash", "-c", 'eval "$0"; printf %s "$X"'],
    "sh": ["sh", "-c", 'eval "$0"; printf %s "$X"'],
    "fish": ["fish", "-c", 'echo $argv[1] | source; printf %s "$X"'],
    "pwsh": ["pwsh", "-NoProfile", "-CommandWithArgs", "Invoke-Expression $args[0]; [Console]::Write($env:X)"],
}


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("shell", EVALUATED)
def test_the_real_shell_reads_the_value_back(shell: str, value: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    text = shell_script("bash" if shell == "sh" else shell, {"X": value})
    done = subprocess.run([*EVALUATED[shell], text], capture_output=True, check=True)
    assert done.stdout.decode() == value


def test_docker_gets_words_for_its_command_line() -> None:
    text = docker_arguments({"X": "it's a b"}, {"/my files/ca.pem": "/etc/ca.pem"})
    assert shlex.split(text) == [
        "--add-host=host.docker.internal:host-gateway",
        "--mount=type=bind,source=/my files/ca.pem,target=/etc/ca.pem,readonly",
        "-e",
        "X=it's a b",
    ]
