"""Pages of a session of a thousand calls have as few elements as those of a short one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ui import long_session
from tests.ui.served import Client, served
from tests.ui.test_hostile import Elements

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

CALLS, MOST = 1_000, 2_000
"""Calls of the session, and elements of a page."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = long_session.write(tmp_path_factory.mktemp("long") / "trace", CALLS)
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


@pytest.mark.parametrize("page", ["", "/conversation", "/timeline", "/context", "/cache", "/waste", "/tools"])
def test_a_page_of_a_long_session_has_few_elements(site: Client, page: str) -> None:
    answer = site.get(f"/sessions/{long_session.SESSION}{page}")
    assert answer.status == 200
    assert len(Elements(answer.text).found) < MOST
