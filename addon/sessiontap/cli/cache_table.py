"""Hits and misses of the provider's cache as a table, each miss with its reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.analysis.cache_reasons import in_words
from sessiontap.cli import table
from sessiontap.cli.listing import rate
from sessiontap.cli.output import print_notice, write
from sessiontap.cli.table import Column, Row
from sessiontap.units import UNKNOWN, count, dollars, plural

COLUMNS = (
    Column("STEP", right=True),
    Column("ID", style="cyan", optional=True),
    Column("INPUT", right=True),
    Column("READ", right=True),
    Column("VERDICT", style="bold"),
    Column("LOST", right=True),
    Column("EXTRA", right=True),
    Column("WHY", shrinks=True, least=48),
)
STYLES = {"miss": "red", "partly": "yellow"}


def show(found: Mapping[str, Any], short: Mapping[str, str], limit: int) -> None:
    """Print the answer of `analysis.cache`; of the turns the last `limit`, 0 for all. `short`: id -> what is shown."""
    if not found["turns"]:
        print_notice(f"session {found['session_id']} has no call that a cache is for")
        return
    rows = found["turns"][-limit:] if limit else found["turns"]
    table.show(COLUMNS, [_row(row, short) for row in rows])
    if len(rows) < len(found["turns"]):
        print_notice(f"{plural(len(found['turns']) - len(rows), 'earlier turn')}: --limit 0 shows all")
    write("\n" + _sum(found["sum"]) + "\n")


def _row(row: Mapping[str, Any], short: Mapping[str, str]) -> Row:
    cells = [
        UNKNOWN if row["step"] is None else str(row["step"]),
        short.get(row["call"], row["call"]),
        count(row["input_tokens"]),
        count(row["read_tokens"]),
        row["verdict"] or UNKNOWN,
        count(row["lost_tokens"]) if row["lost_tokens"] else "",
        dollars(row["extra_cost_usd"]) if row["lost_tokens"] else "",
        "; ".join(map(in_words, row["reasons"])),
    ]
    return Row(cells, STYLES.get(row["verdict"], ""))


def _sum(total: Mapping[str, Any]) -> str:
    words = {"hit": ("hit", "hits"), "partly": ("partly",) * 2, "miss": ("miss", "misses"), "unknown": ("unknown",) * 2}
    verdicts = ", ".join(plural(total[key], one, many) for key, (one, many) in words.items() if total[key])
    if total["input_tokens"] is None:
        return f"{verdicts}: the provider states no cached tokens"
    share = rate(total["read_tokens"] / total["input_tokens"]) if total["input_tokens"] else UNKNOWN
    read = f"Of {count(total['input_tokens'])} tokens {count(total['read_tokens'])} ({share}) were read from the cache"
    if not total["lost_tokens"]:
        return f"{verdicts}. {read}; no more could have been"
    extra = dollars(total["extra_cost_usd"]) + ("+" if total["extra_cost_unknown_calls"] else "")
    return f"{verdicts}. {read}; {count(total['lost_tokens'])} more could have been, which cost {extra} extra"
