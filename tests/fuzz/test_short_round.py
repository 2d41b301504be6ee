"""A short round of every target that holds, always with the same seed; what finds and bounds failures, itself."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.fuzz import rounds
from tests.fuzz.rounds import Case, Failure, Make, Round, Wrong, run_case, run_round
from tests.fuzz.targets import TARGETS

SEED = 1
CASES = {"readers": 500, "sockets": 300, "grpc": 300, "pipeline": 1, "exporters": 100, "rules": 200, "logs": 25}


@pytest.mark.parametrize("target", CASES)
def test_a_short_round_holds(target: str) -> None:
    found = run_round(target, partial(TARGETS[target].load(), None), SEED, cases=CASES[target])
    assert found.failures == []
    assert found.cases == CASES[target]


def made_up() -> Make:
    """Every tenth case fails in a way of its own."""

    def make(chance: Random) -> Case:
        number = chance.randrange(10)

        def check() -> None:
            if number == 3:
                raise Wrong("it is three")
            if number == 4:
                raise KeyError("four")

        return Case(check, b"data %d" % number, f"number {number}")

    return make


def test_failures_are_told_once_and_repeated_by_their_numbers(tmp_path: Path) -> None:
    found = run_round("made up", made_up, 7, cases=60)
    errors = [failure.error.partition(" (")[0] for failure in found.failures]
    assert sorted(errors) == ["KeyError: 'four'", "Wrong: it is three"]
    for failure in found.failures:
        again = run_case("made up", made_up, 7, failure.number)
        assert again is not None
        assert (again.error, again.data) == (failure.error, failure.data)
        saved = json.loads(failure.save(tmp_path).read_text())
        assert (saved["seed"], saved["case"], saved["again"]) == (7, failure.number, failure.again)


def only(what: object) -> Round:
    """A round of one case that does `what`."""

    def make(chance: Random) -> Case:
        return Case(what, b"x" * 1000)  # type: ignore[arg-type]

    return run_round("made up", lambda: make, 1, cases=1)


def spin() -> None:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass


def die() -> None:
    os._exit(3)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (spin, "it takes more time than its size allows"),
        (lambda: bytearray(90 << 20), "it takes more memory than its size allows"),
        (die, "the process ended with status 3"),
    ],
    ids=["slow", "large", "deadly"],
)
def test_a_case_that_takes_too_much_is_a_failure(what: object, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SECONDS", 0.02)
    (failure,) = only(what).failures
    assert isinstance(failure, Failure)
    assert told in failure.error
