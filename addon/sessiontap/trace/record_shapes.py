"""The shapes of a segment's records, and of calls in flight, as data: their keys, with the types and ranges of values.

docs/trace-format.md says what the keys mean, and a test compares the two. `shape.read` reads records by them.
"""

# Annotations are values here, no texts (`from __future__ import annotations`): msgspec evaluates those at each start.

from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from sessiontap.trace.values import LATEST, MOST_TOKENS

MOST_BYTES = 1 << 44
Id = Annotated[str, Meta(min_length=1, max_length=4096)]
Time = Annotated[int, Meta(ge=0, lt=LATEST)]
"""Unix nanoseconds."""
Count = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
Duration = Any
Tokens = Any
Dollars = Any
"""A measured number (nanoseconds, a count, an amount). One that is none, or out of its range, is unknown: the call is
worth more than it."""
Bytes = Annotated[int, Meta(ge=0, le=MOST_BYTES)]
Pid = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
_MANY = Meta(max_length=1 << 20)
"""Items of a list or map: few bytes may stand for so many that they fill the memory."""
Texts = Annotated[list[str], _MANY]
Optionals = Annotated[list[str | None], _MANY]
TextMap = Annotated[dict[str, str], _MANY]
Field = Annotated[list[str], Meta(min_length=2, max_length=2)]
Fields = Annotated[list[Field], _MANY]
Change = Annotated[list[str | None], Meta(min_length=5, max_length=5)]


class WriterShape(TypedDict, total=False):
    pid: Pid
    host: str
    machine: str
    sessiontap: str
    mitmproxy: str


class SegmentShape(TypedDict):
    """The header."""

    type: str
    format: str
    version: Count
    id: NotRequired[str]
    started: NotRequired[Time]
    writer: NotRequired[WriterShape]


class AncestorShape(TypedDict):
    pid: Pid
    name: str | None
    started: NotRequired[Time | None]


class TreeShape(TypedDict):
    """The root of a process tree."""

    id: Id
    pid: Pid


class CallerShape(TypedDict):
    """The process behind calls."""

    type: str
    id: Id
    pid: Pid
    started: NotRequired[Time | None]
    name: NotRequired[str | None]
    names: NotRequired[Texts]
    exe: NotRequired[str | None]
    argv: NotRequired[Texts]
    cwd: NotRequired[str | None]
    user: NotRequired[str | None]
    uid: NotRequired[Pid | None]
    ancestors: NotRequired[Annotated[list[AncestorShape], _MANY]]
    tree: NotRequired[TreeShape | None]
    container: NotRequired[str | None]
    env: NotRequired[TextMap]


class SessionShape(TypedDict):
    id: Id
    name: NotRequired[str | None]
    path: NotRequired[str | None]
    step: NotRequired[Count | None]
    source: NotRequired[str | None]
    renamed_to: NotRequired[str | None]
    key: NotRequired[str | None]
    rank: NotRequired[Count | None]


class UsageShape(TypedDict, total=False):
    input: Tokens
    output: Tokens
    cache_read: Tokens
    cache_write: Tokens
    reasoning: Tokens


class BilledShape(TypedDict, total=False):
    input: Tokens
    output: Tokens
    cache_write_1h: Tokens
    audio_input: Tokens
    audio_cache_read: Tokens
    audio_output: Tokens
    image_input: Tokens
    image_output: Tokens
    web_searches: Tokens
    speed: str
    tools: Texts
    subscription: bool


class ErrorShape(TypedDict, total=False):
    type: str | None
    message: str | None


class LlmShape(TypedDict, total=False):
    provider: str | None
    family: str | None
    operation: str | None
    request_model: str | None
    response_model: str | None
    response_id: str | None
    stream: bool | None
    finish_reason: str | None
    tools_offered: Texts | None
    tool_calls: Texts | None
    tool_results: Optionals | None
    tool_call_ids: Optionals | None
    usage: UsageShape | None
    cost_reported: Dollars
    service_tier: str | None
    billed: BilledShape | None
    error: ErrorShape | None
    request_id: str | None
    rate_limits: TextMap | None
    problems: Texts | None


class GatewayShape(TypedDict):
    kind: str
    name: NotRequired[str | None]
    id: NotRequired[str | None]
    cache: NotRequired[str | None]
    fallbacks: NotRequired[Tokens]
    retries: NotRequired[Tokens]
    cost: NotRequired[Dollars]
    upstream: NotRequired[str | None]
    failure: NotRequired[str | None]
    failure_code: NotRequired[str | None]


class CountedShape(TypedDict, total=False):
    cost_usd: Dollars


class StoredBodyShape(TypedDict):
    size: Bytes
    sha256: NotRequired[Annotated[bytes, Meta(min_length=32, max_length=32)] | None]
    enc: NotRequired[str | None]
    base: NotRequired[Id | None]
    back: NotRequired[Bytes | None]
    wire: NotRequired[str | None]
    data: NotRequired[bytes | None]
    total: NotRequired[Bytes | None]
    undecodable: NotRequired[bool]
    withheld: NotRequired[str | None]


class RequestShape(TypedDict):
    method: str
    url: str
    http_version: NotRequired[str | None]
    headers: NotRequired[Fields | None]
    trailers: NotRequired[Fields | None]
    body: NotRequired[StoredBodyShape | None]


