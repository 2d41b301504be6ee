"""Content-encodings (RFC 9110, 8.4) undone: whole bodies, cut ones, and bodies chunk by chunk.

Nothing here raises. A body that cannot be decoded gives the part before the fault; one that is not encoded at all,
whatever its header says, is given as it is. Output stops at a limit, because a few bytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

LIMIT = 32 << 20
"""Bytes that a body may become if the caller says no other limit."""
RATIO = 200
"""Bytes that a byte may stand for; JSON that repeats itself a lot reaches a tenth of it, gzip at most 1,032."""
HARMLESS = 8 << 20
"""Bytes that any body may become, whatever its ratio."""

MOST_ENCODINGS = 4
"""Encodings of one body, one in the other."""
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
    """It stands for more than the limit: `data` is the beginning of it."""


class _Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes:
        """Decode `data`: `room` bytes or somewhat more if there are as many. Raises `_Damage`."""

    def whole(self) -> bool:
        """The encoding's own end has been seen."""


def decode(body: bytes, encodings: str | None, *, complete: bool = True, limit: int = LIMIT) -> Decoded:
    """Undo `encodings`, a content-encoding header's value. An end that is missing is no problem if not `complete`.

    What is not encoded is given as it is, however long. What is encoded stops at `limit` bytes, and at `RATIO` times
    its own size: a bomb costs no more.
    """
    if not encodings or not _names(encodings):
        return Decoded(body)
    decoded = decode_chunks((body,), encodings, complete=complete, limit=limit)
    return Decoded(decoded.data, decoded.problem, beyond=decoded.beyond)


def decode_chunks(
    chunks: Iterable[bytes], encodings: str | None, *, complete: bool = True, limit: int = LIMIT
) -> Decoded:
    """Undo the encodings of a body that came in chunks; `offsets` has the decoded length after each of them."""
    names = _names(encodings)
    if not names:
        return _plain(chunks)
    problem = _unknown(names)
    decoders = [] if problem else [_DECODERS[name]() for name in reversed(names)]

    raw: list[bytes] = []
    decoded: list[bytes] = []
    offsets: list[int] = []
    came = length = 0
    stopped = beyond = False
    for chunk in chunks:
        came += len(chunk)
        if not length:
            raw.append(chunk)
        if not stopped:
            most = min(limit, max(HARMLESS, came * RATIO))
            data, fault = _through(decoders, chunk, most - length)
            if length + len(data) > most:
                data, fault, beyond = data[: most - length], f"decoded only up to {most} bytes", True
            decoded.append(data)
            length += len(data)
            if fault:
                stopped, problem = True, fault
        offsets.append(length)
    if stopped and not length and decoders:
        return _as_it_came(raw, names, problem, limit)
    if complete and not stopped and came and not all(decoder.whole() for decoder in decoders):
        problem = f"the {', '.join(names)} body ends early"
    return Decoded(b"".join(decoded), problem, tuple(offsets), beyond)


def _names(encodings: str | None) -> list[str]:
    """The encodings in the order in which they were applied."""
    names = (name.strip().lower() for name in (encodings or "").split(","))
    return [name for name in names if name not in ("", "identity")]


def _unknown(names: list[str]) -> str | None:
    """Return the reason why these cannot be undone, in words, or None."""
    if len(names) > MOST_ENCODINGS:
        return f"the body has {len(names)} content-encodings"
    return next((f"the content-encoding {name[:100]!r} is not known" for name in names if name not in _DECODERS), None)


def _plain(chunks: Iterable[bytes]) -> Decoded:
    pieces = list(chunks)
    return Decoded(b"".join(pieces), offsets=tuple(accumulate(map(len, pieces))))


def _as_it_came(raw: list[bytes], names: list[str], problem: str | None, limit: int) -> Decoded:
    """Not one byte could be decoded: most likely the header is wrong."""
    offsets: list[int] = []
    length = 0
    for chunk in raw:
        length = min(length + len(chunk), limit)
        offsets.append(length)
    said = f"the body is not {', '.join(names)} as its header says ({problem})"
    return Decoded(b"".join(raw)[:limit], said, offsets=tuple(offsets))


