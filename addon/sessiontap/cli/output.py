"""What reaches stdout: JSON Lines, or text that cannot drive the terminal it is shown on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # overrides that make text read other than it is
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in _BIDI}
_ONE_LINE = _CONTROLS | {ord("\n"): "\\n", ord("\t"): "\\t"}


class ReaderGone(Exception):
    """Whoever read our stdout has had enough (`| head`): not a failure."""


def safe(text: str) -> str:
    """Recorded text as a terminal may show it: control characters spelled out, lines kept."""
    return text.translate(_CONTROLS)


def line(text: str) -> str:
    """The same on one line."""
    return text.translate(_ONE_LINE)


def write(text: str) -> None:
    """Text to stdout. Raises ReaderGone."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise ReaderGone from None
    except UnicodeEncodeError:  # a terminal or locale that knows less than Unicode, or a lone surrogate
        encoding = sys.stdout.encoding or "ascii"
        write(text.encode(encoding, "backslashreplace").decode(encoding))


def write_bytes(data: bytes) -> None:
    """Bytes to stdout as they are. Raises ReaderGone."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def flush() -> None:
    """What is written so far leaves. Raises ReaderGone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def write_json(value: Any) -> None:
    """One value on one line."""
    write(json.dumps(value, ensure_ascii=False) + "\n")


def write_json_lines(rows: Iterable[Any]) -> None:
    """A value a line."""
    for row in rows:
        write_json(row)


def write_line(text: str, style: str = "") -> None:
    """One line, coloured on a terminal; `style` is rich's."""
    if style and on_terminal():
        from rich.text import Text

        console().print(Text(text, style), soft_wrap=True)
    else:
        write(text + "\n")


def on_terminal() -> bool:
    """Whether stdout is a terminal that takes layout and colour (colour itself also heeds NO_COLOR)."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def console() -> Console:
    """rich's, for a terminal; it knows NO_COLOR."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
