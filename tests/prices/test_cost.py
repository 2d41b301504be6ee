"""Costs of calls, against figures worked out by hand from the providers' price pages."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from sessiontap.prices import Cost, Parts, Rates, cost_of, rates_for, version
from sessiontap.prices.tariff import NOTHING
from sessiontap.prices.uncharged import ROWS, Uncharged, find

PACKAGE = Path(__file__).parents[2] / "addon"


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    """Unix nanoseconds."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 10**9


def call(
    provider: str | None = "openai",
    model: str | None = "gpt-4o-mini",
    answered: str | None = None,
    *,
    host: str = "api.example.com",
    usage: tuple[int | None, int | None] | None = (1000, 100),
    time: int = at(2026, 11, 1),
    route: str = "/v1/chat/completions",
    outcome: str = "ok",
    request: dict[str, Any] | None = None,
    response: dict[str, Any] | None = None,
    **llm: Any,
) -> dict[str, Any]:
    """A call's record; of `llm` what a case adds. `read`, `written`, `thought`: parts of the usage."""
    counts = dict.fromkeys(("input", "output", "cache_read", "cache_write", "reasoning"))
    if usage is not None:
        counts |= {"input": usage[0], "output": usage[1]}
        counts |= {
            key: llm.pop(short)
            for short, key in (("read", "cache_read"), ("written", "cache_write"), ("thought", "reasoning"))
            if short in llm
        }
    return {
        "host": host,
        "route": route,
        "time": time,
        "outcome": outcome,
        "request": request,
        "response": response,
        "llm": {
            "provider": provider,
            "family": "openai-chat",
            "operation": "chat",
            "request_model": model,
            "response_model": answered,
            "usage": counts if usage is not None else None,
            "cost_reported": None,
            "service_tier": None,
            "error": None,
            **llm,
        },
    }


SONNET, SONNET_4_5 = "claude-sonnet-4@20250514", "claude-sonnet-4-5-20250929"
BEDROCK = "anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012"

