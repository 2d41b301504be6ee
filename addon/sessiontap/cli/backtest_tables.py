"""The report of `sessiontap rules test`, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sessiontap.backtest.expectations import Expectations, UnmetExpectation
from sessiontap.backtest.outcome import Change
from sessiontap.backtest.report import BacktestReport, EqualCalls
from sessiontap.backtest.sessions import SessionSide
from sessiontap.backtest.tally import RuleTally
from sessiontap.cli import table
from sessiontap.cli.output import line, write
from sessiontap.cli.table import Column, Row
from sessiontap.units import plural

SHOWN = 10
"""Session changes, and changes of calls, that are shown; --json has all."""

FAILURES_SHOWN = 20
HEADERS_SHOWN = 1

_RULES = (
    Column("RULE", style="bold", shrinks=True, wish=16),
    Column("MATCHED", right=True),
    Column("SET", right=True),
    Column("SHADOWED", right=True),
    Column("NOTE", shrinks=True, wish=40),
)
_SESSIONS = (Column("SESSIONS", style="bold"), Column("WAS", shrinks=True), Column("WOULD BE", shrinks=True))
_CALLS = (
    Column("CALLS", right=True),
    Column("FIELD", style="bold", shrinks=True),
    Column("WAS", shrinks=True),
    Column("WOULD BE", shrinks=True),
    Column("BY RULE", shrinks=True, optional=True),
    Column("EXAMPLE", style="cyan", most=24, cut="middle"),
)

ShortIds = Mapping[str, str]


def examples_of(report: BacktestReport) -> tuple[list[str], list[str]]:
    """Return the ids of the calls and of the sessions that are shown."""
    calls = [group.example for _, group in _changes(report)[:SHOWN]]
    calls += [group.example for group in (*report.moved.values(), *report.unknown.values())]
    changes = list(report.sessions.changes())[:SHOWN]
    return calls, [side.id for change in changes for side in change.before]


def show(report: BacktestReport, short_calls: ShortIds, numbers: Mapping[str, str]) -> None:
    """Print the report. `numbers`: what a session is called by beside its name: `@3`."""
    where = f"{plural(report.calls, 'call')} in {plural(report.sessions.before, 'session')}"
    write(line(f"{report.rules.filename} beside the log: {where}") + "\n")
    if report.tally.rules:
        write("\n")
        table.show(_RULES, [_rule_row(tally) for tally in report.tally.rules])
    if report.is_unchanged:
        write("\nnothing would change\n")
    else:
        _show_sessions(report, numbers)
        _show_calls(report, short_calls)
    lines = [*_unknown(report, short_calls), *_assumed(report)]
    if lines:
        write("\n" + "".join(line(text) + "\n" for text in lines))


def show_expectations(expectations: Expectations) -> None:
    """Print which expectations hold, and what is not as expected."""
    holding = sum(one.holds for one in expectations.items)
    counted = f"{holding} of {plural(len(expectations.items), 'expectation')} hold"
    write("\n" + line(f"{expectations.filename}: {counted}") + "\n")
    groups: dict[UnmetExpectation, list[str]] = {}
    for failure in expectations.failures:
        groups.setdefault(replace(failure, call=None), []).append(failure.call or "")
    for failure, calls in list(groups.items())[:FAILURES_SHOWN]:
        more = f" and {plural(len(calls) - 1, 'more call', 'more calls')}" if len(calls) > 1 else ""
        of = f"call {calls[0]}{more}: " if calls[0] else ""
        write(line(f"{expectations.filename}:{failure.line}: {failure.expectation}: {of}{failure}") + "\n")
    if len(groups) > FAILURES_SHOWN:
        write(f"... and {len(groups) - FAILURES_SHOWN} more: --json has them\n")


def _rule_row(tally: RuleTally) -> Row:
    note = ""
    if not tally.matched and (never := tally.never_because) is not None:
        was = tally.nearest[2] if tally.nearest is not None and tally.nearest[1] == never[0] else None
        note = f"never: {never[0]} failed for {plural(never[1], 'call')}" + (f", was {was}" if was else "")
    elif not tally.matched:
        note = "never: no call reached it" if tally.not_reached else "never"
    if tally.uncertain:
        note = f"{note}; " * bool(note) + f"unknown for {plural(tally.uncertain, 'call')}"
    return Row([tally.rule.label, *map(str, (tally.matched, tally.set, tally.shadowed)), note])


def _show_sessions(report: BacktestReport, numbers: Mapping[str, str]) -> None:
    sessions, changes = report.sessions, list(report.sessions.changes())
    write(f"\nsessions: {sessions.before} before, {sessions.after} after, {sessions.unchanged} as they were\n")
    if changes:
        rows = [Row([one.kind, _sides(one.before, numbers), _sides(one.after, {})]) for one in changes[:SHOWN]]
        table.show(_SESSIONS, rows)
    _say_more(len(changes))


def _sides(sides: Iterable[SessionSide], numbers: Mapping[str, str]) -> str:
    found = list(sides)
    texts = [f"{side.name or '-'} {numbers.get(side.id, side.id[:8])} ({side.calls})" for side in found[:2]]
    more = [f"{len(found) - 2} more"] if len(found) > 2 else []
    return " + ".join([*texts, *more]) or "nothing"


def _show_calls(report: BacktestReport, short: ShortIds) -> None:
    write(f"\ncalls: {report.changed} changed, {report.unchanged} as they were")
    write(f", {report.uncertain} unknown\n" if report.uncertain else "\n")
    changes = _changes(report)
    rows = [
        Row([
            str(group.calls),
            change.field,
            _value(change, change.before),
            _value(change, change.after),
            change.rule or "default",
            short.get(group.example, group.example),
        ])
        for change, group in changes[:SHOWN]
    ]  # fmt: skip
    if rows:
        table.show(_CALLS, rows)
    _say_more(len(changes))
    moved = [
        f"another {one} for {plural(group.calls, 'call')} ({short.get(group.example, group.example)})"
        for one, group in report.moved.items()
    ]
    write("".join(line(text) + "\n" for text in moved))


def _value(change: Change, value: str | None) -> str:
    names = (value or "").split(", ") if change.field == "headers" else []
    if len(names) > HEADERS_SHOWN:
        return f"{', '.join(names[:HEADERS_SHOWN])} and {len(names) - HEADERS_SHOWN} more"
    return value if value is not None else "-"


def _changes(report: BacktestReport) -> list[tuple[Change, EqualCalls]]:
    """Those of most calls first."""
    return sorted(report.changes.items(), key=lambda one: -one[1].calls)


def _unknown(report: BacktestReport, short: ShortIds) -> Iterator[str]:
    for one, group in report.unknown.items():
        by = f", which {one.rule} looks at" if one.rule is not None else ""
        example = short.get(group.example, group.example)
        yield f"unknown: {one.what}{by}: the log lacks it for {plural(group.calls, 'call')} ({example})"
    if report.failed:
        yield f"unknown: {plural(report.failed, 'call')} could not be decided again, for a fault of this program's own"
    if report.undecided:
        yield f"unknown: nothing was decided of {plural(report.undecided, 'call')} when they were recorded"


def _assumed(report: BacktestReport) -> Iterator[str]:
    if report.env_unseen:
        yield f"assumed: no process had {', '.join(report.env_unseen)}: the log has the variables that rules asked for"
    if report.taken_for_no_server:
        yield f"assumed: the processes of {plural(report.taken_for_no_server, 'call')} are no servers"
    if report.rules.proxy_env_names:
        yield f"assumed: {', '.join(sorted(report.rules.proxy_env_names))} set in the proxy's environment"


def _say_more(number: int) -> None:
    if number > SHOWN:
        write(f"... and {number - SHOWN} more: --json has all\n")
