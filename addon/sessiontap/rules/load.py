"""Load a rules file: its text -> `Rules`, or every problem that it has.

A rules file is a regular file of at most `MAX_BYTES`, in UTF-8, whatever else stands at its path.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from contextlib import suppress

from sessiontap.rules.compile import compile_file
from sessiontap.rules.node_reader import INVALID, ReadingEnds, RulesReader
from sessiontap.rules.problems import LONGEST_VALUE, Problem, RulesError, shown
from sessiontap.rules.rules import Rules
from sessiontap.rules.schema import FILE
from sessiontap.rules.yaml_text import compose

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


def read_source(path: str) -> str:
    """The file's text. Raises `RulesError` for what is no such file; never waits for a pipe's other end."""
    try:
        data = _read(path)
    except OSError as error:
        raise _refusal(path, f"the file cannot be read: {error.strerror or error}") from None
    if data.startswith(_UTF16) or data[:1] == b"\0" or data[1:2] == b"\0":
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
    return RulesError([Problem(path, line, column, "", what, expected=expected)])
