"""Load the modules of a process of our own, the proxy of `run` and `exec`, the recorder or `exec` itself, in less time.

Modules have Python compile texts while they are loaded: `dataclass` and `namedtuple` generate methods as text,
annotations may be texts, and regular expressions are. It takes a quarter of a proxy's start. What comes of that is kept
in a file beside Python's own byte code, for the very same Python alone. If there is none, cannot be one, or it is
damaged, all is compiled as ever.
"""

from __future__ import annotations

import collections
import dataclasses
import gc
import marshal
import os
import re
import sys
import typing
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

MOST = 5_000
"""Texts of one kind; with more, those are dropped that this process did not need. A proxy has some 900."""
_CHECK_BYTES = 4


class Kept(NamedTuple):
    """The file's content, or what a process needed of it."""

    codes: dict[tuple[str, str], CodeType]
    """By the mode in which a text is compiled, and the text."""
    patterns: dict[tuple[str, Any, int], tuple[Any, ...]]
    """By type, text and flags of a regular expression: what `_sre.compile` is given of it, the text aside."""

    def has(self, other: Kept) -> bool:
        """Return True if all of `other` is in here."""
        return other.codes.keys() <= self.codes.keys() and other.patterns.keys() <= self.patterns.keys()

    def with_all(self, other: Kept) -> Kept:
        """Return both; of a kind of which that would be too many, those of `other` alone."""
        codes, patterns = self.codes | other.codes, self.patterns | other.patterns
        return Kept(
            codes if len(codes) <= MOST else other.codes, patterns if len(patterns) <= MOST else other.patterns
        )


@contextmanager
def loading() -> Iterator[None]:
    """Load modules without garbage collection, which takes a seventh of that time, and leave them out of later ones."""
    gc.disable()
    try:
        with kept_code():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def kept_code() -> Iterator[None]:
    """Take what is compiled within this block from the file, and add what it does not have."""
    file = _file()
    known = _read(file) if file is not None else Kept({}, {})
    used = Kept({}, {})

    def code_of(source: Any, mode: str) -> Any:
        if not isinstance(source, str):
            return source
        code = known.codes.get((mode, source))
        if code is None:
            code = compile(source, "<string>", mode, dont_inherit=True)
        used.codes[mode, source] = code
        return code

    def execute(source: Any, *scopes: Any) -> None:
        """As `exec`."""
        exec(code_of(source, "exec"), *scopes)

    def evaluate(source: Any, *scopes: Any) -> Any:
        """As `eval`."""
        return eval(code_of(source, "eval"), *scopes)

    def expression(source: Any, name: str, mode: str) -> Any:
        """As `compile`."""
        return code_of(source, mode) if (name, mode) == ("<string>", "eval") else compile(source, name, mode)

    # Each of these modules finds ours before the built-in one.
    stand_ins = ((dataclasses, "exec", execute), (collections, "eval", evaluate), (typing, "compile", expression))
    for module, name, function in stand_ins:
        vars(module)[name] = function
    try:
        with _kept_patterns(known.patterns, used.patterns):
            yield
    finally:
        for module, name, _ in stand_ins:
            del vars(module)[name]
        if file is not None and not known.has(used):
            _write(file, known.with_all(used))


@contextmanager
def _kept_patterns(known: dict[Any, tuple[Any, ...]], used: dict[Any, tuple[Any, ...]]) -> Iterator[None]:
    """Have regular expressions within this block made by the compiled form in `known`, and add each to `used`.

    A form is of this very Python, and C checks it as it checks what the compiler in Python gives it. If a Python's `re`
    is built otherwise, it compiles all by itself.
    """
    compiler = vars(re).get("_compiler")
    engine = getattr(compiler, "_sre", None)
    usual, finish = getattr(compiler, "compile", None), getattr(engine, "compile", None)
    if not isinstance(compiler, ModuleType) or usual is None or finish is None:
        yield
        return
    names = vars(compiler)
    made: list[tuple[Any, ...]] = []

    def note(pattern: Any, flags: int, code: list[int], *more: Any) -> Any:
        made.append((int(flags), [int(word) for word in code], *more))
        return finish(pattern, flags, code, *more)

    noting = SimpleNamespace(**(vars(engine) | {"compile": note}))

    def make(pattern: Any, flags: int = 0) -> Any:
        """As the compiler's `compile`."""
        if not isinstance(pattern, str | bytes) or flags & (re.DEBUG | re.LOCALE):
            return usual(pattern, flags)
        key = type(pattern).__name__, pattern, int(flags)
        if form := known.get(key):
            with suppress(RuntimeError, TypeError, ValueError, OverflowError):
                found = finish(pattern, *form)
                used[key] = form
                return found
        made.clear()
        names["_sre"] = noting
        try:
            found = usual(pattern, flags)
        finally:
            names["_sre"] = engine
        if len(made) == 1:
            used[key] = made[0]
        return found

    names["compile"] = make
    try:
        yield
    finally:
        names["compile"] = usual


def _file() -> Path | None:
    """None on an interpreter without such files."""
    try:
        return Path(cache_from_source(__file__)).with_suffix(".kept")
    except NotImplementedError:
        return None


def _read(file: Path) -> Kept:
    """Return the file's content; nothing if it is of another Python, or damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return Kept({}, {})
    head = len(MAGIC_NUMBER) + _CHECK_BYTES
    if content[:head] != MAGIC_NUMBER + _check(content[head:]):
        return Kept({}, {})
    return Kept(*marshal.loads(content[head:]))


def _write(file: Path, kept: Kept) -> None:
    """Replace the file as a whole, if byte code may be written here."""
    if sys.dont_write_bytecode:
        return
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        content = marshal.dumps(tuple(kept))
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(MAGIC_NUMBER + _check(content) + content)
        draft.replace(file)
    except (OSError, ValueError):
        with suppress(OSError):
            draft.unlink()


def _check(content: bytes) -> bytes:
    """A checksum of the content and of this Python, down to its build."""
    return zlib.crc32(content, zlib.crc32(sys.version.encode())).to_bytes(_CHECK_BYTES)
