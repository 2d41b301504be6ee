"""What MLflow's own client finds at a server: its traces as JSON. Run by the Python that has MLflow."""

import json
import sys

from mlflow import MlflowClient


def span(one):
    return {
        "name": one.name,
        "id": one.span_id,
        "parent": one.parent_id,
        "type": one.span_type,
        "status": one.status.status_code.value,
        "message": one.status.description,
        "usage": one.attributes.get("mlflow.chat.tokenUsage"),
        "cost": one.attributes.get("mlflow.llm.cost"),
        "inputs": one.inputs,
        "outputs": one.outputs,
    }


def assessment(one):
    return {
        "name": one.name,
        "value": one.value,
        "rationale": one.rationale,
        "source": f"{one.source.source_type} {one.source.source_id}",
        "span": one.span_id,
        "session": (one.metadata or {}).get("mlflow.trace.session"),
    }


found = MlflowClient(tracking_uri=sys.argv[1]).search_traces(locations=["0"], order_by=["timestamp_ms ASC"])
json.dump(
    [
        {
            "state": str(trace.info.state.value),
            "metadata": trace.info.trace_metadata,
            "tags": trace.info.tags,
            "request": trace.info.request_preview,
            "response": trace.info.response_preview,
            "duration": trace.info.execution_duration,
            "assessments": [assessment(one) for one in trace.info.assessments],
            "spans": sorted(map(span, trace.data.spans), key=lambda one: one["id"]),
        }
        for trace in found
    ],
    sys.stdout,
)
