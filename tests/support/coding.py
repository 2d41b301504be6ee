"""Content codings that a stream may have: each piece is flushed, so that it can be read as soon as it arrives."""

from __future__ import annotations

import zlib
from typing import Literal, Protocol, get_args

import brotli  # type: ignore[import-untyped, unused-ignore]
import zstandard

Coding = Literal["gzip", "deflate", "br", "zstd"]
CODINGS: tuple[Coding, ...] = get_args(Coding)


class Encoder(Protocol):
    def piece(self, data: bytes) -> bytes:
        """The wire bytes of `data`, flushed."""

    def end(self) -> bytes:
        """The wire bytes that close the stream."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._compressor = zlib.compressobj(wbits=wbits)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush(zlib.Z_FINISH)


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=4)

    def piece(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data) + self._compressor.flush())

    def end(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor().compressobj()

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class _Identity:
    def piece(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


def encoder(coding: Coding | None) -> Encoder:
    """A fresh encoder; None leaves the bytes alone."""
    match coding:
        case None:
            return _Identity()
        case "gzip":
            return _Zlib(31)
        case "deflate":
            return _Zlib(15)  # RFC 9110, 8.4.1.2: the zlib format
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()


def encode(data: bytes, coding: Coding | None) -> bytes:
    """`data` as one whole body in `coding`."""
    codec = encoder(coding)
    return codec.piece(data) + codec.end()
