"""A disk that is full, read-only, gone or slow costs records, counted and told; never a call."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.faults import patches
from tests.e2e.faults.disks import Disk
from tests.e2e.faults.load import RULES, Crowd, serve
from tests.e2e.lab import Lab, Proxy, wait_until

from sessiontap import trace
from sessiontap.demo.proxy_process import ProxyFailed
from sessiontap.trace import RecordedCall, Trace, TraceError


def recording(lab: Lab, folder: Path, **options: Any) -> tuple[Proxy, Crowd]:
    """A proxy that records under load."""
    serve(lab)
    proxy = lab.proxy(RULES, options={"session_trace": folder, **options.pop("options", {})}, **options)
    crowd = Crowd.of("run", "abc", proxy.ca)
    crowd.start(proxy.process.port)
    crowd.wait_more(20)
    proxy.wait_calls(1)
    return proxy, crowd


def wait_told(proxy: Proxy, kind: str) -> None:
    """Return once the log has a note of this kind: the folder may be away meanwhile."""
    log = proxy.trace_folder

    def told() -> bool:
        if not log.is_dir():
            return False
        with suppress(TraceError):
            return any(note["kind"] == kind for note in reader.notes())
        return False

    reader = Trace(log)
    wait_until(told, lambda: f"no {kind} in the log; the proxy said: {proxy.process.output}")


def stop(proxy: Proxy, crowd: Crowd) -> list[RecordedCall]:
    """End both. Every call was answered; those that are recorded are right; the log is sound; no fault was ours."""
    crowd.wait_more(20)  # whatever happened, recording goes on
    crowd.stop()
    calls = proxy.stop()
    crowd.ledger.check_all(calls)
    assert crowd.ledger.answered == {f"run:{app.name}:{n}" for app in crowd.apps for n in range(1, app.count + 1)}
    assert proxy.trace.problems == []
    assert "a fault of its own" not in proxy.process.output
    assert "Traceback" not in proxy.process.output
    return calls


def dropped(proxy: Proxy) -> int:
    """Records that the log says were lost to the disk."""
    lost = [note["dropped"] for note in proxy.notes("dropped")]
    assert all(set(one) == {"disk"} for one in lost)
    return sum(one["disk"] for one in lost)


def test_a_full_disk(lab: Lab, disk: Disk) -> None:
    proxy, crowd = recording(lab, disk.path / "trace")

    disk.fill()
    proxy.process.wait_line(lambda line: "records are lost" in line)
    crowd.wait_more(60)
    disk.free()
    wait_told(proxy, "dropped")

    calls = stop(proxy, crowd)
    assert len(calls) + dropped(proxy) == crowd.ledger.number
    assert dropped(proxy) >= 20
    (said,) = [line for line in proxy.process.lines if "records are lost" in line]
    assert "cannot be written (No space left on device)" in said or "is the disk full?" in said


def test_a_folder_that_becomes_read_only(lab: Lab, disk: Disk) -> None:
    proxy, crowd = recording(lab, disk.path / "trace")

    back = disk.make_read_only("trace")
    for segment in back.glob("*.mpk"):
        segment.unlink()  # it must begin another, and cannot
    said = proxy.process.wait_line(lambda line: "records are lost" in line)
    crowd.wait_more(60)
    log = trace.open(proxy.trace_folder)
    assert (list(log.calls()), log.query_calls(), log.notes()) == ([], [], []), "it can be asked all the same"
    log.close()
    disk.make_writable("trace")
    wait_told(proxy, "dropped")

    calls = stop(proxy, crowd)
    assert said.endswith("cannot be written (Read-only file system)")
    (vanished,) = proxy.notes("vanished")
    assert dropped(proxy) >= 20
    assert 0 < crowd.ledger.number - len(calls) - dropped(proxy) <= vanished["records"]


def take_away(folder: Path) -> None:
    shutil.rmtree(folder)


def take_away_with_its_parent(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def move(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("vanish", [take_away, take_away_with_its_parent, move], ids=lambda one: one.__name__)
def test_a_folder_that_vanishes(lab: Lab, tmp_path: Path, vanish: Callable[[Path], None]) -> None:
    folder = tmp_path / "some" / "trace"
    proxy, crowd = recording(lab, folder)

    vanish(folder)
    crowd.wait_more(20)
    wait_told(proxy, "vanished")

    calls = stop(proxy, crowd)
    (vanished,) = proxy.notes("vanished")
    assert 0 < crowd.ledger.number - len(calls) <= vanished["records"]
    assert proxy.notes("dropped") == []
    said = proxy.process.wait_line(lambda line: "was taken away" in line)
    assert vanished["text"] in said
    if vanish is move:
        moved = trace.open(folder.with_name("elsewhere"))
        keys = crowd.ledger.check_all([*moved.calls(), *calls])
        assert len(keys) == crowd.ledger.number, "nothing is lost"


def test_a_file_in_the_place_of_the_folder(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "some" / "trace"
    proxy, crowd = recording(lab, folder)

    shutil.rmtree(folder)
    folder.write_text("not a folder", encoding="utf-8")
    said = proxy.process.wait_line(lambda line: "records are lost" in line)
    crowd.wait_more(60)
    assert folder.read_text(encoding="utf-8") == "not a folder"
    folder.unlink()
    wait_told(proxy, "dropped")

    calls = stop(proxy, crowd)
    assert said.endswith(f"{folder} cannot be written (Not a directory)")
    (vanished,) = proxy.notes("vanished")
    assert dropped(proxy) >= 20
    assert 0 < crowd.ledger.number - len(calls) - dropped(proxy) <= vanished["records"]


def test_a_disk_that_hangs(lab: Lab, tmp_path: Path) -> None:
    """While it does, calls come and go; once it goes on, all of them are in the log."""
    hold = tmp_path / "hold"
    proxy, crowd = recording(
        lab,
        tmp_path / "trace",
        options={"session_fsync": "always"},
        patch=patches.SLOW_DISK,
        environment={"HOLD": str(hold)},
    )

    hold.touch()
    proxy.process.wait_line(lambda line: line == "THE DISK HANGS")
    held = len(list(proxy.trace.calls()))
    crowd.wait_more(60)
    assert len(list(proxy.trace.calls())) == held
    hold.unlink()

    calls = stop(proxy, crowd)
    assert len(calls) == crowd.ledger.number
    assert proxy.notes("dropped") == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "read-only"])
def test_a_disk_that_cannot_be_written_at_the_start(lab: Lab, disk: Disk, full: bool) -> None:
    """That is said in one sentence."""
    folder = disk.path / "trace"
    folder.mkdir()
    if full:
        disk.fill()
    else:
        disk.make_read_only("trace")

    with pytest.raises(ProxyFailed) as failed:
        lab.proxy(options={"session_trace": folder})

    why = "No space left on device" if full else "Read-only file system"
    assert f"the trace folder {folder} cannot be written: {why}" in str(failed.value)
    assert "Traceback" not in str(failed.value)
