from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.llm.content_encoding import HARMLESS, RATIO, beginning, decode, decode_chunks

TEXT = b'{"text": "' + b"every word counts " * 300 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "gzip of two members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "gzip with padding": ("gzip", lambda data: gzip.compress(data) + b"\0\0"),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd of two frames": ("zstd", lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:])),
    "two encodings": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "identity": ("identity", bytes),
    "none": ("", bytes),
}
each = pytest.mark.parametrize(("encodings", "encode"), ENCODERS.values(), ids=ENCODERS)


@each
def test_whole(encodings: str, encode: Callable[[bytes], bytes]) -> None:
    decoded = decode(encode(TEXT), encodings)
    assert (decoded.data, decoded.problem) == (TEXT, None)


@each
def test_byte_by_byte_gives_the_same_and_the_length_after_each(
    encodings: str, encode: Callable[[bytes], bytes]
) -> None:
    packed = encode(TEXT)
    decoded = decode_chunks([packed[at : at + 1] for at in range(len(packed))], encodings)
    assert (decoded.data, decoded.problem) == (TEXT, None)
    assert len(decoded.offsets) == len(packed)
    assert list(decoded.offsets) == sorted(decoded.offsets)
    assert decoded.offsets[-1] == len(TEXT)


@each
def test_a_cut_body_gives_its_beginning(encodings: str, encode: Callable[[bytes], bytes]) -> None:
    packed = encode(TEXT)
    for length in range(len(packed)):
        decoded = decode(packed[:length], encodings, complete=False)
        assert TEXT.startswith(decoded.data)
        assert decoded.problem is None


LARGE = {
    "of one byte": bytes(700_001),
    "that repeats itself": b"every word counts " * 40_000,
    "of any bytes": random.Random(0).randbytes(300_000),
    "of both": bytes(600_000) + random.Random(1).randbytes(40_000) + bytes(300_000),
}


