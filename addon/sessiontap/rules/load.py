"""A rules file, loaded: text -> `Rules`, or every problem that it has."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress

from sessiontap.rules.compile import compile_file
from sessiontap.rules.problems import LONGEST_VALUE, Problem, RulesError, shown
from sessiontap.rules.reader import INVALID, ReadingEnds, RulesReader
from sessiontap.rules.rules import Rules
from sessiontap.rules.schema import FILE
from sessiontap.rules.source import read_source
from sessiontap.rules.yaml_text import compose

BUILT_IN = "(built-in rules)"


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
        raise RulesError([Problem(filename, 1, 1, "", what)]) from error


def _load(text: str, filename: str) -> Rules:
    reader = RulesReader(filename)
    rules = None
    root = compose(text.removeprefix("\ufeff"), filename)
    with suppress(ReadingEnds):
        values = reader.read(FILE, root)
        if values is not INVALID:
            rules = compile_file(values, reader, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
    if reader.problems or rules is None:
        raise RulesError(reader.problems)
    return rules


def default_rules() -> Rules:
    """Without a rules file: every LLM call gets a session by `auto`, and nothing is sent."""
    return Rules(filename=BUILT_IN, digest=hashlib.sha256(b"").hexdigest())
