"""What the trace does not show is said in a sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessiontap.cli import gaps
from sessiontap.trace import Unreadable

AT = 1_763_701_200 * 10**9  # 2025-11-21T05:00:00Z


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([{"kind": "rules", "time": AT, "text": "3 rules in force"}], [], id="no loss"),
        pytest.param(
            [{"kind": "dropped", "time": AT, "dropped": {"disk": 1}}],
            ["1 record was lost at 2025-11-21 05:00:00 (the disk failed: 1)"],
            id="one",
        ),
        pytest.param(
            [
                {"kind": "dropped", "time": AT, "dropped": {"queue": 2, "new reason": 1}},
                {"kind": "dropped", "time": AT + 10**9, "dropped": {"queue": 1}},
                {"kind": "vanished", "time": AT + 10**9, "records": 4},
            ],
            ["8 records were lost since 2025-11-21 05:00:00 (the queue was full: 3, new reason: 1, vanished: 4)"],
            id="many, of every kind",
        ),
        pytest.param(
            [{"kind": "dropped", "time": AT, "dropped": {"died": 2}}],
            ["up to 2 records were lost at 2025-11-21 05:00:00 (with the recorder that was killed or crashed: 2)"],
            id="with the recorder",
        ),
    ],
)
def test_lost(notes: list[dict[str, Any]], expected: list[str]) -> None:
    assert gaps.lost(notes) == expected


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        pytest.param([{"kind": "rules", "time": AT, "text": "3 rules in force"}], [], id="never"),
        pytest.param(
            [{"kind": "proxy_gone", "time": AT}],
            ["the proxy was killed or crashed at 2025-11-21 05:00:00: calls under way are not recorded"],
            id="once",
        ),
        pytest.param(
            [{"kind": "proxy_gone", "time": AT + 10**9}, {"kind": "proxy_gone", "time": AT}],
            ["the proxy was killed or crashed 2 times, the last time at 2025-11-21 05:00:01: "
             "calls under way are not recorded"],
            id="twice",
        ),
    ],
)  # fmt: skip
def test_a_proxy_that_was_killed(notes: list[dict[str, Any]], expected: list[str]) -> None:
    assert gaps.killed(notes) == expected


def test_uncaptured_by_program() -> None:
    notes = [
        {"kind": "not_captured", "process": "node", "host": "b.example", "text": "old"},
        {"kind": "not_captured", "process": "node", "host": "a.example", "text": "no trust"},
        {"kind": "not_captured", "process": None, "client": "10.0.0.7", "host": "a.example", "text": "no trust"},
    ]
    assert gaps.uncaptured(notes) == [
        "2 connections of node to a.example, b.example passed unseen: no trust",
        "1 connection of 10.0.0.7 to a.example passed unseen: no trust",
    ]


def test_what_a_rule_may_have_meant_by_rule() -> None:
    at = {"kind": "protected", "host": "a.example"}
    text = "rule 'out', which may match: not recorded, since model is not known"
    out = at | {"rule": "out", "effect": "none", "text": text}
    left = at | {"rule": "left", "effect": "ignore", "text": "rule 'left', which may match: left alone", "call": None}
    assert gaps.protected([out | {"call": "1"}, left, out | {"call": "2", "host": "b.example"}]) == [
        "2 calls to a.example, b.example by rule 'out', which may match: not recorded, since model is not known",
        "1 connection to a.example by rule 'left', which may match: left alone",
    ]


def test_only_the_first_places_of_damage_are_named() -> None:
    problems = [Unreadable(Path("a.mpk"), offset, 1, "bad") for offset in range(5)]
    assert gaps.damaged(problems) == [
        "a.mpk at 0: bad",
        "a.mpk at 1: bad",
        "a.mpk at 2: bad",
        "2 more places of the trace cannot be read",
    ]
