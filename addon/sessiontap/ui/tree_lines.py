"""The tree of a session as lines: a path, then its calls and the paths below it, in the order of their starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree: of a path (`node`), or of a call."""

    depth: int
    node: Row | None = None
    above: str = ""
    """The path of the node that this one is under."""
    call: Row | None = None


def tree_lines(tree: Sequence[Row], calls: Sequence[Row]) -> list[Line]:
    """The lines of `tree` and `calls` as `show --json` gives them; calls without a path of the tree come last."""
    by_path: dict[str | None, list[Row]] = {}
    for call in calls:
        by_path.setdefault(call["path"], []).append(call)
    lines = [line for root in tree for line in _below(root, 0, "", by_path)]
    return lines + [Line(0, call=call) for left in by_path.values() for call in left]


def _below(node: Row, depth: int, above: str, by_path: dict[str | None, list[Row]]) -> Iterator[Line]:
    yield Line(depth, node, above)
    inside: list[tuple[str, Row, bool]] = [
        *((str(call["time"]), call, True) for call in by_path.pop(node["path"], ())),
        *((str(child["started"]), child, False) for child in node["children"]),
    ]
    for _, item, is_call in sorted(inside, key=itemgetter(0)):
        if is_call:
            yield Line(depth + 1, call=item)
        else:
            yield from _below(item, depth + 1, node["path"], by_path)


def with_calls(lines: Sequence[Line]) -> list[Line]:
    """The lines of calls, and of the paths that lead to them."""
    kept: list[Line] = []
    least = 0  # a path above what is kept last has a depth below this
    for line in reversed(lines):
        if line.call is not None or line.depth < least:
            kept.append(line)
            least = line.depth
    return kept[::-1]
