"""The shapes of a segment's records, as data; and reading one: of a record that does not fit comes a sentence.

A record may have a good checksum and hold anything: another program wrote it, or one of our faults did. Everything that
reads the log therefore gets its records from here. `read` gives only keys that are known, each with a value of its type
and within its range; a record that does not fit is refused as a whole, with the key that does not. docs/trace-format.md
says what the keys mean, and a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import msgpack  # type: ignore[import-untyped]
import msgspec
from msgspec import Meta

from sessiontap.trace.views import LATEST, MOST_TOKENS, dollars, tokens

MOST_BYTES = 1 << 44
_DEEPEST = 64
"""Levels of what users may put into the log themselves (`state`) or what older proxies kept (`link`)."""
_MOST_INTEGER = 1 << 63
_LONGEST_FREE = 1 << 20
"""Bytes of what has no shape of its own: a note, a `state`, a `link`."""

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
    body: NotRequired[StoredBodyShape | None]


class _CallFields(TypedDict):
    type: str
    id: Id
    time: Time
    session: NotRequired[SessionShape | None]
    conversation: NotRequired[str | None]
    parent: NotRequired[Id | None]
    evidence: NotRequired[str | None]
    caller: NotRequired[Id | None]
    caller_unknown: NotRequired[str | None]
    llm: NotRequired[LlmShape | None]
    outcome: NotRequired[str | None]
    flags: NotRequired[Texts]
    duration: NotRequired[Duration]
    time_to_first_byte: NotRequired[Duration]
    time_to_first_token: NotRequired[Duration]
    client: NotRequired[str | None]
    proxy_user: NotRequired[str | None]
    agent: NotRequired[str | None]
    subagent: NotRequired[str | None]
    user: NotRequired[str | None]
    properties: NotRequired[TextMap]
    tags: NotRequired[Texts]
    rules: NotRequired[Texts]
    host: NotRequired[str | None]
    forwarded_host: NotRequired[str | None]
    route: NotRequired[str | None]
    changes: NotRequired[Annotated[list[Change], _MANY]]
    like: NotRequired[None]  # version 1 left out what another record said: such a call is none of ours
    request: RequestShape
    response: NotRequired[ResponseShape | None]


class CallShape(_CallFields):
    link: NotRequired[msgspec.Raw]
    state: NotRequired[msgspec.Raw]


class _ShortCallShape(_CallFields):
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


class CallInFlightShape(TypedDict):
    """A call that has not ended, as its proxy tells it (proxy/own_address.py)."""

    id: Id
    time: Time
    session: NotRequired[SessionShape | None]
    conversation: NotRequired[str | None]
    parent: NotRequired[Id | None]
    evidence: NotRequired[str | None]
    link: NotRequired[LinkInFlightShape | None]
    llm: NotRequired[LlmShape | None]
    time_to_first_byte: NotRequired[Annotated[int, Meta(ge=0, lt=LATEST)] | None]
    agent: NotRequired[str | None]
    subagent: NotRequired[str | None]
    user: NotRequired[str | None]
    properties: NotRequired[TextMap]
    tags: NotRequired[Texts]
    rules: NotRequired[Texts]
    host: NotRequired[str | None]
    forwarded_host: NotRequired[str | None]
    route: NotRequired[str | None]
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


class LinkShape(TypedDict, total=False):
    """The keys of a call's `link` that must fit; the rest is digests, whose reader takes what it knows."""

    kind: str | None
    root: str | None
    lineage: Texts | None


class _Linked(TypedDict):
    link: LinkShape


class _MessageShape(TypedDict):
    body: NotRequired[StoredBodyShape | None]


class _AskedShape(TypedDict):
    type: str
    id: Id
    request: _MessageShape


class _AnsweredShape(TypedDict):
    type: str
    id: Id
    response: NotRequired[_MessageShape | None]


class Misfit(NamedTuple):
    """A record that does not fit, in words for people."""

    text: str


class _Kind(msgspec.Struct):
    type: str | None = None


_CALL = msgpack.packb("type") + msgpack.packb("call")
_kind_of = msgspec.msgpack.Decoder(_Kind).decode
_decoders: dict[str, Callable[[bytes], Any]] = {
    "call": msgspec.msgpack.Decoder(CallShape).decode,
    "caller": msgspec.msgpack.Decoder(CallerShape).decode,
    "segment": msgspec.msgpack.Decoder(SegmentShape).decode,
}
_short_call: Callable[[bytes], Any] = msgspec.msgpack.Decoder(_ShortCallShape).decode
_free_map = msgspec.msgpack.Decoder(dict[str, Any] | None).decode
_body_decoders: dict[str, Callable[[bytes], Any]] = {
    "request": msgspec.msgpack.Decoder(_AskedShape).decode,
    "response": msgspec.msgpack.Decoder(_AnsweredShape).decode,
}
SHAPES: dict[str, Any] = {"segment": SegmentShape, "caller": CallerShape, "note": NoteShape, "call": CallShape}
"""By `type`."""


