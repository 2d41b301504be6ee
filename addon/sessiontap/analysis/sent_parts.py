"""The parts that each turn of a session brings, and how often each was sent: in how many requests, for how many tokens,
at what cost.

An agent sends all that was said with every request: a session of ten thousand calls sends millions of parts, and brings
few. A request that begins with the whole of the one that it continues, at the same tokens, brings only what stands
behind that. So requests form trees, and each part is counted once, for all the requests that hold it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from sessiontap.analysis.part_costs import UNKNOWN, InputTerms, Terms, price_ranges
from sessiontap.analysis.part_tokens import Tokens

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.shared_list import SharedList
    from sessiontap.trace.index.turns import Turn


class SentPart(NamedTuple):
    """A part at its place, in the request that brought it and in those that go on from there."""

    part: Part
    turn: int
    """The turn that brought it, by its position."""
    last: int
    """The last turn that sent it."""
    turns: int
    """The turns that sent it."""
    counted: int
    """Of these, the turns whose tokens are known."""
    unpriced: int
    """Of these, the turns in which its price is not known."""
    tokens: float
    """In each of them."""
    cost: float
    """Of all of them, in US dollars."""
    copies_before: int
    """Equal parts that stand before it in the request."""

    @property
    def total(self) -> float:
        """The tokens of all turns."""
        return self.tokens * self.counted


@dataclass(slots=True)
class _Requests:
    """A request and those that go on from it. Their prices are told from the last token to the first."""

    last: int
    turns: int = 0
    counted: int = 0
    rate: float = 0.0
    """The price of a token, over all of them ..."""
    unpriced: int = 0
    """... and in how many it is not known, at the place that has been reached."""
    steps: list[tuple[float, float, int]] = field(default_factory=list)
    """Places before it where this changes, as a heap: the negative place, and what is added there."""

    def add(self, turn: Turn, is_counted: bool, terms: InputTerms) -> None:
        """Count a request, which ends at the place that has been reached."""
        self.turns += 1
        if not is_counted:
            return
        self.counted += 1
        begin, before, unknown_before = 0.0, 0.0, 0
        for end, price in price_ranges(turn.call["usage"], terms):
            rate, unknown = (0.0, 1) if price is None else (price, 0)
            heappush(self.steps, (-begin, rate - before, unknown - unknown_before))
            begin, before, unknown_before = end, rate, unknown
        self.rate += before
        self.unpriced += unknown_before

    def cost(self, begin: float, end: float) -> tuple[float, int]:
        """The cost of the tokens from `begin` to `end`, the place that has been reached, and in how many requests it is
        not known."""
        dollars, unpriced = 0.0, self.unpriced
        while self.steps and -self.steps[0][0] > begin:
            step, rate, unknown = heappop(self.steps)
            dollars += self.rate * max(0.0, end + step)
            end = min(end, -step)
            self.rate -= rate
            self.unpriced -= unknown
            unpriced = max(unpriced, self.unpriced)
        return dollars + self.rate * (end - begin), unpriced

    def join(self, other: _Requests) -> None:
        """Take in requests that go on from the same one."""
        self.last = max(self.last, other.last)
        self.turns += other.turns
        self.counted += other.counted
        self.rate += other.rate
        self.unpriced += other.unpriced
        self.steps += other.steps
        heapify(self.steps)


def sent_parts(
    turns: Sequence[Turn], tokens: Tokens, terms: Terms, same: Callable[[Part], Hashable]
) -> list[SentPart]:
    """Return the parts that turns bring, in the order of turns and places. Parts are copies if `same` says the same of
    them."""
    bases = _bases(turns, tokens)
    copies = _copies_before(turns, bases, same)
    begun: dict[int, _Requests] = {}
    found: list[SentPart] = []
    for at in range(len(turns) - 1, -1, -1):
        turn, numbers, base = turns[at], tokens[at], bases[at]
        requests = begun.pop(at, None) or _Requests(at)
        requests.add(turn, numbers is not None, terms.get(turn.call["id"], UNKNOWN))
        begin = 0 if base is None else len(turns[base].request)
        end = sum(numbers) if numbers is not None else 0.0
        for place in range(len(turn.request) - 1, begin - 1, -1):
            number = numbers[place] if numbers is not None else 0.0
            cost, unpriced = requests.cost(end - number, end) if numbers is not None else (0.0, 0)
            end -= number
            found.append(
                SentPart(
                    turn.request[place], at, requests.last, requests.turns, requests.counted, unpriced, number, cost,
                    copies[at][place - begin],
                )
            )  # fmt: skip
        if base is not None:
            if base in begun:
                begun[base].join(requests)
            else:
                begun[base] = requests
    return found[::-1]


def _bases(turns: Sequence[Turn], tokens: Tokens) -> list[int | None]:
    """The turn with whose request each begins, at the same tokens, by its position."""
    places: dict[str, int] = {}
    found: list[int | None] = []
    for at, turn in enumerate(turns):
        base = places.get(turn.based_on or "")
        if base is not None and not _goes_on(turn, tokens[at], turns[base], tokens[base]):
            base = None
        found.append(base)
        places[turn.call["id"]] = at
    return found


def _goes_on(
    turn: Turn, numbers: SharedList[float] | None, base: Turn, before: SharedList[float] | None
) -> bool:
    size = len(base.request)
    if turn.first_new < size or (numbers is None) != (before is None):
        return False
    return numbers is None or before is None or numbers.common(before) == len(before)


def _copies_before(
    turns: Sequence[Turn], bases: Sequence[int | None], same: Callable[[Part], Hashable]
) -> list[list[int]]:
    """Of each turn, for each part that it brings, the equal ones before it in the request."""
    held: dict[int, Counter[Hashable]] = {}
    found = []
    for at, (turn, base) in enumerate(zip(turns, bases, strict=True)):
        begin = 0 if base is None else len(turns[base].request)
        counts = held.pop(base, None) if base is not None else None
        if counts is None:
            counts = Counter(map(same, turn.request[:begin]))
        own = []
        for part in turn.request[begin:]:
            key = same(part)
            own.append(counts[key])
            counts[key] += 1
        held[at] = counts
        found.append(own)
    return found
