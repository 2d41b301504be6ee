"""gRPC over HTTP/2: the messages of a body, and the status that ends a call.

Source: github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. A message is a byte that says if it is compressed, four
bytes of length, and its bytes. The HTTP status is 200 whatever happens; `grpc-status` says how a call ended, in the
trailers, or in the headers if there is no message at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.content_encoding import HARMLESS, Decoded, decode
from sessiontap.llm.protobuf import Damaged, Schema, message

_HEAD = 5
"""Bytes before a message."""
MOST_COMPRESSED = HARMLESS
"""Bytes that the compressed messages of a body become, all together, as far as they are read."""
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
    `MOST_COMPRESSED` bytes, since a body may have a bomb in every few thousand."""
    at, left = 0, MOST_COMPRESSED
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
            left -= MOST_COMPRESSED if decoded.beyond else max(len(decoded.data), len(data))
            yield _decompressed(decoded, end, encoding)
        at = end


def has_compressed(body: bytes) -> bool:
    """Return whether a message of a body is compressed."""
    at = 0
    while at + _HEAD <= len(body):
        if body[at] == 1:
            return True
        at += _HEAD + int.from_bytes(body[at + 1 : at + _HEAD])
    return False


def decompressed_size(body: bytes, headers: Headers) -> int:
    """Return the bytes of all messages that are read, decompressed. Finding out takes twice `MOST_COMPRESSED` at most,
    and nothing stays of it."""
    return sum(len(one.data) for one in messages(body, headers))


def request_message(request: Request, schema: Schema) -> tuple[dict[str, Any] | None, str | None]:
    """Return the first message of a request as JSON, and its fault in words. Neither, if there is none, or no gRPC."""
    if request.body is None or not is_grpc(request.headers):
        return None, None
    sent = next(messages(request.body, request.headers), None)
    if sent is None or sent.fault is not None:
        return None, sent.fault if sent is not None else None
    try:
        return message(sent.data, schema), None
    except Damaged as fault:
        return None, f"the request is no message that is known: {fault}"


def reply_messages(response: Response, schema: Schema, problems: list[str]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the messages of a reply as JSON, with the offsets behind them; what cannot be read goes into `problems`."""
    for found in messages(response.body, response.headers):
        if found.fault is not None:
            if not found.cut or response.complete:
                problems.append(found.fault)
            continue
        try:
            yield message(found.data, schema), found.end
        except Damaged as fault:
            problems.append(f"the message that ends at byte {found.end} is none that is known: {fault}")


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