PRICED = {
    "OpenAI": (call(), 0.00021),  # 1000 x 0.15 + 100 x 0.60
    "OpenAI, by the dated name that answered": (call(answered="gpt-4o-mini-2024-07-18"), 0.00021),
    "OpenAI, a date that the list does not have": (call(answered="gpt-4o-mini-2031-01-01"), 0.00021),
    # 600 x 0.15 + 400 x 0.075 + 200 x 0.60
    "OpenAI, cached tokens are part of the input": (call(usage=(1000, 200), read=400), 0.00024),
    "OpenAI, reasoning is part of the output": (call(model="o3", usage=(1000, 500), thought=300), 0.006),
    "OpenAI, at the time before its price fell": (
        call(model="o3", usage=(1000, 500), thought=300, time=at(2025, 5, 1)), 0.03,
    ),
    "OpenAI, service tier default": (call(model="gpt-5", service_tier="default"), 0.00225),
    "OpenAI, service tier flex": (call(model="gpt-5", service_tier="flex"), 0.001125),
    "OpenAI, service tier priority": (call(model="gpt-5", service_tier="priority"), 0.0045),
    "OpenAI, embeddings have no output": (
        call(model="text-embedding-3-small", usage=(1000, None), operation="embeddings"), 0.00002,
    ),
    # 1000 x 3 + 6000 x 0.30 + 3000 x 3.75 + 500 x 15
    "Anthropic, cache read and write are parts of our input": (
        call("anthropic", SONNET_4_5, SONNET_4_5, usage=(10_000, 500), read=6000, written=3000), 0.02355,
    ),
    # of the 3000 written 1000 for an hour, at 6 instead of 3.75
    "Anthropic, written for an hour": (
        call("anthropic", SONNET_4_5, usage=(10_000, 500), read=6000, written=3000, billed={"cache_write_1h": 1000}),
        0.0258,
    ),
    "Anthropic, two web searches": (call("anthropic", SONNET_4_5, billed={"web_searches": 2}), 0.0245),
    "Anthropic, a prompt beyond 200,000 tokens": (call("anthropic", SONNET_4_5, usage=(250_000, 1000)), 1.5225),
    "Anthropic, a batch's own result": (call("anthropic", SONNET_4_5, service_tier="batch"), 0.00225),
    # 500 x 0.30 + 500 x 0.03 + 300 x 2.50
    "Gemini, thoughts are part of the output": (
        call("google", "gemini-2.5-flash", "models/gemini-2.5-flash", usage=(1000, 300), read=500, thought=200),
        0.000915,
    ),
    # 900 x 0.30 + 100 x 1.00 + 100 x 2.50
    "Gemini, spoken input": (call("google", "gemini-2.5-flash", billed={"audio_input": 100}), 0.00062),
    # 400 x 0.30 + 300 x 0.03 + 200 x 1.00 + 100 x 0.10 + 100 x 2.50
    "Gemini, spoken input of which a part is cached": (
        call("google", "gemini-2.5-flash", read=400, billed={"audio_input": 300, "audio_cache_read": 100}), 0.000589,
    ),
    # 500 x 5 + 500 x 40 + 100 x 20 + 100 x 80
    "OpenAI, realtime": (
        call(model="gpt-4o-realtime-preview", operation="realtime", usage=(1000, 200),
             billed={"audio_input": 500, "audio_output": 100}), 0.0325,
    ),
    "Gemini, a prompt beyond 200,000 tokens": (call("google", "gemini-2.5-pro", usage=(250_000, 1000)), 0.64),
    "Vertex, Gemini": (call("vertex", "gemini-2.5-flash"), 0.00055),
    "Vertex, Claude": (call("vertex", SONNET, "claude-sonnet-4-20250514"), 0.0045),
    "Bedrock, a region's prefix": (call("bedrock", f"us.{BEDROCK}"), 0.00495),
    "Bedrock, without one": (call("bedrock", BEDROCK), 0.00495),
    "Bedrock, global": (call("bedrock", f"global.{BEDROCK}", SONNET_4_5), 0.0045),
    "Bedrock, a profile's ARN": (call("bedrock", f"{ARN}:inference-profile/us.{BEDROCK}"), 0.00495),
    "Bedrock, a model's ARN": (call("bedrock", f"arn:aws:bedrock:us-east-1::foundation-model/{BEDROCK}"), 0.00495),
    "Bedrock, what a prompt router chose": (
        call("bedrock", f"{ARN}:default-prompt-router/x", f"arn:aws:bedrock:us-east-1::foundation-model/{BEDROCK}"),
        0.00495,
    ),
    "Groq": (call("groq", "llama-3.3-70b-versatile"), 0.000669),
    "Groq, service tier on_demand": (call("groq", "llama-3.3-70b-versatile", service_tier="on_demand"), 0.000669),
    "DeepSeek, in its expensive hours": (call("deepseek", "deepseek-chat", time=at(2025, 5, 1, 12)), 0.00038),
    "DeepSeek, in its cheap hours": (call("deepseek", "deepseek-chat", time=at(2025, 5, 1, 20)), 0.00019),
    "Azure, by the model that answered": (call("azure", "prod-eu", "gpt-4o-2024-08-06"), 0.0035),
    "Cohere, what it bills rather than what it read": (
        call("cohere", "command-r-plus", usage=(1500, 120), read=64, billed={"input": 1000, "output": 100}), 0.0035,
    ),
    "xAI": (call("xai", "grok-3"), 0.0045),
}  # fmt: skip


@pytest.mark.parametrize(("record", "usd"), PRICED.values(), ids=PRICED)
def test_the_list_prices_a_call(record: dict[str, Any], usd: float) -> None:
    cost = cost_of(record)

    assert (cost.usd, cost.source, cost.reason) == (usd, "genai-prices", None)
    assert cost.parts is not None
    assert sum(cost.parts) == pytest.approx(usd, abs=1e-15)


def failed(status: int, provider: str | None = "openai", **llm: Any) -> dict[str, Any]:
    return call(provider, usage=None, outcome="http_error", response={"status": status}, **llm)


