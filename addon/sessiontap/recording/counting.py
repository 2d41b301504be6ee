"""Tell alerts and limits what a call came to: tokens, cost, whether it failed, which tools it calls.

The recorder's process asks this once its reply was read, for calls alone of which something is counted. Prices are
loaded when the first rule asks for a cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING

from sessiontap import private
from sessiontap.llm.call import Reply, Usage
from sessiontap.recording.decode import DecodedExchange
from sessiontap.recording.finished import CallCounted, FinishedCall, OwnPrice
from sessiontap.recording.record import priced_record
from sessiontap.redaction import Redactor
from sessiontap.rules.match_patterns import text_pattern
from sessiontap.rules.rule_set import Price, price_of
from sessiontap.trace.outcomes import ERRORS

if TYPE_CHECKING:
    from sessiontap.prices import Rates, RememberedCosts


class Counting:
    """The facts of calls by these prices of the rules."""

    def __init__(self, prices: Sequence[OwnPrice] = ()) -> None:
        self._prices = tuple(
            Price(text_pattern(model), *(Decimal(amount) for amount in amounts)) for model, *amounts in prices
        )
        self._costs: RememberedCosts | None = None

    def of(self, call: FinishedCall, exchange: DecodedExchange, redactor: Redactor) -> CallCounted:
        """Return what a call came to, as far as its thresholds ask for it."""
        assert call.plan is not None
        reply, asked = exchange.reply, call.plan.counted
        at = call.time + call.duration
        failed = exchange.outcome in ERRORS or (reply is not None and reply.error is not None)
        is_model = call.call is not None and call.call.endpoint.operation not in ("other", "vector_search")
        tokens = tokens_of(reply.usage if reply is not None else None)
        if tokens is None and not is_model:
            tokens = 0
        usd = why = None
        if "cost_usd" in asked:
            cost = self._remembered().of(priced_record(call, exchange, redactor))
            usd = cost.usd if cost.usd is not None or cost.is_unknown else 0.0
            why = cost.reason if cost.is_unknown else None
        return CallCounted(call.id, at, tokens, usd, why, failed, tools_digest(reply) if "repeats" in asked else None)

    def _remembered(self) -> RememberedCosts:
        if self._costs is None:
            from sessiontap.prices import RememberedCosts, RememberedTariffs, version

            tariffs = RememberedTariffs(private.home() / "tariffs.json", version())
            self._costs = RememberedCosts(self._rates_of, tariffs.find)
        return self._costs

    def _rates_of(self, model: str) -> Rates | None:
        from sessiontap.prices import Rates

        price = price_of(self._prices, model)
        if price is None:
            return None
        return Rates.of(price.input, price.output, price.cache_read, price.cache_write)


def tokens_of(usage: Usage | None) -> int | None:
    """Return the tokens that were read and written; None if neither was stated."""
    if usage is None or (usage.input is None and usage.output is None):
        return None
    return (usage.input or 0) + (usage.output or 0)


def tools_digest(reply: Reply | None) -> bytes | None:
    """Return a digest of the tools that a reply calls and their arguments; None if it calls none."""
    if reply is None or not reply.tool_calls:
        return None
    hashed = blake2b(digest_size=16)
    for tool in reply.tool_calls:
        hashed.update(f"{tool.name}\0{tool.arguments or ''}\0".encode("utf-8", "surrogatepass"))
    return hashed.digest()
