"""The SQL of docs/scale.md, a log to ask it of, and what `sessiontap` says of that log."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.cli.command import Run
from tests.push.logs import Log, call

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")
VIEW = "A view"
ENGINES = ("DuckDB", "Spark", "ClickHouse")
KEYS = {
    "Sessions": ("session_id",),
    "Cost per session": ("session_name",),
    "Error rate by step": ("step",),
    "Duration by path": ("path",),
    "Cache share": ("model",),
    "Tokens by model per day": ("day", "model"),
}
"""Questions of the page, and what a row is known by."""
Row = dict[str, Any]
Answers = dict[str, list[Row]]


def sql(engine: str) -> dict[str, str]:
    """The queries of an engine by the titles of their sections."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for engines, query in re.findall(r"```sql\n-- ([^\n]*)\n(.*?)```", section, re.DOTALL):
            if engine in engines.split(", "):
                found[title] = query.strip()
    return found


def log(folder: Path) -> Path:
    """Logs of two machines in a folder: three days, five models, paths, errors, errands, unknown figures."""
    for machine in ("web-1", "web-2"):
        made = Log(folder / machine, host=machine)
        made.write(_call(machine, number) for number in range(400))
        made.close()
    return folder


def _call(machine: str, number: int) -> Row:
    session, step = divmod(number, 7)
    model = ("gpt-4o", "gpt-4o-mini", "claude-haiku-4-5", "no-such-model", None)[session % 5]
    usage = {"input": 100 + 13 * number, "output": 7 + number % 50, "cache_read": 5 * number} if number % 9 else None
    failed = number % 11 == 3
    made = call(
        f"{machine}-{number:04}",
        number * 600 + (0.5 if machine == "web-2" else 0),
        lasts=0.1 + (number * 37 % 101) / 7,
        outcome="http_error" if failed else "ok",
    )
    errand = {"agent": "claude-code", "route": "/api/x", "host": "api.anthropic.com"} if number % 49 == 24 else {}
    llm = made["llm"] | {"request_model": model, "usage": usage, "operation": "other" if errand else "chat"}
    if errand:
        llm |= {"request_model": None, "usage": None}
    shared = session % 3 == 0  # its calls go through both machines
    return made | {
        "session": {
            "id": f"session-{session}" if shared else f"{machine}-{session}",
            "name": f"Name {session % 4}",
            "path": f"/path/{step % 3}",
            "step": step,
        },
        "llm": llm | {"provider": "anthropic" if model and "claude" in model else "openai"},
        "duration": None if number % 23 == 1 else made["duration"],
        **errand,
    }


def expected(run: Run) -> Answers:
    """What `sessiontap` says."""
    sessions = [
        {
            "session_id": one["id"],
            "name": one["name"],
            "started": one["started"],
            "over": one["ended"],
            "calls": one["calls"],
            "errors": one["errors"],
            "input": one["input_tokens"],
            "output": one["output_tokens"],
            "cost": one["cost_usd"],
        }
        for one in run("ls", "--json", "--limit", "1000000").rows
        if one["calls"]
    ]
    names = run("stats", "--by", "name", "--json").rows
    models = run("stats", "--by", "model", "--json").rows
    return {
        "Sessions": sessions,
        "Cost per session": [
            {
                "session_name": one["name"],
                "sessions": one["sessions"] - one["session_cost_unknown"],
                "mean": one["session_cost_usd_mean"],
                "p50": one["session_cost_usd_p50"],
                "p95": one["session_cost_usd_p95"],
            }
            for one in names
            if one["session_cost_usd_mean"] is not None
        ],
        "Error rate by step": [
            {key: one[key] for key in ("step", "calls", "errors", "error_rate")}
            for one in run("stats", "--by", "step", "--json").rows
        ],
        "Duration by path": [
            {"path": one["path"], "calls": one["calls"], **{p: one[f"duration_{p}"] for p in ("p50", "p95", "p99")}}
            for one in run("stats", "--by", "path", "--json").rows
        ],
        "Cache share": [
            {
                "model": one["model"],
                "input": one["input_tokens"],
                "cached": one["cache_read_tokens"],
                "share": _share(one["cache_read_tokens"], one["input_tokens"]),
            }
            for one in models
        ],
        "Tokens by model per day": [row for day in _days(sessions) for row in _day(run, day)],
    }


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _days(sessions: list[Row]) -> list[date]:
    first, last = min(one["started"] for one in sessions), max(one["over"] for one in sessions)
    days = (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days
    return [date.fromisoformat(first[:10]) + timedelta(number) for number in range(days + 1)]


def _day(run: Run, day: date) -> list[Row]:
    """The rows of a day: what was counted at its end, less what was counted at its begin."""
    before, after = (
        {one["model"]: one for one in run("stats", "--by", "model", "--json", "--until", f"{end}T00:00:00Z").rows}
        for end in (day, day + timedelta(1))
    )
    found = []
    for model, now in after.items():
        sums = {"calls": "calls", "input": "input_tokens", "output": "output_tokens"}
        then = before.get(model, {})
        new = {name: _less(now[key], then.get(key)) for name, key in sums.items()}
        if new["calls"]:
            found.append({"day": str(day), "model": model, **new})
    return found


def _less(now: int | None, then: int | None) -> int | None:
    return None if now is None or now == then else now - (then or 0)


def is_equal(title: str, answer: list[Row], wanted: list[Row]) -> None:
    """Assert that the rows are the same: sums of doubles to twelve digits, all else exactly."""
    key = KEYS[title]
    found, known = (_by_key(rows, key) for rows in (answer, wanted))
    assert len(found) == len(answer), "a row each"
    assert found.keys() == known.keys()
    for one, row in known.items():
        assert found[one].keys() == row.keys()
        wrong = {name: (found[one][name], value) for name, value in row.items() if not _same(found[one][name], value)}
        assert wrong == {}, (title, one)


def _same(told: Any, known: Any) -> bool:
    if isinstance(known, float) and told is not None:
        return math.isclose(told, known, rel_tol=1e-9, abs_tol=1e-12)
    return bool(told == known)


def _by_key(rows: list[Row], key: tuple[str, ...]) -> Mapping[tuple[Any, ...], Row]:
    return {tuple(row[one] for one in key): row for row in rows}