UNKNOWN = {
    "no usage": (call(usage=None), "no usage was reported"),
    "no usage, an error": (
        call(usage=None, error={"type": "x", "message": "y"}), "an error came instead of usage",
    ),
    "no usage, a failed call": (
        call(usage=None, outcome="http_error", response={"status": 500}),
        "the call failed (500), and no usage was reported",
    ),
    "no usage, a cut stream": (
        call(usage=None, outcome="client_gone", response={"status": 200}),
        "the reply was cut (client_gone), and no usage was reported",
    ),
    "no usage, no reply": (
        call(usage=None, outcome="upstream_gone"), "no reply came (upstream_gone), and no usage was reported",
    ),
    "Azure, refused as malformed": (
        call("azure", usage=None, outcome="http_error", response={"status": 400}),
        "the call failed (400), and no usage was reported",
    ),
    "malformed, at OpenAI": (failed(400), "the call failed (400), and no usage was reported"),
    "malformed, at Anthropic": (failed(422, "anthropic"), "the call failed (422), and no usage was reported"),
    "overloaded, at Anthropic": (failed(529, "anthropic"), "the call failed (529), and no usage was reported"),
    "overloaded, at Gemini": (failed(503, "google"), "the call failed (503), and no usage was reported"),
    "forbidden, where that may cost a fee": (failed(403, "xai"), "the call failed (403), and no usage was reported"),
    "no input": (call(usage=(None, 5)), "the input tokens were not reported"),
    "no output": (call(usage=(5, None)), "the output tokens were not reported"),
    "a model that the list lacks": (call(model="gpt-99"), "genai-prices does not know the model gpt-99 of openai"),
    "a newer model in an older one's place": (
        call(model="gpt-4o", answered="gpt-99"), "genai-prices does not know the model gpt-99 of openai",
    ),
    "no model": (call(model=None), "neither request nor response names the model"),
    "a provider without a list": (call("writer", "palmyra-x4"), "genai-prices has no list of writer"),
    "no provider": (call(None, "gpt-4o"), "the provider is unknown"),
    "Azure, a deployment alone": (
        call("azure", "gpt-4o"), "gpt-4o is a deployment of Azure, and the response does not name the model",
    ),
    "Bedrock, an ARN of the user's own": (
        call("bedrock", f"{ARN}:application-inference-profile/abc", SONNET_4_5),
        f"{ARN}:application-inference-profile/abc does not name the model",
    ),
    "Bedrock, no model": (call("bedrock", None, SONNET_4_5), "the model is not named"),
    "a service tier without a price": (
        call(model="gpt-5", service_tier="scale"), "genai-prices has no price at service tier scale of gpt-5",
    ),
    "a service tier before its price is known": (
        call(model="gpt-5", service_tier="flex", time=at(2026, 1, 1)),
        "genai-prices has no price at service tier flex of gpt-5",
    ),
    "a tier of another provider's model": (
        call("azure", "x", "gpt-5", service_tier="priority"),
        "genai-prices has no price at service tier priority of gpt-5",
    ),
    "a speed without a price": (
        call("anthropic", SONNET_4_5, billed={"speed": "fast"}),
        f"genai-prices has no price at speed fast of {SONNET_4_5}",
    ),
    "cached tokens without a price": (
        call(model="gpt-4", read=10), "the price of tokens read from a cache is not known",
    ),
    "spoken input without a price": (
        call(model="gpt-4", billed={"audio_input": 10}), "the price of input of audio is not known",
    ),
    "spoken input, and some tokens cached": (
        call("google", "gemini-2.5-flash", read=10, billed={"audio_input": 10}),
        "how many of the cached tokens were text was not reported",
    ),
    "parts that exceed the whole": (call(usage=(5, 1), read=10), "the parts of the input exceed the whole"),
    "a model that is paid by the hour": (
        call(model="whisper-1", operation="audio"), "genai-prices has no price per token of whisper-1",
    ),
    "tools that the provider ran": (
        call(billed={"tools": ["web_search_call"]}), "the provider also bills for web_search_call",
    ),
    "a batch": (
        call(operation="batch", usage=None, request={"method": "POST"}),
        "the calls of a batch are billed with the batch",
    ),
    "a model of no known operation": (
        call("google", "veo-3", operation="other", usage=None, request={"method": "POST"}), "no usage was reported",
    ),
    "ChatGPT": (call(host="chatgpt.com", model="gpt-5"), "subscription: chatgpt.com is not paid for by the call"),
    "Copilot": (
        call("copilot", host="api.individual.githubcopilot.com"),
        "subscription: api.individual.githubcopilot.com is not paid for by the call",
    ),
    "a coding plan": (
        call("zai", "glm-4.6", host="api.z.ai", route="/api/coding/paas/v4/chat/completions"),
        "subscription: api.z.ai is not paid for by the call",
    ),
    "a login instead of a key": (
        call("anthropic", SONNET_4_5, host="api.anthropic.com", billed={"subscription": True}),
        "subscription: api.anthropic.com is not paid for by the call",
    ),
    "nothing known": ({"host": "api.example.com"}, "no usage was reported"),
}  # fmt: skip


