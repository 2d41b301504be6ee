"""Every recorded exchange of ../shared/corpus for Helicone, TraceForge and Langfuse: all tokens counted, once each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.llm.llm_corpus import needs_corpus
from tests.push.test_otlp_corpus import turns

from sessiontap.push.attributes.langfuse import usage_details
from sessiontap.push.target import PushedCall
from sessiontap.push.targets.helicone import log_entry
from sessiontap.push.targets.traceforge import trace_file

pytestmark = needs_corpus

CALLS = [call for turn in turns() for call in turn.calls]


def counted_by_helicone(entry: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The tokens in and out that Helicone counts in an entry, by its body processors (valhalla/jawn, read in code)."""
    asked, told = entry["providerRequest"]["json"], entry["providerResponse"]
    if asked.get("stream"):
        events = [json.loads(line[5:]) for line in told["textBody"].splitlines() if line.startswith("data: {")]
        return _of_stream(events, entry["provider"])
    body = told["json"]
    if entry["provider"] == "GOOGLE":
        items = body if isinstance(body, list) else [body]
        usage = next((one["usageMetadata"] for one in reversed(items) if "usageMetadata" in one), {})
        return usage.get("promptTokenCount"), _sum(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount"))
    usage = body.get("usage") or {}
    if entry["provider"] == "ANTHROPIC":
        return _anthropic(usage)
    return (
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
    )


def _of_stream(events: list[dict[str, Any]], provider: str) -> tuple[int | None, int | None]:
    if provider == "ANTHROPIC":
        usage: dict[str, Any] = {}
        for event in events:
            usage |= event.get("message", {}).get("usage") or {}
            usage |= {"output_tokens": event["usage"]["output_tokens"]} if event.get("usage") else {}
        return _anthropic(usage)
    if provider == "GOOGLE":
        usage = next((event["usageMetadata"] for event in reversed(events) if "usageMetadata" in event), {})
        return usage.get("promptTokenCount"), _sum(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount"))
    usage = next((event["usage"] for event in reversed(events) if event.get("usage")), {})
    return usage.get("prompt_tokens"), usage.get("completion_tokens")


def _anthropic(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    given = usage.get("input_tokens")
    return None if given is None else given + cached, usage.get("output_tokens")


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def usage_of(call: PushedCall) -> tuple[int | None, int | None]:
    usage = call.call.row["usage"] or {}
    return usage.get("input"), usage.get("output")


@pytest.mark.parametrize("content", [True, False], ids=["with content", "without"])
def test_helicone_counts_the_tokens_of_the_log(content: bool) -> None:
    wrong = []
    for call in CALLS:
        entry = json.loads(log_entry(call, content).body)
        assert isinstance(entry["providerRequest"]["json"], dict)
        assert {"json", "textBody"} & entry["providerResponse"].keys() == (
            {"textBody"} if entry["providerRequest"]["json"].get("stream") else {"json"}
        )
        counts = tuple(count or 0 for count in counted_by_helicone(entry))
        if counts != (expected := tuple(count or 0 for count in usage_of(call))):
            wrong.append((call.call.id, call.call.row["family"], counts, expected))
    assert not wrong, "\n".join(map(str, wrong))


def test_most_replies_go_to_helicone_as_they_came() -> None:
    told = Counter(_form(json.loads(log_entry(call, True).body), call) for call in CALLS if call.call.response)
    read = [call for call in CALLS if call.call.row["family"] in ("openai-chat", "anthropic-messages", "gemini")]
    assert told["as it came"] > 0.95 * len(read)


def _form(entry: Mapping[str, Any], call: PushedCall) -> str:
    data, told = call.call.response_body.data or b"", entry["providerResponse"]
    same = told["textBody"].encode() == data if "textBody" in told else _json(data) == told["json"]
    return "as it came" if same else "as chat"


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


CHAT_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "user", "assistant", "function"]},
        "content": {"type": "string"},
        "name": {"type": "string"},
    },
}
USAGE = {"type": "object", "properties": {key: {"type": "integer", "minimum": 0} for key in (
    "prompt_tokens", "completion_tokens", "total_tokens",
)}}  # fmt: skip
TRACE = {
    "type": "object",
    "required": ["schema_version", "id", "timestamp", "endpoint", "request", "response", "metadata"],
    "properties": {
        "schema_version": {"const": "1.0.0"},
        "timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        "endpoint": {"type": "string", "pattern": "^/"},
        "request": {
            "type": "object",
            "properties": {
                "model": {"type": "string"},
                "messages": {"type": "array", "items": CHAT_MESSAGE},
                "stream": {"type": "boolean"},
                "stop": {"type": ["string", "array"]},
                **{key: {"type": "number"} for key in ("temperature", "max_tokens", "top_p", "n")},
            },
        },
        "response": {
            "type": ["object", "null"],
            "properties": {
                "id": {"type": "string"},
                "created": {"type": "integer"},
                "model": {"type": "string"},
                "usage": USAGE,
                "choices": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["index", "finish_reason"],
                        "properties": {"message": CHAT_MESSAGE},
                    },
                },
            },
        },
        "metadata": {
            "type": "object",
            "required": ["duration_ms", "status"],
            "properties": {"status": {"enum": ["success", "error"]}, "tokens_used": {"type": "integer"}},
        },
        "session_id": {"type": "string"},
        "step_index": {"type": "integer"},
    },
}
"""TraceForge's trace, by its types and its format's document. What we do not know is left out, its keys too."""


def test_traceforge_finds_its_own_form_in_every_file() -> None:
    validator = Draft202012Validator(TRACE)
    for call in CALLS:
        written = json.loads(trace_file(call).content)
        for error in validator.iter_errors(written):
            if error.path[-1] == "role" and written["metadata"]["status"] == "error":
                continue  # the provider did not know it either
            pytest.fail(f"{call.call.id}: {error.message} at {list(error.path)}")


def test_langfuse_sums_the_tokens_of_the_log() -> None:
    for call in CALLS:
        given, made = usage_of(call)
        details = usage_details(call)
        kinds = {"input": given, "output": made}
        for kind, expected in kinds.items():
            counts = [count for name, count in details.items() if name.startswith(kind)]
            assert sum(counts) == (expected or 0), call.call.id
