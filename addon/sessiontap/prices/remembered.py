"""The costs, rates and windows of many calls: what decides them is found once for all calls that agree in it.

The answers are those of `cost.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.prices import catalogue
from sessiontap.prices.cost import (
    Cost,
    RatesOf,
    Source,
    TariffOf,
    Terms,
    WindowOf,
    cost_of,
    listed,
    priced,
    rates_on,
    rates_terms,
    terms_of,
    window_of,
)
from sessiontap.prices.tariff import Rates, Tariff, Unknown, plain_cost

_MOST_TERMS = 4096
"""Terms that are remembered."""


def _facts(call: Mapping[str, Any], llm: Mapping[str, Any]) -> tuple[Any, ...]:
    """The facts that decide the terms of a call that has usage and nothing billed apart."""
    asked = llm.get
    return (
        asked("provider"), asked("response_model"), asked("request_model"), asked("operation"), asked("family"),
        asked("service_tier"), call.get("host"), call.get("route"), call.get("outcome"),
        (call.get("request") or {}).get("method"), (call.get("response") or {}).get("status"),
    )  # fmt: skip


class RememberedCosts:
    """The costs of many calls, as `cost_of` gives them by these rates and tariffs, which stay what they are.

    Most calls of a log go to a few models at a few places, and differ in their tokens and their time: the terms are
    found once for all calls that agree in what decides them.
    """

    def __init__(self, rates_of: RatesOf, tariff_of: TariffOf) -> None:
        self._rates_of, self._tariff_of = rates_of, tariff_of
        self._known: dict[tuple[Any, ...], _LikeCalls] = {}

    def of(self, call: Mapping[str, Any]) -> Cost:
        """Return the cost of the call of this record. Never raises."""
        llm = call.get("llm") or {}
        asked = llm.get
        usage, billed = asked("usage"), asked("billed")
        if not usage or billed or asked("cost_reported") is not None:
            return cost_of(call, self._rates_of, self._tariff_of)
        facts = _facts(call, llm)
        try:
            like = self._known.get(facts)
            if like is None:
                if len(self._known) >= _MOST_TERMS:
                    self._known.clear()
                like = self._known[facts] = _LikeCalls(terms_of(call, llm, self._rates_of))
            if isinstance(like.terms, Cost):
                return like.terms
            day = int(call.get("time") or 0) // catalogue.DAY
            if day != like.day or like.tariff is None:
                like.learn(day, call, llm, self._tariff_of)
            plain = plain_cost(usage, like.tariff) if like.tariff is not None else None
            if plain is None:
                return priced(like.terms, call, llm, self._tariff_of)
            return Cost(plain[0], like.source, parts=plain[1])
        except Unknown as why:
            return Cost(None, reason=str(why))


class _LikeCalls:
    """The terms that calls have in common, and the tariff of those of a day."""

    __slots__ = ("day", "source", "tariff", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.day: int | None = None
        self.tariff: Tariff | None = None
        """None if it is not known, or holds for less than a day."""
        self.source: Source = "rules" if isinstance(terms, Rates) else "genai-prices"

    def learn(self, day: int, call: Mapping[str, Any], llm: Mapping[str, Any], tariff_of: TariffOf) -> None:
        """Find the tariff of a day. Raises `Unknown`."""
        self.day, self.tariff = day, None
        if isinstance(self.terms, Rates):
            self.tariff = Tariff(((-1, self.terms),))
        elif not isinstance(self.terms, Cost):
            found = listed(call, llm, self.terms, tariff_of)
            self.tariff = None if found.by_the_hour else found


class RememberedRates:
    """The rates and windows of many calls, as `rates_for` and `window_of` give them.

    They are found once for all calls that agree in what decides them.
    """

    def __init__(self, rates_of: RatesOf, tariff_of: TariffOf, window: WindowOf) -> None:
        self._rates_of, self._tariff_of, self._window = rates_of, tariff_of, window
        self._known: dict[tuple[Any, ...], tuple[Rates | tuple[str, ...] | None, int | None]] = {}

    def of(self, call: Mapping[str, Any]) -> tuple[Rates | None, int | None]:
        """Return the rates of the call of this record, and the tokens that its model's window holds; None of both what
        is not known."""
        llm = call.get("llm") or {}
        billed = llm.get("billed") or {}
        several = bool(billed.get("tools") or billed.get("web_searches"))
        apart = bool(llm.get("usage")), billed.get("subscription"), several, "refused" in (call.get("flags") or ())
        facts = *apart, *_facts(call, llm)
        found = self._known.get(facts)
        if found is None:
            if len(self._known) >= _MOST_TERMS:
                self._known.clear()
            found = self._known[facts] = self._terms(call, llm), window_of(call, self._window)
        terms, window = found
        try:
            return None if terms is None else rates_on(terms, call, llm, self._tariff_of), window
        except Unknown:
            return None, window

    def _terms(self, call: Mapping[str, Any], llm: Mapping[str, Any]) -> Rates | tuple[str, ...] | None:
        try:
            return rates_terms(call, llm, self._rates_of)
        except Unknown:
            return None
