"""The three kinds of waste of a session, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sessiontap.cli import table
from sessiontap.cli.output import write
from sessiontap.cli.table import Column, Row
from sessiontap.units import UNKNOWN, count, estimated, estimated_dollars, plural

SENT = (Column("SENT", right=True), Column("COST", right=True), Column("TURNS", right=True))
NEVER_CALLED = (*SENT, Column("TOOL", style="bold", shrinks=True), Column("SERVER", shrinks=True, optional=True))
NOT_REFERRED_TO = (
    *SENT,
    Column("STEP", right=True),
    Column("REPLIES", right=True),
    Column("RESULT", style="bold", shrinks=True),
    Column("ITS WORDS", shrinks=True, optional=True),
)
REPEATED = (*SENT, Column("COPIES", right=True), Column("CONTENT", style="bold", shrinks=True))


def show(found: Mapping[str, Any], limit: int) -> None:
    """Print the answer of `analysis.waste`, of each kind the first `limit`, 0 for all."""
    _section("Tools sent and never called", NEVER_CALLED, found["tools_never_called"], _never_called, limit)
    write("\n")
    _section("Results not referred to", NOT_REFERRED_TO, found["results_not_referred_to"], _not_referred_to, limit)
    if found["results_not_referred_to"]:
        write(f"Judged so: {found['judged_by']}.\n")
    write("\n")
    _section("The same content twice in a request", REPEATED, found["repeated"], _repeated, limit)
    write("\nSENT is in tokens over all turns. ~ is estimated: the provider counts only the whole request.\n")


def _section(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    drawn: Callable[[Mapping[str, Any]], list[str]],
    limit: int,
) -> None:
    if not rows:
        write(f"{title}: none\n")
        return
    tokens = sum(row["tokens_sent_estimated"] or 0 for row in rows)
    write(f"{title}: {len(rows):,}, {estimated(tokens)} tokens\n\n")
    shown = rows[:limit] if limit else rows
    table.show(columns, [Row([*_sent(row), *drawn(row)]) for row in shown])
    if len(shown) < len(rows):
        write(f"... {plural(len(rows) - len(shown), 'more row')}: --limit 0 shows all\n")


def _sent(row: Mapping[str, Any]) -> list[str]:
    cost = row["cost_usd_estimated"]
    partly = "+" if cost is not None and row["cost_unknown_turns"] else ""
    return [
        estimated(row["tokens_sent_estimated"]),
        estimated_dollars(cost) + partly,
        count(row["turns"]),
    ]


def _never_called(row: Mapping[str, Any]) -> list[str]:
    return [row["tool"], row["server"] or ""]


def _not_referred_to(row: Mapping[str, Any]) -> list[str]:
    step = UNKNOWN if row["first_step"] is None else str(row["first_step"])
    return [step, count(row["later_replies"]), _result(row), f"{row['words']}: {', '.join(row['examples'])}"]


def _repeated(row: Mapping[str, Any]) -> list[str]:
    return [count(row["copies"]), _result(row) if row["tool"] else f"{row['kind'].replace('_', ' ')}: {row['excerpt']}"]


def _result(row: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (row["tool"], row["argument"]))) or row["excerpt"] or UNKNOWN
