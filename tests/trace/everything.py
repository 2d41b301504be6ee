"""Segments of any records, and everything that is ever read of a folder: by readers, the index, a start, commands."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from tests.trace.conftest import open_log

from sessiontap import trace
from sessiontap.cli.main import main
from sessiontap.faults import Faults
from sessiontap.proxy.plan import Planner
from sessiontap.trace import frame
from sessiontap.trace.maintenance import info, verify
from sessiontap.trace.restore import RestorableCalls


def segment(folder: Path, *records: Any, name: str = "20260101T000000.000000Z-1-aaaaaa.mpk") -> Path:
    """A segment of any records: maps, or payloads as they are."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(map(framed, records)))
    return folder


def framed(record: Any) -> bytes:
    """A record, or a payload as it is, with its frame."""
    if not isinstance(record, bytes):
        return frame.encode(record)
    return frame.MARK + struct.pack(">II", len(record), zlib.crc32(record)) + record


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    """A command's exit status and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    buffer = io.BytesIO()
    out.buffer = buffer  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--trace", str(folder), *words])
    return status, out.getvalue() + buffer.getvalue().decode("latin-1"), err.getvalue()


def read_all(folder: Path) -> set[str]:
    """Everything that readers, the index, a start and the maintenance make of a folder; the ids of the calls."""
    log = open_log(folder)
    calls = list(log.calls(warm_ups=True))
    for call in calls:
        json.dumps(trace.call_row(call.record, call.caller), allow_nan=False)
        for side in ("request", "response"):
            with contextlib.suppress(trace.BodyError):
                call.body(side)
    json.dumps([log.notes(), list(log.problems)], default=str, allow_nan=False)
    rows = log.query_calls(), log.query_sessions(), log.notes(), log.search("nowhere"), log.query_sums()
    rows += tuple(log.stats(by) for by in ("name", "model", "tool", "property", "process", "step", "outcome"))
    json.dumps(rows, allow_nan=False)
    json.dumps([hit.row() for text in ("e", "nowhere") for hit in log.query_hits(text)[0]], allow_nan=False)
    for session in log.query_sessions():
        log.query_session(session["id"])
        assert all(turn.first_new <= len(turn.request) for turn in log.query_turns(session["id"]))
    log.close()
    planner = Planner({}, Faults())
    for head in RestorableCalls(folder):
        planner.restore(head)
    info(folder)
    found = verify(folder)
    assert len(found.problems) >= len({problem.offset for problem in log.problems})
    assert {call.id for call in calls} >= {row["id"] for row in rows[0]}
    return {call.id for call in calls}


COMMANDS = (
    ["ls"], ["ls", "--json"], ["calls"], ["calls", "--json"], ["tail", "-n", "50"], ["stats", "--by", "model"],
    ["show", "@1"], ["show", "@1", "--timeline"], ["search", "e"], ["trace", "info"], ["trace", "verify"],
    ["export", "--format", "jsonl"], ["export", "--format", "har"],
)  # fmt: skip
OF_A_CALL = ([], ["--json"], ["--text"], ["--headers"], ["--changes"], ["--curl"], ["--request"], ["--response"])


def run_all(folder: Path, ids: set[str]) -> None:
    """No command ends in a traceback."""
    for words in (*COMMANDS, *(["cat", one, *more] for one in sorted(ids) for more in OF_A_CALL)):
        status, said, complained = run(folder, *words)
        assert status in (0, 1), (words, complained)
        assert "Traceback" not in said + complained, words
