"""Logs that were damaged, or written by somebody with ideas of their own, and all that is read of them.

Whatever a folder holds: opening, listing, searching, counting and checking it raises no more than `TraceError`, a body
no more than `BodyError`, and what was not damaged reads as before.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.cli import recorded
from tests.fuzz import mutate
from tests.fuzz.rounds import Case, Make, Wrong
from tests.support.call_spec import call_record

from sessiontap import trace
from sessiontap.export.call import exported
from sessiontap.recording.record import caller_record
from sessiontap.redaction import Redactor
from sessiontap.trace import BodyError, StoredCall, TraceError, Writer

KEYS = (
    *("session", "llm", "usage", "request", "response", "time", "duration", "id", "flags", "changes", "tags", "caller"),
    *("properties", "rules", "link", "headers", "body", "size", "total", "chunks", "status", "url", "conversation"),
)


def prepare(corpus: Path | None) -> Make:
    """The target."""
    home = Path(tempfile.mkdtemp(prefix="fuzz-logs-"))
    note = ("dropped", "2 records were lost", {"dropped": {"queue": 2}})
    sound = recorded.write(home / "sound", recorded.calls(), [note])
    before = {call.id: _bodies(call) for call in trace.open(sound).calls()}
    records = _records()

    def make(chance: Random) -> Case:
        folder = home / "case"
        shutil.rmtree(folder, ignore_errors=True)
        what = _damaged(chance, sound, folder) if chance.random() < 0.5 else _hostile(chance, records, folder)
        data = b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix == ".mpk")

        def check() -> None:
            for file in folder.glob("index*"):
                file.unlink()
            read_all(folder, before if what == "damaged" else {})

        return Case(check, data, what)

    return make


def _records() -> list[dict[str, Any]]:
    redactor = Redactor(b"k" * 32)
    found = []
    for one in recorded.calls():
        found += [caller_record(one.caller, redactor)] if one.caller else []
        found.append(call_record(one, redactor))
    return found


def _damaged(chance: Random, sound: Path, folder: Path) -> str:
    shutil.copytree(sound, folder, ignore=shutil.ignore_patterns("index*"))
    for file in folder.glob("*.mpk*"):
        data = file.read_bytes()
        for _ in range(chance.randrange(1, 6)):
            data = mutate.mangled(chance, data)
        file.write_bytes(data)
    return "damaged"


def _hostile(chance: Random, records: list[dict[str, Any]], folder: Path) -> str:
    """Records of odd shapes with valid checksums, among plain ones."""
    written = []
    for record in records:
        if chance.random() < 0.5:
            record = _odd(chance, record)
        written.append(record)
    if chance.random() < 0.2:
        written = mutate.disturbed(chance, written)
    log = Writer(folder, writer_info={"pid": 1, "host": "test"}, fsync_seconds=None)
    log.start()
    for record in written:
        log.submit(lambda record=record: [record], 1000)  # type: ignore[misc]
    log.close()
    return "hostile"


def _odd(chance: Random, record: dict[str, Any]) -> dict[str, Any]:
    places = [path for path in _places(record) if path[-1] in KEYS or chance.random() < 0.1]
    for _ in range(chance.randrange(1, 3)):
        if places:
            at = chance.choice(places)
            try:
                record = (
                    mutate.put(record, at, mutate.odd(chance)) if chance.random() < 0.85 else mutate.without(record, at)
                )
            except (KeyError, IndexError, TypeError, AttributeError):
                continue  # the first one took it away
    return record


def _places(record: dict[str, Any]) -> list[mutate.Path]:
    return [path for path in mutate.paths(record) if isinstance(path[-1], str)]


def _bodies(call: StoredCall) -> tuple[bytes | None, bytes | None]:
    return call.request_body(), call.response_body()


def read_all(folder: Path, before: dict[str, tuple[bytes | None, bytes | None]]) -> None:
    """All that commands read of a folder. Raises `Wrong` for a body that reads otherwise."""
    log = trace.open(folder)
    calls = list(_allowed(lambda: list(log.calls())) or ())
    for call in calls:
        bodies = _allowed(lambda call=call: _bodies(call))  # type: ignore[misc]
        wanted = before.get(call.id)
        if bodies is not None and wanted is not None and bodies != wanted:
            raise Wrong(f"a body of call {call.id} reads otherwise")
        exported(call)
    for ask in (
        log.query_calls,
        log.query_sessions,
        log.query_problems,
        lambda: log.stats("name"),
        lambda: log.stats("tool"),
        lambda: [log.query_session(row["id"]) for row in log.query_sessions()],
    ):
        _allowed(ask)


def _allowed[Found](ask: Callable[[], Found]) -> Found | None:
    """What is asked for; None if it is not to be had, in words."""
    try:
        return ask()
    except (TraceError, BodyError):
        return None
