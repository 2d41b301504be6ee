"""Sessions, calls and statistics as tables: which column shows what of a row in the shape of `--json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sessiontap.cli import scores_text, table
from sessiontap.cli.characters import shown
from sessiontap.cli.output import line
from sessiontap.cli.table import Column, Row, cut
from sessiontap.trace.outcomes import ERRORS
from sessiontap.units import (
    UNKNOWN,
    clock,
    count,
    dollars,
    duration,
    elapsed,
    moment,
    plural,
    short_count,
    short_moment,
    size,
)

SESSION_ID_LENGTH = 8
"""Characters of an id that are shown at least; the index says if more are needed to tell it from all others."""
CALL_ID_LENGTH = 18
"""The same of a call's: a UUIDv7 up to its milliseconds and 12 bits more, by which calls differ as a rule."""
FAILED = "red"
GAP = "  "
LONGEST_TITLE = 48
"""Characters of a title in a list."""
SESSION_COLUMNS = (
    Column("ID", style="cyan", most=14, cut="middle"),
    Column("NAME", style="bold", shrinks=True, least=10, wish=16, cut="middle"),
    Column("TITLE", shrinks=True, least=12, wish=32),
    Column("STARTED", shorter=short_moment),
    Column("DURATION", right=True, short_title="TOOK"),
    Column("CALLS", right=True, shorter=short_count),
    Column("ERRORS", right=True, optional=True, spare=1),
    Column("IN", right=True, optional=True, spare=4, shorter=short_count),
    Column("OUT", right=True, optional=True, spare=4, shorter=short_count),
    Column("COST", right=True),
    Column("STATUS", optional=True, spare=2),
    Column("PROCESSES", shrinks=True, optional=True, spare=5, least=12, wish=16, cut="list"),
    Column("MODELS", shrinks=True, optional=True, spare=3, least=10, wish=14, cut="list"),
)
SCORES = Column("SCORES", shrinks=True, least=10, wish=16, cut="list")
type _Further = tuple[Column, Callable[[Mapping[str, Any]], str]]
"""A column behind the others, and its cell of a row."""
_CALL_SCORES: _Further = SCORES, scores_text.of_call
_SESSION_SCORES: _Further = SCORES, scores_text.of_session
_MACHINE: _Further = (
    Column("MACHINE", shrinks=True, optional=True, spare=2, least=8, wish=12, cut="middle"),
    lambda row: row["machine"] or UNKNOWN,
)
_MACHINES: _Further = (
    Column("MACHINES", shrinks=True, optional=True, spare=2, least=8, wish=16, cut="list"),
    lambda row: _joined(row["machines"]),
)
CALL_COLUMNS = (
    Column("ID", style="cyan", most=24, cut="middle"),
    Column("TIME", optional=True, spare=1, shorter=short_moment),
    Column("SESSION", style="bold", shrinks=True, optional=True, wish=12, cut="middle"),
    Column("PATH", shrinks=True, optional=True, wish=12, cut="middle"),
    Column("STEP", right=True, optional=True, spare=4),
    Column("OPERATION", optional=True, spare=5),
    Column("MODEL", shrinks=True, least=10, wish=14, cut="middle"),
    Column("STATUS", optional=True, spare=2),
    Column("DURATION", right=True, short_title="TOOK"),
    Column("IN", right=True, optional=True, spare=3, shorter=short_count),
    Column("OUT", right=True, optional=True, spare=3, shorter=short_count),
    Column("COST", right=True),
    Column("RESULT", shrinks=True, wish=16),
)
STATISTICS_COLUMNS = (
    Column("CALLS", right=True),
    Column("ERRORS", right=True),
    Column("RATE", right=True),
    Column("SESSIONS", right=True, optional=True),
    Column("SUCCESS", right=True, optional=True),
    Column("IN", right=True, optional=True),
    Column("OUT", right=True, optional=True),
    Column("COST", right=True),
    Column("PER SESSION", right=True, optional=True),
    Column("P50", right=True, optional=True),
    Column("P95", right=True, optional=True),
    Column("DURATION P50", right=True),
    Column("P95", right=True),
    Column("P99", right=True, optional=True),
    Column("1ST TOKEN P50", right=True, optional=True),
    Column("P95", right=True, optional=True),
    Column("SPAN P50", right=True, optional=True),
    Column("P95", right=True, optional=True),
    Column("COST IN", right=True, optional=True),
    Column("CACHE READ", right=True, optional=True),
    Column("CACHE WRITE", right=True, optional=True),
    Column("COST OUT", right=True, optional=True),
)
"""Behind `PER SESSION`, the mean, stand its percentiles; a span is that of a session's calls of the row."""


def sessions(rows: Iterable[Mapping[str, Any]], short: Mapping[str, str]) -> None:
    """Print session rows; `short`: id -> what is shown of it."""
    table.show(SESSION_COLUMNS, [session(row, short) for row in rows])


