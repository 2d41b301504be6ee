from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiontap.llm.ndjson import lines


def test_lines_with_their_ends() -> None:
    found = [tuple(line) for line in lines(b'{"a":1}\n\n{"b":2}\r\n{"c"')]
    assert found == [(b'{"a":1}', 8, True), (b'{"b":2}', 18, True), (b'{"c"', 22, False)]


@given(st.lists(st.text("ab{} ", min_size=1).filter(str.strip)), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_whatever_is_written_is_read(values: list[str], line_end: str) -> None:
    body = "".join(value + line_end for value in values).encode()
    assert [line.data.decode() for line in lines(body)] == [value.strip() for value in values]
