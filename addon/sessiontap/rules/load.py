"""A rules file, loaded: text -> `Rules`, or every problem that it has."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sessiontap.rules.compile import compile_file
from sessiontap.rules.problems import Problem, RulesError
from sessiontap.rules.reader import INVALID, Reader, compose
from sessiontap.rules.rules import Rules
from sessiontap.rules.schema import FILE

BUILT_IN = "(built-in rules)"


def load_file(path: str | os.PathLike[str]) -> Rules:
    """Raises `RulesError` for what does not validate, `OSError` where the file cannot be read."""
    name = os.fspath(path)
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        what = f"no UTF-8: the byte 0x{data[error.start]:02X} cannot stand here"
        raise RulesError([Problem(name, line, column, "", what, expected="text saved as UTF-8")]) from None
    return load_text(text, name)


def load_text(text: str, filename: str = "rules.yaml") -> Rules:
    """Raises `RulesError` with all problems of the text."""
    reader = Reader(filename)
    values = reader.read(FILE, compose(text.removeprefix("\ufeff"), filename))
    rules = None
    if values is not INVALID:
        rules = compile_file(values, reader, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
    if reader.problems or rules is None:
        raise RulesError(reader.problems)
    return rules


def default_rules() -> Rules:
    """Without a rules file: every LLM call gets a session by `auto`, and nothing is sent."""
    return Rules(filename=BUILT_IN, digest=hashlib.sha256(b"").hexdigest())
