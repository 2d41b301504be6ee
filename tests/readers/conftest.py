"""Real readers of sessions, asked by their own APIs: only `scripts/test --readers` runs these.

They are installed once, outside the clone; a run needs no network but loopback.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.push.logs import SECOND, log_of
from tests.readers import session
from tests.readers.servers import push

AGO = 150
"""Seconds before now at which the session began: a call that failed is not tried again a minute later."""


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Push the session to a reader in three steps; returns what `ask()` gave behind each of them.

    The calls a to d, in the midst of a turn; then all of it; then all of it again, as to a target that knows nothing.
    """

    def run(target: str, url: str, ask: Callable[[], Any]) -> tuple[Any, Any, Any]:
        trace: Path = tmp_path_factory.mktemp(target) / "trace"
        calls = session.calls("session-1", time.time_ns() - AGO * SECOND)
        log_of(trace, *(calls[name] for name in "abcd"))
        assert push(target, url, trace, "--content").startswith("4 calls and 0 complete turns sent")
        early = ask()
        log_of(trace, *(calls[name] for name in "ef"))
        assert push(target, url, trace, "--content").startswith("2 calls and 2 complete turns sent")
        whole = ask()
        again = url.replace("127.0.0.1", "localhost")
        assert push(target, again, trace, "--content").startswith("6 calls and 2 complete turns sent")
        return early, whole, ask()

    return run
