"""`sessiontap rules test`: the calls of the log decided again by other rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.filter_options import filter_options
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import command, json_option, open_trace, rules_option, trace_option
from sessiontap.cli.output import write_json

if TYPE_CHECKING:
    from sessiontap.backtest.expectations import Expectations
    from sessiontap.backtest.report import BacktestReport
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters

NUMBERED = 200
"""Sessions, the newest, that are shown by their number."""
TEST_EXAMPLES = ("sessiontap rules test new.yaml --since 1d", "sessiontap rules test --expect expectations.yaml")


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    return filter_options(function, without=("without_errands",))


@command(*TEST_EXAMPLES)
@click.argument(
    "file",
    metavar="[FILE]",
    required=False,
    type=NAMED_PATH,
    help="The rules to test [default: as --rules].",
)
@rules_option
@_filters
@click.option(
    "--expect",
    metavar="FILE",
    type=NAMED_PATH,
    help="A file of expectations; if one does not hold, the exit status is 1.",
)
@json_option
@trace_option
def test(
    file: Path | None,
    rules: Path | None,
    wanted: Filters,
    expect: Path | None,
    json: bool,
    trace: Path | None,
) -> None:
    """Say what other rules would make of the recorded calls.

    The calls are decided again by these rules, and the log stays as it is. Sessions are compared as sets of calls:
    another id alone is told as such.
    """
    from sessiontap.backtest.report import compare_log
    from sessiontap.cli import backtest_tables, rules_files

    loaded = rules_files.load(rules_files.named(file, rules))
    log = open_trace(trace)
    expectations = _expectations(expect, log) if expect is not None else None
    report = compare_log(log, loaded, wanted, [expectations.add] if expectations is not None else [])
    if expectations is not None:
        expectations.finish()
    if json:
        answer = {"expectations": expectations.as_json()} if expectations is not None else {}
        write_json({**report.as_json(), **answer})
    else:
        _show(log, report)
        if expectations is not None:
            backtest_tables.show_expectations(expectations)
    if expectations is not None and expectations.failed:
        click.get_current_context().exit(1)


def _show(log: Trace, report: BacktestReport) -> None:
    from sessiontap.cli import backtest_tables
    from sessiontap.cli.listing import CALL_ID_LENGTH

    examples, sessions = backtest_tables.examples_of(report)
    short = log.query_short_ids("calls", examples, CALL_ID_LENGTH)
    backtest_tables.show(report, short, _numbers(log, sessions))


def _numbers(log: Trace, ids: list[str]) -> dict[str, str]:
    """Return the `@N` of sessions that are among the newest."""
    if not ids:
        return {}
    newest = [row["id"] for row in log.query_sessions(limit=NUMBERED)]
    return {id: f"@{newest.index(id) + 1}" for id in ids if id in newest}


def _expectations(path: Path, log: Trace) -> Expectations:
    """Read the file; calls and sessions in it may be named as in any command."""
    from sessiontap.backtest.expectations import load_expectations
    from sessiontap.cli.rules_files import not_valid
    from sessiontap.rules import RulesError
    from sessiontap.rules.problems import BadValue
    from sessiontap.trace.files import NotInTrace

    def address(kind: str, text: str) -> str:
        try:
            return log.place(text).id if kind == "call" else log.query_session_id(text)
        except NotInTrace as error:
            raise BadValue(str(error)) from None

    try:
        return load_expectations(path, address)
    except RulesError as error:
        raise not_valid("expectations", error) from None
