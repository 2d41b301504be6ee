"""How programs are started: by a Python with packages, by a Node, by what this machine has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.agents import packages as installed
from tests.apps import packages

PROGRAMS = Path(__file__).parent / "programs"
Words = list[str | Path]
Runtime = Callable[[Path, str], Words]
"""(folder to run in, program) -> a command. It skips the test if the program cannot be run here, and says why."""


def python(*specs: str) -> Runtime:
    """A script, with these packages."""
    return lambda folder, program: [installed.python(*specs), PROGRAMS / program]


def python_command(*specs: str) -> Runtime:
    """A command that one of the packages brings."""
    return lambda folder, program: [installed.python(*specs).with_name(program)]


def node(version: int) -> Runtime:
    """A module beside the folder of its packages."""
    return lambda folder, program: [packages.node(version), _beside_packages(folder, program)]


def npm_runtime(spec: str, name: str, *words: str) -> Runtime:
    """Bun or Deno."""
    return lambda folder, program: [installed.program(spec, name), *words, _beside_packages(folder, program)]


def _beside_packages(folder: Path, program: str) -> Path:
    (folder / "node_modules").symlink_to(installed.npm(*packages.NODE))
    names = {spec[: spec.index("@", 1)]: "*" for spec in packages.NODE}
    (folder / "package.json").write_text(json.dumps({"dependencies": names}))
    return Path(shutil.copy(PROGRAMS / program, folder))


def system(command: str) -> Runtime:
    """A script that a command of this machine runs."""
    return lambda folder, program: [_found(command), PROGRAMS / program]


def itself(folder: Path, program: str) -> Words:
    """A command of this machine."""
    return [_found(program)]


def shell(*specs: str) -> Runtime:
    """A script of the shell's, in which `python` has these packages."""

    def start(folder: Path, program: str) -> Words:
        path = os.pathsep.join([str(installed.python(*specs).parent), os.environ["PATH"]])
        return ["env", f"PATH={path}", _found("sh"), PROGRAMS / program]

    return start


def executable(folder: Path, program: str) -> Words:
    """A file that may be executed."""
    return [PROGRAMS / program]


def php(module: str | None = None) -> Runtime:
    """A script of PHP's, which needs a module."""

    def start(folder: Path, program: str) -> Words:
        command = _found("php")
        said = subprocess.run([command, "-m"], capture_output=True, text=True, check=True)
        if module is not None and module not in said.stdout.split():
            pytest.skip(f"PHP's module {module} is not installed")
        return [command, PROGRAMS / program]

    return start


def go(folder: Path, program: str) -> Words:
    """A program without libc, built of its source in `programs/`."""
    built = folder / program
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    subprocess.run(
        [_found("go"), "build", "-o", built, PROGRAMS / f"{program}.go"], env=environ, check=True, timeout=300
    )
    return [built]


def java(folder: Path, program: str) -> Words:
    """A program that the JDK compiles when it starts it."""
    _found("javac")
    return [_found("java"), PROGRAMS / program]


def _found(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        pytest.skip(f"{command} is not installed")
    return path
