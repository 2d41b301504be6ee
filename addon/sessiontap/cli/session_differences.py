"""Two sessions compared, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sessiontap.analysis.compare_sessions import (
    CallPair,
    ComparedNumber,
    ComparedPath,
    ComparedSessions,
    is_failed,
)
from sessiontap.cli import table
from sessiontap.cli.call_differences import STYLES, Line, body_lines
from sessiontap.cli.listing import FAILED, cost, model, result
from sessiontap.cli.output import line, write, write_line
from sessiontap.cli.table import Column, Row
from sessiontap.units import UNKNOWN, count, dollars, duration, moment, plural

SHOWN = 5
"""Calls whose requests are shown; --full and --json have all."""
_SUMS = (Column("", style="bold", shrinks=True), Column("BEFORE", right=True), Column("AFTER", right=True),
         Column("CHANGE", right=True))  # fmt: skip
_CALLS = (
    Column("PATH AND CALLS", shrinks=True),
    Column("STEP"),
    Column("DURATION", optional=True),
    Column("IN"),
    Column("OUT", optional=True),
    Column("COST", optional=True),
    Column("RESULT", shrinks=True),
    Column("ASKS", shrinks=True),
)


def show(found: ComparedSessions, *, full: bool = False) -> None:
    """Print the comparison: sums, then the calls in pairs, then what they ask differently."""
    for mark, session in (("-", found.before), ("+", found.after)):
        shown = [session["id"], session["name"] or UNKNOWN, moment(session["started"]), session["title"]]
        write_line(line(f"{mark} {'  '.join(filter(None, shown))}"), STYLES[mark])
    write("\n")
    table.show(_SUMS, list(_sum_rows(found)))
    write("\n")
    table.show(_CALLS, list(_call_rows(found)))
    for text, style in asked_lines(found, full=full):
        write_line(text, style)


def _sum_rows(found: ComparedSessions) -> Iterator[Row]:
    sums = {one.name: one for one in found.sums}
    yield _counted("calls", sums["calls"])
    if sums["errors"].before or sums["errors"].after:
        yield _counted("errors", sums["errors"])
    yield _measured("duration", sums["duration"], duration)
    for title, key in (
        ("tokens in", "input_tokens"), ("tokens out", "output_tokens"), ("read from cache", "cache_read_tokens")
    ):  # fmt: skip
        if sums[key].before or sums[key].after:
            yield _measured(title, sums[key], lambda number: count(None if number is None else round(number)))
    unknown = sums["cost_unknown_calls"]
    costs = cost(sums["cost_usd"].before, _whole(unknown.before)), cost(sums["cost_usd"].after, _whole(unknown.after))
    yield Row(["cost", *costs, _share(sums["cost_usd"])])
    for one in found.models:
        yield Row([f"model {one.name}", *_calls(one), _signed(one)])
    for tool in found.tools:
        calls = ComparedNumber(tool.name, tool.calls_before, tool.calls_after)
        cells = [
            number + (f", {plural(errors, 'error')}" if errors else "")
            for number, errors in zip(_calls(calls), (tool.errors_before, tool.errors_after), strict=True)
        ]
        yield Row([f"tool {tool.name}", *cells, _signed(calls)])
    for title, labels in (("property ", found.properties), ("", found.labels)):
        for label in labels:
            yield Row([title + label.name, *(", ".join(one) or UNKNOWN for one in (label.before, label.after)), ""])


def _whole(number: float | None) -> int:
    return round(number or 0)


def _calls(one: ComparedNumber) -> list[str]:
    return [plural(_whole(number), "call") if number else UNKNOWN for number in (one.before, one.after)]


def _counted(title: str, one: ComparedNumber) -> Row:
    return Row([title, count(_whole(one.before)), count(_whole(one.after)), _signed(one)])


def _measured(title: str, one: ComparedNumber, shown: Callable[[float | None], str]) -> Row:
    return Row([title, shown(one.before), shown(one.after), _share(one)])


def _signed(one: ComparedNumber) -> str:
    """`+2`; empty if nothing changed."""
    change = _whole(one.after) - _whole(one.before)
    return f"{change:+,}" if change else ""


def _share(one: ComparedNumber) -> str:
    """`+23%` of what it was; empty if nothing changed or the share is not known."""
    if not one.before or one.after is None or one.before == one.after:
        return ""
    share = (one.after - one.before) / one.before * 100
    return f"{share:+,.0f}%" if abs(share) >= 0.5 else f"{share:+.1f}%"


def _call_rows(found: ComparedSessions) -> Iterator[Row]:
    for path in found.paths:
        yield _path_row(path)
        yield from (_pair_row(pair) for pair in found.calls if pair.path == path.path)


def _path_row(path: ComparedPath) -> Row:
    sums = {one.name: one for one in path.sums}
    calls = sums["calls"]
    cells = [
        path.path or "no path",
        "",
        _both(duration(sums["duration"].before), duration(sums["duration"].after)),
        _both(*(count(None if one is None else round(one)) for one in _sides(sums["input_tokens"]))),
        _both(*(count(None if one is None else round(one)) for one in _sides(sums["output_tokens"]))),
        _both(*map(dollars, _sides(sums["cost_usd"]))),
        _both(*map(str, map(_whole, _sides(calls)))) + (" call" if calls.before == calls.after == 1 else " calls"),
        "",
    ]
    return Row(cells, "bold")


def _sides(one: ComparedNumber) -> tuple[float | None, float | None]:
    return one.before, one.after


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _pair_row(pair: CallPair) -> Row:
    calls = [call for call in (pair.before, pair.after) if call is not None]
    mark = _mark(pair)

    def both(shown: Callable[[Mapping[str, Any]], str]) -> str:
        return _both(shown(calls[0]), shown(calls[-1]))

    cells = [
        f"  {mark} {calls[-1]['operation'] or 'call'} {both(model)}",
        both(lambda call: UNKNOWN if call["step"] is None else str(call["step"])),
        both(lambda call: duration(call["duration"])),
        both(lambda call: count((call["usage"] or {}).get("input"))),
        both(lambda call: count((call["usage"] or {}).get("output"))),
        both(lambda call: dollars(call["cost_usd"])),
        both(result),
        asks(pair),
    ]
    failed = any(map(is_failed, calls))
    return Row(cells, FAILED if failed else STYLES.get(mark, "") if mark in "+-" else "")


def _mark(pair: CallPair) -> str:
    if pair.before is None:
        return "+"
    if pair.after is None:
        return "-"
    return "~" if pair.asked is None or pair.repeated or not pair.asked.is_empty else "="


def asks(pair: CallPair) -> str:
    """The change from one request of a pair to the other in a few words."""
    if pair.asked is None:
        return pair.not_compared or ""
    words = [one.name for one in pair.asked.parameters]
    if pair.asked.system is not None:
        words.append(pair.asked.system.name)
    if pair.asked.tools:
        words.append(plural(len(pair.asked.tools), "tool"))
    changed = sum(one.change != "same" for one in pair.asked.messages)
    if changed:
        words.append(plural(changed, "message"))
    if pair.repeated:
        words.append(f"{pair.repeated} as above")
    return ", ".join(words) or "the same"


def asked_lines(found: ComparedSessions, *, full: bool = False) -> Iterator[Line]:
    """Yield the differences in the requests of pairs, in the order of the pairs."""
    different = [pair for pair in found.calls if pair.asked is not None and not pair.asked.is_empty]
    for pair in different if full else different[:SHOWN]:
        assert pair.before is not None
        assert pair.after is not None
        assert pair.asked is not None
        steps = _both(*(UNKNOWN if one["step"] is None else str(one["step"]) for one in (pair.before, pair.after)))
        yield "", ""
        yield line(f"{pair.path or 'no path'} {steps}   {pair.before['id']} → {pair.after['id']}"), "bold"
        messages = tuple(message for message in pair.asked.messages if message.change != "same")
        changes = replace(pair.asked, tools_same=0, messages=messages)
        yield from (one for one in body_lines(changes, full=full) if one[0])
    if len(different) > SHOWN and not full:
        more = len(different) - SHOWN
        yield "", ""
        yield f"… {plural(more, 'more call')} {'asks' if more == 1 else 'ask'} differently: --full shows all", ""
