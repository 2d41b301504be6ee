"""Token counts as OpenAI's chat, completions and embeddings state them, and as the services that copy them do.

`prompt_tokens` includes cached tokens everywhere. `completion_tokens` includes reasoning, but for xAI, whose total
shows that it does not. Names of the cached part differ:

    prompt_tokens_details.cached_tokens   OpenAI and most     prompt_token_details.cached_tokens   some, singular
    prompt_cache_hit_tokens               DeepSeek            num_cached_tokens                    Mistral
    cached_tokens                         Together, HF
"""

from __future__ import annotations

from typing import Any

from sessiontap.llm.call import Usage
from sessiontap.llm.pick import count, dig, dollars, first_count, in_range

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
    """The usage object, normalised; None where it states no count at all."""
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
    """The cost in US dollars, where the provider states it: `cost` (OpenRouter), `cost.total_cost` (Perplexity)."""
    cost = dig(usage, "cost")
    return dollars(cost, "total_cost") if isinstance(cost, dict) else dollars(cost)
