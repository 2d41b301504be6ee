"""docs/dialects.md: its examples are valid, and it names every dialect, header and limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessiontap.dialects import DIALECTS, WRITTEN, SessionInfo
from sessiontap.dialects.header_text import LONGEST_TEXT
from sessiontap.dialects.members import MOST_BYTES
from sessiontap.headers.planning import MOST_BYTES as MOST_BYTES_OF_ALL
from sessiontap.rules import load_text
from sessiontap.rules.own_dialects import VARIABLES

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text("utf-8")
INFO = SessionInfo(
    "run-12345678", "n", 1, "/p", "u", {"NAME": "v"}, {"a": 1}, parent_trace="t", tags=("t",), call="c", turn="c"
)


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL), ids=["rules", "own"])
def test_an_example_is_valid(example: str) -> None:
    load_text(example)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_dialect_and_its_headers_are_there(name: str) -> None:
    make = WRITTEN[name].request_headers
    assert make is not None
    headers = {one.header for one in make(INFO)}
    assert headers
    assert [word for word in (name, *headers, *WRITTEN[name].hosts) if f"`{word}" not in PAGE] == []


def test_what_is_recognised_is_there() -> None:
    sent = [key for one in DIALECTS for key in (one.app.id, one.app.baggage) if key is not None]
    assert [key for key in sent if f"`{key}`" not in PAGE.lower()] == []


def test_limits_and_variables_are_there() -> None:
    assert [most for most in (LONGEST_TEXT, MOST_BYTES, MOST_BYTES_OF_ALL) if f"{most:,}" not in PAGE] == []
    assert [name for name in VARIABLES if f"`{name}`" not in PAGE] == []
