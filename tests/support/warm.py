"""Real processes that start at once: one that has imported a program forks another for each that is asked for.

The child runs the program's own `main`, with arguments, an environment, a folder and files of its own, from its option
parser to its exit status. All that it is spared is the time that Python takes to start and to import it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Self

from sessiontap import own_python

START_LIMIT = 120.0
"""Seconds until all is imported, on a busy machine."""
_MOST = 1 << 17
"""Bytes of an order."""
_NUMBER = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Done:
    """A process that has ended."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Forked:
    """A process that was forked, with what `subprocess.Popen` offers of it."""

    def __init__(self, pid: int, ended: int) -> None:
        """`ended`: a file from which its exit status is read."""
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """The exit status if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self.returncode = _read_number(self._ended)
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Warm:
    """The process that forks, of a program of `_PROGRAMS`. It ends with this one."""

    def __init__(self, program: str, flags: Sequence[str], environment: Mapping[str, str]) -> None:
        """`flags`: of its Python."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            command = [sys.executable, "-P", *flags, __file__, program, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=dict(environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.wait(START_LIMIT)

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | str | None = None,
        *,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any],
        stderr: int | IO[Any],
    ) -> Forked:
        """Start the program in `folder` or this process's; of the files only DEVNULL may be a name."""
        order = {"arguments": list(arguments), "folder": str(folder or Path.cwd()), "environment": dict(environment)}
        nothing = os.open(os.devnull, os.O_RDWR)
        read, write = os.pipe()
        try:
            files = [nothing if one == subprocess.DEVNULL else _file(one) for one in (stdin, stdout, stderr)]
            message = json.dumps(order).encode("ascii")
            assert len(message) < _MOST, "the order is too long"
            with self._lock:
                socket.send_fds(self._socket, [message], [*files, write])
        finally:
            os.close(nothing)
            os.close(write)
        assert select.select([read], [], [], START_LIMIT)[0], "the warm process does not answer"
        return Forked(_read_number(read), read)

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
    ) -> Done:
        """Run the program to its end, and return what it wrote on the files that are not given."""
        with TemporaryFile() as out, TemporaryFile() as errors:
            given = out if stdout is None else stdout
            complaints = given if stderr == subprocess.STDOUT else errors if stderr is None else stderr
            status = self.start(arguments, environment, stdin=stdin, stdout=given, stderr=complaints).wait(START_LIMIT)
            out.seek(0)
            errors.seek(0)
            return Done(status, out.read(), errors.read())


def sessiontap() -> Warm:
    """The command line's, for all tests."""
    return _only("sessiontap", None)


def mitmdump(patch: Path | None = None, *, forks_recorder: bool = True) -> Warm:
    """mitmdump's with the addon, for all tests. It runs without assertions where our own proxies do.

    `patch`: a folder with a `sitecustomize`, which it begins with, and each recorder, which is a Python of its own.
    Else a proxy's first recorder is forked with it, unless it `forks_recorder` not.
    """
    return _only("mitmdump" if forks_recorder and patch is None else "mitmdump-alone", patch)


def sessiontap_run() -> Warm:
    """The one of `sessiontap run`, for all tests. Its first recorder is forked, too."""
    return _only("sessiontap-run", None)


_ONE_AT_A_TIME = threading.Lock()


def _only(program: str, patch: Path | None) -> Warm:
    """The one of its kind, also for threads that ask together: a second one would end as soon as nobody refers to it,
    and nobody would hear how what it forked ended."""
    with _ONE_AT_A_TIME:
        return _made(program, patch)


@cache
def _made(program: str, patch: Path | None) -> Warm:
    if program == "sessiontap":
        return Warm(program, [], own_python.environment(os.environ))
    (_, _, *flags) = own_python.command()
    return Warm(program, flags, with_patch({**own_python.environment(os.environ), "PYTHONUNBUFFERED": "1"}, patch))


def with_patch(environment: Mapping[str, str], patch: Path | None) -> dict[str, str]:
    """`environment` for Pythons that begin with `patch`."""
    path = os.pathsep.join(filter(None, (patch and str(patch), environment.get("PYTHONPATH"))))
    return {**environment, **({"PYTHONPATH": path} if path else {})}