@pytest.mark.parametrize(("record", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_cost_is_none_with_its_reason(record: dict[str, Any], reason: str) -> None:
    cost = cost_of(record)

    assert cost == Cost(None, None, reason)
    assert cost.is_unknown


def other(provider: str | None, method: str, route: str, operation: str = "other", **record: Any) -> dict[str, Any]:
    """A call that names no model and reports no usage."""
    return call(provider, None, operation=operation, usage=None, route=route, request={"method": method}, **record)


REFUSED = "the call was refused before a model ran"
UNCHARGED = {
    "counting tokens": (call("anthropic", operation="count_tokens", usage=None), "free"),
    "moderation at OpenAI": (call(operation="moderation", usage=None), "free"),
    "a file at Anthropic": (other("anthropic", "POST", "/v1/files", "file"), "free"),
    "a file at OpenAI": (other("openai", "POST", "/v1/files", "file"), "no model call"),
    "a list of batches": (other("anthropic", "GET", "/v1/messages/batches", "batch"), "no model call"),
    "the result of a batch": (other("openai", "GET", "/v1/batches/{id}", "batch"), "no model call"),
    "a batch is cancelled": (other("anthropic", "POST", "/v1/messages/batches/{id}/cancel", "batch"), "no model call"),
    "a response fetched again": (call(family="openai-responses", operation="other"), "free"),
    "no connection": (call(usage=None, outcome="upstream_unreachable"), "not charged"),
    "no key": (failed(401), "not charged"),
    "no such model": (failed(404, "mistral"), "not charged"),
    "too many calls": (failed(429, "azure"), "not charged"),
    "no balance": (failed(402, "deepseek"), "not charged"),
    "no permission": (failed(403), "not charged"),
    "malformed, at Gemini": (failed(400, "google"), "not charged"),
    "a fault of Gemini's": (failed(500, "google"), "not charged"),
    "overloaded, at Vertex": (failed(503, "vertex"), "not charged"),
    "counting tokens where no price is told": (call("xai", operation="count_tokens", usage=None), "no model call"),
    "a vector database": (other("qdrant", "POST", "/collections/x/points/search", "vector_search"), "no model call"),
    "a file elsewhere": (other("groq", "POST", "/openai/v1/files", "file"), "no model call"),
    "an MCP server": (other(None, "POST", "/mcp", host="mcp.example.com"), "no model call"),
    "a list of models": (other("openai", "GET", "/v1/models"), "no model call"),
    "a thread": (other("openai", "POST", "/v1/threads"), "no model call"),
    "a message of a thread": (other("openai", "POST", "/v1/threads/{id}/messages"), "no model call"),
    "Claude Code's telemetry": (other("anthropic", "POST", "/api/event_logging/batch"), "no model call"),
}


@pytest.mark.parametrize(("record", "source"), UNCHARGED.values(), ids=UNCHARGED)
def test_a_call_that_nobody_charges_by_the_token_says_why(record: dict[str, Any], source: str) -> None:
    cost = cost_of(record)

    assert (cost.usd, cost.source) == (None if source == "no model call" else 0.0, source)
    assert cost.reason
    assert not cost.is_unknown


def test_the_rows_of_the_table_have_ids_of_their_own() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_each_row_of_the_table_is_reached(row: Uncharged) -> None:
    found = find(
        {
            "outcome": row.outcome or "ok",
            "request": {"method": row.methods[0] if row.methods else "PUT"},
            "response": {"status": row.statuses[-1] if row.statuses else 200},
            "route": row.route.replace("*", "x") if row.route else "/x",
        },
        {"operation": row.operation or "chat", "provider": row.providers[0] if row.providers else "azure"},
    )

    assert found == row


PARTS = {
    # 600 x 0.15, 400 x 0.075, 200 x 0.60
    "OpenAI": (call(usage=(1000, 200), read=400), Parts(0.00009, 0.00003, 0.0, 0.00012)),
    # 1000 x 3, 6000 x 0.30, 3000 x 3.75, 500 x 15
    "Anthropic": (
        call("anthropic", SONNET_4_5, usage=(10_000, 500), read=6000, written=3000),
        Parts(0.003, 0.0018, 0.01125, 0.0075),
    ),
    "two web searches": (
        call("anthropic", SONNET_4_5, usage=(1000, 100), billed={"web_searches": 2}),
        Parts(0.003, 0.0, 0.0, 0.0015, 0.02),
    ),
    "stated as a whole": (call("openrouter", cost_reported=0.5), Parts(other=0.5)),
    "free": (call(operation="moderation"), None),
}


@pytest.mark.parametrize(("record", "parts"), PARTS.values(), ids=PARTS)
def test_a_cost_is_told_by_what_it_was_paid_for(record: dict[str, Any], parts: Parts | None) -> None:
    assert cost_of(record).parts == parts


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        pytest.param(call("openrouter", cost_reported=0.0012), Cost(0.0012, "reported"), id="reported"),
        pytest.param(call("openrouter", "x:free", cost_reported=0), Cost(0.0, "reported"), id="reported: nothing"),
        pytest.param(call("ollama", "llama3.2", host="127.0.0.1"), Cost(0.0, "local"), id="on this machine"),
        pytest.param(call("vllm", host="10.1.2.3", usage=None), Cost(0.0, "local"), id="in a private network"),
        pytest.param(call(host="localhost"), Cost(0.00021, "genai-prices"), id="a local gateway to a named provider"),
    ],
)
def test_what_does_not_come_from_a_list(record: dict[str, Any], cost: Cost) -> None:
    assert replace(cost_of(record), parts=None) == cost