@each
@pytest.mark.parametrize("plain", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("piece", [1 << 30, 777], ids=["whole", "in chunks"])
def test_a_large_body(encodings: str, encode: Callable[[bytes], bytes], plain: bytes, piece: int) -> None:
    packed = encode(plain)
    decoded = decode_chunks([packed[at : at + piece] for at in range(0, len(packed), piece)], encodings)
    assert decoded.problem is None
    assert decoded.data == plain


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_an_end_that_is_missing_is_told_of_a_body_said_to_be_complete(name: str) -> None:
    encodings, encode = ENCODERS[name]
    decoded = decode(encode(TEXT)[:-3], encodings)
    assert TEXT.startswith(decoded.data)
    assert decoded.problem == f"the {name} body ends early"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_is_not_encoded_at_all_is_given_as_it_is(name: str) -> None:
    decoded = decode(TEXT, name)
    assert decoded.data == TEXT
    assert decoded.problem is not None
    assert decoded.problem.startswith(f"the body is not {name} as its header says")


def test_an_encoding_nobody_knows_is_told() -> None:
    decoded = decode(b"abc", "rot13")
    assert (decoded.data, decoded.problem) == (b"abc", "the content-encoding 'rot13' is not known")


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br", "zstd", "two encodings"])
def test_expansion_stops_at_the_limit(name: str) -> None:
    encodings, encode = ENCODERS[name]
    decoded = decode(encode(bytes(50_000_000)), encodings, limit=1_000_000)
    assert (decoded.data, decoded.beyond) == (b"", True)
    assert decoded.problem == "decoded only up to 1000000 bytes"


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br", "zstd", "two encodings"])
def test_a_bomb_stops_at_what_its_own_size_allows(name: str) -> None:
    encodings, encode = ENCODERS[name]
    packed = encode(bytes(50_000_000))
    decoded = decode(packed, encodings, limit=1 << 40)
    assert decoded.beyond
    assert decoded.problem == f"decoded only up to {max(HARMLESS, len(packed) * RATIO)} bytes"


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br", "zstd", "two encodings"])
@pytest.mark.parametrize("piece", [None, 100], ids=["whole", "in chunks"])
def test_a_body_for_which_there_is_no_memory_is_not_decoded_any_further(name: str, piece: int | None) -> None:
    encodings, encode = ENCODERS[name]
    packed = encode(bytes(5_000_000))
    chunks = [packed[at : at + (piece or len(packed))] for at in range(0, len(packed), piece or len(packed))]
    asked: list[int] = []

    def fits(length: int) -> bool:
        asked.append(length)
        return length <= 1_000_000

    decoded = decode_chunks(chunks, encodings, fits=fits)
    assert (decoded.data, decoded.offsets, decoded.beyond) == (b"", (), True)
    assert asked == sorted(asked)
    assert sum(length > 1_000_000 for length in asked) == 1, "it was decoded further"
    assert decoded.problem is not None
    assert decoded.problem.endswith("bytes, for which there was memory")


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br", "zstd", "two encodings"])
@pytest.mark.parametrize("piece", [None, 1000], ids=["whole", "in chunks"])
def test_a_bomb_costs_the_memory_of_what_is_decoded_of_it_once(name: str, piece: int | None) -> None:
    encodings, encode = ENCODERS[name]
    packed, limit = encode(bytes(50_000_000)), 6 << 20
    step = piece or len(packed)
    tracemalloc.start()
    try:
        assert decode_chunks([packed[at : at + step] for at in range(0, len(packed), step)], encodings, limit=limit)
        assert tracemalloc.get_traced_memory()[1] < limit * 1.5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", list(ENCODERS))
def test_the_beginning_of_a_body_is_as_long_as_it_is_asked_for(name: str) -> None:
    encodings, encode = ENCODERS[name]
    assert beginning(encode(TEXT), encodings, 100) == TEXT[:100]
    assert beginning(encode(TEXT), encodings, 1 << 20) == TEXT


@pytest.mark.parametrize("encodings", ["gzip", "rot13", "", "deflate", "gzip, br"])
def test_the_beginning_of_what_cannot_be_decoded_is_as_it_came(encodings: str) -> None:
    assert beginning(b"no such thing", encodings, 7) == b"no such"


def test_what_is_not_encoded_has_no_limit() -> None:
    decoded = decode(TEXT, None, limit=10)
    assert (decoded.data, decoded.beyond) == (TEXT, False)


def test_as_many_encodings_as_a_header_holds_are_not_undone() -> None:
    decoded = decode(TEXT, ", ".join(["gzip"] * 5000))
    assert (decoded.data, decoded.problem) == (TEXT, "the body has 5000 content-encodings")


@pytest.mark.parametrize(
    ("name", "packed", "said"),
    [
        pytest.param("gzip", gzip.compress(b"") * 50_000, "more than 10000 members", id="gzip"),
        pytest.param("zstd", zstandard.compress(b"") * 50_000, "more than 10000 frames", id="zstd"),
    ],
)
def test_as_many_members_as_nobody_makes_are_not_undone(name: str, packed: bytes, said: str) -> None:
    problem = decode(packed, name).problem
    assert problem is not None
    assert said in problem


def test_a_zstd_window_larger_than_the_web_allows_is_refused() -> None:
    """RFC 9659: 8 MB; a decoder would have to set aside as much as the frame says."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(TEXT) + packer.flush()
    assert decode(packed, "zstd").data == packed


NAMES = st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "rot13", ""])


@given(st.lists(st.binary(max_size=60)), NAMES, st.booleans())
def test_no_bytes_raise(chunks: list[bytes], encodings: str, complete: bool) -> None:
    decoded = decode_chunks(chunks, encodings, complete=complete)
    assert len(decoded.offsets) == len(chunks)
    assert decoded.offsets[-1:] in ((), (len(decoded.data),))


@given(st.binary(max_size=2000), st.sampled_from(list(ENCODERS)), st.lists(st.integers(0, 400)), st.data())
def test_any_chunking_gives_the_same_and_no_damage_raises(
    data: bytes, name: str, cuts: list[int], draw: st.DataObject
) -> None:
    encodings, encode = ENCODERS[name]
    packed = encode(data)
    edges = [0, *sorted(cut for cut in cuts if cut < len(packed)), len(packed)]
    chunks = [packed[start:end] for start, end in pairwise(edges)]
    assert decode_chunks(chunks, encodings).data == data
    at = draw.draw(st.integers(0, len(packed)))
    assert isinstance(decode(packed[:at] + b"\xff\x00" + packed[at:], encodings).data, bytes)