def _file(given: int | IO[Any]) -> int:
    return given if isinstance(given, int) else given.fileno()


def _read_number(file: int) -> int:
    data = os.read(file, _NUMBER.size)
    assert data, "the warm process has ended"
    number: int = _NUMBER.unpack(data)[0]
    return number


# -- the process that forks --------------------------------------------------------------------------------------------


def _mitmdump() -> Callable[[], Any]:
    """mitmdump, whose first recorder is forked, too, where `sessiontap run` starts it early."""
    from sessiontap.recording import process, spawn

    mitmdump = _mitmdump_alone()

    def run() -> None:
        spawn._early.append(_Recorder(process.main))  # type: ignore[arg-type]
        mitmdump()

    return run


def _mitmdump_alone() -> Callable[[], Any]:
    """mitmdump, each of whose recorders is a Python that starts by itself."""
    from mitmproxy.tools import dump, main  # noqa: F401  imported here for the children

    from sessiontap.proxy import tap  # noqa: F401

    return main.mitmdump


def _sessiontap_run() -> Callable[[], Any]:
    from sessiontap.cli.commands import start  # noqa: F401
    from sessiontap.cli.main import main
    from sessiontap.proxy import runner, tap  # noqa: F401
    from sessiontap.recording import process, spawn

    spawn.start_early = lambda: spawn._early.append(_Recorder(process.main))  # type: ignore[arg-type]
    return main


class _Recorder:
    """A recorder's process that was forked from the proxy's before that did anything, with what the proxy uses of
    `subprocess.Popen`."""

    def __init__(self, main: Callable[[], int]) -> None:
        (stdin, into), (out, stdout) = os.pipe(), os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.closerange(3, 65_536)
            os._exit(main())
        os.close(stdin)
        os.close(stdout)
        self.stdin, self.stdout = open(into, "wb", buffering=0), open(out, "rb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        while (status := self.poll()) is None:
            if time.monotonic() >= end:
                raise subprocess.TimeoutExpired("recorder", timeout or 0.0)
            time.sleep(0.005)
        return status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _sessiontap() -> Callable[[], Any]:
    import sessiontap
    from sessiontap.cli.main import main

    for module in pkgutil.walk_packages(sessiontap.__path__, "sessiontap."):
        if not module.name.startswith(("sessiontap.proxy", "sessiontap.ui")) and "__main__" not in module.name:
            importlib.import_module(module.name)
    import rich.table  # noqa: F401

    from sessiontap.prices import catalogue

    catalogue.look_up("openai", "gpt-4o")  # the price list, which takes longer to load than all the rest

    return main


_PROGRAMS = {
    "mitmdump": _mitmdump,
    "mitmdump-alone": _mitmdump_alone,
    "sessiontap": _sessiontap,
    "sessiontap-run": _sessiontap_run,
}


def _serve(program: str, orders: socket.socket) -> Callable[[], Any]:
    """Fork for each order. Returns in the child, with its `main`; the process itself ends here."""
    main = _PROGRAMS[program]()
    gc.collect()
    gc.freeze()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    waiting: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(waiting)
        if orders not in ready:
            continue
        message, files, _, _ = socket.recv_fds(orders, _MOST, 4)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            _become(program, json.loads(message), files)
            return main
        waiting[pid] = files[3]
        os.write(files[3], _NUMBER.pack(pid))
        for file in files[:3]:
            os.close(file)


def _tell_ended(waiting: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            with suppress(OSError):
                os.write(waiting[found[0]], _NUMBER.pack(os.waitstatus_to_exitcode(found[1])))
            os.close(waiting.pop(found[0]))


def _become(program: str, order: dict[str, Any], files: Sequence[int]) -> None:
    """Be the process that was ordered."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    os.closerange(3, 65_536)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    named, _, handler = os.environ.get("PYTHONIOENCODING", "").partition(":")
    encoding, whole = named or "utf-8", bool(os.environ.get("PYTHONUNBUFFERED"))
    errors, lines = handler or "strict", whole or os.isatty(1)
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", 1 if lines else -1, encoding=encoding, errors=errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)
    sys.argv = [program.partition("-")[0], *order["arguments"]]


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))())