def _through(decoders: list[_Decoder], data: bytes, room: int) -> tuple[bytes, str | None]:
    fault: str | None = None
    for decoder in decoders:
        try:
            data = decoder.feed(data, room + 1)
        except _Damage as damage:
            data, fault = damage.before, fault or str(damage)
    return data, fault


class _Damage(Exception):
    def __init__(self, before: bytes, fault: Exception | str) -> None:
        super().__init__(f"damaged: {fault}")
        self.before = before


class _Zlib:
    """gzip (also of several members) and deflate, which by the standard is zlib and in practice also raw."""

    def __init__(self, *wbits: int) -> None:
        self._ways = list(wbits)
        self._inner = zlib.decompressobj(self._ways.pop(0))
        self._seen = b""
        """The input as long as another way may have to be tried."""
        self._started = False
        self._members = 1

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        for piece in _pieces(data, _MEMBER_PIECE):
            room = self._feed(piece, room, out)
            if room <= 0:
                break
        return b"".join(out)

    def _feed(self, data: bytes, room: int, out: list[bytes]) -> int:
        """Decode into `out`; the room that is left."""
        while data and room > 0:
            if self._inner.eof:
                if not data.strip(b"\0"):
                    break  # padding behind a gzip body
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise _Damage(b"".join(out), f"more than {_MOST_MEMBERS} members")
                self._inner = zlib.decompressobj(31)
            if self._ways and not self._started:
                self._seen += data
            try:
                piece = self._inner.decompress(data, room)
            except zlib.error as fault:
                if not self._ways or self._started:
                    raise _Damage(b"".join(out), fault) from None
                self._inner = zlib.decompressobj(self._ways.pop(0))
                data, self._seen = self._seen, b""
                continue
            self._started = self._started or bool(piece)
            out.append(piece)
            room -= len(piece)
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail
        return room

    def whole(self) -> bool:
        return bool(self._inner.eof)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._bounded = hasattr(self._inner, "can_accept_more_data")  # since brotli 1.2

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        for piece in (data,) if self._bounded else _pieces(data, _PIECE):
            try:
                room = self._feed(piece, room, out)
            except brotli.error as fault:
                raise _Damage(b"".join(out), fault) from None
            if room <= 0:
                break
        return b"".join(out)

    def _feed(self, piece: bytes, room: int, out: list[bytes]) -> int:
        if not self._bounded:
            out.append(self._inner.process(piece))
            return room - len(out[-1])
        out.append(self._inner.process(piece, output_buffer_limit=room))
        room -= len(out[-1])
        while room > 0 and not self._inner.can_accept_more_data():
            out.append(self._inner.process(b"", output_buffer_limit=room))
            room -= len(out[-1])
        return room

    def whole(self) -> bool:
        return bool(self._inner.is_finished())


class _Zstd:
    """zstd, also of several frames (RFC 8878)."""

    def __init__(self) -> None:
        self._inner = self._frame()
        self._between = True
        self._frames = 1

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        for piece in _pieces(data, _PIECE):
            while piece:
                if self._inner.eof:
                    self._frames += 1
                    if self._frames > _MOST_MEMBERS:
                        raise _Damage(b"".join(out), f"more than {_MOST_MEMBERS} frames")
                    self._inner, self._between = self._frame(), True
                try:
                    out.append(self._inner.decompress(piece))
                except zstandard.ZstdError as fault:
                    raise _Damage(b"".join(out), fault) from None
                self._between = False
                room -= len(out[-1])
                piece = self._inner.unused_data if self._inner.eof else b""
            if room <= 0:
                break
        return b"".join(out)

    def whole(self) -> bool:
        return bool(self._inner.eof) or self._between

    def _frame(self) -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15, -15),
    "br": _Brotli,
    "zstd": _Zstd,
}
