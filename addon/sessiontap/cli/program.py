"""Start the user's program with our own streams, send signals on to it, and give its status as a shell does."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import print_notice

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy

FORWARDED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
    if hasattr(signal, name)
]
FROM_KEYS = {getattr(signal, name) for name in ("SIGINT", "SIGQUIT", "SIGWINCH", "SIGHUP") if hasattr(signal, name)}
"""Signals that a terminal sends to the whole foreground group, the program included."""


def find(name: str) -> None:
    """Check that there is such a program before anything is set up for it. Raises Failure (127)."""
    if shutil.which(name) is None and not os.path.exists(name):
        raise Failure(f"there is no program {name!r}", "give its path, or check PATH", status=127)


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    inherited: Sequence[int] = (),
    before_exec: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the program on our own streams, with the files `inherited` open. `before_exec` runs in its process.

    Raises Failure as a shell would: 127 not found, 126 not executable.
    """
    try:
        return subprocess.Popen(command, env=dict(environ), pass_fds=inherited, preexec_fn=before_exec)
    except FileNotFoundError:
        raise Failure(f"there is no program {command[0]!r}", "give its path, or check PATH", status=127) from None
    except OSError as error:
        if error.errno == errno.ENOEXEC and (script := _script(command[0])):
            command = ["/bin/sh", script, *command[1:]]
            return subprocess.Popen(command, env=dict(environ), pass_fds=inherited, preexec_fn=before_exec)
        raise Failure(f"{command[0]!r} cannot be run: {error.strerror}", "is it executable?", status=126) from None


def _script(name: str) -> str | None:
    """The path of a text without `#!`, which shells run as a shell script; None for a file that is no text."""
    path = shutil.which(name) or name
    try:
        with open(path, "rb") as file:
            first, _, _ = file.read(4096).partition(b"\n")
    except OSError:
        return None
    return path if b"\0" not in first else None


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """The start of a program: its command, and what its process does first."""

    command: Sequence[str]
    before_exec: Callable[[], None] | None = None
    """Run in its process before it starts."""
    after_start: Callable[[], None] = lambda: None
    """Run in ours once it has started."""


@contextmanager
def program_start(
    command: Sequence[str], environ: Mapping[str, str], proxy: RunningProxy, force: bool
) -> Iterator[ProgramStart]:
    """The start of a program that runs, with all that it leaves behind, within the block.

    `environ`: the program's. Raises Failure if `force` does not work here.
    """
    if not force:
        yield ProgramStart(command)
        return
    from sessiontap.capture.force import CannotForce, forced

    assert proxy.plain is not None
    try:
        with forced((proxy.plain.local_host, proxy.plain.port), environ) as way:
            if way.misses is not None:
                print_notice(way.misses)
            yield ProgramStart([*way.prefix, *command], way.before_exec, way.after_start)
    except CannotForce as error:
        raise Failure(f"--force does not work here: {error}", error.hint) from None


@contextmanager
def confined_start(
    command: Sequence[str], proxy: RunningProxy, ports: Collection[int], *, is_live: bool
) -> Iterator[ProgramStart]:
    """The start of a program that reaches nothing but the proxy and loopback, there not the `ports`.

    `is_live`: some of its calls go on to their servers. If this machine cannot do that, it is said, and the program
    starts as ever.
    """
    from sessiontap.capture.force import CannotForce, Way

    assert proxy.plain is not None
    way = Way("variables")
    with ExitStack() as stack:
        try:
            if sys.platform != "linux":
                raise CannotForce("that needs Linux", "")
            from sessiontap.capture.confinement import confined

            way = stack.enter_context(confined((proxy.plain.local_host, proxy.plain.port), ports, looks_up=is_live))
        except CannotForce as error:
            print_notice(f"the program is kept from the network only as far as it heeds HTTPS_PROXY: {error}")
        yield ProgramStart(command, way.before_exec, way.after_start)


def status(returncode: int) -> int:
    """An exit status as a shell gives it: 128 + n for a program that signal n ended."""
    return 128 - returncode if returncode < 0 else returncode


def send_signal(pipe: int, number: int) -> None:
    """Write a signal that we got into the pipe for the program, if a terminal has not sent it there already."""
    if not (number in FROM_KEYS and _in_foreground()):
        with contextlib.suppress(OSError):  # the reader has ended
            os.write(pipe, bytes([number]))


def _in_foreground() -> bool:
    """Return True if we are the foreground group of a terminal, so that keys pressed there reach the program too."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp() if sys.__stdin__ else False
    except (OSError, ValueError, AttributeError):
        return False
