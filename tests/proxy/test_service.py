"""What runs behind the hooks: what is told once, what is noted, what is handed to the recorder, and without one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx

from sessiontap.callers import Caller, Found
from sessiontap.faults import Faults
from sessiontap.proxy import service as module
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.service import Service, prepare_home
from sessiontap.proxy.settings import SettingsError

CALLER = Caller(id="c", pid=1, started=1, name="bot.py")


class Recorder:
    def __init__(self) -> None:
        self.notes: list[tuple[str, str, dict[str, Any]]] = []

    def note(self, kind: str, text: str, **facts: Any) -> None:
        self.notes.append((kind, text, facts))


@pytest.fixture
def service() -> Service:
    made = Service(Faults())
    made.recorder = Recorder()  # type: ignore[assignment]
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


@pytest.mark.parametrize(
    ("found", "who"), [(Found(CALLER), "bot.py"), (Found(reason="gone"), "127.0.0.1")], ids=["known", "not known"]
)
def test_what_passes_uncaptured_is_noted_with_whose_it_was(service: Service, found: Found, who: str) -> None:
    service.not_captured(Connection("c", ("127.0.0.1", 5), found), "api.openai.com", "why not")
    process = found.caller.name if found.caller else None
    facts = {"host": "api.openai.com", "process": process, "client": "127.0.0.1"}
    assert notes(service) == [("not_captured", "why not", facts)]


def test_a_sentence_is_said_once(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("one", "two", "one"):
        service._once(text)
    assert [record.getMessage() for record in caplog.records] == ["sessiontap: one", "sessiontap: two"]


def test_sentences_that_were_said_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_TOLD", 3)
    service = Service(Faults())
    for number in range(10):
        service._once(str(number))
    assert len(service._told) == 3


def test_without_a_recorder_nothing_is_lost_but_records() -> None:
    service = Service(Faults())
    service.note("x", "y")
    service.finished(None, "ok", 0, None, None)  # type: ignore[arg-type]
    assert service.receipt()()


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
