"""What a TraceForge server says in its reply."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers
from sessiontap.headers import trace_id


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("trace-1", "trace-1"), (" t ", "t"), ("", None), ("x" * 257, None), ("a\x00b", None), (None, None)],
)
def test_the_servers_name_for_a_call(sent: str | None, expected: str | None) -> None:
    assert trace_id(Headers([("x-traceforge-trace-id", sent)] if sent is not None else [])) == expected
