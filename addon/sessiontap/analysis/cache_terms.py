"""The terms of providers' prompt caches, as their documentation states them: what is cached, from which length, for
how long.

All of them cache a beginning of the request: tool definitions, then the system prompt, then the messages.

    platform.claude.com/docs/en/build-with-claude/prompt-caching    Anthropic; Bedrock and Vertex have its models
    developers.openai.com/docs/guides/prompt-caching                OpenAI: cleared after 5 to 10 minutes without use,
                                                                    or kept for up to 24 hours, by model and account
    ai.google.dev/gemini-api/docs/caching                           Gemini, implicit: no stated time
    api-docs.deepseek.com/guides/kv_cache                           DeepSeek: kept for hours to days
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """The terms of one provider's cache."""

    marked: bool = False
    """Only what the request marks is written. Else every request is."""
    least: int = 1024
    """Tokens that a beginning must have to be cached."""
    step: int = 1
    """Tokens by which what is read is rounded down."""
    kept: float = 5 * MINUTE
    """Seconds without use for which an entry is kept."""
    kept_at_most: float | None = None
    """Seconds after which it is surely gone; None if the provider states none."""


_MARKED = CacheTerms(marked=True, kept_at_most=5 * MINUTE)
_PROVIDERS = {
    "anthropic": _MARKED,
    "bedrock": _MARKED,
    "openai": CacheTerms(step=128, kept_at_most=24 * HOUR),
    "azure": CacheTerms(step=128, kept_at_most=24 * HOUR),
    "google": CacheTerms(),
    "vertex": CacheTerms(),
    "deepseek": CacheTerms(least=64, step=64, kept=2 * HOUR),
    "groq": CacheTerms(least=128, kept=2 * HOUR, kept_at_most=2 * HOUR),
}
_LEAST = (
    # pattern of the model's name, tokens; the first that fits
    ("*opus-4-[5-9]*", 4096),
    ("*haiku-4-5*", 4096),
    ("*sonnet-4-6*", 2048),
    ("*3-haiku*", 2048),
    ("*3-5-haiku*", 2048),
    ("gemini-2.5-pro*", 4096),
    ("gemini-3*-pro*", 4096),
)
_OTHER = CacheTerms(least=0)


def cache_terms(provider: str | None, family: str | None, model: str | None) -> CacheTerms:
    """Return the terms of a call's cache; of an unknown provider what holds for most."""
    known = _PROVIDERS.get(provider or "")
    if known is None:
        return _MARKED if provider is None and family == "anthropic-messages" else _OTHER
    if family == "anthropic-messages":
        known = _MARKED  # Vertex has models of Anthropic's
    least = next((least for pattern, least in _LEAST if fnmatchcase((model or "").lower(), pattern)), known.least)
    return CacheTerms(known.marked, least, known.step, known.kept, known.kept_at_most)
