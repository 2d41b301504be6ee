"""Content-encodings (RFC 9110, 8.4) undone: whole bodies, cut ones, and bodies chunk by chunk.

Nothing here raises. A body that cannot be decoded gives the part before the fault; one that is not encoded at all,
whatever its header says, is given as it is. Output stops at a limit, because a few bytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from sessiontap.value_classes import dataclass

LIMIT = 32 << 20
"""Bytes that a body may become if the caller says no other limit."""
RATIO = 200
"""Bytes that a byte may stand for; JSON that repeats itself a lot reaches a tenth of it, gzip at most 1,032."""
HARMLESS = 8 << 20
"""Bytes that any body may become, whatever its ratio."""

MOST_ENCODINGS = 4
"""Encodings of one body, one in the other."""
_STEP = 1 << 18
"""Bytes that a decoder makes at a time, if it can bound its output."""
_PIECE = 256
"""Input bytes for a decoder that cannot bound its output: a zstd block of 4 bytes may stand for 128 KiB."""
_MEMBER_PIECE = 1 << 14
"""Input bytes for one that copies what it does not use: a gzip body may have a member in every 20 bytes."""
_MOST_MEMBERS = 10_000
"""Members of a gzip body, frames of a zstd body."""
_ZSTD_WINDOW = 8 << 20
"""Bytes; RFC 9659 allows no larger one in a content-encoding."""


@dataclass(frozen=True, slots=True)
class Decoded:
    data: bytes
    problem: str | None = None
    """The fault, in words; `data` is then as much as could be read."""
    offsets: tuple[int, ...] = ()
    """Of a list of chunks: the decoded length after each of them."""
    beyond: bool = False
    """It stands for more than the limit, and `data` is empty: what was decoded by then is not kept."""


Fits = Callable[[int], bool]
"""Asked while a body is decoded, with the bytes that it has by then: False stops it."""


class _Decoder(Protocol):
    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield what `data` stands for, in pieces of a bounded size. Raises `_Damage`."""

    def whole(self) -> bool:
        """The encoding's own end has been seen."""


def decode(
    body: bytes, encodings: str | None, *, complete: bool = True, limit: int = LIMIT, fits: Fits | None = None
) -> Decoded:
    """Undo `encodings`, a content-encoding header's value. An end that is missing is no problem if not `complete`.

    What is not encoded is given as it is, however long. What is encoded stops at `limit` bytes, at `RATIO` times its
    own size, and where it does not fit any more: a bomb costs no more.
    """
    if not encodings or not _names(encodings):
        return Decoded(body)
    decoded = decode_chunks((body,), encodings, complete=complete, limit=limit, fits=fits)
    return Decoded(decoded.data, decoded.problem, beyond=decoded.beyond)


def decode_chunks(
    chunks: Iterable[bytes | memoryview],
    encodings: str | None,
    *,
    complete: bool = True,
    limit: int = LIMIT,
    fits: Fits | None = None,
) -> Decoded:
    """Undo the encodings of a body that came in chunks; `offsets` has the decoded length after each of them."""
    names = _names(encodings)
    if not names:
        return _plain(chunks)
    problem = _unknown(names)
    decoders = [] if problem else _decoders(names)

    raw: list[bytes | memoryview] = []
    decoded: list[bytes | memoryview] = []
    offsets: list[int] = []
    came = length = 0
    stopped = False
    for chunk in chunks:
        came += len(chunk)
        if not length:
            raw.append(chunk)
        if not stopped:
            most = min(limit, max(HARMLESS, came * RATIO))
            try:
                for piece in _through(decoders, chunk):
                    if length + len(piece) > most:
                        return _beyond(f"decoded only up to {most} bytes")
                    if fits is not None and not fits(length + len(piece)):
                        return _beyond(f"decoded only up to {length} bytes, for which there was memory")
                    decoded.append(piece)
                    length += len(piece)
            except _Damage as damage:
                stopped, problem = True, str(damage)
        offsets.append(length)
    if stopped and not length and decoders:
        return _as_it_came(raw, names, problem, limit)
    if complete and not stopped and came and not all(decoder.whole() for decoder in decoders):
        problem = f"the {', '.join(names)} body ends early"
    return Decoded(b"".join(decoded), problem, tuple(offsets))


def beginning(body: bytes, encodings: str | None, most: int) -> bytes:
    """The first `most` bytes of a body, decoded as far as it can be; as it came if nothing of it can."""
    names = _names(encodings)
    if not names or _unknown(names):
        return body[:most]
    pieces: list[bytes | memoryview] = []
    length = 0
    try:
        for piece in _through(_decoders(names), body):
            pieces.append(piece)
            length += len(piece)
            if length >= most:
                break
    except _Damage:
        if not length:
            return body[:most]
    return b"".join(pieces)[:most]


def _beyond(problem: str) -> Decoded:
    return Decoded(b"", problem, beyond=True)


