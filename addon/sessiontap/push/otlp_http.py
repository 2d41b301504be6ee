"""Spans over OTLP/HTTP in protobuf (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"), which several targets take.

The encoding is OpenTelemetry's own. Its exporter is not used: `OTLPSpanExporter.export` tries again on its own and
returns no more than success or failure, while delivery needs the status, Retry-After, what of a request was rejected,
and smaller requests after a 413. Its reading of headers writes one that it cannot parse, credentials too, to the log.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from sessiontap import __version__
from sessiontap.push.http import answer_of
from sessiontap.push.span_facts import AttributeValue
from sessiontap.push.spans import Convention, Span, call_span, turn_spans, with_conventions
from sessiontap.push.target import HttpTransport, Item, NotReached, PushedCall, TargetAnswer, TargetSettings, UserTurn

MAPPING_VERSION = "1"
"""Of the attributes: another one if a reader has to read them in another way."""
MAX_BYTES = 10 << 20
"""Of one span: many collectors stop at 16 MiB, some at 10. (Requests are smaller: `target.BATCH_BYTES`.)"""
MAX_SPANS = 2_000
_CONTENT_TYPE = "application/x-protobuf"
_KINDS = {"client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_CODES = {"unset": StatusCode.UNSET, "ok": StatusCode.OK, "error": StatusCode.ERROR}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("sessiontap", __version__)
_NO_RESOURCE = Resource.get_empty()
"""Without one, each span of the SDK's asks all detectors anew, on threads."""
_NOT_TEXT = {0: "\ufffd"}
"""PostgreSQL, on which several readers keep spans, takes no NUL in a text."""


@dataclass(frozen=True, slots=True)
class OtlpSender:
    """Sends calls and turns as spans with the attributes of some conventions. (`target.Sender`)"""

    url: str
    headers: Mapping[str, str]
    http: HttpTransport
    conventions: Sequence[Convention]
    """Those without content, and if content is sent those with it."""
    resource: Resource
    content: bool
    max_bytes: int = MAX_BYTES
    max_items: int = MAX_SPANS

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        """See `target.Sender`."""
        yield self._item(call_span(self._allowed(call)))

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        """See `target.Sender`."""
        for span in turn_spans(UserTurn(turn.id, tuple(map(self._allowed, turn.calls)))):
            yield self._item(span)

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        """See `target.Sender`."""
        request = encode_spans([_sdk_span(_EMPTY, self.resource)])
        spans = request.resource_spans[0].scope_spans[0].spans
        del spans[:]
        spans.extend(item.data for item in items)
        headers = {"Content-Type": _CONTENT_TYPE, "Content-Encoding": "gzip", **self.headers}
        try:
            reply = self.http.post(self.url, gzip.compress(request.SerializeToString(), 5), headers)
        except NotReached as error:
            return TargetAnswer("later", str(error))
        answer = answer_of(reply)
        return partly_rejected(reply.body, len(items)) if answer.kind == "accepted" else answer

    def _allowed(self, call: PushedCall) -> PushedCall:
        return call if self.content else replace(call, parts=None, title=None)

    def _item(self, span: Span) -> Item:
        encoded = encode(with_conventions(span, self.conventions))
        return Item(span.call_id, encoded, encoded.ByteSize())


def open_otlp(
    settings: TargetSettings,
    url: str,
    conventions: Sequence[Convention],
    content: Sequence[Convention],
    headers: Mapping[str, str],
    resource: Mapping[str, str],
) -> OtlpSender:
    """Return a sender to `url`. `content` are conventions that tell what was said; a user's headers win."""
    every = [*conventions, *(content if settings.content else ())]
    return OtlpSender(url, {**headers, **settings.headers}, settings.http, every, _resource(resource), settings.content)


def _resource(more: Mapping[str, str]) -> Resource:
    """The resource as the environment names it, and `more`; nothing that is another at each start."""
    stated = OTELResourceDetector().detect()
    found = Resource.create({**more, "sessiontap.mapping.version": MAPPING_VERSION}).attributes
    own = {key: value for key, value in found.items() if key in stated.attributes or not key.startswith("service.")}
    return Resource({SERVICE_NAME: "sessiontap", **own})


def traces_url(endpoint: str) -> str:
    """Return the address for spans of a base address (OTLP specification, "OTLP/HTTP Request")."""
    return endpoint if endpoint.endswith("/v1/traces") else f"{endpoint}/v1/traces"


def headers_of(value: str | None) -> dict[str, str]:
    """Return the headers of `OTEL_EXPORTER_OTLP_HEADERS`: NAME=VALUE, split by commas, values percent-encoded.

    What is no header is left out, without a word: it may be half a credential.
    """
    found = {}
    for one in (value or "").split(","):
        name, equals, text = one.partition("=")
        name, text = unquote(name.strip()), unquote(text.strip())
        if equals and name and name.isascii() and text.isprintable() and not any(c.isspace() or c == ":" for c in name):
            found[name] = text
    return found


def partly_rejected(body: bytes, sent: int) -> TargetAnswer:
    """Return the answer of a request that was accepted, of which some spans may have been rejected.

    A collector says how many, not which (OTLP specification, "Partial Success"): if not all, only the reason tells.
    """
    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(body)
    except DecodeError:  # some answer in JSON, or with a word
        return TargetAnswer("accepted")
    rejected = response.partial_success.rejected_spans
    why = " ".join(response.partial_success.error_message.split())[:500] or "the collector does not say why"
    if rejected <= 0:
        return TargetAnswer("accepted")
    if rejected >= sent:
        return TargetAnswer("accepted", rejected=dict.fromkeys(range(sent), why))
    which = f"{rejected} of the {sent} spans in the request with this call were rejected"
    return TargetAnswer("accepted", f"{which}, and the collector does not say which: {why}")


def encode(span: Span) -> EncodedSpan:
    """Return a span as OTLP has it."""
    found: EncodedSpan = encode_spans([_sdk_span(span, _NO_RESOURCE)]).resource_spans[0].scope_spans[0].spans[0]
    return found


def _sdk_span(span: Span, resource: Resource) -> ReadableSpan:
    trace, parent = int(span.trace_id, 16), span.parent_id
    return ReadableSpan(
        name=_text(span.name),
        context=SpanContext(trace, int(span.id, 16), is_remote=False, trace_flags=_SAMPLED),
        parent=SpanContext(trace, int(parent, 16), is_remote=False, trace_flags=_SAMPLED) if parent else None,
        resource=resource,
        attributes=_attributes(span.attributes),
        events=[Event(_text(one.name), _attributes(one.attributes), one.time) for one in span.events],
        kind=_KINDS[span.kind],
        instrumentation_scope=_SCOPE,
        status=Status(_CODES[span.status], _text(span.message) if span.status == "error" else None),
        start_time=span.start,
        end_time=span.end,
    )


def _attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    return {_text(key): _value(value) for key, value in attributes.items()}


def _value(value: AttributeValue) -> Any:
    if isinstance(value, str):
        return _text(value)
    return value if isinstance(value, int | float) else [_text(one) for one in value]


def _text(text: str) -> str:
    """Text that protobuf takes: half of a surrogate pair is none, and NUL is what databases refuse."""
    if "\0" in text:
        text = text.translate(_NOT_TEXT)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_EMPTY = Span("1" * 32, "1" * 16, None, "", "internal", 0, 0, "unset", "", {}, (), UserTurn("", ()), "")
