"""Bodies come back as they were, or not at all."""

import os

import pytest

from sessiontap.trace import body
from sessiontap.trace.body import BodyError
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
        ({"data": b"other"}, "bytes where its record says"),
        ({"data": b"x" * 300, "enc": "raw"}, "sha256"),
        ({"data": b"\x28\xb5\x2f\xfd rubbish"}, "zstd data is damaged"),
        ({"enc": "zstd-delta"}, "'zstd-delta', which this version cannot read"),
        ({"size": None}, "lacks"),
        ({"data": None}, "lacks"),
        ({"size": 299}, "300 bytes where its record says 299"),
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
