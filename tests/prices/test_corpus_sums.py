"""Costs of recorded exchanges, call by call and in every sum, against a calculation that shares nothing with ours.

Its counts are those of the corpus, which another program made; its prices are worked out by genai-prices itself, whose
list we only look up; its sums are exact decimals.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from tests.cli import recorded as writing
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded
from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec

from sessiontap.cli.main import main
from sessiontap.prices.catalogue import LISTS
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Link, Session

pytestmark = needs_corpus
WHEN = datetime(2025, 11, 21, 5, tzinfo=UTC)
START = int(WHEN.timestamp()) * 10**9
SETTLED_OTHERWISE = ("cohere",)
"""It bills other tokens than those that it read."""


@dataclass(frozen=True)
class Priced:
    """A call's cost in dollars, worked out by the list's own arithmetic."""

    given: Decimal
    """Input of all kinds, a cache's too."""
    made: Decimal

    @property
    def total(self) -> Decimal:
        return self.given + self.made


def spec(number: int, item: Recorded) -> CallSpec:
    """The exchange as a call of the session that its cassette is."""
    call, reply = item.call(), item.reply()
    cassette = item.id.rpartition("#")[0]
    ok = item.response_status < 400
    return CallSpec(
        id=item.id,
        time=START + number,
        duration=1,
        request=RequestSpec(item.request.method, item.request.url, "HTTP/1.1", item.request.headers),
        response=ResponseSpec(item.response_status, "HTTP/1.1", item.response_headers),
        outcome="ok" if ok else "http_error",
        host=item.request.host,
        forwarded_host=item.request.host,
        call=call,
        reply=reply,
        decision=Decision(wants_session=True, name="Corpus"),
        filled=FilledSettings(path=f"/{call.endpoint.operation}"),
        session=Session(cassette, "Corpus", number, "literal"),
        link=Link(),
    )


def independent(item: Recorded) -> Priced | None:
    """The cost by the corpus' own counts; None if it states too little for one."""
    expect, usage = item.expect, item.expect.get("usage") or {}
    model = expect.get("response_model") or expect.get("request_model")
    provider = expect.get("provider")
    if provider not in LISTS or provider in SETTLED_OTHERWISE or model is None or usage.get("input") is None:
        return None
    counts = Usage(
        input_tokens=usage["input"],
        cache_read_tokens=usage.get("cache_read"),
        cache_write_tokens=usage.get("cache_write"),
        output_tokens=usage.get("output") or 0,
    )
    try:
        found = calc_price(counts, model, provider_id=LISTS[provider], genai_request_timestamp=WHEN)
    except LookupError:
        return None
    return Priced(found.input_price, found.output_price)


Rows = Callable[..., list[dict[str, Any]]]
ITEMS = {item.id: item for item in recorded()}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of all exchanges."""
    specs = [spec(number, item) for number, item in enumerate(ITEMS.values())]
    return writing.write(tmp_path_factory.mktemp("corpus") / "trace", specs)


@pytest.fixture
def rows(trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rows:
    """Run a command: the lines of its JSON."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SESSIONTAP_TRACE", str(trace))
    monkeypatch.delenv("SESSIONTAP_RULES", raising=False)
    monkeypatch.chdir(tmp_path)

    def rows(*arguments: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return rows


def same(found: float | None, expected: Decimal) -> bool:
    return found is not None and math.isclose(found, float(expected), rel_tol=1e-9, abs_tol=1e-12)


def is_split(parts: Mapping[str, float] | None, expected: Priced) -> bool:
    """The parts are those of the input and of the output."""
    told = parts or {"input": 0.0, "cache_read": 0.0, "cache_write": 0.0, "output": 0.0}
    given = told["input"] + told["cache_read"] + told["cache_write"]
    return same(given, expected.given) and same(told["output"], expected.made)


def test_each_call_costs_what_the_list_itself_works_out(rows: Rows) -> None:
    checked, cached, other = 0, 0, []
    for row in rows("calls", "-n", "0", "--all"):
        expected = independent(ITEMS[row["id"]])
        if expected is None or row["cost_usd"] is None:
            continue
        checked += 1
        cached += bool(row["cost_parts"] and row["cost_parts"]["cache_read"])
        if not same(row["cost_usd"], expected.total) or not is_split(row["cost_parts"], expected):
            other.append((row["id"], row["cost_usd"], expected))
    assert checked >= 758
    assert cached >= 10
    assert other == []


def by_parts(calls: Iterable[Mapping[str, Any]]) -> tuple[Decimal | None, dict[str, Decimal]]:
    """The exact sum of what calls cost, None if none is known, and the sums of the parts."""
    known = [call for call in calls if call["cost_usd"] is not None]
    parts: defaultdict[str, Decimal] = defaultdict(Decimal)
    for call in known:
        for name, usd in (call["cost_parts"] or {}).items():
            parts[name] += Decimal(repr(usd))
    total = sum((Decimal(repr(call["cost_usd"])) for call in known), Decimal()) if known else None
    return total, dict(parts)


def check(row: Mapping[str, Any], calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """What of a row's sums is not that of its calls."""
    calls = [call for call in calls if not call["errand"]]
    total, parts = by_parts(calls)
    wrong = []
    if (row["cost_usd"] is None) != (total is None) or (total is not None and not same(row["cost_usd"], total)):
        wrong.append("cost_usd")
    if row["cost_unknown_calls"] != sum(call["cost_unknown"] is not None for call in calls):
        wrong.append("cost_unknown_calls")
    told = row["cost_parts"] or {}
    wrong += [name for name in {*told, *parts} if not same(told.get(name, 0.0), parts.get(name, Decimal()))]
    if total is not None and told and not same(sum(told.values()), total):
        wrong.append("the sum of the parts")
    return wrong


def grouped(calls: Iterable[Mapping[str, Any]], key: str) -> dict[Any, list[Mapping[str, Any]]]:
    found: defaultdict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for call in calls:
        found[call[key]].append(call)
    return found


def test_the_sums_of_sessions_are_those_of_their_calls(rows: Rows) -> None:
    calls = grouped(rows("calls", "-n", "0", "--all"), "session_id")
    sessions = {row["id"]: row for row in rows("ls", "-n", "0", "--all")}
    assert sessions.keys() == calls.keys()
    assert {id: wrong for id, row in sessions.items() if (wrong := check(row, calls[id]))} == {}


def test_show_splits_the_same_sums_by_path(rows: Rows) -> None:
    largest = [row["id"] for row in rows("ls", "-n", "8", "--sort", "calls")]
    for id in largest:
        (shown,) = rows("show", id)
        paths = grouped(shown["calls"], "path")
        assert check(shown["session"], shown["calls"]) == []
        assert shown["tree"]
        assert [node["path"] for node in shown["tree"] if check(node, paths[node["path"]])] == []


@pytest.mark.parametrize(
    ("by", "key"), [("path", "path"), ("provider", "provider"), ("session", "session_id"), ("outcome", "outcome")]
)
def test_the_sums_of_stats_are_those_of_their_calls(rows: Rows, by: str, key: str) -> None:
    calls = grouped(rows("calls", "-n", "0"), key)
    found = {row[by]: row for row in rows("stats", "--by", by, "-n", "0")}
    assert found.keys() == calls.keys()
    assert {value: wrong for value, row in found.items() if (wrong := check(row, calls[value]))} == {}