def read(payload: bytes) -> dict[str, Any] | Misfit:
    """The record of a map's msgpack. Of a type that is not known it is `{"type"}` alone (None if it has none)."""
    try:
        # Writers of ours begin with the type; the map's head before it is three bytes, as calls have over 15 keys.
        kind = "call" if payload.startswith(_CALL, 3) else _kind_of(payload).type
        if kind == "note":
            return _note(payload)
        decode = _decoders.get(kind) if kind is not None else None
        if decode is None:
            return {"type": kind}
        if kind == "call" and len(payload) <= _LONGEST_FREE:
            decode = _short_call
        record: dict[str, Any] = decode(payload)
        if record["type"] != kind:
            return Misfit("holds a record of two types")
        if kind == "call":
            _check_call(record)
        return record
    except (msgspec.ValidationError, _MisfitError) as error:
        return Misfit(f"holds a record whose values are not what they should be: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError):
        return Misfit("holds a value that is no record")


def read_in_flight(value: Any) -> dict[str, Any] | None:
    """The call in flight that a proxy told in JSON; None if it does not fit."""
    try:
        call: dict[str, Any] = msgspec.convert(value, CallInFlightShape)
    except (msgspec.ValidationError, RecursionError):
        return None
    return call


def read_body(payload: bytes, call_id: str | None, side: str) -> dict[str, Any] | None:
    """The stored body of one side of the call `call_id`, and nothing else of its record; None if it is not that."""
    try:
        record = _body_decoders[side](payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError):
        return None
    if record["type"] != "call" or record["id"] != call_id:
        return None
    stored: dict[str, Any] | None = (record.get(side) or {}).get("body")
    return stored


class _MisfitError(Exception):
    pass


_DURATIONS = ("duration", "time_to_first_byte", "time_to_first_token")
_NO_COUNTS = frozenset(("speed", "tools", "subscription"))


def _check_call(call: dict[str, Any]) -> None:
    for key in _DURATIONS:
        if (value := call.get(key)) is not None and not (type(value) is int and 0 <= value < LATEST):
            call[key] = None
    if llm := call.get("llm"):
        if llm.get("cost_reported") is not None:
            llm["cost_reported"] = dollars(llm["cost_reported"])
        if (usage := llm.get("usage")) is not None:
            for key, count in usage.items():
                if count is not None and not (type(count) is int and 0 <= count <= MOST_TOKENS):
                    usage[key] = None
        if (billed := llm.get("billed")) is not None:
            told = {key: tokens(one) if key not in _NO_COUNTS else one for key, one in billed.items()}
            llm["billed"] = {key: one for key, one in told.items() if one is not None}
    for key in ("link", "state"):
        if call.get(key) is not None:
            call[key] = _free(call[key], key)


def _free(value: Any, key: str) -> dict[str, Any] | None:
    """The map of a `link` or `state`, of itself or of its msgpack. Raises _MisfitError or ValidationError."""
    if isinstance(value, msgspec.Raw):
        if len(memoryview(value)) > _LONGEST_FREE:
            raise _MisfitError(f"more than {_LONGEST_FREE} bytes - at `$.{key}`")
        value = _free_map(value)
    if value is None:
        return None
    if key == "link":
        msgspec.convert({"link": value}, _Linked)
    _check_plain(value, f"$.{key}", binary=key == "link")
    free: dict[str, Any] = value
    return free


def _note(payload: bytes) -> dict[str, Any]:
    if len(payload) > _LONGEST_FREE:
        raise _MisfitError(f"a note of more than {_LONGEST_FREE} bytes")
    record: dict[str, Any] = msgpack.unpackb(payload)
    _check_plain(record, "$")
    msgspec.convert(record, NoteShape)
    return record


def _check_plain(value: Any, place: str, depth: int = _DEEPEST, *, binary: bool = False) -> None:
    """See that JSON and the index can hold it. Raises _MisfitError."""
    if value is None or isinstance(value, str | bool) or (binary and isinstance(value, bytes)):
        return
    if isinstance(value, int) and -_MOST_INTEGER <= value < _MOST_INTEGER:
        return
    if isinstance(value, float) and math.isfinite(value):
        return
    if depth and isinstance(value, list):
        for one in value:
            _check_plain(one, f"{place}[...]", depth - 1, binary=binary)
        return
    if depth and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, one in value.items():
            _check_plain(one, f"{place}.{key}" if len(key) < 100 else f"{place}[...]", depth - 1, binary=binary)
        return
    what = "too deep" if isinstance(value, list | dict) and not depth else "a value of no plain type or size"
    raise _MisfitError(f"{what} - at `{place}`")
