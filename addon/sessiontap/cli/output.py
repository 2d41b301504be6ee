"""What reaches stdout: JSON Lines, or text that cannot drive the terminal it is shown on."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sessiontap.cli.errors import note
from sessiontap.cli.escapes import json_safe, safe

if TYPE_CHECKING:
    from rich.console import Console


class ReaderGone(Exception):
    """Whoever read our stdout has had enough (`| head`): not a failure."""


def json_line(value: Any) -> str:
    """A value as JSON that a terminal may show: the same to every reader."""
    return json_safe(json.dumps(value, ensure_ascii=False))


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
    """Bytes to stdout: as they are into a file or a pipe, controls spelled out on a terminal. Raises ReaderGone."""
    if sys.stdout.isatty():
        write_safe(data.decode("utf-8", "backslashreplace"), "into a file or a pipe the bytes go as they are")
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def write_safe(text: str, instead: str) -> None:
    """Text for a terminal, ended with a line end; a note says `instead` if something of it had to be spelled out."""
    shown = safe(text)
    write(shown if shown.endswith("\n") or not shown else f"{shown}\n")
    if shown != text:
        flush()
        note(f"control characters are spelled out here; {instead}")


class JsonOnTerminal(io.RawIOBase):
    """A terminal for those who write JSON as bytes."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Raises ReaderGone."""
        write(json_safe(bytes(data).decode("utf-8", "backslashreplace")))
        return len(data)


def flush() -> None:
    """What is written so far leaves. Raises ReaderGone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def write_json(value: Any) -> None:
    """One value on one line."""
    write(json_line(value) + "\n")


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
