"""The table of formats."""

from __future__ import annotations

import io

import pytest
from tests.export.calls import call

from sessiontap.export import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_calls(name: str) -> None:
    out = io.BytesIO()
    FORMATS[name].load()([call()], out)
    written = out.getvalue()
    assert b"gpt-4o" in written
    if FORMATS[name].is_text:
        written.decode()


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if not one.is_document and not one.folder])
def test_every_format_but_documents_and_tables_holds_one_call_at_a_time(name: str) -> None:
    out = io.BytesIO()
    sizes = []

    def calls():  # type: ignore[no-untyped-def]
        for _ in range(3):
            sizes.append(out.tell())
            yield call()

    FORMATS[name].load()(calls(), out)
    assert sizes[0] < sizes[1] < sizes[2] < out.tell(), "written before the next is read"
