"""Keeping a body while it streams: a reference and a timestamp a chunk, nothing else; the copy is made at the end.

mitmproxy calls a `stream` callable with each chunk's wire bytes and with `b""` at the end. It must never raise: that
would end the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns

from sessiontap.recording.budget import DEFAULT, Budget, Lease

CHUNK_OVERHEAD = 192
"""Bytes of memory that a chunk takes beside its own: objects, a list's slot, its arrival."""
LEAST_STEP, MOST_STEP = 1 << 14, 1 << 20
"""Bytes of memory that a body takes at a time: as many as it has, within these."""
MAX_TIMES = 100_000
"""Chunks whose arrival is kept; later ones are copied without."""

Stream = Callable[[bytes], Iterable[bytes] | bytes]


class BodyTap:
    """A `stream` callable that keeps what passes. `inner` is another addon's callable, which keeps its place."""

    __slots__ = ("_inner", "_room", "cap", "chunks", "cut", "ended", "fault", "lease", "pieces", "refused", "size")

    def __init__(self, inner: Stream | None = None, budget: Budget | None = None) -> None:
        """`budget`: where the memory for what is kept is taken from, and how much that may be of one body. What is
        beyond is passed on and counted, not kept."""
        budget = budget if budget is not None else Budget(DEFAULT)
        self.lease = Lease(budget)
        self._room = 0
        """Bytes of the lease that are not used yet."""
        self.pieces: list[bytes] = []
        """The bytes that were kept."""
        self.chunks: list[tuple[int, int]] = []
        """(arrival by `perf_counter_ns`, size) of each chunk."""
        self.size = 0
        self.cap = budget.most
        self.cut = False
        """Not all of it was kept."""
        self.refused = False
        """That is because there was no memory left for it."""
        self.fault: Exception | None = None
        """Why the copy ends where it does, though the body went on."""
        self.ended = False
        self._inner = inner

    def __call__(self, data: bytes) -> Iterable[bytes] | bytes:
        if self._inner is not None:
            # What the app gets is what is recorded.
            passed = self._inner(data)
            passed = [passed] if isinstance(passed, bytes) else list(passed)
            for chunk in passed:
                self._keep(chunk)
            self.ended = self.ended or not data
            return passed
        if data:
            self._keep(data)
        else:
            self.ended = True
        return data

    def _keep(self, chunk: bytes) -> None:
        size = len(chunk)
        if not size:
            return
        self.size += size
        if self.cut:
            return
        try:
            self._copy(chunk, size)
        except Exception as error:
            self.fault, self.cut = error, True

    def _copy(self, chunk: bytes, size: int) -> None:
        self._room -= size + CHUNK_OVERHEAD
        if self._room < 0 and not self._take():
            self._room += size + CHUNK_OVERHEAD
            self.cut = self.refused = True
            return
        if len(self.chunks) < MAX_TIMES:
            self.chunks.append((perf_counter_ns(), size))
        if self.size > self.cap:
            self.cut = True
            chunk = chunk[: self.cap - self.size]
        self.pieces.append(bytes(chunk))  # of bytes no copy

    def _take(self) -> bool:
        """Have room again. False: there is no memory for it."""
        ahead = min(max(self.lease.size, LEAST_STEP), MOST_STEP)
        for step in (ahead - self._room, -self._room):
            if self.lease.grow(step):
                self._room += step
                return True
        return False

    def settle(self) -> tuple[list[bytes], int, Lease]:
        """The body is over: give away what was kept, how many bytes that is, and its lease."""
        self.lease.shrink(self.lease.size - self._room)
        self._room = 0
        pieces, self.pieces = self.pieces, []  # mitmproxy may hold the tap until the connection closes
        return pieces, sum(map(len, pieces)) if self.cut else self.size, self.lease


# -- which bodies stream ----------------------------------------------------------------------------------------------
# A reply is held back whole (mitmproxy's default, which lets other addons edit it) only if that cannot be felt: a
# small JSON or text reply of stated length. An upload streams, and is decided without its body, if it is too large
# to wait for, is plainly no JSON and not known to be small, or belongs to a call in which both sides take turns.

STREAMED_UPLOADS = ("multipart/", "application/octet-stream", "audio/", "video/", "image/")
BIDIRECTIONAL = ("application/grpc", "application/connect+", "application/vnd.amazon.eventstream")
"""Types of requests in which both sides take turns: the client may wait for an answer before it goes on."""
LARGE_UPLOAD = 32 * 1024 * 1024
SMALL_UPLOAD = 1024 * 1024
SMALL_REPLY = 256 * 1024


def upload_streams(content_type: str, length: int | None, asks_once: bool = False) -> bool:
    """True if a request body is passed on as it comes. `length` is the Content-Length, None if it is not stated.
    `asks_once`: the request is whole before its reply begins, whatever its type."""
    kind = content_type.strip().lower()
    if kind.startswith(BIDIRECTIONAL) and not asks_once:
        return True
    if kind.startswith(STREAMED_UPLOADS):
        return length is None or length > SMALL_UPLOAD
    return length is not None and length > LARGE_UPLOAD


def reply_streams(content_type: str, length: int | None) -> bool:
    """True if a response body is passed on as it comes."""
    kind = content_type.partition(";")[0].strip().lower()
    whole = kind in ("application/json", "text/plain", "text/html") or kind.endswith("+json")
    if kind == "application/stream+json":
        whole = False
    return not (whole and length is not None and length <= SMALL_REPLY)


def content_length(value: str | None) -> int | None:
    """A Content-Length header as bytes, None if it is missing or no number."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
