"""Read a record by its shape (`record_shapes`). A record that does not fit becomes a `Misfit`, which says why.

A record may have a good checksum and hold anything: another program wrote it, or one of our faults did. Everything that
reads the log therefore gets its records from here. `read` gives only keys that are known, each with a value of its type
and within its range; a record that does not fit is refused as a whole, with the key that does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import msgspec

from sessiontap.trace.record_shapes import (
    AnsweredShape,
    AskedShape,
    CallerShape,
    CallInFlightShape,
    CallShape,
    LabelShape,
    Linked,
    NoteShape,
    ScoreShape,
    SegmentShape,
    ShortCallShape,
)
from sessiontap.trace.values import LATEST, MOST_TOKENS, dollars, tokens

_DEEPEST = 64
"""Levels of what users may put into the log themselves (`state`) or what older proxies kept (`link`)."""
_MOST_INTEGER = 1 << 63
_LONGEST_FREE = 1 << 20
"""Bytes of what has no shape of its own: a note, a `state`, a `link`."""


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
    "label": msgspec.msgpack.Decoder(LabelShape).decode,
    "score": msgspec.msgpack.Decoder(ScoreShape).decode,
}
_short_call: Callable[[bytes], Any] = msgspec.msgpack.Decoder(ShortCallShape).decode
_free_map = msgspec.msgpack.Decoder(dict[str, Any] | None).decode
_body_decoders: dict[str, Callable[[bytes], Any]] = {
    "request": msgspec.msgpack.Decoder(AskedShape).decode,
    "response": msgspec.msgpack.Decoder(AnsweredShape).decode,
}


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
        elif kind == "score":
            _check_plain(record.get("value"), "$.value")
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
            counts = {key: tokens(one) if key not in _NO_COUNTS else one for key, one in billed.items()}
            llm["billed"] = {key: one for key, one in counts.items() if one is not None}
    if gateway := call.get("gateway"):
        for key, measured in (("fallbacks", tokens), ("retries", tokens), ("cost", dollars)):
            if gateway.get(key) is not None:
                gateway[key] = measured(gateway[key])
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
        msgspec.convert({"link": value}, Linked)
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
