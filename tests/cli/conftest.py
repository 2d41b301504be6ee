"""Every test of the command runs in a home and a folder of its own, and its sub-processes find the package."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.cli.command import Run, runner

PACKAGE = Path(__file__).resolve().parents[2] / "addon"


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """HOME and working directory in `tmp_path`, UTC, nothing of the developer's own settings."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    for name in ("SESSIONTAP_TRACE", "SESSIONTAP_RULES", "NO_COLOR", "SESSIONTAP_PROXY", "SESSIONTAP_SAVED"):
        monkeypatch.delenv(name, raising=False)
    time.tzset()
    yield home
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of `recorded.calls`. A module that needs another one has its own."""
    return recorded.write(tmp_path_factory.mktemp("recorded") / "trace", recorded.calls())


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on that log, in this process."""
    return runner(capsys, monkeypatch, trace=folder)
