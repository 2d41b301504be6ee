"""Every recorded exchange gets a price, or the reason why it has none."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from tests.llm.llm_corpus import Recorded, needs_corpus, recorded

from sessiontap.prices import cost_of

pytestmark = needs_corpus


def record(item: Recorded) -> dict[str, Any]:
    """The record as far as prices look at it; all at a time when the old models were there."""
    asked, reply = item.call(), item.reply()
    endpoint = asked.endpoint
    return {
        "host": item.request.host,
        "route": endpoint.route,
        "time": 1_750_000_000 * 10**9,
        "outcome": "ok" if item.response_status < 400 else "http_error",
        "request": {"method": item.request.method},
        "response": {"status": item.response_status},
        "llm": {
            "provider": endpoint.provider,
            "family": endpoint.family,
            "operation": endpoint.operation,
            "request_model": asked.asked.model or endpoint.model,
            "response_model": reply.response_model,
            "usage": asdict(reply.usage) if reply.usage else None,
            "cost_reported": reply.cost_reported,
            "service_tier": reply.service_tier,
            "billed": reply.billed.stated() if reply.billed else None,
            "error": asdict(reply.error) if reply.error else None,
        },
    }


def test_most_exchanges_with_usage_have_a_price() -> None:
    records = [record(item) for item in recorded() if item.expect["family"] is not None]
    costs = [cost_of(one) for one in records if one["llm"]["usage"]]
    reasons = Counter(cost.reason for cost in costs if cost.usd is None)
    assert len(costs) > 880
    assert sum(cost.usd is not None for cost in costs) / len(costs) >= 0.89, reasons.most_common()


def test_no_cost_is_unknown_without_a_reason_and_none_is_nothing_without_a_source() -> None:
    costs = {item.id: cost_of(record(item)) for item in recorded()}
    assert [id for id, cost in costs.items() if cost.usd is not None and cost.source is None] == []
    assert [id for id, cost in costs.items() if cost.usd is None and cost.reason is None] == []
    assert {cost.source for cost in costs.values() if cost.usd == 0} <= {"local", "free", "not charged"}
    assert {cost.source for cost in costs.values() if cost.usd is None} == {None, "no model call"}
