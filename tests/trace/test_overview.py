"""A session in sums, and what its prices go by: the same as of all its calls' records."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli import recorded
from tests.trace.conftest import CALLER, call_map, open_log
from tests.trace.oracle import cost_of

from sessiontap.cli.call_costs import Costs
from sessiontap.trace.index.costs import Prices

PRICES = Prices(cost_of(lambda call: call["time"] % 1000 / 1000), "1")
ERRAND = {"agent": "claude-code", "llm": {"operation": "other"}, "outcome": "http_error", "host": "api.anthropic.com"}


@pytest.fixture
def sample(folder: Path) -> Path:
    """Two sessions of real calls."""
    return recorded.write(folder, recorded.calls())


def of_one_session(number: int, path: str | None, **changes):
    return call_map(number, session={"id": "s", "path": path, "step": number}, caller=CALLER["id"], **changes)


@pytest.fixture
def paths(written, folder: Path) -> Path:
    """Calls at paths below each other, at none, out of order, and errands."""
    usage = {"request_model": "m", "usage": {"input": 10, "output": 3, "cache_read": None}}
    written(
        CALLER,
        of_one_session(5, "/a/b", llm=usage, duration=7),
        of_one_session(2, "/a", llm=usage, properties={"mode": "x", "n": 1}),
        of_one_session(3, None, outcome="http_error", properties={"mode": "y"}),
        of_one_session(4, "", properties={"mode": "x"}),
        of_one_session(6, "/", duration=None),
        of_one_session(7, "/a/b/", llm=usage),
        of_one_session(8, "/quota", **ERRAND),
    )
    return folder


@pytest.mark.parametrize("errands", [True, False], ids=["with errands", "without"])
@pytest.mark.parametrize("prices", [None, PRICES], ids=["unknown costs", "costs"])
@pytest.mark.parametrize("log", ["sample", "paths"])
def test_sums_are_those_of_all_calls(request: pytest.FixtureRequest, log: str, prices, errands: bool) -> None:
    trace = open_log(request.getfixturevalue(log))
    whole = trace.query_session("@1", prices, errands)
    calls = [{key: call[key] for key in ("id", "path", "time")} for call in whole["calls"]]

    assert trace.query_overview("@1", prices, errands) == whole | {"calls": calls}


def test_what_prices_go_by_is_that_of_the_records(sample: Path) -> None:
    trace, costs = open_log(sample), Costs()
    for row in trace.query_sessions():
        terms = {call.id: costs.terms(call.record) for call in trace.session(row["id"]).calls}

        assert {id: costs.terms(record) for id, record in trace.query_billing(row["id"]).items()} == terms
