"""Load a rules file: bytes -> text -> YAML nodes -> `Rules`, or every problem that it has.

A rules file is a regular file of at most `MAX_BYTES`, in UTF-8. Anything else at its path is refused.

libyaml's composer calls itself for each level, and a file nested a hundred thousand deep ends the process. Its parser
does not. So `compose` goes through the parser's events first, and refuses what is too deep or too long.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from contextlib import suppress
from typing import Any

import yaml
from yaml.nodes import Node

from sessiontap.rules.compile import compile_file
from sessiontap.rules.language import DEFINITIONS, FILE
from sessiontap.rules.node_reader import INVALID, MAX_DEPTH, ReadingEnds, RulesReader
from sessiontap.rules.problems import LONGEST_VALUE, RulesError, RulesProblem, shown
from sessiontap.rules.rule_set import Rules

BUILT_IN = "(built-in rules)"
MAX_BYTES = 1 << 20
"""A file of 20,000 rules is smaller; YAML takes sixty times its size in memory."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def load_file(path: str | os.PathLike[str]) -> Rules:
    """Raises `RulesError` for what cannot be read or does not validate."""
    name = os.fspath(path)
    return load_text(read_source(name), name)


def load_text(text: str, filename: str = "rules.yaml") -> Rules:
    """Raises `RulesError` with all problems of the text, and nothing else, whatever the text may be."""
    try:
        return _load(text, filename)
    except RulesError:
        raise
    except Exception as error:
        # A fault of ours: the file is refused in one line, as every other that cannot be used.
        what = f"the file cannot be used ({type(error).__name__}: {shown(str(error), LONGEST_VALUE)})"
        raise RulesError([RulesProblem(filename, 1, 1, "", what)]) from error


def _load(text: str, filename: str) -> Rules:
    reader = RulesReader(filename, DEFINITIONS)
    rules = None
    root = compose(text.removeprefix("\ufeff"), filename)
    with suppress(ReadingEnds):
        values = reader.read_file(FILE, root)
        if values is not INVALID:
            rules = compile_file(values, reader, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
    if reader.problems or rules is None:
        raise RulesError(reader.problems)
    return rules


def default_rules() -> Rules:
    """Without a rules file: every LLM call gets a session by `auto`, and nothing is sent."""
    return Rules(filename=BUILT_IN, digest=hashlib.sha256(b"").hexdigest())


def _is_utf16(data: bytes) -> bool:
    """True if it begins with the mark of UTF-16, or with letters of which every other byte is 0."""
    return data.startswith(_UTF16) or (len(data) > 1 and any(data[:20:2]) != any(data[1:20:2]))


def read_source(path: str) -> str:
    """The file's text. Raises `RulesError` for what is no such file; never waits for a pipe's other end."""
    try:
        data = _read(path)
    except OSError as error:
        raise _refusal(path, f"the file cannot be read: {error.strerror or error}") from None
    if _is_utf16(data):
        raise _refusal(path, "no UTF-8: the file is saved as UTF-16", "text saved as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"no UTF-8: the byte 0x{data[error.start]:02X} cannot stand here"
        raise _refusal(path, what, "text saved as UTF-8", data[: error.start]) from None
    if "\0" in text:
        what = "no YAML: a NUL byte stands here"
        raise _refusal(path, what, "text; was the disk full when it was saved?", data[: data.index(b"\0")])
    return text


def _read(path: str) -> bytes:
    _check(path, os.stat(path))  # opening a device may do something already
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        _check(path, os.fstat(file.fileno()))
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:  # it grew
        raise _too_large(path, len(data))
    return data


def _check(path: str, found: os.stat_result) -> None:
    for is_kind, noun in _KINDS:
        if is_kind(found.st_mode):
            raise _refusal(path, f"this is {noun}", "a file")
    if found.st_size > MAX_BYTES:
        raise _too_large(path, found.st_size)


def _too_large(path: str, size: int) -> RulesError:
    return _refusal(path, f"the file has {size:,} bytes", f"at most {MAX_BYTES:,}; globs may stand for many rules")


def _refusal(path: str, what: str, expected: str | None = None, before: bytes = b"") -> RulesError:
    """`before` is what stands before the place that is meant."""
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return RulesError([RulesProblem(path, line, column, "", what, expected=expected)])


FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_SCALAR = 20_000
"""Characters of one text: what is rendered from it is cut to 4,096 anyway."""
_SAME_WORDS_UP_TO = 64 * 1024
"""Characters of a file that is read once more by the slow loader, for its words."""


def compose(text: str, filename: str, key: str = "rules") -> Node:
    """The root node, which should be a map with `key`.

    Raises `RulesError` for what is no YAML, too much of it, more than one document, or nothing.
    """
    try:
        too_much = _too_much(text)
        node = None if too_much else yaml.compose(text, Loader=FAST)
    except (yaml.YAMLError, RecursionError) as error:
        raise RulesError([_syntax_problem(_same_everywhere(text) or error, text, filename)]) from None
    if too_much:
        mark, what, expected = too_much
        raise RulesError([RulesProblem(filename, mark.line + 1, mark.column + 1, "", what, expected=expected)])
    if node is None:
        raise RulesError([RulesProblem(filename, 1, 1, "", "the file is empty", expected=f"a map with the key {key}")])
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


def _syntax_problem(error: Exception, text: str, filename: str) -> RulesProblem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = f"U+{error.character:04X}" if isinstance(error.character, int) else repr(error.character)
        return RulesProblem(filename, line, column, "", f"no YAML: the character {character} cannot stand here")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return RulesProblem(filename, 1, 1, "", "no YAML: it is nested too deeply")
    mark = error.problem_mark
    lines = text.splitlines()
    source = lines[mark.line] if mark.line < len(lines) else ""
    what = shown(", ".join(part for part in (error.context, error.problem) if part), LONGEST_VALUE)
    what = f"no YAML: {what}{_hint(source[:LINE], what)}"
    return RulesProblem(filename, mark.line + 1, mark.column + 1, "", what, value=shown(source.strip(), LONGEST_VALUE))


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
    if re.search(r"[:\-\[{,] +[*&!%@`]", line) or re.search(r"'[>|]' that cannot start any token", what):
        return "; a value that starts with * & ! % @ > | or ` needs quotes"
    if "mapping values" in what:
        return "; a value with a colon and a space in it needs quotes, and keys of one map the same indentation"
    return ""