def _names(encodings: str | None) -> list[str]:
    """The encodings in the order in which they were applied."""
    names = (name.strip().lower() for name in (encodings or "").split(","))
    return [name for name in names if name not in ("", "identity")]


def _unknown(names: list[str]) -> str | None:
    """Return the reason why these cannot be undone, in words, or None."""
    if len(names) > MOST_ENCODINGS:
        return f"the body has {len(names)} content-encodings"
    return next((f"the content-encoding {name[:100]!r} is not known" for name in names if name not in _DECODERS), None)


def _plain(chunks: Iterable[bytes | memoryview]) -> Decoded:
    pieces = list(chunks)
    return Decoded(b"".join(pieces), offsets=tuple(accumulate(map(len, pieces))))


def _as_it_came(raw: list[bytes | memoryview], names: list[str], problem: str | None, limit: int) -> Decoded:
    """Not one byte could be decoded: most likely the header is wrong."""
    offsets: list[int] = []
    length = 0
    for chunk in raw:
        length = min(length + len(chunk), limit)
        offsets.append(length)
    message = f"the body is not {', '.join(names)} as its header says ({problem})"
    return Decoded(b"".join(raw)[:limit], message, offsets=tuple(offsets))


def _decoders(names: list[str]) -> list[_Decoder]:
    return [_DECODERS[name]() for name in reversed(names)]


def _through(decoders: list[_Decoder], data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """Return what comes out of the last decoder. Each makes only what the next one asks for. Raises `_Damage`."""
    if not decoders:
        return iter((data,))
    made, rest = decoders[0].feed(data), decoders[1:]
    return chain.from_iterable(_through(rest, piece) for piece in made) if rest else made


class _Damage(Exception):
    def __init__(self, fault: Exception | str) -> None:
        super().__init__(f"damaged: {fault}")


class _Zlib:
    """gzip (also of several members) and deflate, which by the standard is zlib and in practice also raw."""

    def __init__(self, *wbits: int) -> None:
        self._ways = list(wbits)
        self._inner = zlib.decompressobj(self._ways.pop(0))
        self._seen = b""
        """The input as long as another way may have to be tried."""
        self._started = False
        self._members = 1

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        for piece in _pieces(data, _MEMBER_PIECE):
            yield from self._feed(piece)

    def _feed(self, data: bytes) -> Iterator[bytes]:
        is_full = False
        while data or is_full:
            if self._inner.eof:
                if not data.strip(b"\0"):
                    return  # padding behind a gzip body
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise _Damage(f"more than {_MOST_MEMBERS} members")
                self._inner = zlib.decompressobj(31)
            if self._ways and not self._started:
                self._seen += data
            try:
                piece = self._inner.decompress(data, _STEP)
            except zlib.error as fault:
                if not self._ways or self._started:
                    raise _Damage(fault) from None
                self._inner = zlib.decompressobj(self._ways.pop(0))
                data, self._seen = self._seen, b""
                continue
            if piece:
                self._started = True
                yield piece
            is_full = len(piece) == _STEP  # it may hold more, though it has taken all of the input
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    def whole(self) -> bool:
        return bool(self._inner.eof)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._bounded = hasattr(self._inner, "can_accept_more_data")  # since brotli 1.2

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        try:
            for piece in _pieces(data, _MEMBER_PIECE if self._bounded else _PIECE):
                if not self._bounded:
                    yield self._inner.process(piece)
                    continue
                made = self._inner.process(piece, output_buffer_limit=_STEP)
                yield made
                # It may hold more though it would accept more.
                while len(made) >= _STEP or not self._inner.can_accept_more_data():
                    made = self._inner.process(b"", output_buffer_limit=_STEP)
                    yield made
        except brotli.error as fault:
            raise _Damage(fault) from None

    def whole(self) -> bool:
        return bool(self._inner.is_finished())


class _Zstd:
    """zstd, also of several frames (RFC 8878)."""

    def __init__(self) -> None:
        self._inner = self._frame()
        self._between = True
        self._frames = 1

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        for piece in _pieces(data, _PIECE):
            while piece:
                if self._inner.eof:
                    self._frames += 1
                    if self._frames > _MOST_MEMBERS:
                        raise _Damage(f"more than {_MOST_MEMBERS} frames")
                    self._inner, self._between = self._frame(), True
                try:
                    made = self._inner.decompress(piece)
                except zstandard.ZstdError as fault:
                    raise _Damage(fault) from None
                if made:
                    yield made
                self._between = False
                piece = self._inner.unused_data if self._inner.eof else b""

    def whole(self) -> bool:
        return bool(self._inner.eof) or self._between

    def _frame(self) -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _pieces(data: bytes | memoryview, size: int) -> Iterator[bytes]:
    return (bytes(data[at : at + size]) for at in range(0, len(data), size))


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15, -15),
    "br": _Brotli,
    "zstd": _Zstd,
}
