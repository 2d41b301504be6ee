"""Rates and the arithmetic over a call's tokens.

Counts come as in records: `input` includes what was read from and written to a cache and what was no text, `output`
includes reasoning. Each token is paid for once: a part that has a rate of its own leaves the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

MILLION = 1_000_000

WITHOUT_OUTPUT = frozenset(("embeddings", "rerank", "moderation"))
"""Operations whose replies are no text: output tokens that are not stated are 0."""


class Unknown(Exception):
    """The cost cannot be known; the text says why."""


Paid = Literal["input", "cache_read", "cache_write", "output", "other"]


class Parts(NamedTuple):
    """US dollars by what they were paid for; together they are the cost."""

    input: float = 0.0
    """Of all kinds, without what a cache gave or took."""
    cache_read: float = 0.0
    cache_write: float = 0.0
    output: float = 0.0
    """Of all kinds, reasoning too."""
    other: float = 0.0
    """Fees per call and per search, and a figure that the provider states as a whole."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens; of what is counted otherwise per piece. None: the price is not known."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    """Written to be kept for an hour; `cache_write` is for the usual five minutes."""
    audio_input: Decimal | None = None
    audio_cache_read: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    reasoning: Decimal | None = None
    """None: reasoning is paid for as any output."""
    web_search: Decimal | None = None
    """A search that the provider ran."""
    call: Decimal = Decimal(0)
    """Each call, whatever its tokens."""

    @classmethod
    def of(cls, input: Decimal, output: Decimal, cache_read: Decimal, cache_write: Decimal) -> Rates:
        """Return the rates of a model whose audio and images cost as its texts, as `prices:` of the rules has them."""
        return cls(
            input=input,
            output=output,
            cache_read=cache_read,
            cache_write=cache_write,
            cache_write_1h=cache_write,
            audio_input=input,
            audio_cache_read=cache_read,
            audio_output=output,
            image_input=input,
            image_output=output,
        )


_ZERO = Decimal(0)
NOTHING = Rates(**dict.fromkeys(Rates.__slots__, _ZERO))
"""The rates of what costs nothing."""


class WholeRates(NamedTuple):
    """`Rates` of plain tokens in whole numbers, of which `unit` are a US dollar.

    The quotient of two whole numbers is the nearest float: the one that decimal fractions come to, in a fifth of the
    time.
    """

    unit: int
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    call: int


