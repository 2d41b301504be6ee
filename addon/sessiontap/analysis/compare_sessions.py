"""Two sessions beside each other: their sums, models, tools and labels, and their calls in pairs.

Calls are paired within a path. Those that begin a conversation with the same words are a pair, in whatever order they
ran. The others are paired in order of time: by operation, sub-agent and the tools that the replies ask for, and what is
left between two pairs by its position. A pair says what its requests say differently; a change that an earlier pair
has already is counted and not said again, as agents send their history with every turn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.tool_runs import tool_runs
from sessiontap.llm.compare import Difference
from sessiontap.trace.outcomes import ERRORS

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

Row = Mapping[str, Any]

SUMS = (
    "calls", "errors", "duration", "input_tokens", "output_tokens", "cache_read_tokens", "cost_usd",
    "cost_unknown_calls",
)  # fmt: skip
"""Keys of a session's row that are compared as numbers."""
LISTS = ("agents", "processes", "users", "tags")
"""Keys of a session's row whose values are compared as sets."""
_MOST_COMPARED = 4_000_000
"""Pairs of calls of one path that are looked at to align them; beyond it, calls are paired by their positions."""


@dataclass(frozen=True, slots=True)
class ComparedNumber:
    """A number of each session; None if it is unknown."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class ComparedTool:
    """How often a tool was called in each session, and how many of its results said that they were errors."""

    name: str
    calls_before: int
    calls_after: int
    errors_before: int
    errors_after: int


@dataclass(frozen=True, slots=True)
class ComparedLabel:
    """A property, or a list such as `tags`, that is not the same. Values that a session does not have are missing."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparedPath:
    """The calls at one path of each session, those below it left out. `duration` is the sum of their durations."""

    path: str | None
    sums: tuple[ComparedNumber, ...]


@dataclass(frozen=True, slots=True)
class CallPair:
    """Two calls at the same place, as `calls --json` gives them; one of them is None if only one session has it."""

    path: str | None
    before: Row | None
    after: Row | None
    asked: Difference | None = None
    """The changes from one request to the other that no earlier pair has; None if they were not compared."""
    repeated: int = 0
    """Changes that an earlier pair has, too."""
    not_compared: str | None = None
    """Why the requests were not compared, although there are two."""


@dataclass(frozen=True, slots=True)
class ComparedSessions:
    """`before` and `after` are the sessions as `ls --json` gives them."""

    before: Row
    after: Row
    sums: tuple[ComparedNumber, ...]
    models: tuple[ComparedNumber, ...]
    """Calls of each model: the one that answered, else the one that was asked."""
    tools: tuple[ComparedTool, ...]
    properties: tuple[ComparedLabel, ...]
    """Those that are not the same."""
    labels: tuple[ComparedLabel, ...]
    """Of `LISTS` those that are not the same."""
    paths: tuple[ComparedPath, ...]
    calls: tuple[CallPair, ...]
    """By path, in the order of the first calls; within a path by time."""


class NotComparedError(Exception):
    """Two requests cannot be compared: the sentence says why, `hint` what it comes from."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def compare_sessions(
    before: Row,
    after: Row,
    turns_before: Sequence[Turn],
    turns_after: Sequence[Turn],
    difference_of: Callable[[Row, Row], Difference],
) -> ComparedSessions:
    """Compare two sessions by their rows and their turns, oldest first.

    `difference_of` compares the requests of two calls. It may raise NotComparedError.
    """
    old, new = [turn.call for turn in turns_before], [turn.call for turn in turns_after]
    return ComparedSessions(
        before=before,
        after=after,
        sums=tuple(ComparedNumber(name, before.get(name), after.get(name)) for name in SUMS),
        models=_models(old, new),
        tools=_tools(turns_before, turns_after),
        properties=_properties(before["properties"], after["properties"]),
        labels=tuple(
            ComparedLabel(name, tuple(before[name]), tuple(after[name]))
            for name in LISTS
            if set(before[name]) != set(after[name])
        ),
        paths=_paths(old, new),
        calls=tuple(_compared(align(turns_before, turns_after), difference_of)),
    )


def align(before: Sequence[Turn], after: Sequence[Turn]) -> list[CallPair]:
    """The calls of two sessions in pairs: see the module. Both in order of time."""
    pairs: list[CallPair] = []
    for path in dict.fromkeys(turn.call["path"] for turn in (*after, *before)):
        old, new = ([turn for turn in turns if turn.call["path"] == path] for turns in (before, after))
        same = _same_openings(old, new)
        rest = ([i for i in range(len(old)) if i not in same], [j for j in range(len(new)) if j not in same.values()])
        kinds = [_kind(old[i]) for i in rest[0]], [_kind(new[j]) for j in rest[1]]
        found: list[tuple[int | None, int | None]] = list(same.items())
        for i, j in _aligned(*kinds):
            found.append((None if i is None else rest[0][i], None if j is None else rest[1][j]))
        found = _in_order(found, len(old))
        pairs += (
            CallPair(path, None if i is None else old[i].call, None if j is None else new[j].call) for i, j in found
        )
    return pairs


def _in_order(pairs: list[tuple[int | None, int | None]], size: int) -> list[tuple[int | None, int | None]]:
    """Pairs by their place in the later session; what only the earlier one has, behind the one that stood before it."""
    partners = dict(pairs)
    behind: dict[int, float] = {}
    place = -1
    for i in range(size):
        partner = partners[i]
        place = place if partner is None else partner
        behind[i] = place + 0.5
    return sorted(pairs, key=lambda pair: pair[1] if pair[1] is not None else behind[pair[0] or 0])


def _same_openings(old: Sequence[Turn], new: Sequence[Turn]) -> dict[int, int]:
    """Pairs of turns that begin a conversation with the same words, by their positions."""
    waiting: dict[tuple[Any, ...], list[int]] = {}
    for j, turn in enumerate(new):
        if (opening := _opening(turn)) is not None:
            waiting.setdefault(opening, []).append(j)
    found = {}
    for i, turn in enumerate(old):
        if (opening := _opening(turn)) is not None and waiting.get(opening):
            found[i] = waiting[opening].pop(0)
    return found


def _opening(turn: Turn) -> tuple[Any, ...] | None:
    """The words of a request that continues no other; None if it does, or if its words are not known."""
    texts = tuple(part.text for part in turn.request if part.message is not None and part.text)
    return (turn.call["operation"], texts) if turn.based_on is None and texts else None


def _aligned(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Positions of pairs in two sequences; None if only one has it."""
    blocks: list[tuple[int, int, int, int]] = [(0, len(old), 0, len(new))]
    if len(old) * len(new) <= _MOST_COMPARED:
        blocks = [codes[1:] for codes in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()]
    for i1, i2, j1, j2 in blocks:
        both = min(i2 - i1, j2 - j1)
        yield from zip(range(i1, i1 + both), range(j1, j1 + both), strict=True)
        yield from ((i, None) for i in range(i1 + both, i2))
        yield from ((None, j) for j in range(j1 + both, j2))


