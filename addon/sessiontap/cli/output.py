"""The output of a command: JSON Lines or text on stdout, sentences and a progress bar on stderr, and private files.

Recorded text never drives the terminal that shows it: control characters are spelled out. rich is imported only
when a terminal is drawn on.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sessiontap.cli.characters import encodable, shown
from sessiontap.cli.errors import Failure
from sessiontap.plain_text import line as line
from sessiontap.plain_text import safe as safe

if TYPE_CHECKING:
    from rich.console import Console


class ReaderGone(Exception):
    """The reader of stdout has closed it (`| head`). That is no failure."""


def json_line(value: Any) -> str:
    """A value as JSON that a terminal may show: the same to every reader."""
    text = json_safe(json.dumps(value, ensure_ascii=False))
    return text if text == encodable(text, sys.stdout.encoding) else json_safe(json.dumps(value))


def write(text: str) -> None:
    """Text to stdout; characters that it cannot take are escaped. Raises ReaderGone."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise ReaderGone from None
    except UnicodeEncodeError:
        write(encodable(text, sys.stdout.encoding))


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
    """Text for a terminal, ended with a line end; a notice says `instead` if something of it had to be spelled out."""
    shown = safe(text)
    write(shown if shown.endswith("\n") or not shown else f"{shown}\n")
    if shown != text:
        flush()
        print_notice(f"control characters are spelled out here; {instead}")


class JsonOnTerminal(io.RawIOBase):
    """A binary file for writers of JSON. It writes to the terminal, with control characters escaped."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Raises ReaderGone."""
        text = json_safe(bytes(data).decode("utf-8", "backslashreplace"))
        write("".join(map(_escaped, text)) if encodable(text, sys.stdout.encoding) != text else text)
        return len(data)


def flush() -> None:
    """Send what is written so far. Raises ReaderGone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def pause(seconds: float) -> None:
    """Wait. Raises ReaderGone as soon as nobody reads stdout any more."""
    import select

    poll = getattr(select, "poll", None)  # Windows has none
    try:
        watched = sys.stdout.fileno() if poll is not None else None
    except (OSError, ValueError):  # no file at all
        watched = None
    if watched is None or poll is None:
        time.sleep(seconds)
        return
    waiting = poll()
    waiting.register(watched, 0)  # errors and the end are told unasked
    if waiting.poll(seconds * 1000):
        raise ReaderGone


def write_json(value: Any) -> None:
    """One value on one line."""
    write(json_line(value) + "\n")


def write_json_batches(batches: Iterable[Iterable[Any]]) -> None:
    """Each value on a line, and each batch at once."""
    for rows in batches:
        write_json_lines(rows)
        flush()


def write_json_lines(rows: Iterable[Any]) -> None:
    """Each value on a line."""
    for row in rows:
        write_json(row)


def write_line(text: str, style: str = "") -> None:
    """One line, coloured on a terminal; `style` is rich's."""
    text = shown(text)
    if style and on_terminal():
        from rich.text import Text

        console().print(Text(text, style), soft_wrap=True)
    else:
        write(text + "\n")


def on_terminal() -> bool:
    """Return True if stdout is a terminal that takes layout and colour (colour itself also heeds NO_COLOR)."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def console() -> Console:
    """rich's console. It heeds NO_COLOR."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


_IN_JSON = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that JSON need not escape, and may. `translate` takes ten times as long to find nothing."""


def _escaped(character: str) -> str:
    """A character of JSON text, in JSON's own escapes if it is beyond ASCII."""
    return character if character.isascii() else json.dumps(character)[1:-1]


def json_safe(text: str) -> str:
    """JSON text as a terminal may show it, the same to every reader of JSON."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is, in any unit."""

PATIENCE = 0.4
"""Seconds until a bar is drawn."""


@contextlib.contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Give a function that is called with how far the work is, and that draws a bar. At the end the bar is erased.

    No bar is drawn if stdout is a pipe: it would be drawn over what the other program shows.
    """
    if not sys.stderr.isatty() or _is_piped():
        yield _nothing
        return
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        shown: list[Progress] = []

        def report(done: int, total: int) -> None:
            if not shown and time.monotonic() - began >= PATIENCE:
                shown.append(stack.enter_context(_bar(title)))
            if shown:
                shown[0](done, total)

        yield report


def _is_piped() -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):  # no file at all
        return False


def _nothing(done: int, total: int) -> None:
    pass


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report


@contextmanager
def out_file(path: Path) -> Iterator[BinaryIO]:
    """Write the file `path`, mode 0600. It has another name until it is whole, so a failure leaves the old file.

    A device or a pipe is written to directly. Raises Failure if the file cannot be written.
    """
    import tempfile  # brings three modules of compression that a list does not need

    target = Path(os.path.realpath(path))
    name = None
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:
                yield file
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename not in (None, name, str(target)) and name is not None:
            raise  # an error of another file, which the block read
        raise Failure(f"{path} cannot be written: {error.strerror}", "name another file with -o FILE") from None


def may_overwrite(path: Path) -> None:
    """Ask on the terminal if the file may be overwritten. Raises Failure if not, or if there is no terminal."""
    if not path.is_file():
        return
    hint = "--force overwrites it"
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise Failure(f"{path} is there already", hint)
    if not agreed(f"{path} is there already.", "Overwrite it?"):
        raise Failure("nothing was written", hint)


def agreed(message: str, question: str) -> bool:
    """Ask on the terminal; what is not yes is no."""
    flush()
    print(shown(line(message), sys.stderr), file=sys.stderr)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_error(message: str, hint: str | None = None) -> None:
    """Print an error and its hint on stderr."""
    _say(f"sessiontap: {safe(message)}")
    if hint:
        _say(f"hint: {safe(hint)}")


def print_notice(message: str) -> None:
    """Print on stderr a sentence that is no error."""
    _say(f"sessiontap: {safe(message)}")


def _say(text: str) -> None:
    """A line on stderr. If nobody reads it any more, the command goes on."""
    with contextlib.suppress(BrokenPipeError):
        print(shown(text, sys.stderr), file=sys.stderr, flush=True)
