"""docs/gateways.md: every kind and every header is there, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessiontap.gateways import KINDS
from sessiontap.rules import lint, load_text

PAGE = (Path(__file__).parents[2] / "docs" / "gateways.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_row_and_an_example(kind: str) -> None:
    assert f"\n| `{kind}` |" in PAGE
    assert any(f"kind: {kind}" in text or f"gateway: {kind}" in text for text in EXAMPLES)


HEADERS = [(name, header) for name, kind in KINDS.items() for header in kind.reply.values()]


@pytest.mark.parametrize(("kind", "header"), HEADERS)
def test_every_header_that_is_read_is_there(kind: str, header: str) -> None:
    (row,) = [line for line in PAGE.partition("## What is recorded")[2].splitlines() if f"`{kind}`" in line][:1]
    assert f"`{header}`" in row.lower()


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_load_without_a_warning(text: str) -> None:
    assert lint(load_text(text)) == []
