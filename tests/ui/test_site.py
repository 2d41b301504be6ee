"""Large answers are made one at a time, without garbage collections."""

from __future__ import annotations

import gc
import http.client
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.gate import PATIENCE
from tests.ui.served import COOKIE, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.page import Page
from sessiontap.ui.pages import PAGES
from sessiontap.ui.reading import Reading
from sessiontap.ui.site import AnswerMemory


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.enable()


def test_the_collector_waits_for_the_last_answer() -> None:
    memory = AnswerMemory()
    with memory.answering():
        with memory.answering():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_goes_on_after_an_answer_that_failed() -> None:
    with pytest.raises(LookupError), AnswerMemory().answering():
        raise LookupError("no such session")
    assert gc.isenabled()


def small(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def test_while_large_answers_are_made_small_ones_are(trace_folder: Path) -> None:
    """Were two large ones made at once, no thread would be left."""
    begun, goes_on = threading.Event(), threading.Event()

    def large(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
        begun.set()
        assert goes_on.wait(PATIENCE)
        return {}

    pages = [
        Page(path="/large", title="Large", description="", template="", data=large, is_large=True),
        Page(path="/small", title="Small", description="", template="", data=small),
    ]
    with served(lambda: Reading(open_trace(trace_folder)), pages=pages) as client:
        client.let_in()
        asked = [http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE) for _ in range(2)]
        for connection in asked:
            connection.request("GET", "/large", headers={"Cookie": f"{COOKIE}={client.cookie}"})
        assert begun.wait(PATIENCE)
        assert client.get("/small").status == 200
        goes_on.set()
        assert [connection.getresponse().status for connection in asked] == [200, 200]
        for connection in asked:
            connection.close()


def test_the_pages_about_all_turns_are_large() -> None:
    assert {page.path.rpartition("/")[2] for page in PAGES if page.is_large} == {"context", "cache", "waste", "tools"}
