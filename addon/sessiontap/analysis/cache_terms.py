"""The terms of providers' prompt caches, as their documents state them: from which length, and for how long.

All of them cache a beginning of the request: tool definitions, then the system prompt, then the messages. What a token
costs that was read or written is a matter of `prices`. Documents as of autumn 2026, each row with its section:

    Anthropic   platform.claude.com/docs/en/build-with-claude/prompt-caching: "Cache limitations" (least), "How prompt
                caching works" and "1-hour cache duration" (five minutes, refreshed by each use, from the start of the
                request that writes or reads). The least holds "on every platform where each model is available".
    Bedrock     docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html: "How it works" (the same least, and a
                time to live that each hit resets), its table of models (Nova: 1,024 tokens, five minutes)
    OpenAI      developers.openai.com/api/docs/guides/prompt-caching: "How caching works" (least), "Cache lifetime" and
                "Summary of model differences" (lifetimes, multiples of 128). Of models before GPT-5.6 it states 2,048
                tokens, and that some cache shorter beginnings, from 1,024 as it stated before: that is taken.
    Azure       learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching: "Getting started", "Prompt cache
                retention": as OpenAI; from memory within an hour, 24 hours by default only of models after GPT-5.4
    Gemini      ai.google.dev/gemini-api/docs/caching, "Implicit caching": the least by model, no time
    DeepSeek    api-docs.deepseek.com/guides/kv_cache, "Additional Notes": cleared "within a few hours to a few days";
                no least is stated any more, formerly units of 64 tokens
    Groq        console.groq.com/docs/prompt-caching: "How It Works" (two hours without use), "Caching Requirements"
                (128 to 1,024 tokens, by model)
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """The terms of one provider's cache."""

    marked: bool = False
    """Only what the request marks is written. Else every request is."""
    least: int = 1024
    """Tokens that a beginning must have to be cached."""
    multiple: int = 1
    """Tokens that are read are a multiple of this."""
    kept: float | None = 5 * MINUTE
    """Seconds without use for which an entry is kept; None if the provider states none."""
    kept_at_most: float | None = None
    """Seconds after which it is surely gone; None if the provider states none."""


_MARKED = CacheTerms(marked=True, kept_at_most=5 * MINUTE)
_OTHER = CacheTerms(least=0, kept=None)
_ROWS: tuple[tuple[tuple[str, ...], str, CacheTerms], ...] = (
    # providers, pattern of the model's name, terms; the first that fits
    (("openai", "azure"), "gpt-5.[6-9]*", CacheTerms(kept=30 * MINUTE)),
    (("openai", "azure"), "gpt-[6-9]*", CacheTerms(kept=30 * MINUTE)),
    (("openai", "azure"), "gpt-5*", CacheTerms(multiple=128, kept_at_most=24 * HOUR)),
    (("openai", "azure"), "gpt-4.1*", CacheTerms(multiple=128, kept_at_most=24 * HOUR)),
    (("openai",), "*", CacheTerms(multiple=128, kept_at_most=HOUR)),
    (("azure",), "*", CacheTerms(multiple=128, kept_at_most=24 * HOUR)),  # a deployment may have any name
    (("google", "vertex"), "gemini-2.5-*", CacheTerms(least=2048, kept=None)),
    (("google", "vertex"), "gemini-3-flash*", CacheTerms(kept=None)),
    (("google", "vertex"), "gemini-[3-9]*", CacheTerms(least=4096, kept=None)),
    (("google", "vertex"), "*", CacheTerms(kept=None)),
    (("deepseek",), "*", CacheTerms(least=0, multiple=64, kept=2 * HOUR)),
    (("groq",), "*", CacheTerms(least=128, kept=2 * HOUR, kept_at_most=2 * HOUR)),
)
_LEAST_OF_CLAUDE = (
    # pattern of the model's name, tokens; the first that fits, else `CacheTerms.least`
    ("*fable-5*", 512),
    ("*mythos-5*", 512),
    ("*opus-5*", 512),
    ("*sonnet-5-5*", 512),
    ("*haiku-5*", 512),
    ("*mythos-preview*", 2048),
    ("*opus-4-7*", 2048),
    ("*opus-4-[56]*", 4096),
    ("*haiku-4-5*", 4096),
    ("*3-5-haiku*", 2048),
    ("*3-haiku*", 2048),
)


@lru_cache(256)
def cache_terms(provider: str | None, family: str | None, model: str | None) -> CacheTerms:
    """Return the terms of a call's cache; of an unknown provider what holds for most."""
    name = (model or "").lower()
    if family == "anthropic-messages" and provider in (None, "anthropic", "bedrock", "vertex"):
        return _of_claude(name)
    if provider in ("anthropic", "bedrock"):
        return _of_claude(name)
    fitting = (terms for providers, pattern, terms in _ROWS if provider in providers and fnmatchcase(name, pattern))
    return next(fitting, _OTHER)


def _of_claude(name: str) -> CacheTerms:
    """The terms of Anthropic's models, wherever they are; Bedrock's own have the same."""
    least = next((least for pattern, least in _LEAST_OF_CLAUDE if fnmatchcase(name, pattern)), _MARKED.least)
    return CacheTerms(_MARKED.marked, least, _MARKED.multiple, _MARKED.kept, _MARKED.kept_at_most)
