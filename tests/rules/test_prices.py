"""`prices:`: what a model costs, by its name or a glob."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sessiontap.rules import load_text

RULES = load_text("""
prices:
  "gpt-*": {input: 2, output: 8, cache_read: 0.5, cache_write: 2.5}
  gpt-4o-mini: {input: 0.15, output: 0.60}
  "re:^prod(-eu)?$": {input: 1, output: 4}
  "*": {input: 9, output: 9}
""")


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        pytest.param("gpt-4o-mini", ("0.15", "0.60", "0.15", "0.15"), id="its own name, though a glob comes first"),
        pytest.param("gpt-5", ("2", "8", "0.5", "2.5"), id="a glob"),
        pytest.param("prod-eu", ("1", "4", "1", "1"), id="a regular expression; cached tokens cost as others"),
        pytest.param("openai/gpt-5", ("9", "9", "9", "9"), id="the last resort"),
    ],
)
def test_the_price_of_a_model(model: str, prices: tuple[str, ...]) -> None:
    found = RULES.price(model)
    assert found is not None
    assert (found.input, found.output, found.cache_read, found.cache_write) == tuple(map(Decimal, prices))


def test_a_model_without_a_price() -> None:
    assert load_text("prices: {a: {input: 1, output: 2}}").price("b") is None
    assert load_text("version: 1").price("b") is None
