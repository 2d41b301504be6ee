"""The content of a session's requests: each turn on a line, one of them taken apart, and the biggest blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessiontap.analysis.blocks import TITLES, block_name
from sessiontap.cli import table
from sessiontap.cli.listing import rate
from sessiontap.cli.output import print_notice, write
from sessiontap.cli.table import Column, Row
from sessiontap.units import UNKNOWN, count, dollars, estimated, estimated_dollars, plural, size

DETAIL = (
    Column("TOKENS", right=True),
    Column("SHARE", right=True),
    Column("PARTS", right=True, optional=True),
    Column("BYTES", right=True, optional=True),
    Column("CONTENT", shrinks=True),
)
BLOCKS = (
    Column("SENT", right=True),
    Column("TOKENS", right=True),
    Column("TURNS", right=True),
    Column("STEPS", right=True, optional=True),
    Column("COST", right=True),
    Column("BLOCK", shrinks=True),
)
SHOWN_BLOCKS = 10
MOST_WITHIN = 8
"""Lines under one group."""


def show(found: Mapping[str, Any], limit: int) -> None:
    """Print the answer of `analysis.context`; of the turns the last `limit`, 0 for all."""
    rows = found["turns"][-limit:] if limit else found["turns"]
    used = [name for name in TITLES if any((row["split_estimated"] or {}).get(name) for row in found["turns"])]
    has_windows = any(row["window_share"] is not None for row in found["turns"])
    columns = (
        Column("STEP", right=True),
        Column("PATH", shrinks=True, optional=True),
        Column("INPUT", right=True, style="bold"),
        *([Column("WINDOW", right=True)] if has_windows else []),
        Column("CACHED", right=True),
        Column("NEW", right=True),
        *(Column(TITLES[name].upper(), right=True) for name in used),
        Column("COST", right=True, optional=True),
    )
    table.show(columns, [_turn(row, used, has_windows) for row in rows])
    if len(rows) < len(found["turns"]):
        print_notice(f"{plural(len(found['turns']) - len(rows), 'earlier turn')}: --limit 0 shows all")
    if found["detail"] is not None:
        detail = found["detail"]
        read = f", {count(detail['cache_read_tokens'])} of them read from the cache"
        share = detail["window_share"]
        held = f", {rate(share)} of the window of {count(detail['window_tokens'])}" if share is not None else ""
        known = read if detail["cache_read_tokens"] is not None else ""
        write(f"\nStep {_step(detail['step'])}: {count(detail['input_tokens'])} tokens{held}{known}\n\n")
        table.show(DETAIL, [Row(cells) for cells in _groups(detail["categories"], "")])
    if found["blocks"]:
        write("\nBiggest blocks over all turns\n\n")
        table.show(BLOCKS, [_block(block) for block in found["blocks"][:SHOWN_BLOCKS]])
    write("\n~ is estimated: the provider counts only the whole. COST is that of the input.\n")


def _turn(row: Mapping[str, Any], used: Sequence[str], has_windows: bool) -> Row:
    split, share = row["split_estimated"], row["window_share"]
    return Row(
        [
            _step(row["step"]),
            row["path"] or UNKNOWN,
            count(row["input_tokens"]),
            *([UNKNOWN if share is None else rate(share)] if has_windows else []),
            count(row["cache_read_tokens"]),
            estimated(row["new_tokens_estimated"]),
            *(UNKNOWN if split is None else estimated(split[name]) if split[name] else "" for name in used),
            dollars(row["input_cost_usd"]),
        ]
    )


def _groups(groups: Sequence[Mapping[str, Any]], lead: str) -> Iterator[list[str]]:
    """Each group and what is within it; of many the largest."""
    for group in groups[:MOST_WITHIN]:
        share = group["share_estimated"]
        name = TITLES.get(group["name"], group["name"]) if not lead else group["name"]
        yield [
            estimated(group["tokens_estimated"]),
            UNKNOWN if share is None else rate(share),
            count(group["parts"]),
            size(group["bytes"]),
            lead + name,
        ]
        yield from _groups(group["within"], lead + "  ")
    if rest := groups[MOST_WITHIN:]:
        tokens = sum(group["tokens_estimated"] for group in rest)
        parts, bytes = (sum(group[key] for group in rest) for key in ("parts", "bytes"))
        yield [estimated(tokens), "", count(parts), size(bytes), f"{lead}{plural(len(rest), 'other')}"]


def _block(block: Mapping[str, Any]) -> Row:
    first, last = block["first_step"], block["last_step"]
    cost = estimated_dollars(block["cost_usd_estimated"])
    return Row(
        [
            estimated(block["tokens_sent_estimated"]),
            estimated(block["tokens_estimated"]),
            count(block["turns"]),
            _step(first) if first == last else f"{_step(first)}-{_step(last)}",
            cost + ("+" if block["cost_unknown_turns"] and block["cost_usd_estimated"] is not None else ""),
            block_name(block),
        ]
    )


def _step(step: int | None) -> str:
    return UNKNOWN if step is None else str(step)
