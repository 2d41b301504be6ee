"""Arize Phoenix, and Arize AX: spans in OpenInference's words (arize.com/docs/phoenix, "Setup Tracing").

`PHOENIX_COLLECTOR_ENDPOINT` is the server, `PHOENIX_API_KEY` its key (`Authorization: Bearer`), `PHOENIX_PROJECT_NAME`
the project, `default` without it. A span that Phoenix has is never changed (`ON CONFLICT DO NOTHING`), so a turn's root
goes when the turn is complete. Phoenix reckons costs by prices of its own.
"""

from __future__ import annotations

import os

from sessiontap.push.attributes.genai import genai
from sessiontap.push.attributes.openinference import openinference, openinference_messages, openinference_values
from sessiontap.push.otlp_http import OtlpSender, open_otlp, traces_url
from sessiontap.push.target import TargetSettings

KEY = "PHOENIX_API_KEY"
PROJECT = "PHOENIX_PROJECT_NAME"


def open_sender(settings: TargetSettings) -> OtlpSender:
    """Return the sender of this target."""
    key = settings.credentials.get(KEY)
    project = os.environ.get(PROJECT) or "default"
    return open_otlp(
        settings,
        traces_url(settings.endpoint),
        (genai, openinference),
        (openinference_values, openinference_messages),
        {"Authorization": f"Bearer {key}"} if key else {},
        {"openinference.project.name": project},
    )
