"""The recorder closes segments: at the end, those of a killed proxy at the next start, none on a full disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
from tests.e2e.faults import patches
from tests.e2e.faults.disks import Disk
from tests.e2e.faults.load import RULES, Crowd, serve
from tests.e2e.lab import Lab, Proxy, wait_until
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.trace.files import segments
from sessiontap.trace.maintenance import verify


def loaded(lab: Lab, folder: Path) -> tuple[Proxy, Crowd]:
    """A proxy that has recorded some calls, and its clients at rest."""
    serve(lab)
    proxy = lab.proxy(RULES, options={"session_trace": folder}, patch=patches.PATIENT_CLOSING)
    crowd = Crowd.of("run", "ab", proxy.ca)
    crowd.start(proxy.process.port)
    crowd.wait_more(20)
    crowd.stop()
    wait_until(lambda: len(list(trace.open(folder).calls())) == crowd.ledger.number)
    return proxy, crowd


def closed(folder: Path) -> list[bool]:
    return [one.closed for one in segments(folder).values()]


def test_an_end_closes_the_segment(lab: Lab, tmp_path: Path) -> None:
    proxy, crowd = loaded(lab, tmp_path / "trace")
    log = trace.open(tmp_path / "trace")
    before = log.query_calls()

    calls = proxy.stop()

    assert closed(tmp_path / "trace") == [True]
    crowd.ledger.check_all(calls)
    assert (log.query_calls(), len(before)) == (before, crowd.ledger.number)
    assert [path.suffix for path in (tmp_path / "trace").glob("[0-9]*")] == [".zst"]


def test_the_next_start_closes_what_a_killed_proxy_left(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    proxy, crowd = loaded(lab, folder)
    (recorder,) = psutil.Process(proxy.process.pid).children()
    os.kill(recorder.pid, signal.SIGSTOP)
    os.kill(proxy.process.pid, signal.SIGKILL)
    os.kill(recorder.pid, signal.SIGKILL)
    recorder.wait(PATIENCE)
    assert closed(folder) == [False]

    after = lab.proxy(RULES, options={"session_trace": folder}, patch=patches.PATIENT_CLOSING)
    wait_until(lambda: closed(folder)[0])
    calls = after.stop()

    assert closed(folder) == [True, True]
    crowd.ledger.check_all(calls)
    assert len(calls) == crowd.ledger.number
    assert verify(folder).problems == ()


def test_a_full_disk_at_the_end_leaves_the_segment_and_is_said(lab: Lab, disk: Disk) -> None:
    folder = disk.path / "trace"
    proxy, crowd = loaded(lab, folder)

    disk.fill()
    proxy.process.stop()

    assert closed(folder) == [False]
    (said,) = [line for line in proxy.process.lines if "cannot be compressed" in line]
    assert said.endswith("stays as it is: No space left on device")
    calls = list(trace.open(folder).calls())
    crowd.ledger.check_all(calls)
    assert len(calls) == crowd.ledger.number