def _kind(turn: Turn) -> tuple[Any, ...]:
    """The identity of a call, as far as it is the same in another run."""
    call = turn.call
    return call["operation"], call["subagent"], tuple(call["tool_calls"])


def _compared(pairs: Sequence[CallPair], difference_of: Callable[[Row, Row], Difference]) -> Iterator[CallPair]:
    shown: set[Any] = set()
    for pair in pairs:
        if pair.before is None or pair.after is None:
            yield pair
            continue
        try:
            found = difference_of(pair.before, pair.after)
        except NotComparedError as error:
            yield replace(pair, not_compared=str(error))
            continue
        fresh = _without(found, shown)
        shown |= _changes(fresh)
        yield replace(pair, asked=fresh, repeated=len(_changes(found)) - len(_changes(fresh)))


def _changes(found: Difference) -> set[Any]:
    """The changes of a difference, wherever in a request they are."""
    return {
        *((one.change, one.title, one.lines) for one in found.messages if one.change != "same"),
        *(("tool", tool) for tool in found.tools),
        *(("parameter", one.change, one.name, repr(one.before), repr(one.after)) for one in found.parameters),
        *(() if found.system is None else (("system", found.system),)),
    }


def _without(found: Difference, shown: set[Any]) -> Difference:
    return replace(
        found,
        messages=tuple(
            one for one in found.messages if one.change == "same" or (one.change, one.title, one.lines) not in shown
        ),
        system=None if ("system", found.system) in shown else found.system,
        tools=tuple(tool for tool in found.tools if ("tool", tool) not in shown),
        parameters=tuple(
            one
            for one in found.parameters
            if ("parameter", one.change, one.name, repr(one.before), repr(one.after)) not in shown
        ),
    )


def _models(before: Sequence[Row], after: Sequence[Row]) -> tuple[ComparedNumber, ...]:
    old, new = (
        Counter(model for call in calls if (model := call["response_model"] or call["request_model"]))
        for calls in (before, after)
    )
    return tuple(ComparedNumber(model, old[model], new[model]) for model in dict.fromkeys((*old, *new)))


def _tools(before: Sequence[Turn], after: Sequence[Turn]) -> tuple[ComparedTool, ...]:
    called = [Counter(tool for turn in turns for tool in turn.call["tool_calls"]) for turns in (before, after)]
    failed = [
        Counter(run.tool for run in tool_runs(turns) if run.tool and run.result is not None and run.result.error)
        for turns in (before, after)
    ]
    return tuple(
        ComparedTool(tool, called[0][tool], called[1][tool], failed[0][tool], failed[1][tool])
        for tool in dict.fromkeys(tool for counts in (*called, *failed) for tool in counts)
    )


def _properties(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ComparedLabel, ...]:
    return tuple(
        ComparedLabel(name, _texts(before, name), _texts(after, name))
        for name in dict.fromkeys((*before, *after))
        if _texts(before, name) != _texts(after, name)
    )


def _texts(properties: Mapping[str, Any], name: str) -> tuple[str, ...]:
    if name not in properties:
        return ()
    value = properties[name]
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _paths(before: Sequence[Row], after: Sequence[Row]) -> tuple[ComparedPath, ...]:
    found = []
    for path in dict.fromkeys(call["path"] for call in (*after, *before)):
        old, new = (_sums([call for call in calls if call["path"] == path]) for calls in (before, after))
        found.append(ComparedPath(path, tuple(ComparedNumber(name, old[name], new[name]) for name in old)))
    return tuple(found)


def _sums(calls: Sequence[Row]) -> dict[str, float | None]:
    usages = [call["usage"] or {} for call in calls]
    return {
        "calls": len(calls),
        "errors": sum(is_failed(call) for call in calls),
        "duration": _sum(call["duration"] for call in calls),
        "input_tokens": _sum(usage.get("input") for usage in usages),
        "output_tokens": _sum(usage.get("output") for usage in usages),
        "cost_usd": _sum(call["cost_usd"] for call in calls),
    }


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return round(math.fsum(known), 12) if known else None


def is_failed(call: Row) -> bool:
    """Return True if a call counts as an error."""
    return call["outcome"] in ERRORS or bool(call["error"])
