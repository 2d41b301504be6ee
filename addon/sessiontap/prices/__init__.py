"""The cost of a call in US dollars: an opinion of readers, made from its record and never written to it.

    cost.py       asks the sources of a cost in order
    remembered.py the same for many calls: once for those that agree
    uncharged.py  the calls that cost nothing, and those that ask no model: a table
    catalogue.py  the list of genai-prices, and its answers kept in a file
    tariff.py     rates, and the arithmetic over a call's tokens

genai-prices is imported at the first call that needs its list (0.17 s, 37 MB), never on the proxy's path. A cost that
cannot be known is None with the reason in words, never 0; one that is 0 has its reason, too.

    cost_of(record)                 # Cost(usd=0.000123, source='genai-prices', parts=Parts(input=...))
    cost_of(record, rates_of)       # a model's own rates first (`prices:` of rules.yaml)
    rates_for(record)               # Rates(input=Decimal('3'), ...): what a part of its tokens cost
    window_of(record)               # 200000: the tokens that its model's context window holds
"""

from sessiontap.prices.catalogue import RememberedTariffs
from sessiontap.prices.cost import (
    Cost,
    RatesOf,
    Source,
    cost_of,
    rates_for,
    version,
    window_of,
)
from sessiontap.prices.remembered import RememberedCosts, RememberedRates
from sessiontap.prices.tariff import Parts, Rates

__all__ = [
    "Cost",
    "Parts",
    "Rates",
    "RatesOf",
    "RememberedCosts",
    "RememberedRates",
    "RememberedTariffs",
    "Source",
    "cost_of",
    "rates_for",
    "version",
    "window_of",
]
