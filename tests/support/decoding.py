"""What a client does with a content coding, piece by piece; the HTTP client library knows not all of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli
import zstandard
from tests.support.coding import Coding


def decoder(coding: Coding | None) -> Callable[[bytes], bytes]:
    """A function that takes the wire's next bytes and gives what they reveal."""
    match coding:
        case None:
            return lambda wire: wire
        case "gzip":
            return zlib.decompressobj(31).decompress
        case "deflate":
            return zlib.decompressobj(15).decompress
        case "br":
            return brotli.Decompressor().process
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress
