"""Every recorded exchange of ../shared/corpus as spans, one session a cassette: sound, and the same each time."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded
from tests.push.otlp_collector import attributes_of

from sessiontap.export.exported_call import export_call
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.push.attributes.genai import genai, genai_content
from sessiontap.push.attributes.mlflow import mlflow, mlflow_content
from sessiontap.push.attributes.openinference import openinference, openinference_messages, openinference_values
from sessiontap.push.otlp_http import encode
from sessiontap.push.spans import Span, call_span, turn_spans, with_conventions
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace import RecordedCall, body

pytestmark = needs_corpus
SECOND = 10**9
START = 1_795_237_563 * SECOND
CONVENTIONS = (
    genai, genai_content, openinference, openinference_values, openinference_messages, mlflow, mlflow_content,
)  # fmt: skip


def record_of(one: Recorded, step: int, parent: str | None) -> tuple[dict[str, Any], bytes]:
    """The record of an exchange, as the proxy would have made it, and the decoded body of its response."""
    call, reply, response = one.call(), one.reply(), one.response()
    usage, cassette = reply.usage, one.id.rpartition("#")[0]
    record: dict[str, Any] = {
        "type": "call",
        "id": one.id,
        "time": START + step * 10 * SECOND,
        "duration": 4 * SECOND,
        "session": {"id": cassette, "name": "Cassette", "path": f"/{call.endpoint.operation}", "step": step},
        "conversation": f"{cassette}-{one.expect.get('conversation')}",
        "parent": parent,
        "evidence": "exact" if parent else "new",
        "link": {"kind": "continue" if parent else "new"},
        "llm": {
            "provider": call.endpoint.provider,
            "family": call.endpoint.family,
            "operation": call.endpoint.operation,
            "request_model": call.asked.model,
            "response_model": reply.response_model,
            "response_id": reply.response_id,
            "stream": reply.stream,
            "finish_reason": reply.finish_reason,
            "tool_calls": [tool.name for tool in reply.tool_calls],
            "tool_call_ids": [tool.id for tool in reply.tool_calls],
            "tool_results": list(call.asked.tool_results),
            "usage": {key: getattr(usage, key) for key in usage.__slots__} if usage else None,
            "error": {"type": reply.error.type, "message": reply.error.message} if reply.error else None,
        },
        "outcome": "ok" if one.response_status < 400 else "http_error",
        "host": one.request.host,
        "forwarded_host": one.request.host,
        "route": call.endpoint.route,
        "request": {
            "method": one.request.method,
            "url": one.request.url,
            "headers": [list(pair) for pair in one.request.headers],
            "body": body.encode(one.request.body or b""),
        },
        "response": {
            "status": one.response_status,
            "headers": [list(pair) for pair in one.response_headers if pair[0].lower() != "content-encoding"],
            "body": body.encode(response.body),
        },
    }  # fmt: skip
    return record, response.body


def pushed(one: Recorded, step: int, turn: str, parent: str | None) -> PushedCall:
    record, answered = record_of(one, step, parent)
    recorded_call = RecordedCall(record, None, lambda _, stored: body.decode(stored))
    parts = recorded_parts(record, one.request.body or b"", answered)
    return PushedCall(export_call(recorded_call), turn, 0, parts, 0, None)


@cache
def turns() -> tuple[UserTurn, ...]:
    """Those of each cassette: an exchange that goes on from another one is of its turn."""
    files: defaultdict[str, list[Recorded]] = defaultdict(list)
    for one in recorded():
        files[one.id.rpartition("#")[0]].append(one)
    found: dict[str, list[PushedCall]] = {}
    for exchanges in files.values():
        by_index: dict[int, PushedCall] = {}
        for step, one in enumerate(exchanges):
            parent = by_index.get(one.expect.get("parent") if one.expect.get("parent") is not None else -1)
            turn = parent.turn if parent else one.id
            call = pushed(one, step, turn, parent.call.id if parent else None)
            by_index[int(one.id.rpartition("#")[2])] = call
            found.setdefault(turn, []).append(call)
    return tuple(UserTurn(turn, tuple(calls)) for turn, calls in found.items())


def made(turn: UserTurn) -> list[Span]:
    spans = (*map(call_span, turn.calls), *turn_spans(turn))
    return [with_conventions(span, CONVENTIONS) for span in spans]


@cache
def all_spans() -> tuple[list[Span], ...]:
    return tuple(made(turn) for turn in turns())


def test_every_exchange_is_a_span() -> None:
    calls = [span for spans in all_spans() for span in spans if isinstance(span.of, PushedCall)]
    assert len(calls) == len(recorded())
    assert len({span.id for span in calls}) == len(calls)


def test_every_span_is_encoded_and_decoded(caplog: pytest.LogCaptureFixture) -> None:
    for spans in all_spans():
        for span in spans:
            came = EncodedSpan.FromString(encode(span).SerializeToString())
            assert (came.trace_id.hex(), came.span_id.hex()) == (span.trace_id, span.id)
            found = attributes_of(came)
            assert set(found) == set(span.attributes)
            assert len(came.trace_id) == 16
            assert len(came.span_id) == 8
            assert any(came.span_id)
            assert 0 < came.start_time_unix_nano <= came.end_time_unix_nano
    assert not caplog.records  # the encoder logs what it cannot encode


def test_every_parent_is_there_and_ids_are_the_same_again() -> None:
    for turn, spans in zip(turns(), all_spans(), strict=True):
        ids = [span.id for span in spans]
        assert len(set(ids)) == len(ids)
        assert {span.parent_id for span in spans} <= {*ids, None}
        assert sum(span.parent_id is None for span in spans) == 1
        assert [span.id for span in made(turn)] == ids


COUNTS = {
    "input": ("gen_ai.usage.input_tokens", "llm.token_count.prompt"),
    "output": ("gen_ai.usage.output_tokens", "llm.token_count.completion"),
    "cache_read": ("gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read"),
}


def test_an_unknown_count_is_none_and_a_known_one_is_the_logs() -> None:
    for spans in all_spans():
        for span in spans:
            usage = (span.of.call.row["usage"] or {}) if isinstance(span.of, PushedCall) else {}
            for name, keys in COUNTS.items():
                told = {span.attributes[key] for key in keys if key in span.attributes}
                assert told <= {usage.get(name)} - {None}, (span.call_id, name)


def test_tools_that_were_asked_for_and_answered_are_spans() -> None:
    tools = [span for spans in all_spans() for span in spans if span.name.startswith("execute_tool ")]
    assert len(tools) >= 50
    assert all("sessiontap.time_inferred" in span.attributes for span in tools)
