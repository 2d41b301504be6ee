"""Tools of a session as a table, and the calls of one with arguments and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.tool_runs import argument_lines
from sessiontap.cli import table
from sessiontap.cli.listing import FAILED
from sessiontap.cli.output import line, print_notice, safe, write, write_line
from sessiontap.cli.table import Column, Row
from sessiontap.units import UNKNOWN, count, duration, estimated, plural, size

COLUMNS = (
    Column("TOOL", style="bold", shrinks=True),
    Column("SERVER", shrinks=True, optional=True),
    Column("CALLS", right=True),
    Column("RESULTS", right=True, optional=True),
    Column("ERRORS", right=True),
    Column("TIME", right=True),
    Column("P50", right=True, optional=True),
    Column("LONGEST", right=True, optional=True),
    Column("BYTES", right=True),
    Column("TOKENS", right=True),
)
SHOWN_LINES = 12
"""Lines of arguments or of a result that are shown."""


def show_tools(found: Mapping[str, Any]) -> None:
    """Print each tool on a line."""
    if not found["tools"]:
        print_notice(f"session {found['session_id']} calls no tool")
        return
    table.show(COLUMNS, [_row(row) for row in found["tools"]])
    write(f"\nTIME is inferred: {found['time_is']}.\n")


def _row(row: Mapping[str, Any]) -> Row:
    cells = [
        row["tool"] or UNKNOWN,
        row["server"] or "",
        count(row["calls"]),
        count(row["results"]),
        count(row["errors"]) if row["errors"] else "",
        duration(row["seconds_inferred"]),
        duration(row["seconds_p50"]),
        duration(row["seconds_max"]),
        size(row["result_bytes"]),
        estimated(row["result_tokens_estimated"]),
    ]
    return Row(cells, FAILED if row["errors"] else "")


def show_runs(found: Mapping[str, Any], limit: int) -> None:
    """Print calls with arguments and results: the last `limit` of them, 0 for all."""
    runs = found["calls"][-limit:] if limit else found["calls"]
    for number, run in enumerate(runs):
        if number:
            write("\n")
        write_line(_title(run), FAILED if run["error"] else "bold")
        _block("arguments", argument_lines(run["arguments"]))
        _block("result", run["result"])
    if len(runs) < len(found["calls"]):
        print_notice(f"{plural(len(found['calls']) - len(runs), 'earlier call')}: --limit 0 shows all")


def _title(run: Mapping[str, Any]) -> str:
    asked, answered = (UNKNOWN if run[key] is None else str(run[key]) for key in ("asked_step", "answered_step"))
    beside = f" (with {plural(run['together_with'], 'other')})" if run["together_with"] else ""
    parts = [
        str(run["tool"]),
        f"step {asked} -> {answered}",
        duration(run["seconds_inferred"]) + beside,
        "no result"
        if run["result_bytes"] is None
        else f"{size(run['result_bytes'])}, {estimated(run['result_tokens_estimated'])} tokens",
        "error" if run["error"] else "",
    ]
    return line("  ".join(part for part in parts if part))


def _block(title: str, text: str | None) -> None:
    if text is None:
        return
    lines = text.splitlines()
    write(f"  {title}\n")
    for one in lines[:SHOWN_LINES]:
        write(f"    {safe(one)}\n")
    if len(lines) > SHOWN_LINES:
        write(f"    ... {plural(len(lines) - SHOWN_LINES, 'more line')}\n")
