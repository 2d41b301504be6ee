"""The cost of a call in US dollars: an opinion of readers, made from its record and never written to it.

Imports `llm`'s tables alone, and genai-prices at the first call that needs its list (0.17 s, 37 MB): never on the
proxy's path. `cost` asks its sources in order, `places` knows hosts that are free or paid by the month, `catalogue`
reads the list, `kept` remembers what it said, `tariff` does the arithmetic. What cannot be known is None with the
reason in words, never 0.

    cost_of(record)                 # Cost(usd=0.000123, source='genai-prices', reason=None)
    cost_of(record, rates_of)       # a model's own rates first (`prices:` of rules.yaml)
"""

from sessiontap.prices.cost import Cost, RatesOf, Source, cost_of, version
from sessiontap.prices.kept import KeptTariffs
from sessiontap.prices.tariff import Rates

__all__ = ["Cost", "KeptTariffs", "Rates", "RatesOf", "Source", "cost_of", "version"]
