"""A JSON value as a tree that a person unfolds: bounded in its nodes and in the length of its texts.

What is left out can be asked for by its place, a JSON pointer (RFC 6901): `/messages/12/content`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

MOST_NODES = 400
LONGEST = 2_000
"""Characters of a text."""


@dataclass(slots=True)
class Node:
    """A value. `children` are those of a list or an object that are told; `size` is the number that it has."""

    key: str | None
    """Its name in an object, or its position in a list; None of the first."""
    at: str
    """Its JSON pointer."""
    kind: str
    """`object`, `list`, `text`, or `value`: a number, true, false or null."""
    text: str | None = None
    """The value; of a list or object None."""
    size: int = 0
    """Members of an object or list, characters of a text."""
    children: list[Node] = field(default_factory=list)

    @property
    def left(self) -> int:
        """The members or characters that are not told."""
        return self.size - (len(self.text) if self.text is not None else len(self.children))


def tree(value: Any, at: str = "", most: int = MOST_NODES, longest: int = LONGEST) -> Node:
    """The tree of a value whose place is `at`: level by level, until it has `most` nodes."""
    root = _node(None, at, value, longest)
    open_nodes = deque([(root, value)])
    left = most
    while open_nodes and left > 0:
        node, inner = open_nodes.popleft()
        members = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        for key, member in members:
            if left <= 0:
                break
            left -= 1
            child = _node(str(key), f"{node.at}/{_escaped(str(key))}", member, longest)
            node.children.append(child)
            open_nodes.append((child, member))
    return root


def _node(key: str | None, at: str, value: Any, longest: int) -> Node:
    if isinstance(value, dict | list):
        return Node(key, at, "object" if isinstance(value, dict) else "list", size=len(value))
    if isinstance(value, str):
        return Node(key, at, "text", value[:longest], len(value))
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return Node(key, at, "value", text, len(text))


def member(value: Any, at: str) -> Any:
    """The value at a JSON pointer. Raises LookupError if there is none."""
    for step in at.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            if not (key.isascii() and key.isdecimal() and len(key) < 10):
                raise KeyError(key)
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value[key]
        else:
            raise KeyError(key)
    return value


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
