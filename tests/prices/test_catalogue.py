"""Our arithmetic over the list's rates comes to what the list's own comes to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices import Usage, data_snapshot
from genai_prices.types import PriceCalculation

from sessiontap.prices import catalogue
from sessiontap.prices.catalogue import LISTS
from sessiontap.prices.tariff import Unknown, parts_of

MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)
NANOSECONDS = int(MOMENT.timestamp()) * 10**9
USAGES = [(1000, 100, 0, 0), (1000, 100, 400, 0), (300_000, 1000, 0, 0), (300_000, 1000, 1000, 2000)]

MODELS = [
    (ours, model.id)
    for ours, theirs in LISTS.items()
    if ours != "vertex"
    for provider in data_snapshot.get_snapshot().providers
    if provider.id == theirs
    for model in provider.models
]


def theirs(provider: str, model: str, usage: tuple[int, int, int, int]) -> PriceCalculation:
    counted = Usage(
        **dict(zip(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), usage, strict=True))
    )
    return data_snapshot.get_snapshot().calc(counted, model, LISTS[provider], None, MOMENT)


def test_every_list_is_there() -> None:
    assert set(LISTS.values()) <= {provider.id for provider in data_snapshot.get_snapshot().providers}


@pytest.mark.parametrize("usage", USAGES, ids=["plain", "cached", "long", "long and cached"])
def test_every_model_costs_what_the_list_says(usage: tuple[int, int, int, int]) -> None:
    given, made, read, written = usage
    counts = {"input": given, "output": made, "cache_read": read, "cache_write": written, "reasoning": 0}
    wrong, compared = [], 0
    for provider, model in MODELS:
        try:
            rates = catalogue.find(provider, (model,), NANOSECONDS, None).at(given)
            ours = sum(parts_of(counts, {}, rates, "chat").values())
        except Unknown:
            continue  # a price that is missing: theirs would take the plain one, or none
        compared += 1
        if ours != theirs(provider, model, usage).total_price:
            wrong.append((provider, model))
    assert wrong == []
    assert compared > 200


def test_every_tariff_begins_with_no_tokens_and_goes_up() -> None:
    for provider, model in MODELS:
        try:
            steps = catalogue.find(provider, (model,), NANOSECONDS, None).steps
        except Unknown:
            continue
        starts = [start for start, _ in steps]
        assert (starts[0], starts) == (-1, sorted(set(starts))), (provider, model)


def test_a_log_of_many_calls_asks_the_list_once(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.look_up.cache_clear()
    asked = []
    snapshot = data_snapshot.get_snapshot()
    monkeypatch.setattr(data_snapshot, "get_snapshot", lambda: asked.append(1) or snapshot)
    for number in range(1000):
        catalogue.find("openai", ("gpt-4o-mini",), NANOSECONDS + number, None)
        with pytest.raises(Unknown):
            catalogue.find("openai", ("gpt-99",), NANOSECONDS + number, None)
    assert len(asked) == 2


def test_a_list_without_a_provider_that_another_version_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LISTS, "made-up", "no-such-provider")
    with pytest.raises(Unknown, match="does not know the model gpt-4o of made-up"):
        catalogue.find("made-up", ("gpt-4o",), 0, None)