def session_batches(
    batches: Iterable[Sequence[Mapping[str, Any]]],
    short: Callable[[list[str]], Mapping[str, str]],
    *,
    scored: bool = False,
    machines: bool = False,
) -> None:
    """Print session rows as they come; `short` returns what is shown of ids. `scored`, `machines`: with that column."""
    more = [*([_MACHINES] if machines else []), *([_SESSION_SCORES] if scored else [])]
    table.show_each((*SESSION_COLUMNS, *(column for column, _ in more)), _lines(batches, short, session, more))


def call_batches(
    batches: Iterable[Sequence[Mapping[str, Any]]],
    short: Callable[[list[str]], Mapping[str, str]],
    *,
    scored: bool = False,
    machines: bool = False,
) -> None:
    """Print call rows as they come. `scored`, `machines`: with that column."""
    more = [*([_MACHINE] if machines else []), *([_CALL_SCORES] if scored else [])]
    table.show_each((*CALL_COLUMNS, *(column for column, _ in more)), _lines(batches, short, call, more))


def _lines(
    batches: Iterable[Sequence[Mapping[str, Any]]],
    short: Callable[[list[str]], Mapping[str, str]],
    line_of: Callable[[Mapping[str, Any], Mapping[str, str]], Row],
    more: Sequence[_Further],
) -> Iterator[list[Row]]:
    for rows in batches:
        known = short([row["id"] for row in rows])
        lines = [line_of(row, known) for row in rows]
        yield [
            Row([*one.cells, *(cell(row) for _, cell in more)], one.style)
            for one, row in zip(lines, rows, strict=True)
        ]


def session(row: Mapping[str, Any], short: Mapping[str, str]) -> Row:
    """Return a session as a row of the table of sessions."""
    cells = [
        short.get(row["id"], row["id"]),
        row["name"] or UNKNOWN,
        cut(row["title"] or UNKNOWN, LONGEST_TITLE),
        moment(row["started"]),
        duration(row["duration"]),
        plural(row["errands"], "errand") if row["errands"] and not row["calls"] else count(row["calls"]),
        count(row["errors"]) if row["errors"] else "",
        count(row["input_tokens"]),
        count(row["output_tokens"]),
        cost(row["cost_usd"], row["cost_unknown_calls"]),
        status(row),
        _joined(row["processes"]),
        _joined(row["models"]),
    ]
    return Row(cells, FAILED if row["status"] == "failed" else "")


def calls(rows: Iterable[Mapping[str, Any]], short: Mapping[str, str]) -> None:
    """Print rows of calls as a table."""
    every = list(rows)
    machines = len({row["machine"] for row in every}) > 1
    call_batches([every], lambda _: short, scored=scores_text.any_of(every), machines=machines)


def call(row: Mapping[str, Any], short: Mapping[str, str]) -> Row:
    """Return a call as a row of the table of calls."""
    usage = row["usage"] or {}
    cells = [
        short.get(row["id"], row["id"]),
        moment(row["time"]),
        row["session_name"] or UNKNOWN,
        row["path"] or UNKNOWN,
        UNKNOWN if row["step"] is None else str(row["step"]),
        row["operation"] or UNKNOWN,
        model(row),
        UNKNOWN if row["status"] is None else str(row["status"]),
        took(row),
        count(usage.get("input")),
        count(usage.get("output")),
        dollars(row["cost_usd"]),
        result(row),
    ]
    return Row(cells, FAILED if failed(row) else "")


def took(row: Mapping[str, Any]) -> str:
    """A call's duration; of one in flight its age, with a `+`."""
    return f"{duration(elapsed(row['time']))}+" if row["in_flight"] else duration(row["duration"])


def status(row: Mapping[str, Any]) -> str:
    """A session's status; if calls are in flight, how many, and the age of the first."""
    if not row["calls_in_flight"]:
        return str(row["status"])
    number = f"{row['calls_in_flight']} " if row["calls_in_flight"] > 1 else ""
    return f"{number}running {duration(elapsed(row['in_flight_since']))}"


SHRINKING = (2, 3, 7)
"""The cells of a call's line that are cut if it is too long: session and path, model, result."""
LEAST_SHOWN = 12
"""Characters of such a cell that stay."""


def call_line(row: Mapping[str, Any], room: int | None = None) -> tuple[str, str]:
    """One call as a line of its own, if no table can be laid out, and its style. `room`: columns of the terminal."""
    usage = row["usage"] or {}
    cells = [
        clock(row["time"]),
        row["id"][:CALL_ID_LENGTH],
        f"{row['session_name'] or UNKNOWN} {row['path'] or ''} #{UNKNOWN if row['step'] is None else row['step']}",
        model(row),
        UNKNOWN if row["status"] is None else str(row["status"]),
        took(row),
        f"{count(usage.get('input'))} in, {count(usage.get('output'))} out",
        result(row),
    ]
    cells = [shown(line(cell)) for cell in cells]
    return (GAP.join(cells) if room is None else _fitted(cells, room)), FAILED if failed(row) else ""


