"""Bodies come back as they were, or not at all."""

import json
import os

import pytest

from sessiontap.trace import body
from sessiontap.trace.body import SMALL, BodyError
from sessiontap.trace.frame import MARK


@pytest.mark.parametrize(
    ("data", "enc"),
    [
        pytest.param(b"", "raw", id="empty"),
        pytest.param(b'{"model": "gpt-4o"}', "raw", id="small"),
        pytest.param(b'{"role": "user"}' * 1000, "zstd", id="repetitive"),
        pytest.param(os.urandom(5000), "raw", id="incompressible"),
        pytest.param(b"x" + MARK + b"y", "zstd", id="a frame's mark"),
        pytest.param((os.urandom(50) + MARK) * 20, "zstd", id="many marks"),
    ],
)
def test_a_body_comes_back_byte_for_byte(data, enc):
    stored = body.encode(data, "gzip")

    assert (stored["enc"], stored["size"], stored["wire"]) == (enc, len(data), "gzip")
    assert MARK not in stored["data"]
    assert body.decode(stored) == data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": b"other"}, "bytes, and its record says"),
        ({"data": b"x" * 300, "enc": "raw"}, "sha256"),
        ({"data": b"\x28\xb5\x2f\xfd rubbish"}, "zstd data is damaged"),
        ({"enc": "zstd-2"}, "'zstd-2', which this version cannot read"),
        ({"enc": "zstd-delta", "base": "c1"}, "is a delta of that of call c1, which is not at hand"),
        ({"size": None}, "lacks"),
        ({"data": None}, "lacks"),
        ({"size": 299}, "300 bytes, and its record says 299"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_is_not_whole_is_refused_in_words(change, words):
    stored = body.encode(b"y" * 300) | change
    if change.get("data") == b"other":
        stored["enc"] = "raw"

    with pytest.raises(BodyError, match=words):
        body.decode(stored)


def test_a_body_that_was_only_measured_is_none():
    assert body.decode(body.measured(1234)) is None


BASE = json.dumps([{"role": "user", "content": os.urandom(40).hex()} for _ in range(200)]).encode()


@pytest.mark.parametrize(
    ("data", "enc", "most"),
    [
        pytest.param(BASE[:-1] + b', {"role": "user", "content": "more"}]', "zstd-delta", 120, id="a turn more"),
        pytest.param(BASE, "zstd-delta", 60, id="the same again"),
        pytest.param(BASE[: len(BASE) // 2], "zstd-delta", 60, id="cut short"),
        pytest.param(os.urandom(400).hex().upper().encode(), "zstd", 500, id="nothing in common: by itself"),
        pytest.param(BASE[:SMALL], "raw", SMALL, id="small: as it is"),
        pytest.param(BASE + MARK, "zstd", len(BASE), id="a frame's mark: by itself"),
    ],
)
def test_a_body_that_repeats_another_takes_what_it_adds(data, enc, most):
    stored = body.encode_delta(data, None, BASE, "call-1", 77)

    assert (stored["enc"], list(stored)[-1]) == (enc, "data")
    assert len(stored["data"]) <= most
    assert (stored.get("base"), stored.get("back")) == (("call-1", 77) if enc == "zstd-delta" else (None, None))
    assert body.decode(stored, BASE if enc == "zstd-delta" else None) == data


@pytest.mark.parametrize("size", [300_000, 3_000_000], ids=["300 KB", "3 MB"])
def test_a_delta_reaches_over_the_whole_of_a_large_base(size):
    """Random bytes, changed in the middle: only a window and tables as large as the base find both halves."""
    base = os.urandom(size)

    stored = body.encode_delta(base[: size // 2] + b"new" + base[size // 2 :], None, base, "call-1", 1)

    assert len(stored["data"]) < size // 1000


@pytest.mark.parametrize(
    ("base", "change", "words"),
    [
        (BASE[::-1], {}, "sha256|damaged"),
        (BASE[:100], {}, "sha256|damaged"),
        (BASE, {"size": 5}, "and its record says 5"),
        (BASE, {"data": b"rubbish"}, "damaged"),
        (BASE, {"sha256": b"0" * 32}, "sha256"),
    ],
    ids=["another base", "a cut base", "another size", "rubbish", "another digest"],
)
def test_a_delta_that_does_not_come_out_right_is_refused(base, change, words):
    stored = body.encode_delta(BASE + b"x" * 300, None, BASE, "call-1", 1) | change

    with pytest.raises(BodyError, match=words):
        body.decode(stored, base)
