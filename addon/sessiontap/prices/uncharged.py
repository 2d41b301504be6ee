"""The calls that cost nothing, and those that ask no model: a table by operation, provider, route and outcome.

A row stands here only if the provider's own documents say so, or if the call cannot have reached a model. All else is
unknown until usage and a price say what it cost. The first row that fits counts; what a row leaves out fits every call.

`free` and `not charged` cost 0. `no model call` has no price per token: it costs what its service asks for, which no
record tells, and its cost is neither 0 nor counted among the unknown.
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
_REFUSED = (401, 402, 403, 404, 405, 411, 413, 415, 429)
"""Statuses of a request that was refused before a model ran: for its key, account, address, size, or a limit."""


@dataclass(frozen=True, slots=True)
class Row:
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


ROWS: tuple[Row, ...] = (
    Row("never reached", "not charged", "the provider was never reached", outcome="upstream_unreachable"),
    Row("refused", "not charged", "the call was refused before a model ran", outcome="http_error", statuses=_REFUSED),
    Row(
        # ai.google.dev/gemini-api/docs/billing: a request that fails with 400 or 500 is not charged
        "Gemini: failed", "not charged", "the provider does not charge for failed calls",
        providers=("google",), outcome="http_error", statuses=tuple(range(400, 600)),
    ),
    Row(
        # docs.anthropic.com/en/api/errors; Azure charges for such a call if its filter read the prompt
        "malformed", "not charged", "the call was refused as malformed before a model ran",
        providers=("anthropic", "openai"), outcome="http_error", statuses=(400, 422),
    ),
    Row(
        "Anthropic: overloaded", "not charged", "the call was refused before a model ran",
        providers=("anthropic",), outcome="http_error", statuses=(529,),
    ),
    Row("counting tokens", "free", "counting tokens costs nothing", operation="count_tokens"),
    Row(
        "moderation at OpenAI", "free", "moderation costs nothing at openai",
        operation="moderation", providers=("openai",),
    ),
    Row(
        # docs.anthropic.com/en/docs/build-with-claude/files, ai.google.dev/gemini-api/docs/files, OpenAI's price page
        "files", "free", "managing files costs nothing there",
        operation="file", providers=("anthropic", "google", "openai"),
    ),
    Row("files elsewhere", "no model call", "a file is managed, and no model is asked", operation="file"),
    Row(
        "asking after a batch", "free", "a batch is billed for its calls, not for asking after it",
        operation="batch", methods=_READS,
    ),
    Row(
        "a batch is cancelled", "free", "a batch is billed for its calls, not for being cancelled",
        operation="batch", methods=("POST",), route="*/cancel",
    ),
    Row("vector database", "no model call", "a vector database is searched, and no model is asked", "vector_search"),
    Row(
        "reading", "no model call", "something is read or deleted, and no model is asked",
        operation="other", methods=_READS,
    ),
    Row(
        "OpenAI: threads", "no model call", "a thread is written to, and no model is asked",
        operation="other", providers=("openai", "azure"), methods=("POST",), route="*/threads", model=False,
    ),
    Row(
        "OpenAI: messages of a thread", "no model call", "a thread is written to, and no model is asked",
        operation="other", providers=("openai", "azure"), methods=("POST",), route="*/threads/*/messages", model=False,
    ),
    Row(
        "OpenAI: traces", "no model call", "telemetry is sent, and no model is asked",
        operation="other", providers=("openai",), methods=("POST",), route="/v1/traces/ingest", model=False,
    ),
    Row(
        "Claude Code: telemetry and settings", "no model call", "telemetry or settings, and no model is asked",
        operation="other", providers=("anthropic",), route="/api/*", model=False,
    ),
    Row(
        "not a provider of models", "no model call", "the host serves no model that is known, and none is named",
        operation="other", providers=(None,), model=False,
    ),
)  # fmt: skip


def find(call: Mapping[str, Any], llm: Mapping[str, Any]) -> Row | None:
    """Return the row of the call of this record; None if it has to be priced by what it used."""
    operation, outcome = llm.get("operation"), call.get("outcome")
    if outcome in ("ok", None) and operation not in _OPERATIONS:
        return None  # nearly all of them
    named = llm.get("request_model") is not None or llm.get("response_model") is not None
    method = (call.get("request") or {}).get("method")
    status = (call.get("response") or {}).get("status")
    return _find(operation, llm.get("provider"), method, call.get("route") or "", outcome, status, named)


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
) -> Row | None:
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
