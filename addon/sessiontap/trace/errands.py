"""Agents' errands: calls by which an agent looks after itself, and asks no model (docs/agents.md).

Settings, policies, telemetry, lists of models, token counts and quota checks. They carry no session of their agent's as
a rule, and most fail in a company's network, so lists and sums leave them out unless they are asked for. The log has
them all: which call is one is decided when a record is read, so that an older log is shown in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ERRAND_ROUTES: tuple[tuple[str, str], ...] = (
    # Claude Code: https://api.anthropic.com/v1/ is the API, all else serves the program itself. Recorded, 2.1.197.
    ("api.anthropic.com", "/api/"),
    ("api.anthropic.com", "/mcp-registry/"),
    # Codex with a ChatGPT login; the models are asked by /backend-api/codex/responses. Recorded, 0.169.0.
    ("chatgpt.com", "/backend-api/"),
    # Gemini CLI with a Google login: loadCodeAssist, listExperiments, retrieveUserQuota, recordCodeAssistMetrics, ...
    ("cloudcode-pa.googleapis.com", "/v1internal"),
    # Cursor: its models are asked by services that cannot be read, so that only these are known to be none.
    ("api2.cursor.sh", "/aiserver.v1.AnalyticsService/"),
    ("api2.cursor.sh", "/aiserver.v1.AuthService/"),
    ("api2.cursor.sh", "/aiserver.v1.DashboardService/"),
    ("api2.cursor.sh", "/aiserver.v1.ServerConfigService/"),
    ("api3.cursor.sh", "/tev1/"),
)
"""Hosts, and the beginnings of the paths there that are errands even if the request does not say whose it is."""


def is_errand(call: Mapping[str, Any]) -> bool:
    """Return True if a call is a known agent's errand. A call that names a model, or used tokens, is none; but a token
    count is, and so is a reply of one token that stands beside the conversation."""
    llm: Mapping[str, Any] = call.get("llm") or {}
    operation, agent = llm.get("operation"), call.get("agent")
    if agent is None and operation != "other":
        return False
    if operation == "count_tokens":
        return agent is not None
    beside = agent is not None and (call.get("link") or {}).get("kind") == "auxiliary"
    usage: Mapping[str, Any] | None = llm.get("usage")
    if beside and usage is not None and usage.get("output") == 1:
        return True
    if usage is not None or llm.get("request_model") or llm.get("response_model"):
        return False
    if operation == "other":
        return agent is not None or _is_known_route(call.get("host"), call.get("route"))
    return beside and (call.get("request") or {}).get("method") == "GET"  # a WebSocket that was refused, or not used


def _is_known_route(host: str | None, route: str | None) -> bool:
    return route is not None and any(host == at and route.startswith(path) for at, path in ERRAND_ROUTES)