class ResponseShape(TypedDict):
    status: Annotated[int, Meta(ge=0, le=65535)]
    http_version: NotRequired[str | None]
    headers: NotRequired[Fields | None]
    trailers: NotRequired[Fields | None]
    chunks: NotRequired[Annotated[list[Bytes], _MANY] | None]
    order: NotRequired[Annotated[list[Bytes], _MANY] | None]
    body: NotRequired[StoredBodyShape | None]


class _KnownOfCall(TypedDict):
    """Of a call that has ended, and of one in flight."""

    id: Id
    time: Time
    session: NotRequired[SessionShape | None]
    conversation: NotRequired[str | None]
    parent: NotRequired[Id | None]
    evidence: NotRequired[str | None]
    llm: NotRequired[LlmShape | None]
    agent: NotRequired[str | None]
    subagent: NotRequired[str | None]
    user: NotRequired[str | None]
    properties: NotRequired[TextMap]
    tags: NotRequired[Texts]
    rules: NotRequired[Texts]
    host: NotRequired[str | None]
    forwarded_host: NotRequired[str | None]
    route: NotRequired[str | None]


class _CallFields(_KnownOfCall):
    type: str
    caller: NotRequired[Id | None]
    caller_unknown: NotRequired[str | None]
    outcome: NotRequired[str | None]
    flags: NotRequired[Texts]
    duration: NotRequired[Duration]
    time_to_first_byte: NotRequired[Duration]
    time_to_first_token: NotRequired[Duration]
    client: NotRequired[str | None]
    proxy_user: NotRequired[str | None]
    changes: NotRequired[Annotated[list[Change], _MANY]]
    gateway: NotRequired[GatewayShape | None]
    counted: NotRequired[CountedShape | None]
    like: NotRequired[None]  # version 1 left out what another record said: such a call is none of ours
    request: RequestShape
    response: NotRequired[ResponseShape | None]


class CallShape(_CallFields):
    link: NotRequired[msgspec.Raw]
    state: NotRequired[msgspec.Raw]


class ShortCallShape(_CallFields):
    """Of a record that is too short for a `link` or `state` to be too long: it is read in one pass."""

    link: NotRequired[dict[str, Any] | None]
    state: NotRequired[dict[str, Any] | None]


class CallerInFlightShape(TypedDict):
    id: Id
    pid: Pid
    started: NotRequired[Time | None]
    name: NotRequired[str | None]
    names: NotRequired[Texts]
    cwd: NotRequired[str | None]


class LinkInFlightShape(TypedDict):
    kind: NotRequired[str | None]


class BodyInFlightShape(TypedDict):
    size: Bytes | None


class RequestInFlightShape(TypedDict):
    method: str
    body: BodyInFlightShape


class ResponseInFlightShape(TypedDict):
    status: Annotated[int, Meta(ge=0, le=65535)]
    body: BodyInFlightShape


class CallInFlightShape(_KnownOfCall):
    """A call that has not ended, as its proxy tells it (proxy/own_address.py)."""

    link: NotRequired[LinkInFlightShape | None]
    time_to_first_byte: NotRequired[Annotated[int, Meta(ge=0, lt=LATEST)] | None]
    caller: NotRequired[CallerInFlightShape | None]
    request: RequestInFlightShape
    response: NotRequired[ResponseInFlightShape | None]


class NoteShape(TypedDict):
    """A note has more keys than these: facts, each kind its own."""

    type: str
    time: Time
    kind: NotRequired[str]
    text: NotRequired[str]
    dropped: NotRequired[Annotated[dict[str, Count], _MANY]]
    records: NotRequired[Count]


class _AnnotationFields(TypedDict):
    type: str
    id: Id
    time: Time
    by: NotRequired[str | None]
    source: NotRequired[str | None]


class LabelShape(_AnnotationFields):
    """A label: a change of calls' facts from now on, which another one can undo."""

    sessions: NotRequired[Texts]
    calls: NotRequired[Texts]
    name: NotRequired[str | None]
    path: NotRequired[str | None]
    session: NotRequired[Id | None]
    properties: NotRequired[TextMap]
    tags: NotRequired[Texts]
    undoes: NotRequired[Id | None]
    batch: NotRequired[Id | None]
    steps: NotRequired[Annotated[dict[str, Count], _MANY]]


class ScoreShape(_AnnotationFields):
    """A score, a star or a note of a session or a call."""

    session: NotRequired[Id | None]
    call: NotRequired[Id | None]
    name: NotRequired[str | None]
    value: NotRequired[bool | int | float | str | None]
    note: NotRequired[str | None]


class LinkShape(TypedDict, total=False):
    """The keys of a call's `link` that must fit; the rest is digests, whose reader takes what it knows."""

    kind: str | None
    root: str | None
    lineage: Texts | None


class Linked(TypedDict):
    link: LinkShape


class RecordedMessageShape(TypedDict):
    body: NotRequired[StoredBodyShape | None]


class AskedShape(TypedDict):
    type: str
    id: Id
    request: RecordedMessageShape


class AnsweredShape(TypedDict):
    type: str
    id: Id
    response: NotRequired[RecordedMessageShape | None]


SHAPES: dict[str, Any] = {
    "segment": SegmentShape,
    "caller": CallerShape,
    "note": NoteShape,
    "call": CallShape,
    "label": LabelShape,
    "score": ScoreShape,
}
"""By `type`."""
