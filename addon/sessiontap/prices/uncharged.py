"""The calls that cost nothing, and those that ask no model: a table by operation, provider, route and outcome.

A row stands here only if a document says so, which its comment names, or if the call cannot have reached a model. All
else is unknown until usage and a price say what it cost. The first row that fits counts; what a row leaves out fits
every call.

`free` and `not charged` cost 0. `no model call` has no price per token: it costs what its service asks for, which no
record tells, and its cost is neither 0 nor counted among the unknown.

What is not here, because no document of the provider says it: 400, 422 and 5xx of Anthropic and OpenAI (529, too), and
502 to 504 of Gemini. Azure charges for 400 and 408 if its filter or model has begun (learn.microsoft.com, "Plan and
manage costs", section "HTTP Error response code and billing status"). xAI charges a fee for requests that break its
guidelines, which it refuses by 403 (docs.x.ai, "Pricing", section "Usage Guidelines Violation Fee").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal

Verdict = Literal["free", "not charged", "no model call"]

_READS = ("GET", "HEAD", "OPTIONS", "DELETE")
"""Methods that ask no model: models are asked by POST. A realtime call, whose socket is opened by GET, is one of its
own operation."""
_REFUSED = (401, 404, 405, 411, 413, 415, 429)
"""Statuses of a request that was refused for its key, address, form or size, or for a limit, before its content was
looked at: RFC 9110, section 15.5 (401, 404, 405, 411, 413, 415), and RFC 6585, section 4 (429). Azure says so of 401
and 429 ("HTTP Error response code and billing status")."""


@dataclass(frozen=True, slots=True)
class Uncharged:
    """None, or an empty tuple: any."""

    id: str
    verdict: Verdict
    reason: str
    operation: str | None = None
    providers: tuple[str | None, ...] = ()
    methods: tuple[str, ...] = ()
    route: str | None = None
    """A glob."""
    outcome: str | None = None
    statuses: tuple[int, ...] = ()
    model: bool | None = None
    """False: the call names no model."""


ROWS: tuple[Uncharged, ...] = (
    Uncharged("never reached", "not charged", "the provider was never reached", outcome="upstream_unreachable"),
    Uncharged(
        "refused", "not charged", "the call was refused before a model ran", outcome="http_error", statuses=_REFUSED,
    ),
    Uncharged(
        # platform.claude.com/docs/en/api/errors, "HTTP errors" (billing_error); api-docs.deepseek.com, "Error Codes"
        # (Insufficient Balance); openrouter.ai/docs, "Errors and Debugging", "Error Codes" (insufficient credits)
        "no balance", "not charged", "the call was refused for want of balance",
        providers=("anthropic", "deepseek", "openrouter"), outcome="http_error", statuses=(402,),
    ),
    Uncharged(
        # platform.claude.com/docs/en/api/errors, "HTTP errors" (permission_error); developers.openai.com, "Error
        # codes", "API errors" (country not supported); ai.google.dev/gemini-api/docs/troubleshooting, "Error codes"
        # (PERMISSION_DENIED); Azure as above: "If the service doesn't perform processing, you aren't charged"
        "no permission", "not charged", "the key has no right to what was asked for",
        providers=("anthropic", "azure", "google", "openai"), outcome="http_error", statuses=(403,),
    ),
    Uncharged(
        # ai.google.dev/gemini-api/docs/billing, "Am I charged for failed requests?": not for 400 and 500
        "Gemini: failed", "not charged", "the provider does not charge for calls that fail so",
        providers=("google",), outcome="http_error", statuses=(400, 500),
    ),
    Uncharged(
        # cloud.google.com/vertex-ai/generative-ai/pricing: charged are only requests that return 200; no 4xx, no 5xx
        "Vertex: failed", "not charged", "the provider charges only for calls that succeed",
        providers=("vertex",), outcome="http_error", statuses=tuple(range(400, 600)),
    ),
    Uncharged(
        # platform.claude.com/docs/en/build-with-claude/token-counting, "Pricing and rate limits"; Gemini's billing
        # page, "Is GetTokens billed?"; Vertex, "Count tokens", "Pricing and quota"; docs.aws.amazon.com/bedrock,
        # "Monitor your token usage by counting tokens", its first note
        "counting tokens", "free", "counting tokens costs nothing there",
        operation="count_tokens", providers=("anthropic", "bedrock", "google", "vertex"),
    ),
    Uncharged(
        "counting tokens elsewhere", "no model call", "tokens are counted, and no model is asked", "count_tokens",
    ),
    Uncharged(
        # developers.openai.com/api/docs/guides/moderation: "The moderation endpoint is free to use"
        "moderation at OpenAI", "free", "moderation costs nothing at openai",
        operation="moderation", providers=("openai",),
    ),
    Uncharged(
        # platform.claude.com/docs/en/build-with-claude/files, "Usage and billing"; ai.google.dev/gemini-api/docs/files,
        # "Usage info": at no cost in all regions
        "files", "free", "managing files costs nothing there",
        operation="file", providers=("anthropic", "google"),
    ),
    Uncharged("files elsewhere", "no model call", "a file is managed, and no model is asked", operation="file"),
    Uncharged(
        "asking after a batch", "no model call", "the state of a batch is asked for, and no model is",
        operation="batch", methods=_READS,
    ),
    Uncharged(
        "a batch is cancelled", "no model call", "a batch is cancelled, and no model is asked",
        operation="batch", methods=("POST",), route="*/cancel",
    ),
    Uncharged(
        "vector database", "no model call", "a vector database is searched, and no model is asked", "vector_search",
    ),
    Uncharged(
        "reading", "no model call", "something is read or deleted, and no model is asked",
        operation="other", methods=_READS,
    ),
    Uncharged(
        "OpenAI: threads", "no model call", "a thread is written to, and no model is asked",
        operation="other", providers=("openai", "azure"), methods=("POST",), route="*/threads", model=False,
    ),
    Uncharged(
        "OpenAI: messages of a thread", "no model call", "a thread is written to, and no model is asked",
        operation="other", providers=("openai", "azure"), methods=("POST",), route="*/threads/*/messages", model=False,
    ),
    Uncharged(
        "OpenAI: traces", "no model call", "telemetry is sent, and no model is asked",
        operation="other", providers=("openai",), methods=("POST",), route="/v1/traces/ingest", model=False,
    ),
    Uncharged(
        "Claude Code: telemetry and settings", "no model call", "telemetry or settings, and no model is asked",
        operation="other", providers=("anthropic",), route="/api/*", model=False,
    ),
    Uncharged(
        "not a provider of models", "no model call", "the host serves no model that is known, and none is named",
        operation="other", providers=(None,), model=False,
    ),
)  # fmt: skip


def find(call: Mapping[str, Any], llm: Mapping[str, Any]) -> Uncharged | None:
    """Return the row of the call of this record; None if it has to be priced by what it used."""
    if "refused" in (call.get("flags") or ()):
        return _BY_A_LIMIT
    operation, outcome = llm.get("operation"), call.get("outcome")
    if outcome in ("ok", None) and operation not in _OPERATIONS:
        return None  # nearly all of them
    named = llm.get("request_model") is not None or llm.get("response_model") is not None
    method = (call.get("request") or {}).get("method")
    status = (call.get("response") or {}).get("status")
    return _find(operation, llm.get("provider"), method, call.get("route") or "", outcome, status, named)


_BY_A_LIMIT = Uncharged("refused by a limit", "not charged", "a limit of the rules refused the call: no server got it")
_OPERATIONS = frozenset(row.operation for row in ROWS if row.operation is not None)


@lru_cache(maxsize=4096)
def _find(
    operation: str | None,
    provider: str | None,
    method: str | None,
    route: str,
    outcome: str | None,
    status: int | None,
    named: bool,
) -> Uncharged | None:
    for row in ROWS:
        if (
            row.operation in (None, operation)
            and (not row.providers or provider in row.providers)
            and (not row.methods or method in row.methods)
            and (row.route is None or fnmatchcase(route, row.route))
            and row.outcome in (None, outcome)
            and (not row.statuses or status in row.statuses)
            and row.model in (None, named)
        ):
            return row
    return None
