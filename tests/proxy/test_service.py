"""What runs behind the hooks: started with a recorder, and without one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx
from tests.proxy.test_notices import Recorder

from sessiontap.faults import Faults
from sessiontap.proxy.service import Service, prepare_home
from sessiontap.proxy.settings import SettingsError


@pytest.fixture
def service() -> Service:
    made = Service(Faults())
    made.record_with(Recorder())  # type: ignore[arg-type]
    return made


def notes(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    recorder: Any = service.recorder
    return list(recorder.notes)


def test_a_fault_is_noted_once_with_where_it_was(service: Service) -> None:
    for _ in range(3):
        with service.faults.guard("request"):
            raise ValueError("no")
    ((kind, text, facts),) = notes(service)
    assert (kind, facts) == ("fault", {"where": "request"})
    assert text.startswith("ValueError: no")


def test_without_a_recorder_nothing_is_lost_but_records() -> None:
    service = Service(Faults())
    service.notices.note("x", "y")
    service.calls.finished(None, "ok", 0, None, None)  # type: ignore[arg-type]
    assert service.calls.receipt()()


@pytest.mark.parametrize(
    ("options", "addons", "read"),
    [
        ({}, {}, False),
        ({"scripts": ["/opt/addon/main.py"]}, {}, False),
        ({"scripts": ["/opt/addon/main.py", "other.py"]}, {}, True),
        ({"save_stream_file": "flows"}, {}, True),
        ({"hardump": "x.har"}, {}, True),
        ({}, {"view": object()}, True),
    ],
    ids=["nobody", "our own script", "another script", "-w", "hardump", "a user interface"],
)
def test_whether_somebody_looks_at_flows_that_are_over(
    service: Service, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], addons: dict[str, Any], read: bool
) -> None:
    given = {"scripts": [], "save_stream_file": None, "hardump": "", **options}
    monkeypatch.setattr(ctx, "options", SimpleNamespace(**given), raising=False)
    monkeypatch.setattr(ctx, "master", SimpleNamespace(addons=addons), raising=False)
    assert service.flows_are_read is read


def test_no_place_for_our_own_files_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr("tempfile.tempdir", "/dev/null")
    with pytest.raises(SettingsError, match="Point HOME or TMPDIR at a folder that can be written"):
        prepare_home()
