"""gRPC's messages in a body, and the status that ends a call."""

from __future__ import annotations

import gzip

import pytest

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.grpc import (
    MOST_COMPRESSED,
    decompressed_size,
    has_compressed,
    is_grpc,
    messages,
    status_error,
)


def framed(data: bytes, compressed: int = 0) -> bytes:
    return bytes([compressed]) + len(data).to_bytes(4) + data


CASES: dict[str, tuple[bytes, list[tuple[bytes, int, str | None, bool]]]] = {
    "nothing": (b"", []),
    "one": (framed(b"abc"), [(b"abc", 8, None, False)]),
    "an empty one": (framed(b""), [(b"", 5, None, False)]),
    "two": (framed(b"a") + framed(b"b"), [(b"a", 6, None, False), (b"b", 12, None, False)]),
    "compressed": (framed(gzip.compress(b"abc", mtime=0), 1), [(b"abc", 28, None, False)]),
    "cut in its head": (framed(b"a") + b"\0\0", [(b"a", 6, None, False), (b"", 8, "in the middle", True)]),
    "cut in its message": (framed(b"abc")[:-1], [(b"", 7, "in the middle", True)]),
    "no message": (framed(b"a") + b"<html> and so on" + bytes(9), [(b"a", 6, None, False), (b"", 31, "middle", True)]),
    "another flag": (framed(b"a", 7), [(b"", 6, "no message begins at byte 0", False)]),
    "damaged in itself": (framed(b"abc", 1) + framed(b"a"), [(b"", 8, "not gzip", False), (b"a", 14, None, False)]),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES)
def test_messages(body: bytes, expected: list[tuple[bytes, int, str | None, bool]]) -> None:
    found = list(messages(body, Headers([("grpc-encoding", "gzip")])))
    assert [(one.data, one.end, one.cut) for one in found] == [(data, end, cut) for data, end, _, cut in expected]
    for one, (_, _, said, _) in zip(found, expected, strict=True):
        assert (one.fault is None) if said is None else (said in (one.fault or ""))


LARGE = gzip.compress(bytes(MOST_COMPRESSED // 4), 9)


@pytest.mark.parametrize(
    ("message", "most"),
    [
        pytest.param(LARGE, 4, id="each a quarter of what is read"),
        pytest.param(gzip.compress(bytes(2 * MOST_COMPRESSED), 9), 1, id="each a bomb"),
    ],
)
def test_compressed_messages_are_decoded_as_far_as_one_body_may_be(message: bytes, most: int) -> None:
    """8 KB may stand for 8 MB, so a body of a megabyte could stand for one gigabyte."""
    *found, last = messages(framed(message, 1) * 20, Headers([("grpc-encoding", "gzip")]))
    assert len(found) == most
    assert sum(len(one.data) for one in found) <= MOST_COMPRESSED
    assert (last.data, last.end) == (b"", 20 * len(framed(message)))
    assert "too large; what follows is lost" in (last.fault or "")


@pytest.mark.parametrize(
    ("body", "is_compressed", "size"),
    [
        (b"", False, 0),
        (framed(b"abc") + framed(b"a"), False, 4),
        (framed(b"abc") + framed(gzip.compress(bytes(5000)), 1), True, 5003),
        (framed(b"abc") + b"\1\0", False, 3),
    ],
    ids=["nothing", "plain", "one of two", "cut in its head"],
)
def test_bytes_of_messages(body: bytes, is_compressed: bool, size: int) -> None:
    found = has_compressed(body), decompressed_size(body, Headers([("grpc-encoding", "gzip")]))
    assert found == (is_compressed, size)


def test_a_compressed_message_that_does_not_say_how() -> None:
    (found,) = messages(framed(b"abc", 1), Headers())
    assert "does not say how" in (found.fault or "")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("application/grpc", True), ("application/grpc+proto", True), ("application/grpc; x=y", True), (None, True),
     ("application/grpc+json", False), ("application/json", False)],
)  # fmt: skip
def test_is_grpc(kind: str | None, expected: bool) -> None:
    assert is_grpc(Headers([("content-type", kind)] if kind else [])) is expected


OK, LIMIT = ("grpc-status", "0"), ("grpc-status", "8")
SAID = ("grpc-message", "Quota%20exceeded%3A%20Z%C3%BCrich")

STATUSES: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]], CallError | None]] = {
    "it ended well": ([], [OK], None),
    "its end is not known": ([], [], None),
    "an error behind the messages": ([], [LIMIT, SAID], CallError("RESOURCE_EXHAUSTED", "Quota exceeded: Zürich")),
    "an error without a message": ([], [("grpc-status", "14")], CallError("UNAVAILABLE", None)),
    "an error without trailers": (
        [("grpc-status", "16"), SAID],
        [],
        CallError("UNAUTHENTICATED", "Quota exceeded: Zürich"),
    ),
    "a number without a name": ([], [("grpc-status", "99")], CallError("99", None)),
    "no number": ([], [("grpc-status", "bad")], None),
}


@pytest.mark.parametrize(("headers", "trailers", "error"), STATUSES.values(), ids=STATUSES)
def test_the_status(headers: list[tuple[str, str]], trailers: list[tuple[str, str]], error: CallError | None) -> None:
    assert status_error(Response(200, Headers(headers), b"", True, Headers(trailers))) == error
