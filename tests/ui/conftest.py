from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.recorded import calls, write
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading


@pytest.fixture(scope="session")
def trace_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of `tests.cli.recorded`: two sessions, five calls."""
    return write(tmp_path_factory.mktemp("ui") / "trace", calls())


@pytest.fixture
def reading(trace_folder: Path) -> Iterator[Reading]:
    """The log as a page asks it, without prices."""
    log = open_trace(trace_folder)
    yield Reading(log)
    log.close()


@pytest.fixture
def client(trace_folder: Path) -> Iterator[Client]:
    """A client that has been let in to the site of that trace."""
    with served(lambda: Reading(open_trace(trace_folder))) as found:
        yield found.let_in()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are made of all of the log, however busy the machine is."""
    monkeypatch.setattr("sessiontap.ui.site.SECONDS", 600)
