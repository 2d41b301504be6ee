"""YAML text -> the root of its nodes, with what would be too much for the loader refused before it composes anything.

libyaml's composer calls itself for each level, and a file nested a hundred thousand deep ends the process. Its parser
does not: so the events are gone through first, for depth and for the length of texts.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import Node

from sessiontap.rules.problems import LONGEST_VALUE, Problem, RulesError, shown

FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 50
"""Lists and maps within each other."""
MAX_SCALAR = 20_000
"""Characters of one text: what is rendered from it is cut to 4,096 anyway."""
_SAME_WORDS_UP_TO = 64 * 1024
"""Characters of a file that is read once more by the slow loader, for its words."""


def compose(text: str, filename: str) -> Node:
    """The root node. Raises `RulesError` for what is no YAML, too much of it, more than one document, or nothing."""
    try:
        too_much = _too_much(text)
        node = None if too_much else yaml.compose(text, Loader=FAST)
    except (yaml.YAMLError, RecursionError) as error:
        raise RulesError([_syntax_problem(_same_everywhere(text) or error, text, filename)]) from None
    if too_much:
        mark, what, expected = too_much
        raise RulesError([Problem(filename, mark.line + 1, mark.column + 1, "", what, expected=expected)])
    if node is None:
        raise RulesError([Problem(filename, 1, 1, "", "the file is empty", expected="a map with the key rules")])
    return node


def _too_much(text: str) -> tuple[Any, str, str] | None:
    """The place of too deep a nesting or too long a text, its name, and what may be there instead; None without one."""
    depth = 0
    for event in yaml.parse(text, Loader=FAST):
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MAX_SCALAR:
                return event.start_mark, f"a text of {len(event.value):,} characters", f"at most {MAX_SCALAR:,}"
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return event.start_mark, f"this is nested more than {MAX_DEPTH} deep", "a flatter list or map"
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _same_everywhere(text: str) -> Exception | None:
    """The error of the loader in plain Python: slower, but with the same words whether or not libyaml is there."""
    if len(text) > _SAME_WORDS_UP_TO:
        return None
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        return error
    return None


def _syntax_problem(error: Exception, text: str, filename: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = f"U+{error.character:04X}" if isinstance(error.character, int) else repr(error.character)
        return Problem(filename, line, column, "", f"no YAML: the character {character} cannot stand here")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(filename, 1, 1, "", "no YAML: it is nested too deeply")
    mark = error.problem_mark
    lines = text.splitlines()
    source = lines[mark.line] if mark.line < len(lines) else ""
    what = shown(", ".join(part for part in (error.context, error.problem) if part), LONGEST_VALUE)
    what = f"no YAML: {what}{_hint(source[:LINE], what)}"
    return Problem(filename, mark.line + 1, mark.column + 1, "", what, value=shown(source.strip(), LONGEST_VALUE))


LINE = 500
"""Characters of a line in which a hint is looked for."""


def _hint(line: str, what: str) -> str:
    """A hint at the usual cause; empty if none is known."""
    if "single document" in what:
        return "; leave out the --- between the two"
    if re.match(r" *\t", line):
        return "; indent with spaces, tabs are not allowed"
    if re.search(r"[\[{,:] *[^\"'\s{]*\$?\{", line.partition("#")[0]) and "flow" in what:
        return "; inside {...} or [...] a value with braces needs quotes"
    if re.search(r"[:\-\[{,] +[*&!%@`]", line):
        return "; a value that starts with * & ! % @ or ` needs quotes"
    if "mapping values" in what:
        return "; a value with a colon and a space in it needs quotes, and keys of one map the same indentation"
    return ""
