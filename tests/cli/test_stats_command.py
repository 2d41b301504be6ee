"""stats as a user and a program see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Run, runner

from sessiontap.cli import listing
from sessiontap.cli.commands.sessions import STATISTICS_ORDERS
from sessiontap.trace.index.statistics import ORDERS, order_rows


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch, "stats", trace=folder)


def rows(run: Run, *arguments: str) -> list[dict[str, Any]]:
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    return [json.loads(line) for line in out.splitlines()]


def test_the_table(run: Run) -> None:
    assert run()[1] == (
        "NAME            CALLS  ERRORS  RATE  SESSIONS  SUCCESS     IN  OUT      COST  PER SESSION       P50       P95"
        "  DURATION P50    P95    P99  1ST TOKEN P50  P95  SPAN P50   P95"
        "  COST IN  CACHE READ  CACHE WRITE  COST OUT\n"
        "Course outline      3                       1     100%  1,300  320  $0.0004+     $0.0004+  $0.0004+  $0.0004+"
        "         500ms   2.2s   2.2s              -    -      3.2s  3.2s  $0.0002                            $0.0002\n"
        "Nightly report      2       1   50%         1       0%    100   20   $0.0004      $0.0004   $0.0004   $0.0004"
        "         500ms  500ms  500ms              -    -      1.5s  1.5s  $0.0003                            $0.0002\n"
    )


def test_json_keys(run: Run) -> None:
    row = rows(run, "--by", "name")[0]

    assert list(row) == [
        "name", "calls", "errors", "error_rate", "sessions", "sessions_succeeded",
        "sessions_failed", "success_rate", "input_tokens", "output_tokens", "cache_read_tokens",
        "cost_usd", "cost_parts", "cost_unknown_calls", "session_cost_usd_mean", "session_cost_usd_p50",
        "session_cost_usd_p95", "session_cost_partial", "session_cost_unknown", "session_duration_p50",
        "session_duration_p95", "duration_p50",
        "duration_p95", "duration_p99", "time_to_first_token_p50", "time_to_first_token_p95",
        "time_to_first_token_p99", "scores",
    ]  # fmt: skip
    assert (row["cost_usd"], row["cost_unknown_calls"], row["session_cost_partial"]) == (0.000387, 1, 1)
    assert row["time_to_first_token_p50"] is None


def test_an_unknown_cost_is_null_and_counted(run: Run) -> None:
    row = rows(run, "--by", "step")[2]

    assert (row["cost_usd"], row["cost_unknown_calls"], row["session_cost_usd_mean"]) == (None, 1, None)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("path", ["/outline", "/report", "/outline/research"]),
        ("step", [0, 1, 2]),
        ("tool", ["web_search"]),
        ("process", ["agent.mjs", "report.py"]),
        ("property", ["mode=context mode", "mode=batch"]),
        ("property:mode", ["context mode", None, "batch"]),
    ],
)
def test_by(run: Run, by: str, expected: list[Any]) -> None:
    assert [row[by] for row in rows(run, "--by", by)] == expected


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ([], 5),
        (["--name", "course*"], 3),
        (["--process", "node"], 3),
        (["--model", "gpt-4o"], 2),
        (["--property", "mode=batch"], 1),
        (["--error"], 1),
        (["--search", "sourdough"], 1),
        (["--since", "2025-11-21T05:00:05Z"], 1),
        (["--process", "node", "--error"], 0),
    ],
    ids=lambda value: " ".join(value) or "all" if isinstance(value, list) else "",
)
def test_filters(run: Run, options: list[str], calls: int) -> None:
    assert sum(row["calls"] for row in rows(run, "--by", "outcome", *options)) == calls


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("value", ["/outline", "/outline/research", "/report"]),
        ("calls", ["/outline", "/report", "/outline/research"]),
        ("errors", ["/report", "/outline", "/outline/research"]),
        ("rate", ["/report", "/outline", "/outline/research"]),
        ("success", ["/outline", "/outline/research", "/report"]),
        ("tokens", ["/outline/research", "/outline", "/report"]),
        ("cost", ["/report", "/outline/research", "/outline"]),
        ("duration", ["/outline/research", "/outline", "/report"]),
    ],
)
def test_sort(run: Run, sort: str, expected: list[str]) -> None:
    assert [row["path"] for row in rows(run, "--by", "path", "--sort", sort)] == expected


def test_unknown_values_are_sorted_last() -> None:
    rows: list[dict[str, Any]] = [{"m": None, "cost_usd": None}, {"m": "b", "cost_usd": 1.0}, {"m": "a", "cost_usd": 2}]

    order_rows(rows, "m", "value")
    assert [row["m"] for row in rows] == ["a", "b", None]
    order_rows(rows, "m", "cost")
    assert [row["cost_usd"] for row in rows] == [2, 1.0, None]


def test_by_the_rate_of_success() -> None:
    rates = {"a": None, "b": 0.5, "c": 1.0, "d": 0.0}
    rows: list[dict[str, Any]] = [{"m": name, "success_rate": rate} for name, rate in rates.items()]

    order_rows(rows, "m", "success")

    assert [row["m"] for row in rows] == ["c", "b", "d", "a"]


def test_what_is_left_out_is_said(run: Run) -> None:
    status, out, err = run("--by", "step", "--limit", "1")

    assert (status, len(out.splitlines())) == (0, 2)
    assert err == "sessiontap: 2 rows more: --limit 0 shows all\n"
    assert len(run("--by", "step", "-n", "0")[1].splitlines()) == 4


@pytest.mark.parametrize("by", ["colour", "property:", ""])
def test_by_what_there_is_not(run: Run, by: str) -> None:
    status, out, err = run("--by", by)

    assert (status, out) == (2, "")
    assert err.startswith(f"sessiontap: there are no statistics by {by!r}\nhint: choose one of name, path, ")


def test_nothing_fits(run: Run, folder: Path) -> None:
    status, out, err = run("--name", "nosuch")
    assert (status, out) == (0, "")
    assert err.startswith(f"sessiontap: no call in {folder} fits the filter\n")


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "0%"), (0.0001, "<0.1%"), (0.025, "2.5%"), (0.5, "50%"), (0.9999, ">99.9%"), (1.0, "100%")],
)
def test_rate(share: float, expected: str) -> None:
    assert listing.rate(share) == expected


def test_the_orders_of_the_command_are_those_of_the_statistics() -> None:
    assert STATISTICS_ORDERS == ORDERS
