"""`exec` as two processes: the one that its caller waits for, and a supervisor that stays as long as it is needed.

    a shell -> front (passes signals on, waits) -> supervisor -> the proxy, the program -> what the program starts

The program's end is the end of `exec` for its caller, as if the program had been started by itself. What the program
leaves running needs its proxy: the supervisor ends the proxy when the last of it has ended. On Linux the supervisor
adopts what loses its parent (prctl(2), PR_SET_CHILD_SUBREAPER), so it sees every end. Elsewhere a pipe tells, which
descendants inherit; a descendant that closes files that it does not know is then missed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from types import FrameType
from typing import NoReturn

from sessiontap.cli.program import FORWARDED, ProgramStart, send_signal, start, status

_PR_SET_CHILD_SUBREAPER = 36
LOOK_FIRST, LOOK_SOON, LOOK_LATER = 0.02, 0.1, 1.0
"""Seconds until the first look at the program's connections, and between two, at first and later."""
_LOOK_AGAIN = 60.0
"""Seconds after which a supervisor looks for its children without being told that one ended."""


def fork() -> Supervisor:
    """Return in the supervisor, a new process. The old one waits in here and exits with the status that it is given.

    On a system without fork there is one process, which does not stay behind.
    """
    if not hasattr(os, "fork"):
        return Supervisor(None, None)
    signals, send = os.pipe()
    result, give = os.pipe()
    for number in FORWARDED:
        signal.signal(number, lambda number, _: send_signal(send, number))
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(signals)
        os.close(give)
        _wait_in_front(pid, result)
    supervisor = Supervisor(signals, give)
    os.close(result)
    os.close(send)
    return supervisor


def _wait_in_front(pid: int, result: int) -> NoReturn:
    """Exit with the status that the supervisor gives, or with its own if it ends without one."""
    given = os.read(result, 1)
    if given:
        os._exit(given[0])
    _, ended = os.waitpid(pid, 0)
    os._exit(status(os.waitstatus_to_exitcode(ended)))


class Supervisor:
    """The process behind the front. `signals`: the pipe of the front's signals; `result`: the one for its status."""

    def __init__(self, signals: int | None, result: int | None) -> None:
        self._signals = signals
        self._result = result
        self._program: subprocess.Popen[bytes] | None = None
        self._held: int | None = None
        """The end of the pipe whose other end descendants hold, on a system without subreapers."""
        self.proxy: subprocess.Popen[bytes] | None = None
        """A child that is no descendant of the program."""
        self._wake: int | None = None
        """Readable after a signal. None on Windows, where nothing waits for a pipe."""
        if os.name == "posix":
            self._wake, wake = os.pipe()
            for end in (self._wake, wake):
                os.set_blocking(end, False)
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._early: list[int] = []
        """Signals from before the program's start."""
        for number in (*FORWARDED, *_CHILD):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """A terminal's signals reach the program by themselves, and all others come through the pipe.

        So nothing is to be done, once the program runs. A signal that we ignored would be ignored in the program, too.
        """
        if self._program is None and number not in _CHILD:
            self._early.append(number)

    def run(
        self,
        program: ProgramStart,
        environ: Mapping[str, str],
        *,
        adopt: bool,
        look: Callable[[int], None],
    ) -> int:
        """Run the program and return its status. `adopt`: see what it leaves running.

        `look` is called with its pid now and then. Raises Failure if it cannot be started.
        """
        inherited: tuple[int, ...] = ()
        if adopt and not _adopt_orphans() and os.name == "posix":
            self._held, end = os.pipe()
            inherited = (end,)
        self._program = start(program.command, environ, inherited, program.before_exec)
        program.after_start()
        for end in inherited:
            os.close(end)
        for number in self._early:
            self._program.send_signal(number)
        pauses = chain([LOOK_FIRST], repeat(LOOK_SOON, 20), repeat(LOOK_LATER))
        while self._program.poll() is None:
            self._wait(next(pauses))
            self._reap()
            if self._program.poll() is None:
                look(self._program.pid)
        return status(self._program.returncode)

    @property
    def pid(self) -> int:
        """The program's pid."""
        assert self._program is not None
        return self._program.pid

    def left_running(self) -> list[int]:
        """The pids of the processes that the program left running, as far as they are known."""
        self._reap()
        proxy = self.proxy.pid if self.proxy else None
        return sorted(pid for pid in _children() if pid != proxy)

    def release(self, status: int) -> None:
        """Let `exec` end for its caller. The supervisor lets go of its terminal and files."""
        if self._result is None:
            return
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        os.write(self._result, bytes([status]))
        os.close(self._result)
        self._result = None
        with contextlib.suppress(OSError):
            os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)

    def wait_for_the_last(self) -> None:
        """Wait until nothing runs that descends from the program."""
        if self._held is not None:
            while os.read(self._held, 1):
                pass
            return
        while self.left_running():
            self._wait(_LOOK_AGAIN)

    def _wait(self, seconds: float) -> None:
        """Wait for a signal, a child's end or the time to pass, and pass the front's signals on."""
        if self._wake is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._program is not None:
                    self._program.wait(seconds)
            return
        watched = [self._wake, *([self._signals] if self._signals is not None else [])]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        if self._signals in ready:
            assert self._signals is not None
            numbers = os.read(self._signals, 64)
            if not numbers:  # the front was killed
                os.close(self._signals)
                self._signals = None
            for number in numbers:
                if self._program is not None and self._program.poll() is None:
                    self._program.send_signal(number)

    def _reap(self) -> None:
        """Take the status of every child that has ended; of adopted ones nobody else does."""
        known = {one.pid: one for one in (self._program, self.proxy) if one is not None}
        while hasattr(os, "waitid"):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in known:
                known[ended.si_pid].poll()
            else:
                os.waitpid(ended.si_pid, 0)


_CHILD = [signal.SIGCHLD] if hasattr(signal, "SIGCHLD") else []


def _adopt_orphans() -> bool:
    """Make this process the parent of descendants that lose theirs. Return False if the system has no such thing."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _children() -> Iterator[int]:
    """The pids of our children that have not ended."""
    if sys.platform != "linux":
        return
    from sessiontap.callers.procfs import ProcessFolder

    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError), ProcessFolder(int(name)) as folder:
                stat = folder.stat()
                if stat.ppid == own and stat.state not in "ZX":
                    yield int(name)
