"""MLflow's own attributes, beside those of the conventions that it reads as well (MLflow 3.17: tracing/constant.py,
`SpanAttributeKey`, `CostKey`; tracing/otel/translation/, what it makes of other conventions).

It takes kinds, counts and models from OpenInference's attributes, the session from `session.id`, the user from
`user.id`. Its own are the cost, which it reckons by prices of its own if none is given; the messages of a call in
OpenAI's form, which its pages show as a chat; and the trace's tags, which stand on its root. Values are JSON text.
"""

from __future__ import annotations

from dataclasses import replace

from sessiontap.push.attributes.content import as_json, shortened
from sessiontap.push.attributes.openinference import kind_of
from sessiontap.push.chat_form import reply_form, request_form
from sessiontap.push.span_facts import Attributes, AttributeValue
from sessiontap.push.spans import Span
from sessiontap.push.target import PushedCall, UserTurn

_TAG = "mlflow.traceTag."
_LABELS = ("sessiontap.session.name", "sessiontap.session.path", "sessiontap.session.title")
_PROPERTY = "sessiontap.property."


def mlflow(span: Span) -> Attributes:
    """Return the attributes of a span, without its content."""
    if isinstance(span.of, PushedCall):
        return _cost(span.of)
    if isinstance(span.of, UserTurn):
        return _tags(span)
    return {}


def mlflow_content(span: Span) -> Attributes:
    """Return the messages of a call; nothing if content is not sent. (Other spans: OpenInference's values.)"""
    call = span.of
    short = shortened(call) if isinstance(call, PushedCall) else None
    if short is None or not isinstance(call, PushedCall) or kind_of(span) != "LLM":
        return {}
    cut = replace(call, parts=short[0])
    found: dict[str, AttributeValue] = {
        "mlflow.spanInputs": as_json(request_form(cut)),
        "mlflow.spanOutputs": as_json(reply_form(cut)),
        "mlflow.message.format": as_json("openai"),
    }
    return {**found, "sessiontap.content.cut": True} if short[1] else found


def _cost(call: PushedCall) -> Attributes:
    row = call.call.row
    if row["cost_usd"] is None:
        return {}
    cost = {"total_cost": row["cost_usd"]}
    if parts := row["cost_parts"]:
        cost["input_cost"] = round(parts["input"] + parts["cache_read"] + parts["cache_write"], 12)
        cost["output_cost"] = parts["output"]
    return {"mlflow.llm.cost": as_json(cost)}


def _tags(span: Span) -> Attributes:
    found: dict[str, AttributeValue] = {}
    for key, value in span.attributes.items():
        if key.startswith(_PROPERTY):
            found[_TAG + key.removeprefix(_PROPERTY)] = value
        elif key in _LABELS:
            found[_TAG + key] = value
    return found
