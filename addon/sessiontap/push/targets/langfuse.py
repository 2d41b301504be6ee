"""Langfuse: spans with its attributes, over OTLP/HTTP (langfuse.com/docs/opentelemetry/get-started).

Variables as its SDKs read them: `LANGFUSE_BASE_URL`, `LANGFUSE_PUBLIC_KEY` and `LANGFUSE_SECRET_KEY` (Basic);
`LANGFUSE_TRACING_ENVIRONMENT` and `LANGFUSE_RELEASE` for calls whose properties name none. Without the header
`x-langfuse-ingestion-version: 4` spans show after about ten minutes. A malformed id fails its whole request with 400:
delivery splits it until the span at fault stands alone.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping

from sessiontap.push.attributes.genai import genai
from sessiontap.push.attributes.langfuse import ENVIRONMENT, langfuse, langfuse_content
from sessiontap.push.otlp_http import OtlpSender, open_otlp
from sessiontap.push.target import TargetSettings

PUBLIC_KEY, SECRET_KEY = "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"
PATH = "/api/public/otel/v1/traces"


def open_sender(settings: TargetSettings) -> OtlpSender:
    """Return the sender of this target."""
    pair = f"{settings.credentials[PUBLIC_KEY].strip()}:{settings.credentials[SECRET_KEY].strip()}"
    headers = {
        "Authorization": f"Basic {b64encode(pair.encode()).decode()}",
        "x-langfuse-ingestion-version": "4",
    }
    return open_otlp(
        settings, traces_url(settings.endpoint), (genai, langfuse), (langfuse_content,), headers, resource(os.environ)
    )


def traces_url(endpoint: str) -> str:
    """Return the address for spans of a Langfuse; one that has a path of OTLP keeps it."""
    if endpoint.endswith("/v1/traces"):
        return endpoint
    return f"{endpoint}/v1/traces" if endpoint.endswith("/api/public/otel") else f"{endpoint}{PATH}"


def resource(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment and release of all spans that have none of their own."""
    environment = environ.get("LANGFUSE_TRACING_ENVIRONMENT", "").lower()
    found = {
        "langfuse.environment": environment if ENVIRONMENT.match(environment) else "",
        "langfuse.release": environ.get("LANGFUSE_RELEASE", ""),
    }
    return {key: value for key, value in found.items() if value}
