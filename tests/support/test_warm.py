"""The processes that fork the programs of tests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support import warm


class Made:
    """In the place of a `Warm`: it takes until both threads could have begun to make one."""

    number = 0
    both = threading.Barrier(2)

    def __init__(self, *arguments: Any) -> None:
        Made.number += 1
        with suppress(threading.BrokenBarrierError):
            self.both.wait(0.2)


def test_threads_that_ask_together_share_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(warm, "Warm", Made)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda number: warm.mitmdump(tmp_path), range(2))
    assert first is second
    assert Made.number == 1
