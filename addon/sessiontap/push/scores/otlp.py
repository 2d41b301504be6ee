"""Scores as OpenTelemetry's event `gen_ai.evaluation.result` (semantic-conventions-genai, "GenAI events").

An event is a log record, so it goes to `/v1/logs`, or to `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`. A call's stands below the
call's span; a session's has the session alone. What was sent stays, so a score that was taken away is not told; its
later value is another event, with the same `sessiontap.score.id`.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from sessiontap import __version__
from sessiontap.push.otlp_http import headers_of
from sessiontap.push.score_facts import answered, known, label_of, number_of
from sessiontap.push.target import Item, PushedScore, TargetAnswer, TargetSettings
from sessiontap.push.targets.otlp import HEADERS, TRACES_HEADERS
from sessiontap.span_ids import span_id, trace_id
from sessiontap.trace.outcomes import part

EVENT = "gen_ai.evaluation.result"
LOGS_ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"


class OtlpScores:
    """Sends scores as log records."""

    max_bytes, max_items = 4 << 20, 1_000
    takes = "all that was not taken away"

    def __init__(self, settings: TargetSettings) -> None:
        given = settings.credentials.get(HEADERS) or settings.credentials.get(TRACES_HEADERS)
        own = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        self._headers = {**own, **headers_of(given), **settings.headers}
        self._url = logs_url(settings.endpoint)
        self._http = settings.http

    def item(self, score: PushedScore) -> Item | None:
        if score.is_withdrawn:
            return None
        record = log_record(score)
        return Item(score.call or str(score.session), record, record.ByteSize())

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        request = ExportLogsServiceRequest()
        logs = request.resource_logs.add()
        service = os.environ.get("OTEL_SERVICE_NAME") or "sessiontap"
        logs.resource.attributes.extend(_attributes({"service.name": service}))
        scope = logs.scope_logs.add()
        scope.scope.name, scope.scope.version = "sessiontap", __version__
        scope.log_records.extend(item.data for item in items)
        body = gzip.compress(request.SerializeToString(), 5)
        answer, reply = answered(lambda: self._http.post(self._url, body, self._headers))
        if reply is None:
            return answer
        if reply.status in (404, 405, 501):
            why = f"{reply.status}: the collector takes no logs at {self._url}, and an event is one"
            return TargetAnswer("accepted", rejected=dict.fromkeys(range(len(items)), why))
        return _partly(reply.body, len(items)) if answer.kind == "accepted" else answer


def open_scores(settings: TargetSettings) -> OtlpScores:
    return OtlpScores(settings)


def logs_url(endpoint: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the address for log records, beside that for spans."""
    named = (environ.get(LOGS_ENDPOINT) or "").rstrip("/")
    return named or f"{endpoint.removesuffix('/v1/traces')}/v1/logs"


def log_record(score: PushedScore) -> LogRecord:
    """Return a score as the event."""
    session = score.session if score.session is not None else part(score.record, "session").get("id")
    facts = {
        "gen_ai.evaluation.name": score.name or "note",
        "gen_ai.evaluation.score.value": number_of(score),
        "gen_ai.evaluation.score.label": label_of(score),
        "gen_ai.evaluation.explanation": score.note,
        "gen_ai.response.id": part(score.record, "llm").get("response_id") if score.call else None,
        "session.id": session,
        "sessiontap.score.id": score.id,
        "sessiontap.score.by": score.by,
        "sessiontap.call.id": score.call,
    }
    record = LogRecord(
        time_unix_nano=score.time,
        observed_time_unix_nano=score.time,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        event_name=EVENT,
        attributes=_attributes(known(facts)),
    )
    if score.call:
        record.trace_id, record.span_id = bytes.fromhex(trace_id(score.turn)), bytes.fromhex(span_id(score.call))
        record.flags = 1
    return record


def _attributes(facts: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(double_value=value)
            if isinstance(value, float)
            else AnyValue(string_value=str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()),
        )
        for key, value in facts.items()
    ]


def _partly(body: bytes, sent: int) -> TargetAnswer:
    response = ExportLogsServiceResponse()
    try:
        response.ParseFromString(body)
    except DecodeError:
        return TargetAnswer("accepted")
    rejected = response.partial_success.rejected_log_records
    if rejected <= 0:
        return TargetAnswer("accepted")
    why = " ".join(response.partial_success.error_message.split())[:500] or "the collector does not say why"
    if rejected >= sent:
        return TargetAnswer("accepted", rejected=dict.fromkeys(range(sent), why))
    return TargetAnswer(
        "accepted", f"{rejected} of the {sent} scores in the request with this one were rejected: {why}"
    )
