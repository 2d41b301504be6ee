"""gRPC over HTTP/2: the messages of a body, and the status that ends a call.

Source: github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. A message is a byte that says if it is compressed, four
bytes of length, and its bytes. The HTTP status is 200 whatever happens; `grpc-status` says how a call ended, in the
trailers, or in the headers if there is no message at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.content_encoding import LIMIT, Decoded, decode

_HEAD = 5
"""Bytes before a message."""
_LONGEST = 64 * 1024
"""Characters of an error's message that are kept."""

STATUSES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""Names by number (google.rpc.Code)."""


class GrpcMessage(NamedTuple):
    data: bytes
    end: int
    """Offset in the body just behind it."""
    fault: str | None = None
    """The reason why it cannot be read, in words; then `data` is empty."""
    cut: bool = False
    """The body ends in the middle of it."""


def is_grpc(headers: Headers) -> bool:
    """Return whether a body is gRPC's, with messages of protobuf: by its type, if that is stated."""
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return kind in ("", "application/grpc", "application/grpc+proto")


def messages(body: bytes, headers: Headers) -> Iterator[GrpcMessage]:
    """Yield the messages of a whole or cut body, in order: compressed ones as long as all together are no more than
    `LIMIT` bytes, since a body may have a bomb in every few thousand."""
    at, left = 0, LIMIT
    while at < len(body):
        end = at + _HEAD + int.from_bytes(body[at + 1 : at + _HEAD])
        if at + _HEAD > len(body) or end > len(body):
            yield GrpcMessage(b"", len(body), "the body ends in the middle of a message", cut=True)
            return
        compressed, data = body[at], body[at + _HEAD : end]
        if compressed > 1:
            yield GrpcMessage(b"", len(body), f"no message begins at byte {at}; what follows is lost")
            return
        if not compressed:
            yield GrpcMessage(data, end)
        elif left <= 0:
            yield GrpcMessage(b"", len(body), f"the messages before byte {at} are too large; what follows is lost")
            return
        else:
            encoding = headers.get("grpc-encoding")
            decoded = decode(data, encoding, limit=left)
            left -= LIMIT if decoded.beyond else max(len(decoded.data), len(data))
            yield _decompressed(decoded, end, encoding)
        at = end


def _decompressed(decoded: Decoded, end: int, encoding: str | None) -> GrpcMessage:
    problem = decoded.problem or (None if encoding not in (None, "", "identity") else "it does not say how")
    if problem:
        return GrpcMessage(b"", end, f"the compressed message that ends at byte {end} cannot be read: {problem}")
    return GrpcMessage(decoded.data, end)


def status_error(response: Response) -> CallError | None:
    """Return the error that a call ended with; None if it ended well, or its end is not known."""
    stated = response.trailers if "grpc-status" in response.trailers else response.headers
    number = stated.get("grpc-status") or ""
    if not (number.isascii() and number.isdigit() and len(number) < 4) or int(number) == 0:
        return None
    name = STATUSES[int(number)] if int(number) < len(STATUSES) else number
    return CallError(name, unquote(stated.get("grpc-message") or "")[:_LONGEST] or None)
