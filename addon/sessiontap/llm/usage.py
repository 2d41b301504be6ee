"""Token counts that several families share, and what a bill counts apart from plain tokens.

Token counts as OpenAI's chat, completions and embeddings state them, and as the services that copy them do:
`prompt_tokens` includes cached tokens everywhere. `completion_tokens` includes reasoning, but for xAI, whose total
shows that it does not. Names of the cached part differ:

    prompt_tokens_details.cached_tokens   OpenAI and most     prompt_token_details.cached_tokens   some, singular
    prompt_cache_hit_tokens               DeepSeek            num_cached_tokens                    Mistral
    cached_tokens                         Together, HF

What a bill counts apart, as the families state it in their usage. Only prices look at it:

    cache_creation.ephemeral_1h_input_tokens   Anthropic: written to be kept for an hour, at a higher price
    cacheDetails[ttl: 1h]                      Bedrock's Converse: the same
    *_details.audio_tokens, image_tokens       OpenAI: the part of the input, of what was cached, of the output
    *TokensDetails[modality: AUDIO, IMAGE]     Gemini: the same; its images cost as text where they come in
    server_tool_use.web_search_requests        Anthropic: searches that it ran
    iterations                                 Anthropic: a compaction's or advisor's tokens, in no other count
    speed                                      Anthropic: `fast` has a price of its own
    billed_units                               Cohere: tokens of the bill, fewer than those that were read
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sessiontap.llm.call import Billed, Usage
from sessiontap.llm.pick import count, dicts, dig, dollars, first_count, in_range, names, text, unreadable

_TICKS = 10_000_000_000
"""xAI's ticks in a US dollar (xai-sdk, cost.py)."""
_CACHE_READ: tuple[tuple[str | int, ...], ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_token_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),
    ("num_cached_tokens",),
    ("cached_tokens",),
)
_REASONING: tuple[tuple[str | int, ...], ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("completion_token_details", "reasoning_tokens"),
    ("reasoning_tokens",),
)


def usage_of(usage: Any) -> Usage | None:
    """Return the usage object, normalised; None if it states no count at all."""
    if not isinstance(usage, dict):
        return None
    given, made = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    reasoning = first_count(usage, *_REASONING)
    total = count(usage, "total_tokens")
    if given is not None and made is not None and reasoning and total == given + made + reasoning:
        made = in_range(made + reasoning)
    found = Usage(
        input=given,
        output=made,
        cache_read=first_count(usage, *_CACHE_READ),
        cache_write=count(usage, "prompt_tokens_details", "cache_write_tokens"),
        reasoning=reasoning,
    )
    return None if found == Usage() else found


def cost_of(usage: Any) -> float | None:
    """Return the cost in US dollars, if the provider states it: `cost` (OpenRouter), `cost.total_cost` (Perplexity),
    `cost_in_usd_ticks` (xAI)."""
    cost = dig(usage, "cost")
    if cost is None and (ticks := count(usage, "cost_in_usd_ticks")) is not None:
        return ticks / _TICKS
    return dollars(cost, "total_cost") if isinstance(cost, dict) else dollars(cost)


# The bill ------------------------------------------------------------------------------------------------------------

_INPUT = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT = ("completion_tokens_details", "output_tokens_details", "output_token_details")

_TELLING = frozenset(
    (
        *("billed_units", "cache_creation", "cacheDetails", "server_tool_use", "speed", "iterations"),
        *("promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails"),
        *(*_INPUT, *_OUTPUT),
    )
)
"""Most usage has none of these, and is plain tokens alone."""

TOOLS = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "google_search"}
)
"""Tools that providers run for a fee of their own."""


def billed_of(usage: Any, tools: Iterable[str] = ()) -> Billed | None:
    """From a usage object of any family and the tools that the provider ran; None if it is plain tokens alone."""
    ran = [tool for tool in tools if tool in TOOLS]
    if not ran and (not isinstance(usage, dict) or _TELLING.isdisjoint(usage)):
        return None
    found = Billed(
        input=count(usage, "billed_units", "input_tokens"),
        output=count(usage, "billed_units", "output_tokens"),
        cache_write_1h=_known(
            count(usage, "cache_creation", "ephemeral_1h_input_tokens"),
            _sum(dicts(usage, "cacheDetails"), "ttl", "1h", "inputTokens"),
        ),
        audio_input=_known(
            first_count(usage, *((part, "audio_tokens") for part in _INPUT)),
            _modality(usage, "promptTokensDetails", "AUDIO"),
        ),
        audio_cache_read=_known(
            first_count(usage, *((part, "cached_tokens_details", "audio_tokens") for part in _INPUT)),
            _modality(usage, "cacheTokensDetails", "AUDIO"),
        ),
        audio_output=_known(
            first_count(usage, *((part, "audio_tokens") for part in _OUTPUT)),
            _modality(usage, "candidatesTokensDetails", "AUDIO"),
        ),
        image_input=first_count(usage, *((part, "image_tokens") for part in _INPUT)),
        image_output=_known(
            first_count(usage, *((part, "image_tokens") for part in _OUTPUT)),
            _modality(usage, "candidatesTokensDetails", "IMAGE"),
        ),
        web_searches=count(usage, "server_tool_use", "web_search_requests"),
        speed=speed if (speed := text(usage, "speed")) != "standard" else None,
        tools=names((*ran, *_left_out(usage))),
    )
    return found if found.stated() else None


def _left_out(usage: Any) -> Iterable[str | None]:
    return (kind for step in dicts(usage, "iterations") if (kind := text(step, "type")) != "message")


def _known(*counts: int | None) -> int | None:
    return next((number for number in counts if number is not None), None)


def _modality(usage: Any, key: str, modality: str) -> int | None:
    """Gemini leaves a modality out that there was none of."""
    parts = dig(usage, key)
    if not isinstance(parts, list):
        return None
    if not any(part.get("modality") == modality for part in dicts(parts)):
        return 0
    return _sum(dicts(parts), "modality", modality, "tokenCount")


def _sum(parts: Iterable[dict[str, Any]], key: str, value: str, number: str) -> int | None:
    """None if there is no such part, or one of them states what is no count."""
    found = [part for part in parts if part.get(key) == value]
    if not found or any(unreadable(part, (number,)) for part in found):
        return None
    return in_range(sum(count(part, number) or 0 for part in found))
