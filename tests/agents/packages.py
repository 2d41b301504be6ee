"""Real agents and frameworks from their registries, kept outside the clone from one run to the next.

Pinned: these are the versions whose traffic was looked at. Where one cannot be installed its tests are skipped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

CLAUDE_CODE = "@anthropic-ai/claude-code@2.1.197"
CODEX = "@openai/codex@0.169.0"
OPENCODE = "opencode-ai@1.18.33"
CONTINUE = "@continuedev/cli@1.5.47"
GEMINI_CLI = "@google/gemini-cli@0.61.0"
KIMI_CODE = "@moonshot-ai/kimi-code@2.1.0"
PI = "@mariozechner/pi-coding-agent@0.73.1"
QWEN_CODE = "@qwen-code/qwen-code@0.24.4"
VERCEL_AI = ("ai@6.0.326", "@ai-sdk/openai@3.0.141", "undici@7.30.2")
AIDER = "aider-chat==0.86.2"
AIDER_PYTHON = "3.12"
"""It takes no newer one."""
OPENAI_AGENTS = "openai-agents==0.24.0"
LANGCHAIN = "langchain-openai==1.7.3"

OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIMIT = 900.0  # seconds for an installation; the largest is half a gigabyte
START_LIMIT = 120.0
"""Seconds until it says its version, on a busy machine. The largest needs two of CPU time."""
LONGEST_NAME = 200
"""Characters of a folder's name; file systems take 255 bytes."""
_DONE = "installed"


def npm(*specs: str) -> Path:
    """The `node_modules` folder that holds these packages; skips the test where it cannot be had."""
    command = shutil.which("npm")
    if shutil.which("node") is None or command is None:
        pytest.skip("node and npm are not installed")
    place = _place(specs)
    if not (place / _DONE).exists():
        _install(place, specs, [[command, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(place)]])
    return place / "node_modules"


def program(spec: str, name: str) -> Path:
    """The command `name` of an npm package; skips the test where it cannot be had or does not start here."""
    path = npm(spec) / ".bin" / name
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=START_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{spec} does not run here: {type(error).__name__}")
    if done.returncode:
        pytest.skip(f"{spec} does not run here: {(done.stderr.strip() or 'no word why').splitlines()[-1]}")
    return path


def python(*specs: str, version: str = OWN_PYTHON) -> Path:
    """The Python of a virtual environment with these packages; skips the test where it cannot be had."""
    place = _place((*specs, f"python{version}"))
    interpreter = place / "bin" / "python"
    if not (place / _DONE).exists():
        base = sys.executable if version == OWN_PYTHON else _found_python(version)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        _install(place, specs, [[base, "-m", "venv", str(place)], pip])
    return interpreter


def _found_python(version: str) -> str:
    """A Python of this machine or of pyenv; skips the test if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    named = shutil.which(f"python{version}")
    for candidate in [*([named] if named else []), *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]:
        # A shim of pyenv's exists for versions that are not active, too, and fails.
        tried = subprocess.run([candidate, "-c", "import ensurepip, venv"], capture_output=True, check=False)
        if tried.returncode == 0:
            return candidate
    pytest.skip(f"Python {version} is not installed")


def _place(specs: Sequence[str]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sessiontap-tests"
    name = "+".join(spec.replace("/", "_") for spec in specs)
    if len(name) > LONGEST_NAME:
        name = f"{name[:80]}+{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return cache / name


def _install(place: Path, specs: Sequence[str], commands: Sequence[Sequence[str]]) -> None:
    """Run the commands, the last one with the packages' names; half an installation is none."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for number, command in enumerate(commands, 1):
        words = [*command, *specs] if number == len(commands) else command
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{specs[0]} could not be installed within {LIMIT:g} s")
        if done.returncode:
            # What was said may hold an index's address and its password.
            pytest.skip(f"{specs[0]} could not be installed (exit status {done.returncode})")
    (place / _DONE).touch()
