"""The costs of calls, for the commands that show them: `prices:` of the rules file, else the price list."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap import private
from sessiontap.cli.errors import Misuse
from sessiontap.cli.output import print_notice
from sessiontap.cli.rules_files import load, rules_file
from sessiontap.prices import Cost, Rates, RememberedCosts, RememberedRates, RememberedTariffs, version
from sessiontap.trace.views import CallCost

if TYPE_CHECKING:
    from sessiontap.analysis.part_costs import InputTerms
    from sessiontap.rules import Price, Rules
    from sessiontap.trace.index.costs import Prices


class Costs:
    """Costs of recorded calls. The rules file is read at the first call that has a use for it.

    If it cannot be read, stderr says so, and costs go without it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, Rates | None] = {}

    @classmethod
    def by(cls, given: Path | None) -> Costs:
        """Costs by the rules file that the command line names, or by the usual one.

        Raises Misuse if a named one is not valid.
        """
        costs = cls(given)
        if given is not None:
            costs._rules = _load(given)
        return costs

    def of(self, call: Mapping[str, Any]) -> Cost:
        """The cost of the call of this record and its source, or why it is not known."""
        return self._remembered.of(call)

    def in_trace(self, call: Mapping[str, Any]) -> CallCost:
        """The same as rows and the index of a trace take it."""
        return in_trace(self.of(call))

    def terms(self, call: Mapping[str, Any]) -> InputTerms:
        """The terms on which the input of the call of this record was taken."""
        from sessiontap.analysis.part_costs import InputTerms

        hour = ((call.get("llm") or {}).get("billed") or {}).get("cache_write_1h")
        rates, window = self._remembered_rates.of(call)
        return InputTerms(rates, hour or 0, window)

    @cached_property
    def _remembered(self) -> RememberedCosts:
        return RememberedCosts(self._rates, self._tariffs.find)

    @cached_property
    def _remembered_rates(self) -> RememberedRates:
        return RememberedRates(self._rates, self._tariffs.find, self._tariffs.window)

    @cached_property
    def _tariffs(self) -> RememberedTariffs:
        return RememberedTariffs(private.home() / "tariffs.json", version())

    @cached_property
    def prices(self) -> Prices:
        """The costs as the index asks for them. It stores what calls cost."""
        from sessiontap.trace.index.costs import Prices

        return Prices(self.in_trace, self.version)

    @cached_property
    def version(self) -> str:
        """A text that changes when the same call may cost something else: by the price list or the rules' prices."""
        own = repr([(one.model.text, *_amounts(one)) for one in self._rules.prices] if self._rules is not None else [])
        return f"{version()} {hashlib.sha256(own.encode()).hexdigest()[:16]}"

    @cached_property
    def _rules(self) -> Rules | None:
        try:
            return _load(self._file) if _may_have_prices(self._file) else None
        except Misuse as error:
            print_notice(f"costs go without the prices of the rules: {error.message.splitlines()[-1]}")
            return None

    def _rates(self, model: str) -> Rates | None:
        if model not in self._known:
            price = self._rules.price(model) if self._rules is not None else None
            rates = (price.input, price.output, price.cache_read, price.cache_write) if price is not None else None
            self._known[model] = Rates.of(*rates) if rates is not None else None
        return self._known[model]


def in_trace(cost: Cost) -> CallCost:
    """A cost as rows and the index of a trace take it."""
    return CallCost(cost.usd, cost.parts, cost.reason if cost.is_unknown else None)


def _amounts(price: Price) -> tuple[str, ...]:
    return tuple(map(str, (price.input, price.output, price.cache_read, price.cache_write)))


def _may_have_prices(given: Path | None) -> bool:
    """Return True if the rules file may have `prices:`; most have none and need no reading. Raises Misuse."""
    file = rules_file(given)
    if file is None:
        return False
    if not file.is_file():
        return True  # loading it says what it is
    try:
        return b"prices" in file.read_bytes()
    except OSError as error:
        raise Misuse(f"{file} cannot be read: {error.strerror}", "check its permissions") from None


def _load(given: Path | None) -> Rules | None:
    """The rules; None if no file is named and there is none. Raises Misuse."""
    file = rules_file(given)
    return load(file) if file is not None else None
