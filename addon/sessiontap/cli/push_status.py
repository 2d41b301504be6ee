"""How far each push target is: `sessiontap push status`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sessiontap.cli.output import line
from sessiontap.push import TARGETS
from sessiontap.units import UNKNOWN, count, moment, plural

if TYPE_CHECKING:
    from sessiontap.push.cursor import Cursor, CursorFile
    from sessiontap.trace import Trace

Row = dict[str, Any]
_SHOWN = 5
"""Items set aside that are named."""


def rows(log: Trace) -> list[Row]:
    """A row for each target and endpoint, as `push status --json` gives them. Raises TraceError, Failure."""
    from sessiontap.cli.errors import failure_of
    from sessiontap.push.cursor import CursorError, cursors

    found = []
    for file in cursors(log.folder):
        try:
            cursor = file.read()
        except CursorError as error:
            raise failure_of(error) from None
        if cursor is not None:
            found.append(_row(log, file, cursor))
    return found


def _row(log: Trace, file: CursorFile, cursor: Cursor) -> Row:
    from sessiontap.trace.values import iso

    behind = log.count_behind(cursor.position, cursor.since)
    return {
        "target": cursor.target,
        "endpoint": cursor.endpoint,
        "pid": file.holder(),
        "behind": behind.calls,
        "oldest_unsent": iso(behind.oldest),
        "open_turns": len(cursor.turns.get("open", ())),
        "calls": cursor.calls,
        "turns": cursor.turns_sent,
        "items": cursor.items,
        "scores": cursor.scores,
        "scores_behind": _scores_behind(log, cursor),
        "bytes": cursor.bytes,
        "last_success": iso(_nanoseconds(cursor.last_success)),
        "last_error": _timed(cursor.last_error, "text"),
        "set_aside_count": cursor.set_aside_count,
        "set_aside": [_timed(one, "call", "reason") for one in cursor.set_aside],
        "segments_gone": cursor.gone_count,
    }


def _scores_behind(log: Trace, cursor: Cursor) -> int:
    """The scores that the target was not told yet; 0 if it has no place for any."""
    from sessiontap.trace.backlog import ScoreBacklog

    if cursor.target in TARGETS and TARGETS[cursor.target].scores is None:
        return 0
    return sum(1 for _ in ScoreBacklog(log.folder, cursor.scores_position)) + len(cursor.scores_waiting)


def _timed(event: dict[str, Any] | None, *keys: str) -> Row | None:
    from sessiontap.trace.values import iso

    return None if event is None else {"time": iso(_nanoseconds(event["time"])), **{key: event[key] for key in keys}}


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 10**9)


def text(found: Iterable[Row]) -> str:
    """Return the rows as text for people."""
    lines = [_text(row) for row in found]
    return "\n".join(lines) if lines else "Nothing was pushed from this log yet.\n"


def _text(row: Row) -> str:
    waits = f", the oldest of {moment(row['oldest_unsent'])}" if row["behind"] else ""
    error = row["last_error"]
    has_turns = row["target"] not in TARGETS or TARGETS[row["target"]].has_turns
    turns = {"user turns": f"{count(row['turns'])} complete, {count(row['open_turns'])} open"} if has_turns else {}
    scored = row["scores"] or row["scores_behind"]
    scores = {"scores": f"{count(row['scores'])} sent, {count(row['scores_behind'])} behind"} if scored else {}
    facts = {
        "running": f"process {row['pid']}" if row["pid"] is not None else "no",
        "behind": f"{plural(row['behind'], 'call')}{waits}",
        "sent": plural(row["calls"], "call"),
        **turns,
        **scores,
        "last sent": moment(row["last_success"]) if row["last_success"] else UNKNOWN,
        "last error": f"{moment(error['time'])}: {error['text']}" if error else UNKNOWN,
        "set aside": plural(row["set_aside_count"], "item"),
    }
    if row["segments_gone"]:
        facts["gone"] = f"{plural(row['segments_gone'], 'segment')} went away before all calls in them were sent"
    lines = [f"{row['target']} at {row['endpoint']}", *(f"  {name:<12}{said}" for name, said in facts.items())]
    lines += [f"{'':14}{one['call']}: {one['reason']}" for one in row["set_aside"][-_SHOWN:]]
    if row["set_aside_count"] > _SHOWN:
        lines.append(f"{'':14}... and {count(row['set_aside_count'] - _SHOWN)} more: --json lists them")
    return "".join(f"{line(one)}\n" for one in lines)
