"""The list of genai-prices: provider, model, time and service tier -> `Tariff`; provider and model -> context window.

These are list prices, without discounts and without a region's surcharge unless the model's name says it. The list's
own arithmetic takes 80 us a call, so only its look-up is used, and its answers are kept: a log of 200,000 calls has few
models. `RememberedTariffs` writes them to a file, since loading the list takes longer than a command that shows costs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap.prices.tariff import Rates, Tariff, Unknown

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

LISTS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "vertex": "google",
    "voyage": "voyageai",
    "xai": "x-ai",
    "zai": "zai",
}
"""Our provider -> the list's. A provider that is not here has no list, even if its models have known names."""

STANDARD = frozenset(("default", "standard", "on_demand"))
"""Service tiers at the price of the list."""

UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "audio_cache_read": "cache_audio_read_mtok",
    "audio_output": "output_audio_mtok",
    "image_input": "input_image_mtok",
    "image_output": "output_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
"""Rate -> the list's key for it."""

ONE_RATE_FOR_ALL = frozenset(("google",))
"""Lists in which audio and images cost as much as text unless they say otherwise."""

MINUTE = 60_000_000_000
DAY = 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True, eq=False)
class ListedModel:
    """A model of the list. `own`: the entry is its provider's, not one of another whose models it offers."""

    model: ModelInfo
    list: str
    own: bool
    by_the_hour: bool
    """Its price depends on the time of day."""


def has_list(provider: str | None) -> bool:
    """Return True if the list has prices of this provider."""
    return provider in LISTS


