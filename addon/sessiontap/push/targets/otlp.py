"""Any collector, or any reader of OTLP: spans in OpenTelemetry's own words, with what OpenInference adds.

Variables (opentelemetry.io/docs/specs/otel/protocol/exporter, "Configuration Options"): `OTEL_EXPORTER_OTLP_ENDPOINT`,
to which `/v1/traces` is added; `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, which is taken as it is;
`OTEL_EXPORTER_OTLP_HEADERS`, `..._TRACES_HEADERS`: credentials; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`. Each
request is compressed. A call's messages stand in the attributes of OpenTelemetry alone: a large history is told once.
"""

from __future__ import annotations

import os

from sessiontap.push.attributes.genai import genai, genai_content
from sessiontap.push.attributes.openinference import openinference, openinference_values
from sessiontap.push.otlp_http import OtlpSender, headers_of, open_otlp, traces_url
from sessiontap.push.target import TargetSettings

TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"


def open_sender(settings: TargetSettings) -> OtlpSender:
    """Return the sender of this target."""
    is_whole = settings.endpoint == (os.environ.get(TRACES_ENDPOINT) or "").rstrip("/")
    given = settings.credentials.get(TRACES_HEADERS) or settings.credentials.get(HEADERS)
    return open_otlp(
        settings,
        settings.endpoint if is_whole else traces_url(settings.endpoint),
        (genai, openinference),
        (genai_content, openinference_values),
        headers_of(given),
        {},
    )