OWN = Rates(input=Decimal("0.5"), output=Decimal(2), cache_read=Decimal("0.1"))


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        pytest.param(call(), Cost(0.0007, "rules"), id="before the list"),
        pytest.param(call("azure", "gpt-4o-mini"), Cost(0.0007, "rules"), id="a deployment"),
        pytest.param(call(answered="gpt-4o-mini", model="x"), Cost(0.0007, "rules"), id="the name that answered"),
        pytest.param(call(None, host="10.0.0.7"), Cost(0.0007, "rules"), id="before a local host"),
        pytest.param(call(host="chatgpt.com"), Cost(0.0007, "rules"), id="before a subscription"),
        pytest.param(call(cost_reported=3.0), Cost(3.0, "reported"), id="behind what was reported"),
        pytest.param(call(read=500), Cost(0.0005, "rules"), id="cached tokens"),
        pytest.param(
            call(written=5), Cost(None, None, "the price of tokens written to a cache is not known"), id="a gap"
        ),
        pytest.param(call(usage=(5, None)), Cost(None, None, "the output tokens were not reported"), id="no output"),
        pytest.param(
            call(family="openai-responses", operation="other"),
            Cost(0.0, "free", "a response that is fetched again is billed where it was asked for"),
            id="not twice for a response that is fetched again",
        ),
    ],
)
def test_own_rates(record: dict[str, Any], cost: Cost) -> None:
    assert replace(cost_of(record, {"gpt-4o-mini": OWN}.get), parts=None) == cost


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"model": None}, id="no price needed"),
        pytest.param(call(usage=None), id="no usage"),
        pytest.param(call("ollama", host="127.0.0.1"), id="local"),
        pytest.param(call(cost_reported=1.0), id="reported"),
        pytest.param(call("writer"), id="a provider without a list"),
    ],
)
def test_the_list_is_loaded_only_where_it_is_needed(record: dict[str, Any]) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); from sessiontap.prices import cost_of; cost_of({record!r});"
        "print(*sorted({'genai_prices', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_the_version_names_that_of_the_list() -> None:
    assert version().endswith(f" genai-prices {metadata.version('genai-prices')}")


SEVEN = Rates(input=Decimal(7), output=Decimal(9))


@pytest.mark.parametrize(
    ("record", "own", "rates"),
    [
        pytest.param(call("anthropic", "claude-haiku-4-5"), None, ("1", "0.1", "1.25", "2"), id="the list's"),
        pytest.param(call("anthropic", "claude-haiku-4-5"), SEVEN, ("7", None, None, None), id="the user's own"),
        pytest.param(call(None, "llama", host="localhost"), None, ("0", "0", "0", "0"), id="a local host"),
        pytest.param(call(None, "llama", host="localhost"), SEVEN, ("7", None, None, None), id="a local one, own"),
        pytest.param(call("anthropic", "claude-none"), None, None, id="a model that the list does not know"),
        pytest.param(call("openai", "gpt-4o", host="chatgpt.com"), None, None, id="a subscription"),
        pytest.param(call("anthropic", "claude-haiku-4-5", usage=None), None, None, id="no usage"),
    ],
)
def test_the_rates_of_a_call(record: dict[str, Any], own: Rates | None, rates: tuple[str | None, ...] | None) -> None:
    found = rates_for(record, lambda model: own)
    wanted = ("input", "cache_read", "cache_write", "cache_write_1h")

    assert rates == (
        None if found is None else tuple(None if (one := getattr(found, name)) is None else str(one) for name in wanted)
    )


def test_nobody_charges_for_counting_tokens() -> None:
    record = call("anthropic", "claude-haiku-4-5")
    record["llm"]["operation"] = "count_tokens"
    assert rates_for(record) is NOTHING


def test_the_rates_are_those_by_the_size_of_the_input() -> None:
    small, large = (rates_for(call("google", "gemini-2.5-pro", usage=(size, 1))) for size in (1_000, 300_000))
    assert small is not None
    assert large is not None
    assert (str(small.input), str(large.input)) == ("1.25", "2.5")
