"""Parts that turns bring, counted once for all requests that hold them: the same as request by request."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from tests.analysis.made_sessions import MadeSession
from tests.analysis.made_turns import Session, result, said, system, tool, user
from tests.analysis.recorded_sessions import write
from tests.trace.conftest import open_log

from sessiontap.analysis.part_costs import InputTerms, range_cost
from sessiontap.analysis.part_tokens import estimate
from sessiontap.analysis.sent_parts import sent_parts
from sessiontap.part import Part
from sessiontap.prices import Rates
from sessiontap.trace.index.turns import Turn

RATES = Rates(Decimal(3), Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal(4), cache_write_1h=Decimal(6))
WITHOUT_READ = Rates(Decimal(3), Decimal(15))


def content(part: Part) -> tuple[Any, ...]:
    return part.kind, part.role, part.id, part.text, part.bytes


def sums(turns: list[Turn], terms: dict[str, InputTerms]) -> dict[Any, list[Any]]:
    """Times sent, tokens, cost and turns without a price of each content, and the last turn: by the parts brought."""
    found: defaultdict[Any, list[Any]] = defaultdict(lambda: [0, 0.0, 0.0, 0, 0])
    for one in sent_parts(turns, estimate(turns), terms, content):
        row = found[content(one.part)]
        row[0] += one.turns
        row[1] += one.total
        row[2] += one.cost
        row[3] += one.unpriced
        row[4] = max(row[4], one.last)
    return found


def sums_request_by_request(turns: list[Turn], terms: dict[str, InputTerms]) -> dict[Any, list[Any]]:
    """The same, part by part of every request."""
    found: defaultdict[Any, list[Any]] = defaultdict(lambda: [0, 0.0, 0.0, 0, 0])
    for at, (turn, numbers) in enumerate(zip(turns, estimate(turns), strict=True)):
        place = 0.0
        for part, number in zip(turn.request, numbers or [None] * len(turn.request), strict=True):
            row = found[content(part)]
            row[0] += 1
            row[4] = at
            if number is None:
                continue
            cost = range_cost(turn.call["usage"], place, place + number, terms[turn.call["id"]])
            place += number
            row[1] += number
            row[2] += cost or 0.0
            row[3] += cost is None
    return found


@pytest.mark.parametrize("seed", range(6))
def test_parts_are_counted_as_they_were_sent(seed: int, tmp_path: Any) -> None:
    """Over all that happens in sessions: tools and messages change, calls fail, sub-agents, requests side by side."""
    log = open_log(write(tmp_path / "trace", [MadeSession("made", seed, 40)]))
    turns = log.query_turns("@1")
    log.close()
    terms = {turn.call["id"]: InputTerms(RATES, 50 * (at % 3)) for at, turn in enumerate(turns)}
    expected = sums_request_by_request(turns, terms)
    assert {key: pytest.approx(row, abs=1e-9) for key, row in expected.items()} == sums(turns, terms)


def test_two_requests_go_on_from_the_same_one() -> None:
    start = (tool("Read"), system("You write code."), user("Fix it."))
    session = Session()
    first = session.ask(*start, reply=(said("Well."),), input=100)
    session.ask(*start, said("Well."), user("One."), input=140, based_on=first.call["id"])
    session.ask(*start, said("Well."), user("Other."), input=150, based_on=first.call["id"])
    found = sent_parts(session.turns, estimate(session.turns), {}, content)
    assert [(one.part.text, one.turn, one.turns, one.last) for one in found[2:]] == [
        ("Fix it.", 0, 3, 2), ("Well.", 1, 1, 1), ("One.", 1, 1, 1), ("Well.", 2, 1, 2), ("Other.", 2, 1, 2),
    ]  # fmt: skip


def test_a_price_that_is_not_known_is_counted() -> None:
    session = Session()
    session.ask(system("You write code."), user("Fix it."), input=100, read=40)
    (turn,) = session.turns
    terms = {turn.call["id"]: InputTerms(WITHOUT_READ)}
    assert [one.unpriced for one in sent_parts([turn], [[40.0, 60.0]], terms, content)] == [1, 0]
    assert [one.unpriced for one in sent_parts([turn], [[40.0, 60.0]], {}, content)] == [1, 1]


def test_copies_in_one_request_are_told_apart() -> None:
    session, again = Session(), result("The same.", "r2")
    session.ask(user("Go."), result("The same.", "r2"), input=50)
    session.ask(user("Go."), result("The same.", "r2"), again, again, input=70)
    found = sent_parts(session.turns, estimate(session.turns), {}, content)
    assert [(one.part.text, one.copies_before) for one in found] == [
        ("Go.", 0), ("The same.", 0), ("The same.", 1), ("The same.", 2),
    ]  # fmt: skip
