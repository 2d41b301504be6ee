"""MLflow 3.6 or newer, with a store in a database (mlflow.org/docs, "Collect OpenTelemetry Traces").

`MLFLOW_TRACKING_URI` is the server, `MLFLOW_EXPERIMENT_ID` the experiment, 0 without it (its name is "Default");
`MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, if the server asks for them.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from sessiontap.push.attributes.genai import genai
from sessiontap.push.attributes.mlflow import mlflow, mlflow_content
from sessiontap.push.attributes.openinference import openinference, openinference_values
from sessiontap.push.otlp_http import OtlpSender, open_otlp, traces_url
from sessiontap.push.target import TargetSettings

TOKEN, USER, PASSWORD = "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
EXPERIMENT = "MLFLOW_EXPERIMENT_ID"


def open_sender(settings: TargetSettings) -> OtlpSender:
    """Return the sender of this target."""
    return open_otlp(
        settings,
        traces_url(settings.endpoint),
        (genai, openinference, mlflow),
        (openinference_values, mlflow_content),
        {"x-mlflow-experiment-id": os.environ.get(EXPERIMENT) or "0", **authorization(settings.credentials)},
        {},
    )


def authorization(credentials: Mapping[str, str]) -> dict[str, str]:
    """Return the header by MLflow's own rules: a user's name and password count before a token."""
    if user := credentials.get(USER):
        pair = f"{user}:{credentials.get(PASSWORD, '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    token = credentials.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}
