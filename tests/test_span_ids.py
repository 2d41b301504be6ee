"""Ids of traces and spans: derived, of the length that W3C Trace Context wants, never zero."""

from __future__ import annotations

from hashlib import sha256

import pytest

from sessiontap import span_ids

CALL = "019a0000-0000-7000-8000-000000000001"


def test_a_trace_is_named_by_its_turns_first_call() -> None:
    assert span_ids.trace_id(CALL) == sha256(b"sessiontap/1/trace\x00" + CALL.encode()).hexdigest()[:32]


def test_a_span_is_named_by_its_call() -> None:
    assert span_ids.span_id(CALL) == sha256(b"sessiontap/1/span\x00" + CALL.encode()).hexdigest()[:16]


def test_the_ids_do_not_change() -> None:
    assert (span_ids.trace_id(CALL), span_ids.span_id(CALL)) == (
        "65db5858d6177282372aa605a0658bbc",
        "ea5d38a897a2431c",
    )


@pytest.mark.parametrize(
    ("make", "zero_but_last"), [(span_ids.trace_id, "0" * 31 + "1"), (span_ids.span_id, "0" * 15 + "1")]
)
def test_no_id_is_zero(make, zero_but_last, monkeypatch) -> None:
    class Zeros:
        def digest(self) -> bytes:
            return bytes(32)

    monkeypatch.setattr(span_ids, "sha256", lambda _: Zeros())
    assert make(CALL) == zero_but_last
