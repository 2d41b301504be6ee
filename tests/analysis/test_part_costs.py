"""Costs of parts by their place in a request, worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate, pairwise

import pytest

from sessiontap.analysis.part_costs import InputTerms, range_cost
from sessiontap.prices import Rates

RATES = Rates(Decimal(10), Decimal(1), cache_read=Decimal(1), cache_write=Decimal(12), cache_write_1h=Decimal(20))
MILLION = 1e6


@pytest.mark.parametrize(
    ("read", "written", "hour", "tokens", "costs"),
    [
        pytest.param(0, 0, 0, [100, 200], [1000, 2000], id="plain input"),
        pytest.param(None, None, 0, [100], [1000], id="no cache stated"),
        pytest.param(100, 0, 0, [100, 200], [100, 2000], id="the beginning was read"),
        pytest.param(150, 0, 0, [100, 200], [100, 50 + 1500], id="the border is within a part"),
        pytest.param(100, 150, 0, [100, 200], [100, 150 * 12 + 500], id="read, written, plain"),
        pytest.param(0, 300, 100, [100, 200], [2000, 2400], id="written for an hour first"),
    ],
)
def test_each_part_costs_what_its_place_does(
    read: int | None, written: int | None, hour: int, tokens: list[float], costs: list[float]
) -> None:
    usage = {"input": 300, "cache_read": read, "cache_write": written}
    ends = list(accumulate(tokens))
    found = [range_cost(usage, begin, end, InputTerms(RATES, hour)) for begin, end in pairwise([0, *ends])]
    assert found == pytest.approx([cost / MILLION for cost in costs])


def test_a_part_whose_price_is_not_known_has_none() -> None:
    usage, terms = {"input": 300, "cache_read": 100, "cache_write": 0}, InputTerms(Rates(Decimal(10), Decimal(1)))
    assert range_cost(usage, 0, 100, terms) is None
    assert range_cost(usage, 100, 300, terms) == pytest.approx(2000 / MILLION)
