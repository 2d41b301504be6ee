"""Costs of many calls: what was found for one is taken for another only if they agree in all that decides."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from sessiontap.prices import Rates, RememberedCosts, RememberedRates, cost_of, rates_for, window_of
from sessiontap.prices.catalogue import DAY, MINUTE, find, window
from sessiontap.prices.tariff import Tariff

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
    "so many tokens that they cost more": ({}, {"usage": USAGE | {"input": 300_000}, "response_model": "gpt-5.4"}),
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
    "searches on the bill": ({}, {"billed": {"web_searches": 2}}),
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
    "refused by a limit": ({"outcome": "refused", "flags": ["refused"]}, {}),
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


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS)
def test_the_rates_and_windows_are_those_of_each_call_alone(changed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    call, llm = changed
    calls = [CALL | {"llm": LLM}, CALL | call | {"llm": LLM | llm}]
    remembered = RememberedRates(rates_of, find, window)
    alone = [(rates_for(one, rates_of), window_of(one)) for one in calls]
    assert [remembered.of(one) for one in calls * 2] == alone * 2


def test_a_model_is_looked_for_once() -> None:
    asked: list[str] = []
    remembered = RememberedCosts(lambda model: asked.append(model), find)
    costs = [remembered.of(CALL | {"llm": LLM | {"usage": USAGE | {"input": 500 + n}}}).usd for n in range(3)]
    assert len(set(costs)) == 3
    assert None not in costs
    assert asked == ["gpt-4o-mini"]


TARIFFS = {
    "of one step": Tariff(((-1, Rates(Decimal("2.5"), Decimal(10), Decimal("1.25"), Decimal("3.75"))),)),
    "by the size of the input": Tariff(
        (
            (-1, Rates(Decimal("1.25"), Decimal(10), Decimal("0.125"))),
            (200_000, Rates(Decimal("2.5"), Decimal(15), Decimal("0.25"))),
        )
    ),
    "of long fractions": Tariff(((-1, Rates(Decimal("0.1234567"), Decimal("0.7"), Decimal("0.0309"), Decimal(3))),)),
    "with reasoning apart": Tariff(((-1, Rates(Decimal("0.7"), Decimal(2), Decimal(0), reasoning=Decimal("8.4"))),)),
    "with a fee for each call": Tariff(((-1, Rates(Decimal(1), Decimal(1), call=Decimal("0.005"))),)),
    "of calls alone": Tariff(((-1, Rates(None, None, call=Decimal("0.0123"))),)),
    "without a price of what a cache takes": Tariff(((-1, Rates(Decimal("0.3"), Decimal("0.9"))),)),
}


@pytest.mark.parametrize("tariff", TARIFFS.values(), ids=TARIFFS)
def test_a_cost_is_the_nearest_float_whatever_the_tokens(tariff: Tariff) -> None:
    chance = random.Random(7)
    remembered = RememberedCosts(rates_of, lambda *_: tariff)
    for _ in range(2_000):
        given, made = chance.randrange(400_000), chance.randrange(40_000)
        usage = {"input": given, "output": made}
        for name, most in (("cache_read", given), ("cache_write", given), ("reasoning", made)):
            usage[name] = chance.choice((0, None, chance.randrange(most + 2)))
        call = CALL | {"llm": LLM | {"usage": usage}}
        assert remembered.of(call) == cost_of(call, rates_of, lambda *_: tariff)


@pytest.mark.parametrize(("by_the_hour", "costs"), [(False, {1.0}), (True, {1.0, 2.0})], ids=["by day", "by the hour"])
def test_a_tariff_is_looked_for_as_often_as_it_may_change(by_the_hour: bool, costs: set[float]) -> None:
    def by_minute(*question: Any) -> Tariff:
        rate = Decimal(2 if question[2] // MINUTE % 2 else 1)
        return Tariff(((-1, Rates(rate, rate)),), by_the_hour)

    remembered = RememberedCosts(rates_of, by_minute)
    usage = {"input": 1_000_000, "output": 0}
    noon = 20_000 * DAY + 720 * MINUTE
    calls = [CALL | {"time": noon + n * MINUTE, "llm": LLM | {"usage": usage}} for n in range(4)]
    assert {remembered.of(call).usd for call in calls} == costs


def test_the_tariff_of_another_day_is_another() -> None:
    def by_day(*question: Any) -> Tariff:
        rate = Decimal(question[2] // DAY)
        return Tariff(((-1, Rates(rate, rate)),))

    remembered = RememberedCosts(rates_of, by_day)
    calls = [CALL | {"time": day * DAY, "llm": LLM | {"usage": {"input": 1_000_000, "output": 0}}} for day in (1, 2, 1)]
    assert [remembered.of(call).usd for call in calls] == [1.0, 2.0, 1.0]
