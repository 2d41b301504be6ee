"""The steps of a rule in the form of rules: what they match, and their session's path.

A step's keys of `match` stand directly in it, and `path` stands for `session.path`. `compile.py` makes a rule of each
step, with the conditions of the rule that it belongs to before its own, so that all who read rules need not know steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.rules.language import MATCH
from sessiontap.rules.problems import BadValue, quoted
from sessiontap.rules.template import Template

GOES_ON = "+"
"""A path that begins with it goes on from the rule's."""
_MATCH_NAMES = frozenset(key.name for key in MATCH.fields)


def matches_of(given: Mapping[str, Any]) -> list[Iterable[Mapping[str, Any]]]:
    """Return what a rule or a step matches: lists of alternatives, of which each must hold."""
    directly = {name: value for name, value in given.items() if name in _MATCH_NAMES}
    return [maps for maps in ((directly,) if directly else (), given.get("match")) if maps]


def own_path(given: Mapping[str, Any]) -> Template | None:
    """Return the path that a rule or a step sets, as it stands there."""
    path: Template | None = given.get("path") or given.get("session", {}).get("path")
    return path


def check_rule_path(path: Template) -> None:
    """Raises `BadValue` if a rule's path goes on from another."""
    if path.text.startswith(GOES_ON):
        what = f"{quoted(path.text)} goes on from the path of a rule, and this is no step of one"
        raise BadValue(what, "a path such as /search; or this in an item of steps")


def step_path(path: Template, rule_path: Template | None) -> Template:
    """Return a step's whole path: `+/search` goes on from its rule's. Raises `BadValue`."""
    if not path.text.startswith(GOES_ON):
        return path
    if not path.text.startswith(GOES_ON + "/") or not path.text.strip(GOES_ON + "/"):
        raise BadValue(f"{quoted(path.text)} is no path", "a path such as /search or +/search")
    if rule_path is None:
        what = f"there is no path from which {quoted(path.text)} could go on: its rule sets none"
        raise BadValue(what, "a whole path, or session: {path: ...} in the rule")
    first, *rest = path.parts
    assert isinstance(first, str)  # it begins with +/
    return Template(rule_path.text + path.text[1:], (*rule_path.parts, first[1:], *rest))
