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

from sessiontap.trace.annotations import annotate, score_record

SCORES = (
    {"call": "a", "name": "helpful", "value": 0.8, "note": "It reads both."},
    {"call": "b", "name": "correct", "value": False},
    {"call": "b", "name": "grade", "value": "poor"},
    {"call": "e", "note": "Look again."},
    {"session": True, "name": "star", "value": True},
)
"""What is given to calls, by the ends of their ids, and to the session."""
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
        assert push(target, url, trace, "--content").startswith("4 calls and 0 complete user turns sent")
        early = ask()
        log_of(trace, *(calls[name] for name in "ef"))
        assert push(target, url, trace, "--content").startswith("2 calls and 2 complete user turns sent")
        whole = ask()
        again = url.replace("127.0.0.1", "localhost")
        assert push(target, again, trace, "--content").startswith("6 calls and 2 complete user turns sent")
        return early, whole, ask()

    return run


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Push the session, then scores of it; then other values and one that is taken away; then all to a target that
    knows nothing of it. Returns what `ask()` gave behind each of the three."""

    def run(target: str, url: str, ask: Callable[[], Any]) -> tuple[Any, Any, Any]:
        trace: Path = tmp_path_factory.mktemp(f"{target}-scored") / "trace"
        log_of(trace, *session.calls("session-2", time.time_ns() - AGO * SECOND).values())
        push(target, url, trace, "--content")
        give(trace, *SCORES)
        assert push(target, url, trace, "--content").splitlines()[1:] == ["5 scores sent"]
        first = ask()
        give(trace, {"call": "a", "name": "helpful", "value": 0.4}, {"call": "b", "name": "correct", "value": None})
        give(trace, {"session": True, "name": "star", "value": None})
        assert push(target, url, trace, "--content").splitlines()[1:] == ["3 scores sent"]
        later = ask()
        assert push(target, url.replace("127.0.0.1", "localhost"), trace, "--content").endswith("scores sent\n")
        return first, later, ask()

    return run


def give(trace: Path, *scores: dict[str, Any]) -> None:
    for one in scores:
        given = dict(one)
        of = {"session": "session-2"} if given.pop("session", None) else {}
        of |= {"call": session.call_id("session-2", name)} if (name := given.pop("call", None)) else {}
        annotate(trace, [score_record(**of, **given, source="page", by="ada")])
