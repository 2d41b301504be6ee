"""Recorded conversations of many programs through three proxies behind a balancer, which share their sessions by Redis:
each call's parent is the one that its recording names, as with one proxy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scripts.evaluate.conversations import evaluate, load
from scripts.evaluate.http_conversations import OverHttp, replay
from tests.llm.llm_corpus import needs_corpus
from tests.support.redis_server import needs_redis

pytestmark = [
    needs_corpus,
    needs_redis,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed"),
]
PROXIES, SEED = 3, 0
MOST_MISSED = 5
"""Of a hundred parents: a reply that another proxy is slow to read is waited for, but not for ever."""


def test_parents_through_three_proxies_are_those_of_one(tmp_path: Path) -> None:
    every = load()
    conversations = {one.file for one in every if one.parent is not None}
    exchanges = [one for one in every if one.file in conversations]
    found, alone = replay(exchanges, SEED, PROXIES, tmp_path, settled=True), evaluate(exchanges, SEED)
    right, of = found.tally.linked
    assert of > 90
    assert right >= alone.linked[0] - MOST_MISSED, found.tally.failures
    assert wrong(found) <= MOST_MISSED, found.tally.failures
    assert found.tally.first["false"] == 0
    assert found.wrong_steps == 0
    assert min(found.calls.values()) > len(exchanges) / (2 * PROXIES)


def wrong(found: OverHttp) -> int:
    """Calls that were linked to another one than their parent."""
    return sum(times for (_, outcome), times in found.tally.continuations.items() if outcome == "wrong")
