"""The cost of a part of a request, by its place: the provider reads a beginning from its cache, writes what follows
up to a mark, and takes the rest as plain input, each at a price of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sessiontap.prices import Rates

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class InputTerms:
    """The terms on which the input of a call was taken."""

    rates: Rates | None = None
    """None if they are not known."""
    written_1h: int = 0
    """Of the tokens that were written to the cache: to be kept for an hour."""
    window: int | None = None
    """Tokens that the context window of the model holds; None if it is not known."""


Terms = Mapping[str, InputTerms]
"""By the id of the call. A call that is missing has unknown ones."""

UNKNOWN = InputTerms()


def range_cost(usage: Mapping[str, Any] | None, begin: float, end: float, terms: InputTerms) -> float | None:
    """Return the cost of the tokens of a request from `begin` to `end` in US dollars; None if a price is not known."""
    if terms.rates is None or usage is None:
        return None
    dollars, start = 0.0, 0.0
    for border, rate in price_ranges(usage, terms):
        within = min(end, border) - max(begin, start)
        if within > 0:
            if rate is None:
                return None
            dollars += within * rate
        start = border
    return dollars


def price_ranges(usage: Mapping[str, Any] | None, terms: InputTerms) -> list[tuple[float, float | None]]:
    """The ends of what was read, written for an hour, written, and taken as it is; with the price of a token there,
    None if it is not known."""
    rates = terms.rates
    if rates is None or usage is None:
        return [(float("inf"), None)]
    read, written = usage.get("cache_read") or 0, usage.get("cache_write") or 0
    hour = min(terms.written_1h, written)
    ranges = [
        (read, _each(rates.cache_read)),
        (read + hour, _each(rates.cache_write_1h)),  # what is kept longer stands before what is kept shorter
        (read + written, _each(rates.cache_write)),
        (float("inf"), _each(rates.input)),
    ]
    starts = (0, *(end for end, _ in ranges))
    return [(end, rate) for begin, (end, rate) in zip(starts, ranges, strict=False) if end > begin]


def _each(rate: Decimal | None) -> float | None:
    return None if rate is None else float(rate) / _MILLION


def read_cost(tokens: float, terms: InputTerms) -> float | None:
    """Return the cost of so many tokens if they were read from the cache; None if the price is not known."""
    rate = _each(terms.rates.cache_read) if terms.rates is not None else None
    return None if rate is None else tokens * rate
