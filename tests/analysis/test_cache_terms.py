"""The terms of caches, row by row against what the documents say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sessiontap.analysis.cache_terms import HOUR, MINUTE, cache_terms
from sessiontap.prices import rates_for

CLAUDE = "anthropic-messages"
CHAT = "openai-chat"


@pytest.mark.parametrize(
    ("provider", "family", "model", "least"),
    [
        ("anthropic", CLAUDE, "claude-opus-5-5", 512),
        ("anthropic", CLAUDE, "claude-opus-5", 512),
        ("anthropic", CLAUDE, "claude-sonnet-5-5", 512),
        ("anthropic", CLAUDE, "claude-fable-5-1", 512),
        ("anthropic", CLAUDE, "claude-sonnet-5", 1024),
        ("anthropic", CLAUDE, "claude-opus-4-8", 1024),
        ("anthropic", CLAUDE, "claude-sonnet-4-6", 1024),
        ("anthropic", CLAUDE, "claude-sonnet-4-5-20250929", 1024),
        ("anthropic", CLAUDE, "claude-opus-4-1-20250805", 1024),
        ("anthropic", CLAUDE, "claude-opus-4-7", 2048),
        ("anthropic", CLAUDE, "claude-3-5-haiku-20241022", 2048),
        ("anthropic", CLAUDE, "claude-opus-4-5-20251101", 4096),
        ("anthropic", CLAUDE, "claude-haiku-4-5", 4096),
        ("bedrock", "bedrock-converse", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 4096),
        ("bedrock", "bedrock-converse", "amazon.nova-lite-v1:0", 1024),
        ("vertex", CLAUDE, "claude-haiku-4-5@20251001", 4096),
        ("google", "gemini", "gemini-2.5-pro", 2048),
        ("google", "gemini", "gemini-3.5-flash", 4096),
        ("google", "gemini", "gemini-3-flash-preview", 1024),
        ("openai", CHAT, "gpt-4o", 1024),
        ("groq", CHAT, "openai/gpt-oss-20b", 128),
        ("deepseek", CHAT, "deepseek-chat", 0),
        (None, CHAT, "local", 0),
    ],
)
def test_the_least_length(provider: str | None, family: str, model: str, least: int) -> None:
    assert cache_terms(provider, family, model).least == least


@pytest.mark.parametrize(
    ("provider", "family", "model", "kept", "at_most"),
    [
        ("anthropic", CLAUDE, "claude-opus-5", 5 * MINUTE, 5 * MINUTE),
        ("openai", CHAT, "gpt-4o", 5 * MINUTE, HOUR),
        ("openai", CHAT, "o3", 5 * MINUTE, HOUR),
        ("openai", CHAT, "gpt-4.1-mini", 5 * MINUTE, 24 * HOUR),
        ("openai", CHAT, "gpt-5.5", 5 * MINUTE, 24 * HOUR),
        ("openai", CHAT, "gpt-5.6-sol", 30 * MINUTE, None),
        ("openai", CHAT, "gpt-6-astra", 30 * MINUTE, None),
        ("azure", CHAT, "my-deployment", 5 * MINUTE, 24 * HOUR),
        ("google", "gemini", "gemini-2.5-pro", None, None),
        ("deepseek", CHAT, "deepseek-chat", 2 * HOUR, None),
        ("groq", CHAT, "moonshotai/kimi-k2-instruct", 2 * HOUR, 2 * HOUR),
        (None, CHAT, "local", None, None),
    ],
)
def test_how_long_an_entry_is_kept(
    provider: str | None, family: str, model: str, kept: float | None, at_most: float | None
) -> None:
    terms = cache_terms(provider, family, model)
    assert (terms.kept, terms.kept_at_most) == (kept, at_most)


@pytest.mark.parametrize(
    ("provider", "model", "read", "written", "written_1h"),
    [
        ("anthropic", "claude-opus-4-8", "0.1", "1.25", "2"),
        ("anthropic", "claude-sonnet-4-5", "0.1", "1.25", "2"),
        ("anthropic", "claude-haiku-4-5", "0.1", "1.25", "2"),
        ("anthropic", "claude-opus-5-5", "0.05", "1.25", "2"),
        ("anthropic", "claude-fable-5-1", "0.025", "1.25", "2"),
        ("openai", "gpt-5.6-sol", "0.1", "1.25", None),
        ("openai", "gpt-5.5", "0.1", None, None),
    ],
)
def test_the_list_prices_a_cache_by_the_multiples_that_the_documents_state(
    provider: str, model: str, read: str, written: str | None, written_1h: str | None
) -> None:
    """Anthropic: "Pricing" of the page on prompt caching; OpenAI: "Summary of model differences"."""
    rates = rates_for(
        {
            "host": "api.example.com",
            "outcome": "ok",
            "time": int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 10**9,
            "llm": {
                "provider": provider, "operation": "chat", "request_model": model, "response_model": model,
                "usage": {"input": 10, "output": 1},
            },
        }
    )  # fmt: skip
    assert rates is not None
    assert rates.input is not None
    found = (rates.cache_read, rates.cache_write, rates.cache_write_1h)
    expected = tuple(None if times is None else Decimal(times) * rates.input for times in (read, written, written_1h))
    assert found == expected