def _whole(rates: Rates) -> WholeRates:
    known = (rates.input, rates.cache_read, rates.cache_write, rates.output, rates.reasoning)
    of_tokens = [None if rate is None else rate.as_integer_ratio() for rate in known]
    of_call = (rates.call * MILLION).as_integer_ratio()
    unit = math.lcm(of_call[1], *(ratio[1] for ratio in of_tokens if ratio is not None))
    input, cache_read, cache_write, output, reasoning = (
        None if ratio is None else ratio[0] * (unit // ratio[1]) for ratio in of_tokens
    )
    call = of_call[0] * (unit // of_call[1])
    return WholeRates(unit * MILLION, input, cache_read, cache_write, output, reasoning, call)


@dataclass(frozen=True)
class Tariff:
    """Rates by the size of the whole input: a call pays the last of them whose start its input exceeds, for all."""

    steps: tuple[tuple[int, Rates], ...]
    """From the smallest start, which is -1."""
    by_the_hour: bool = False
    """They hold for a minute, else for a day (UTC)."""

    @cached_property
    def whole(self) -> tuple[tuple[int, WholeRates], ...]:
        """`steps` in whole numbers, from the largest start."""
        return tuple((start, _whole(rates)) for start, rates in reversed(self.steps))

    def at(self, tokens: int) -> Rates:
        """The rates of a call with so many input tokens."""
        return next(rates for start, rates in reversed(self.steps) if tokens > start)


def input_tokens(usage: Mapping[str, Any], billed: Mapping[str, Any]) -> int:
    """All input tokens that are paid for. Raises `Unknown`."""
    given = billed.get("input", usage.get("input"))
    if given is None:
        raise Unknown("the input tokens were not reported")
    return int(given)


def plain_cost(usage: Mapping[str, Any], tariff: Tariff) -> tuple[float, Parts] | None:
    """US dollars for the `usage` of a call whose bill counts nothing apart, and their parts, as `parts_of` has them.

    None if something is not known, or does not fit: `parts_of` says what.
    """
    given, made = usage.get("input"), usage.get("output")
    if given is None or made is None:
        return None
    unit, input, cache_read, cache_write, output, reasoning, call = next(
        rates for start, rates in tariff.whole if given > start
    )
    read, written = usage.get("cache_read") or 0, usage.get("cache_write") or 0
    thought = (usage.get("reasoning") or 0) if reasoning is not None else 0
    fresh, answered = given - read - written, made - thought
    if fresh < 0 or answered < 0 or (read and cache_read is None) or (written and cache_write is None):
        return None
    if (fresh and input is None) or (answered and output is None):
        return None
    for_fresh, for_read, for_written = fresh * (input or 0), read * (cache_read or 0), written * (cache_write or 0)
    for_output = answered * (output or 0) + thought * (reasoning or 0)
    usd = (for_fresh + for_read + for_written + for_output + call) / unit
    return usd, Parts(for_fresh / unit, for_read / unit, for_written / unit, for_output / unit, call / unit)


def _priced(paid: Iterable[tuple[Paid, int, Decimal | None, str]], rates: Rates) -> dict[Paid, Decimal]:
    parts: dict[Paid, Decimal] = {}
    for part, number, rate, what in paid:
        if number:
            if number < 0:
                raise Unknown(f"the parts of the {'output' if part == 'output' else 'input'} exceed the whole")
            if rate is None:
                raise Unknown(f"the price of {what} is not known")
            usd = rate * number / MILLION
            parts[part] = parts[part] + usd if part in parts else usd
    if rates.call:
        parts["other"] = rates.call
    return parts


def parts_of(
    usage: Mapping[str, Any], billed: Mapping[str, Any], rates: Rates, operation: str | None
) -> dict[Paid, Decimal]:
    """US dollars for `usage`, by `Parts`. `billed`: what the bill counts otherwise, or apart. Raises `Unknown`."""
    given = input_tokens(usage, billed)
    made = billed.get("output", usage.get("output"))
    if made is None:
        if operation not in WITHOUT_OUTPUT:
            raise Unknown("the output tokens were not reported")
        made = 0
    whole_bill = "input" in billed
    read = 0 if whole_bill else usage.get("cache_read") or 0
    written = 0 if whole_bill else usage.get("cache_write") or 0
    written_1h = min(billed.get("cache_write_1h") or 0, written)
    audio, images = billed.get("audio_input") or 0, billed.get("image_input") or 0
    spoken_before = billed.get("audio_cache_read")
    if read and (images or (audio and spoken_before is None)):
        raise Unknown("how many of the cached tokens were text was not reported")
    spoken_before = spoken_before or 0
    spoken, drawn = billed.get("audio_output") or 0, billed.get("image_output") or 0
    thought = (usage.get("reasoning") or 0) if rates.reasoning is not None else 0
    paid: tuple[tuple[Paid, int, Decimal | None, str], ...] = (
        ("input", given - (read - spoken_before) - written - audio - images, rates.input, "input tokens"),
        ("cache_read", read - spoken_before, rates.cache_read, "tokens read from a cache"),
        ("cache_write", written - written_1h, rates.cache_write, "tokens written to a cache"),
        ("cache_write", written_1h, rates.cache_write_1h, "tokens written to a cache for an hour"),
        ("input", audio - spoken_before, rates.audio_input, "input of audio"),
        ("cache_read", spoken_before, rates.audio_cache_read, "audio read from a cache"),
        ("input", images, rates.image_input, "input of images"),
        ("output", made - spoken - drawn - thought, rates.output, "output tokens"),
        ("output", spoken, rates.audio_output, "output of audio"),
        ("output", drawn, rates.image_output, "output of images"),
        ("output", thought, rates.reasoning, "reasoning"),
    )
    parts = _priced(paid, rates)
    if searches := billed.get("web_searches") or 0:
        if rates.web_search is None:
            raise Unknown("the price of a web search is not known")
        parts["other"] = parts.get("other", _ZERO) + rates.web_search * searches
    return parts

