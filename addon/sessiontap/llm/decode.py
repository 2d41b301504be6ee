"""Content-encodings (RFC 9110, 8.4) undone: whole bodies, cut ones, and bodies chunk by chunk.

Nothing here raises. A body that cannot be decoded gives the part before the fault; one that is not encoded at all,
whatever its header says, is given as it is. Output stops at a limit, because a few bytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

LIMIT = 256 * 1024 * 1024
"""Bytes of decoded body that are kept."""

_PIECE = 1024
"""Input bytes for a decoder that cannot bound its output: a zstd block of 4 bytes may stand for 128 KiB."""


@dataclass(frozen=True, slots=True)
class Decoded:
    data: bytes
    problem: str | None = None
    """What was wrong, in words; `data` is then what could be read."""
    offsets: tuple[int, ...] = ()
    """Of a list of chunks: the decoded length after each of them."""


class _Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes:
        """Decode `data`: `room` bytes or somewhat more if there are as many. Raises `_Damage`."""

    def whole(self) -> bool:
        """The encoding's own end has been seen."""


def decode(body: bytes, encodings: str | None, *, complete: bool = True, limit: int = LIMIT) -> Decoded:
    """Undo `encodings`, a content-encoding header's value. An end that is missing is no problem if not `complete`."""
    if encodings is None and len(body) <= limit:
        return Decoded(body)
    decoded = decode_chunks((body,), encodings, complete=complete, limit=limit)
    return Decoded(decoded.data, decoded.problem)


def decode_chunks(
    chunks: Iterable[bytes], encodings: str | None, *, complete: bool = True, limit: int = LIMIT
) -> Decoded:
    """The same for a body that came in chunks, with the decoded length after each, for the time of an event."""
    names = [name.strip().lower() for name in (encodings or "").split(",")]
    names = [name for name in names if name not in ("", "identity")]
    unknown = [name for name in names if name not in _DECODERS]
    decoders = [] if unknown else [_DECODERS[name]() for name in reversed(names)]
    problem = f"the content-encoding {unknown[0]!r} is not known" if unknown else None

    raw: list[bytes] = []
    decoded: list[bytes] = []
    offsets: list[int] = []
    length = 0
    stopped = False
    for chunk in chunks:
        raw.append(chunk)
        if not stopped:
            data, fault = _through(decoders, chunk, limit - length)
            if length + len(data) > limit:
                data, fault = data[: limit - length], f"decoded only up to {limit} bytes"
            decoded.append(data)
            length += len(data)
            if fault:
                stopped, problem = True, fault
        offsets.append(length)
    if stopped and not length and decoders:
        return _as_it_came(raw, names, problem, limit)
    if complete and not stopped and any(raw) and not all(decoder.whole() for decoder in decoders):
        problem = f"the {', '.join(names)} body ends early"
    return Decoded(b"".join(decoded), problem, tuple(offsets))


def _as_it_came(raw: list[bytes], names: list[str], problem: str | None, limit: int) -> Decoded:
    """Not one byte could be decoded: most likely the header is wrong."""
    offsets: list[int] = []
    length = 0
    for chunk in raw:
        length = min(length + len(chunk), limit)
        offsets.append(length)
    said = f"the body is not {', '.join(names)} as its header says ({problem})"
    return Decoded(b"".join(raw)[:limit], said, tuple(offsets))


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

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        while data and room > 0:
            if self._inner.eof:
                if not data.strip(b"\0"):
                    break  # padding behind a gzip body
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
        return b"".join(out)

    def whole(self) -> bool:
        return bool(self._inner.eof)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._bounded = hasattr(self._inner, "can_accept_more_data")  # since brotli 1.2

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        for piece in (data,) if self._bounded else _pieces(data):
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
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self._between = True

    def feed(self, data: bytes, room: int) -> bytes:
        out: list[bytes] = []
        for piece in _pieces(data):
            while piece:
                if self._inner.eof:
                    self._inner, self._between = zstandard.ZstdDecompressor().decompressobj(), True
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


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15, -15),
    "br": _Brotli,
    "zstd": _Zstd,
}
