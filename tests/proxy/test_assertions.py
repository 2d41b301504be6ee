"""Which assertions of mitmproxy's do something: a Python without assertions would not do it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import mitmproxy

from sessiontap.proxy.assertions import NEEDED

_LOOKS = {
    "all", "any", "callable", "empty", "endswith", "full", "get", "hasattr", "is_dataclass", "isawaitable",
    "iscoroutinefunction", "isinstance", "issubclass", "len", "set", "startswith", "stream_is_client_initiated", "type",
}  # fmt: skip
"""Functions that change nothing."""
_NOT_MISSED = {("mitmproxy.flow", "state.pop('version') == version.FLOW_FORMAT_VERSION"),
               ("mitmproxy.flow", "state.pop('type') == self.type")}  # fmt: skip
"""They empty a map, which one more assertion, and nothing else, finds empty."""


def test_modules_whose_assertions_do_something_keep_them() -> None:
    folder = Path(mitmproxy.__file__).parent
    found = set()
    for file in folder.rglob("*.py"):
        name = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        found |= {name for test in doing(file) if (name, test) not in _NOT_MISSED}
    assert found == set(NEEDED)


def doing(file: Path) -> Iterator[str]:
    """The assertions that call what may change something."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Assert):
            called = {name_of(one.func) for one in ast.walk(node.test) if isinstance(one, ast.Call)}
            if called - _LOOKS or any(isinstance(one, ast.NamedExpr) for one in ast.walk(node.test)):
                yield ast.unparse(node.test)


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def test_they_exist() -> None:
    assert all(map(find_spec, NEEDED))
