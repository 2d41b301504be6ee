"""Costs of many calls: what was found for one is taken for another only if they agree in all that decides."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sessiontap.prices import Rates, RememberedCosts, cost_of
from sessiontap.prices.catalogue import find

USAGE = {"input": 1000, "output": 100, "cache_read": 200, "cache_write": None, "reasoning": 10}
LLM = {
    "provider": "openai", "family": "openai-chat", "operation": "chat", "request_model": "gpt-4o-mini",
    "response_model": "gpt-4o-mini", "usage": USAGE,
}  # fmt: skip
CALL = {
    "host": "api.openai.com", "route": "/v1/chat/completions", "time": 1793534400 * 10**9, "outcome": "ok",
    "request": {"method": "POST"}, "response": {"status": 200},
}  # fmt: skip
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "other tokens": ({}, {"usage": USAGE | {"input": 7}}),
    "more cached than sent": ({}, {"usage": USAGE | {"cache_read": 2000}}),
    "output not told": ({}, {"usage": USAGE | {"output": None}}),
    "no usage": ({}, {"usage": None}),
    "a model of the user's rates": ({}, {"response_model": "own"}),
    "a model that no list has": ({}, {"response_model": "unheard-of", "request_model": "unheard-of"}),
    "no model": ({}, {"response_model": None, "request_model": None}),
    "another model asked for": ({}, {"request_model": "deployment", "provider": "azure"}),
    "another provider": ({}, {"provider": "anthropic", "response_model": "claude-sonnet-4-5"}),
    "the provider's own figure": ({}, {"cost_reported": 0.5}),
    "tools on the bill": ({}, {"billed": {"tools": ["code"]}}),
    "audio on the bill": ({}, {"billed": {"audio_input": 5}}),
    "a subscription": ({}, {"billed": {"subscription": True}}),
    "another speed": ({}, {"billed": {"speed": "fast"}}),
    "another tier": ({}, {"service_tier": "flex"}),
    "a free operation": ({}, {"operation": "count_tokens"}),
    "a batch": ({}, {"operation": "batch"}),
    "a reply fetched again": ({}, {"operation": "other", "family": "openai-responses"}),
    "another operation of another family": ({}, {"operation": "other", "family": "cohere"}),
    "the user's own host": ({"host": "localhost"}, {"provider": None}),
    "a host of a subscription": ({"host": "chatgpt.com"}, {}),
    "a route of a subscription": ({"host": "api.z.ai", "route": "/api/coding/x"}, {}),
    "an earlier time": ({"time": 10**9}, {}),
    "refused": ({"outcome": "http_error", "response": {"status": 429}}, {}),
    "no response": ({"outcome": "upstream_unreachable", "response": None}, {}),
    "another method": ({"request": {"method": "GET"}}, {"operation": "batch"}),
}


def rates_of(model: str) -> Rates | None:
    return Rates(input=Decimal(3), output=Decimal("7.5")) if model == "own" else None


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS)
def test_the_costs_are_those_of_each_call_alone(changed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    call, llm = changed
    calls = [CALL | {"llm": LLM}, CALL | call | {"llm": LLM | llm}]
    remembered = RememberedCosts(rates_of, find)
    assert [remembered.of(one) for one in calls * 2] == [cost_of(one, rates_of) for one in calls * 2]


def test_a_model_is_looked_for_once() -> None:
    asked: list[str] = []
    remembered = RememberedCosts(lambda model: asked.append(model), find)
    costs = [remembered.of(CALL | {"llm": LLM | {"usage": USAGE | {"input": 500 + n}}}).usd for n in range(3)]
    assert len(set(costs)) == 3
    assert None not in costs
    assert asked == ["gpt-4o-mini"]