def _fitted(cells: list[str], room: int) -> str:
    """The cells on one line of `room` columns, cut in their middle."""
    for index in SHRINKING:
        excess = table.width(GAP.join(cells)) - room
        if excess > 0:
            cells[index] = cut(cells[index], max(table.width(cells[index]) - excess, LEAST_SHOWN), "middle")
    return cut(GAP.join(cells), room, "middle")


def model(row: Mapping[str, Any]) -> str:
    """The model that answered, else the one that was asked; the route of a call that is none to a model."""
    route = row["route"] if row["operation"] == "other" else None
    return row["response_model"] or row["request_model"] or route or UNKNOWN


def failed(row: Mapping[str, Any]) -> bool:
    """Return True if a call counts as an error."""
    return row["outcome"] in ERRORS or bool(row["error"])


def result(row: Mapping[str, Any]) -> str:
    """The end of a call in a few words: its error, the tools it asks for, or why the model stopped."""
    if row["in_flight"]:
        return f"running, {so_far(row)}"
    error = row["error"] or {}
    if failed(row):
        how = "error" if row["outcome"] == "ok" else row["outcome"]
        return ": ".join(part for part in (how, error.get("type"), error.get("message")) if part)
    if row["outcome"] != "ok":
        return "its end is not in the log" if row["outcome"] is None else str(row["outcome"])
    if row["tool_calls"]:
        return f"→ {_joined(row['tool_calls'])}"
    return row["finish_reason"] or row["outcome"] or UNKNOWN


def so_far(row: Mapping[str, Any]) -> str:
    """Return the progress of a call in flight: the bytes of its reply, and the time to the first one."""
    if row["status"] is None:
        return "no reply yet"
    first = f"first byte after {duration(row['time_to_first_byte'])}"
    if row["time_to_first_byte"] is None:
        first = "the reply has begun"
    return first if row["response_bytes"] is None else f"{size(row['response_bytes'])} so far, {first}"


def cost(amount: float | None, unknown_calls: int | None) -> str:
    """A sum of costs; a `+` says that it leaves out calls whose cost is unknown."""
    return dollars(amount) + ("+" if amount is not None and unknown_calls else "")


def _joined(values: Sequence[str] | None) -> str:
    return ", ".join(str(value) for value in values or ()) or UNKNOWN


def statistics(rows: Sequence[Mapping[str, Any]], by: str) -> None:
    """Print the rows of `stats --by BY` as a table."""
    named = by.removeprefix("property:").removeprefix("score:")
    title = Column(named.upper(), style="bold", shrinks=True, least=16, cut="middle")
    lines = [_statistic(row, by) for row in rows]
    columns: Sequence[Column] = (title, *STATISTICS_COLUMNS)
    if any(row["scores"] for row in rows):
        columns = (*columns, SCORES)
        lines = [Row([*one.cells, scores_text.means(row["scores"])]) for one, row in zip(lines, rows, strict=True)]
    table.show(columns, lines)


def _statistic(row: Mapping[str, Any], by: str) -> Row:
    partial = row["session_cost_partial"] + row["session_cost_unknown"]
    cells = [
        UNKNOWN if row[by] is None else str(row[by]),
        count(row["calls"]),
        count(row["errors"]) if row["errors"] else "",
        rate(row["error_rate"]) if row["errors"] else "",
        count(row["sessions"]),
        UNKNOWN if row["success_rate"] is None else rate(row["success_rate"]),
        count(row["input_tokens"]),
        count(row["output_tokens"]),
        cost(row["cost_usd"], row["cost_unknown_calls"]),
        *(cost(row[f"session_cost_usd_{key}"], partial) for key in ("mean", "p50", "p95")),
        *(duration(row[f"duration_p{p}"]) for p in (50, 95, 99)),
        *(duration(row[f"time_to_first_token_p{p}"]) for p in (50, 95)),
        *(duration(row[f"session_duration_p{p}"]) for p in (50, 95)),
        *(_part(row["cost_parts"], name) for name in ("input", "cache_read", "cache_write", "output")),
    ]
    return Row(cells)


def _part(parts: Mapping[str, float] | None, name: str) -> str:
    """A part of a cost; empty if nothing was paid for it."""
    if parts is None:
        return UNKNOWN
    return dollars(parts[name]) if parts[name] else ""


def rate(share: float) -> str:
    """`2.5%`; what happens is never shown as nothing, and what does not always happen never as always."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share * 100:.1f}".removesuffix(".0") + "%"
