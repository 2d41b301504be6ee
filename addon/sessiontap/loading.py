"""Load the modules of a process of our own, the proxy of `run` and `exec` or the recorder, in less time.

`dataclass` generates methods, as text, at each start, and to compile that text takes a fifth of a proxy's. Its byte
code is kept in a file beside Python's own, and for the same Python alone. If there is none, cannot be one, or it is
damaged, the text is compiled as ever.
"""

from __future__ import annotations

import dataclasses
import gc
import marshal
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType
from typing import Any

MOST = 3_000
"""Texts; with more, those are dropped that this process did not need. A proxy has some 350."""
_CHECK_BYTES = 4


@contextmanager
def loading() -> Iterator[None]:
    """Load modules without garbage collection, which takes a seventh of that time, and leave them out of later ones."""
    gc.disable()
    try:
        with kept_methods():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def kept_methods() -> Iterator[None]:
    """Take the code of dataclasses that are made within this block from the file, and add what it does not have."""
    file = _file()
    known = _read(file) if file is not None else {}
    used: dict[str, CodeType] = {}

    def execute(source: str, *scopes: Any) -> None:
        """As `exec`."""
        code = known.get(source)
        if code is None:
            code = compile(source, "<string>", "exec", dont_inherit=True)
        used[source] = code
        exec(code, *scopes)

    module = vars(dataclasses)
    module["exec"] = execute  # dataclasses.py finds it before the built-in one
    try:
        yield
    finally:
        del module["exec"]
        if file is not None and not used.keys() <= known.keys():
            together = known | used
            _write(file, together if len(together) <= MOST else used)


def _file() -> Path | None:
    """None on an interpreter without such files."""
    try:
        return Path(cache_from_source(__file__)).with_suffix(".methods")
    except NotImplementedError:
        return None


def _read(file: Path) -> dict[str, CodeType]:
    """Return the code by its text; nothing if the file is of another Python, or damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return {}
    head = len(MAGIC_NUMBER) + _CHECK_BYTES
    if content[:head] != MAGIC_NUMBER + _check(content[head:]):
        return {}
    found: dict[str, CodeType] = marshal.loads(content[head:])
    return found


def _write(file: Path, codes: dict[str, CodeType]) -> None:
    """Replace the file as a whole, if byte code may be written here."""
    if sys.dont_write_bytecode:
        return
    content = marshal.dumps(codes)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(MAGIC_NUMBER + _check(content) + content)
        draft.replace(file)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def _check(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECK_BYTES)
