"""Statistics as a table: which column shows what of a row in the shape of `stats --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessiontap.cli import table
from sessiontap.cli.listing import cost
from sessiontap.cli.table import Column, Row
from sessiontap.cli.units import UNKNOWN, count, duration

_COLUMNS = (
    Column("CALLS", right=True),
    Column("ERRORS", right=True),
    Column("RATE", right=True),
    Column("SESSIONS", right=True, spare=True),
    Column("IN", right=True, spare=True),
    Column("OUT", right=True, spare=True),
    Column("COST", right=True),
    Column("PER SESSION", right=True, spare=True),
    Column("P50", right=True, spare=True),
    Column("P95", right=True, spare=True),
    Column("DURATION P50", right=True),
    Column("P95", right=True),
    Column("P99", right=True, spare=True),
    Column("1ST TOKEN P50", right=True, spare=True),
    Column("P95", right=True, spare=True),
    Column("SPAN P50", right=True, spare=True),
    Column("P95", right=True, spare=True),
)
"""Behind `PER SESSION`, the mean, stand its percentiles; a span is that of a session's calls of the row."""


def order(rows: list[dict[str, Any]], by: str, wanted: str) -> None:
    """Sort rows by `value` (from the least up), or by one of the others from the most down; unknown ones come last."""
    rows.sort(key=lambda row: _key(row, by, wanted))


def _key(row: Mapping[str, Any], by: str, wanted: str) -> tuple[bool, Any]:
    if wanted == "value":
        return row[by] is None, row[by] if row[by] is not None else ""
    if wanted == "tokens":
        known = [row[key] for key in ("input_tokens", "output_tokens") if row[key] is not None]
        value = sum(known) if known else None
    else:
        keys = {"rate": "error_rate", "cost": "cost_usd", "duration": "duration_p95"}
        value = row[keys.get(wanted, wanted)]
    return value is None, -value if value is not None else 0


def show(rows: Sequence[Mapping[str, Any]], by: str) -> None:
    """Print them."""
    title = Column(by.removeprefix("property:").upper(), style="bold", give=True)
    table.show((title, *_COLUMNS), [_row(row, by) for row in rows])


def _row(row: Mapping[str, Any], by: str) -> Row:
    partial = row["session_cost_partial"] + row["session_cost_unknown"]
    cells = [
        UNKNOWN if row[by] is None else str(row[by]),
        count(row["calls"]),
        count(row["errors"]) if row["errors"] else "",
        rate(row["error_rate"]) if row["errors"] else "",
        count(row["sessions"]),
        count(row["input_tokens"]),
        count(row["output_tokens"]),
        cost(row["cost_usd"], row["cost_unknown_calls"]),
        *(cost(row[f"session_cost_usd_{key}"], partial) for key in ("mean", "p50", "p95")),
        *(duration(row[f"duration_p{p}"]) for p in (50, 95, 99)),
        *(duration(row[f"time_to_first_token_p{p}"]) for p in (50, 95)),
        *(duration(row[f"session_duration_p{p}"]) for p in (50, 95)),
    ]
    return Row(cells)


def rate(share: float) -> str:
    """`2.5%`; what happens is never shown as nothing, and what does not always happen never as always."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share * 100:.1f}".removesuffix(".0") + "%"
