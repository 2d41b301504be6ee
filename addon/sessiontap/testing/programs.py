"""Keep the programs that a replayed test starts in, as those of `sessiontap replay` (capture/confinement.py).

For Linux alone. A filter of system calls cannot be taken off again, and whatever a thread starts has its filter. So no
thread of the tests gets it:

    programs       (`subprocess`, `os.system`, `os.posix_spawn`, those of `multiprocessing`) start on a thread that does
                   nothing else, and has it
    forks          put it on themselves, before anything else runs in them
    fork servers   of `multiprocessing` that run already have none: replayed tests get one of their own
    os.exec*       in the place of pytest itself is refused, and so is a function of Python's that was imported before
                   this module stood in its place

A program that a library in C starts by itself is not seen here.
"""

from __future__ import annotations

import _posixsubprocess
import errno
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from sessiontap.capture import seccomp
from sessiontap.capture.confinement import Confinement
from sessiontap.capture.name_server import NameServer

_STARTS = (
    (os, "posix_spawn"), (os, "posix_spawnp"), (subprocess, "_fork_exec"), (_posixsubprocess, "fork_exec"),
)  # fmt: skip
"""Functions that start a program, and return at once."""
_EVENTS = frozenset(("os.exec", "os.posix_spawn", "os.system"))
"""Python's audit events of programs that are started."""
_SHELLS = 64
"""Calls of os.system at the same time: each waits for its program's end."""


class Programs:
    """The programs of all tests of a run. Those that start while it `is_closed` are kept in for as long as they run."""

    def __init__(self, proxy: tuple[str, int]) -> None:
        """Raises OSError if that cannot be done here."""
        if not seccomp.is_known_here():
            raise OSError(errno.ENOSYS, "not on this processor")
        self.is_closed = False
        self._process = os.getpid()
        self._of_thread = threading.local()
        """`.is_confined` is set in those of our threads that have the filter."""
        self._is_confined = False
        """All threads have the filter: this is a process that a test forked."""
        self._why_not: str | None = None
        """Why it has none. It starts no programs then."""
        self._fork_server: dict[str, Any] | None = None
        self._exit = ExitStack()
        try:
            names = self._exit.enter_context(NameServer())
            names.start()
            self._confinement = Confinement(proxy, (), names.address)
            self._exit.callback(self._confinement.close)
            self._confinement.start()
            self._starting = self._exit.enter_context(ThreadPoolExecutor(1, "sessiontap-programs"))
            self._waiting = self._exit.enter_context(ThreadPoolExecutor(_SHELLS, "sessiontap-programs", self._mark))
            self._starting.submit(self._confine).result()
        except BaseException:
            self._exit.close()
            raise
        for module, name in _STARTS:
            self._replace(module, name, self._start)
        self._replace(os, "system", self._start_and_wait)
        os.register_at_fork(after_in_child=self._forked)

    def close(self, ports: Collection[int]) -> None:
        """A test begins. `ports`: those of this machine at which calls of its recording were made."""
        self.is_closed = True
        self._confinement.replay_ports(ports)
        self._swap_fork_servers()
        if os.getpid() != self._process:  # the test runs in a fork
            self._forked()

    def open(self) -> None:
        """The test has ended."""
        if self.is_closed:
            self.is_closed = False
            self._swap_fork_servers()

    def end(self) -> None:
        """All tests have ended."""
        self.open()
        self._exit.close()

    def refusal(self, event: str) -> str | None:
        """Return why a program may not be started as an audit event tells; None if it may."""
        if event not in _EVENTS or not self.is_closed or self._is_here():
            return None
        if self._why_not is not None:
            return self._why_not
        if event == "os.exec":
            return "a program in the place of pytest itself cannot be kept from the network: start it by subprocess"
        return f"{event} was imported before pytest knew its plugins, and is not kept from the network: write {event}()"

    def _is_here(self) -> bool:
        return self._is_confined or getattr(self._of_thread, "is_confined", False)

    def _mark(self) -> None:
        self._of_thread.is_confined = True

    def _confine(self) -> None:
        """Put the filter on this thread. Raises OSError."""
        self._confinement.before_exec()
        self._mark()

    def _forked(self) -> None:
        """This is a process that a test has forked, with one thread."""
        if not self.is_closed:
            return
        try:
            if not self._is_here():
                self._confine()
            self._is_confined = True
        except OSError as error:
            why = error.strerror or error
            self._why_not = f"this fork cannot be kept from the network ({why}), so it starts no program"

    def _replace(self, module: Any, name: str, run: Callable[..., Any]) -> None:
        """Have a function run by `run` while a test is replayed."""
        original = getattr(module, name)

        @functools.wraps(original)
        def confined(*values: Any, **named: Any) -> Any:
            if not self.is_closed or self._is_here():
                return original(*values, **named)
            if self._why_not is not None:
                raise PermissionError(errno.EPERM, f"sessiontap: {self._why_not}")
            return run(original, *values, **named)

        confined.__module__ = module.__name__  # where pickle finds it
        setattr(module, name, confined)
        self._exit.callback(setattr, module, name, original)

    def _start(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        return self._starting.submit(function, *values, **named).result()

    def _start_and_wait(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        # A thread has the filter of the one that submits, by which it is made.
        return self._starting.submit(self._waiting.submit, function, *values, **named).result().result()

    def _swap_fork_servers(self) -> None:
        """Exchange multiprocessing's fork server with that of replayed tests, which starts when it is asked for."""
        module = sys.modules.get("multiprocessing.forkserver")
        if module is None:
            return
        now = vars(module._forkserver)
        new = vars(module.ForkServer()) if self._fork_server is None else self._fork_server
        self._fork_server = {name: now[name] for name in new if name.startswith("_forkserver_")}
        now.update({name: new[name] for name in self._fork_server})
