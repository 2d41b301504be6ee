"""Run the user's program with our own streams, pass signals on to it, and return its exit status."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from sessiontap.cli.errors import Failure

FORWARDED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
    if hasattr(signal, name)
]
FROM_KEYS = {getattr(signal, name) for name in ("SIGINT", "SIGQUIT", "SIGWINCH", "SIGHUP") if hasattr(signal, name)}
"""Signals that a terminal sends to the whole foreground group, the program included."""


def find(name: str) -> None:
    """See that there is such a program before anything is set up for it. Raises Failure (127)."""
    if shutil.which(name) is None and not os.path.exists(name):
        raise Failure(f"there is no program {name!r}", "give its path, or check PATH", status=127)


def start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program on our own streams. Raises Failure as a shell would: 127 not found, 126 not executable."""
    try:
        return subprocess.Popen(command, env=dict(environ))
    except FileNotFoundError:
        raise Failure(f"there is no program {command[0]!r}", "give its path, or check PATH", status=127) from None
    except OSError as error:
        raise Failure(f"{command[0]!r} cannot be run: {error.strerror}", "is it executable?", status=126) from None


@contextmanager
def held_back() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Inside, signals do not end us: they wait for the program that is given to the function, and go to it."""
    waiting: list[int] = []
    program: list[subprocess.Popen[bytes]] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if program:
            _pass_on(program[0], number)
        elif number != getattr(signal, "SIGWINCH", None):
            waiting.append(number)

    def hand_over(to: subprocess.Popen[bytes]) -> None:
        program.append(to)
        for number in waiting:
            to.send_signal(number)

    before = {number: signal.signal(number, receive) for number in FORWARDED}
    try:
        yield hand_over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status(returncode: int) -> int:
    """An exit status as a shell gives it: 128 + n for a program that signal n ended."""
    return 128 - returncode if returncode < 0 else returncode


def _pass_on(program: subprocess.Popen[bytes], number: int) -> None:
    if number in FROM_KEYS and _in_foreground():
        return  # the terminal has sent it to the program already
    program.send_signal(number)


def _in_foreground() -> bool:
    """Return True if we are the foreground group of a terminal, so that keys pressed there reach the program too."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp() if sys.__stdin__ else False
    except (OSError, ValueError, AttributeError):
        return False
