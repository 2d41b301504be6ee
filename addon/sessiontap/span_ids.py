"""The ids of traces and spans (W3C Trace Context, OpenTelemetry), derived from the ids of calls.

Whoever tells of a call gives it the same ids, at any time: the `traceparent` that a request carries, and the spans that
are pushed later. A span that is sent twice is the same span.
"""

from __future__ import annotations

from hashlib import sha256


def trace_id(turn: str) -> str:
    """Return the id of a turn's trace, 32 lower-case hex digits. `turn` is the id of the turn's first call."""
    return _digest(b"sessiontap/1/trace\0", turn, 16)


def span_id(call: str) -> str:
    """Return the id of a call's span, 16 lower-case hex digits. Other spans have a key of their own in its place."""
    return _digest(b"sessiontap/1/span\0", call, 8)


def _digest(purpose: bytes, key: str, size: int) -> str:
    digest = sha256(purpose + key.encode("utf-8", "surrogatepass")).digest()[:size]
    # An id of zeros is invalid in both standards.
    return digest.hex() if any(digest) else f"{1:0{2 * size}x}"