def find(provider: str | None, names: tuple[str, ...], time: int, tier: str | None, speed: str | None = None) -> Tariff:
    """Return the tariff of the first of `names` that the list knows, at `time` (Unix ns). Raises `Unknown`."""
    if provider not in LISTS:
        raise Unknown(f"genai-prices has no list of {provider}" if provider else "the provider is unknown")
    listed = next((found for name in names if (found := look_up(LISTS[provider], name))), None)
    if listed is None:
        raise Unknown(f"genai-prices does not know the model {names[0]} of {provider}")
    unit = MINUTE if listed.by_the_hour else DAY
    tariff = _tariff(listed, time // unit * unit, _variant(tier, speed))
    if isinstance(tariff, str):
        raise Unknown(f"{tariff} of {names[0]}")
    return tariff


def window(provider: str | None, names: tuple[str, ...]) -> int | None:
    """Return the tokens that the context window of the first of `names` that the list knows holds.

    None if the list does not say, and if it has prices for inputs beyond: who asks has a larger window then.
    """
    found = (look_up(LISTS[provider], name) for name in names) if provider in LISTS else ()
    listed = next((one.model for one in found if one), None)
    stated = listed.context_window if listed is not None else None
    if listed is None or stated is None:
        return None
    prices = [listed.prices] if hasattr(listed.prices, "input_mtok") else [one.prices for one in listed.prices]
    steps = {tier.start for one in prices for key in UNITS.values() for tier in getattr(getattr(one, key), "tiers", ())}
    return None if any(start >= stated for start in steps) else int(stated)


def is_by_the_hour(provider: str | None, names: tuple[str, ...]) -> bool:
    """Return True if the price of the model that `find` finds depends on the time of day."""
    found = (look_up(LISTS[provider], name) for name in names) if provider in LISTS else ()
    return next((one.by_the_hour for one in found if one), False)


@lru_cache(maxsize=4096)
def look_up(of: str, name: str) -> ListedModel | None:
    """Return the model `name` of the list `of`, or None."""
    from genai_prices import data_snapshot
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    providers = data_snapshot.get_snapshot().providers
    provider = next((one for one in providers if one.id == of), None)  # another version may lack it
    model = provider.find_model(name, all_providers=providers) if provider is not None else None
    if provider is None or model is None:
        return None
    conditions = () if isinstance(model.prices, ModelPrice) else model.prices
    by_the_hour = any(isinstance(one.constraint, TimeOfDateConstraint) for one in conditions)
    return ListedModel(model, of, any(model is one for one in provider.models), by_the_hour)


def _variant(tier: str | None, speed: str | None) -> tuple[str, str] | None:
    """Return the variant of the standard price; None for that price itself."""
    tier = tier.lower() if tier else None
    if tier == "batch":
        return "processing", "batch"
    if tier is not None and tier not in STANDARD:
        return "service_tier", tier
    return ("speed", speed) if speed not in (None, "standard") else None


@lru_cache(maxsize=4096)
def _tariff(listed: ListedModel, time: int, variant: tuple[str, str] | None) -> Tariff | str:
    """Return the tariff, or what is not known, for "... of MODEL"."""
    moment = datetime.fromtimestamp(time // 1_000_000_000, UTC)
    context = None
    if variant is not None:
        context = dict([variant])
        variants = [one for one in listed.model.price_variants or () if listed.own and one.when == context]
        if not any(one.constraint is None or one.constraint.active(moment) for one in variants):
            return f"genai-prices has no price at {variant[0].replace('_', ' ')} {variant[1]}"
    prices = listed.model.get_prices(moment, context)
    if not any(getattr(prices, key) is not None for key in ("input_mtok", "output_mtok")):
        return "genai-prices has no price per token"
    return Tariff(_steps(prices, listed.list in ONE_RATE_FOR_ALL), listed.by_the_hour)


def _steps(prices: ModelPrice, one_rate_for_all: bool) -> tuple[tuple[int, Rates], ...]:
    starts = {tier.start for key in UNITS.values() for tier in getattr(getattr(prices, key), "tiers", ())}
    return tuple((start, _rates(prices, start, one_rate_for_all)) for start in sorted({-1, *starts}))


def _rates(prices: ModelPrice, start: int, one_rate_for_all: bool) -> Rates:
    rates = {name: _price(getattr(prices, key), start) for name, key in UNITS.items()}
    if one_rate_for_all:
        for kind in ("audio_input", "audio_cache_read", "audio_output", "image_input", "image_output"):
            if rates[kind] is None:
                rates[kind] = rates[kind.partition("_")[2]]
    searches = _price(prices.web_searches_kcount, start)
    calls = _price(prices.requests_kcount, start)
    return Rates(
        **rates,
        web_search=None if searches is None else searches / 1000,
        call=Decimal(0) if calls is None else calls / 1000,
    )


def _price(price: Any, start: int) -> Decimal | None:
    """Return the price for inputs beyond `start` tokens."""
    for tier in reversed(getattr(price, "tiers", ())):
        if start >= tier.start:
            return Decimal(tier.price)
    base: Decimal | None = getattr(price, "base", price)
    return base


MOST = 1_000
"""Tariffs in the file, and windows."""
_Key = tuple[Any, ...]
"""Provider, names, day, tier, speed."""
_Model = tuple[str | None, tuple[str, ...]]
"""Provider, names."""


class RememberedTariffs:
    """Remembers what `find` and `window` answered, from one process to the next, as long as `version` is the same.

    The file only saves time: if it cannot be read or written, the list is asked. No folder is made for it.
    """

    def __init__(self, file: Path, version: str) -> None:
        self._file, self._version = file, version
        self._is_new = False

    def find(
        self, provider: str | None, names: tuple[str, ...], time: int, tier: str | None, speed: str | None = None
    ) -> Tariff:
        """As the module's `find`. Raises `Unknown`."""
        key = provider, names, time // DAY, tier, speed
        found = self._answers.get(key)
        if found is None:
            found = _answer(lambda: find(provider, names, time, tier, speed))
            if not is_by_the_hour(provider, names):
                self._answers[key] = found
                self._save_at_the_end()
        if isinstance(found, str):
            raise Unknown(found)
        return found

    def window(self, provider: str | None, names: tuple[str, ...]) -> int | None:
        """As the module's `window`."""
        key = provider, names
        if key not in self._windows:
            self._windows[key] = window(provider, names)
            self._save_at_the_end()
        return self._windows[key]

    def _save_at_the_end(self) -> None:
        if not self._is_new:
            self._is_new = True
            atexit.register(self.save)

    @property
    def _answers(self) -> dict[_Key, Tariff | str]:
        return self._known[0]

    @property
    def _windows(self) -> dict[_Model, int | None]:
        return self._known[1]

    @cached_property
    def _known(self) -> tuple[dict[_Key, Tariff | str], dict[_Model, int | None]]:
        try:
            found = json.loads(self._file.read_bytes())
            if found["version"] != self._version:
                return {}, {}
            return (
                {(one, tuple(names), *rest): _read(value) for (one, names, *rest), value in found["tariffs"]},
                {
                    (one, tuple(names)): None if size is None else int(size)
                    for one, names, size in found.get("windows", ())
                },
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            return {}, {}

    def save(self) -> None:
        """Write the newest of them to the file, whole or not at all."""
        newest = [(key, _written(answer)) for key, answer in list(self._answers.items())[-MOST:]]
        windows = [(*key, size) for key, size in list(self._windows.items())[-MOST:]]
        own = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"version": self._version, "tariffs": newest, "windows": windows}, file)
            own.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                own.unlink(missing_ok=True)


def _answer(find: Callable[[], Tariff]) -> Tariff | str:
    """Return the tariff, or the reason why there is none."""
    try:
        return find()
    except Unknown as why:
        return str(why)


def _written(answer: Tariff | str) -> Any:
    """Return an answer as JSON can hold it."""
    if isinstance(answer, str):
        return answer
    return [
        [start, {name: str(rate) for name in Rates.__slots__ if (rate := getattr(rates, name)) is not None}]
        for start, rates in answer.steps
    ]


def _read(value: Any) -> Tariff | str:
    if isinstance(value, str):
        return value
    none: dict[str, Any] = {"input": None, "output": None}
    steps = ((int(start), {name: Decimal(rate) for name, rate in rates.items()}) for start, rates in value)
    return Tariff(tuple((start, Rates(**(none | rates))) for start, rates in steps))
