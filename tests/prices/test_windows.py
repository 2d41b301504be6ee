"""Context windows of models, against the providers' own pages of models."""

from __future__ import annotations

from typing import Any

import pytest
from tests.prices.test_cost import ARN, call

from sessiontap.prices import window_of

SEARCHED = {"billed": {"web_searches": 2}}
WINDOWS: dict[str, tuple[dict[str, Any], int | None]] = {
    "OpenAI": (call(model="gpt-4o"), 128_000),
    "OpenAI, by the dated name that answered": (call(model="gpt-4o-mini", answered="gpt-4o-mini-2024-07-18"), 128_000),
    "OpenAI, text completion": (call(model="gpt-3.5-turbo-instruct", operation="text_completion"), 16_385),
    "Anthropic": (call("anthropic", "claude-opus-4-5", "claude-opus-4-5-20251101"), 200_000),
    "Anthropic, a newer one": (call("anthropic", "claude-opus-4-7"), 1_000_000),
    "Anthropic, of a subscription": (call("anthropic", "claude-opus-4-5", billed={"subscription": True}), 200_000),
    "Anthropic, its window is larger for who asks": (call("anthropic", "claude-sonnet-4-5"), None),
    "Anthropic, it searched within the call": (call("anthropic", "claude-opus-4-5", **SEARCHED), None),
    "Gemini, by its path": (call("google", "models/gemini-2.5-flash"), 1_048_576),
    "Gemini, the list does not say": (call("google", "gemini-2.5-pro"), None),
    "Bedrock": (call("bedrock", "anthropic.claude-opus-4-5-20251101-v1:0"), 200_000),
    "Bedrock, an ARN of one's own": (call("bedrock", f"{ARN}:application-inference-profile/abc"), None),
    "Azure, the reply names the model": (call("azure", "my-deployment", "gpt-4o-2024-08-06"), 128_000),
    "Azure, only a deployment": (call("azure", "gpt-4o"), None),
    "a model that the list does not know": (call(model="gpt-99-imagined"), None),
    "a provider without a list": (call("nobody", "gpt-4o"), None),
    "no provider": (call(None, "gpt-4o"), None),
    "no model": (call(model=None), None),
    "a host of one's own": (call(None, "llama3", host="localhost"), None),
    "embeddings: many texts at once": (call(model="text-embedding-3-small", operation="embeddings"), None),
}


@pytest.mark.parametrize(("record", "tokens"), WINDOWS.values(), ids=WINDOWS.keys())
def test_the_window_of_a_call(record: dict[str, Any], tokens: int | None) -> None:
    assert window_of(record) == tokens


def test_a_record_that_holds_nothing_has_none() -> None:
    assert window_of({}) is None
