"""The costs of many calls: what decides the price is found once for all calls that agree in it.

Most calls of a log go to a few models at a few places, and differ in their tokens and their time. `RememberedCosts`
answers as `cost_of` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.prices.cost import Cost, RatesOf, TariffOf, Terms, cost_of, priced, terms_of
from sessiontap.prices.tariff import Unknown

_MOST = 4096


class RememberedCosts:
    """Costs by these rates and tariffs, which stay what they are."""

    def __init__(self, rates_of: RatesOf, tariff_of: TariffOf) -> None:
        self._rates_of, self._tariff_of = rates_of, tariff_of
        self._known: dict[tuple[Any, ...], Terms] = {}

    def of(self, call: Mapping[str, Any]) -> Cost:
        """Return the cost of the call of this record. Never raises."""
        llm = call.get("llm") or {}
        asked = llm.get
        usage, billed = asked("usage"), asked("billed") or {}
        if not usage or asked("cost_reported") is not None or billed.get("tools"):
            return cost_of(call, self._rates_of, self._tariff_of)
        operation = asked("operation")
        facts = (
            asked("provider"), asked("response_model"), asked("request_model"), operation, asked("family"),
            billed.get("subscription"), call.get("host"), call.get("route"), call.get("outcome"),
            (call.get("request") or {}).get("method"), (call.get("response") or {}).get("status"),
        )  # fmt: skip
        try:
            terms = self._known.get(facts)
            if terms is None:
                if len(self._known) >= _MOST:
                    self._known.clear()
                terms = self._known[facts] = terms_of(call, llm, self._rates_of)
            return terms if isinstance(terms, Cost) else priced(terms, call, llm, self._tariff_of)
        except Unknown as why:
            return Cost(None, reason=str(why))
