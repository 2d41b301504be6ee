"""A proxy that `exec` starts for one program: on loopback, behind the proxy that was set before, if there was one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sessiontap import own_python
from sessiontap.cli.environment import foreign_proxy
from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.local_proxies import RunningProxy, wait_until_ready
from sessiontap.proxy import state_file

READY_WITHIN = 30.0
STOPPED_WITHIN = 15.0
"""Seconds; the queue for the log is written before it ends."""
UPSTREAM_AUTH = "SESSIONTAP_UPSTREAM_AUTH"
"""The variable with `user:password` for the proxy behind ours (proxy/upstream.py)."""


@dataclass(frozen=True, slots=True)
class ProxyBefore:
    """The proxy that was set before, which ours goes on through."""

    url: str
    """Without user and password."""
    auth: str | None = None
    """`user:password`."""


def upstream(environ: Mapping[str, str]) -> ProxyBefore | None:
    """The proxy that the environment names. Raises Misuse if mitmproxy cannot go on through it."""
    name = foreign_proxy(environ)
    if name is None:
        return None
    from urllib.parse import unquote, urlsplit  # 3 ms that the start of a proxy without it does not take

    given = environ[name]
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise Misuse(f"{name} names no proxy", "write it as http://HOST:PORT")
    if parts.scheme not in ("http", "https"):
        raise Misuse(
            f"{name} names a {parts.scheme} proxy, and mitmproxy goes on only through HTTP proxies",
            "name an HTTP proxy in HTTPS_PROXY for `sessiontap exec`, or unset the variable",
        )
    auth = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    shown = f"[{host}]" if ":" in host else host
    return ProxyBefore(f"{parts.scheme}://{shown}:{port or (443 if parts.scheme == 'https' else 80)}", auth)


class PrivateProxy:
    """The process of such a proxy, from its start on."""

    def __init__(
        self, rules: Path | None, trace: Path, behind: ProxyBefore | None, variables: Mapping[str, str]
    ) -> None:
        command = own_python.command("-m", "sessiontap.proxy", "--listen-host", "127.0.0.1", "-p", "0")
        command += ["--set", f"session_trace={trace}", "--set", "termlog_verbosity=warn"]
        if rules is not None:
            command += ["--set", f"session_rules={rules}"]
        environ = own_python.environment(os.environ) | {state_file.PRIVATE_TO: str(os.getpid()), **variables}
        if behind is not None:
            command += ["--mode", f"upstream:{behind.url}"]
            environ |= {UPSTREAM_AUTH: behind.auth} if behind.auth else {}
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `private_proxy`)
        self._told = 0
        """Bytes of it that `new_lines` has given."""
        self._ready: int | None = None
        """The end of a pipe whose other end the proxy closes when it is ready, and the system if it ends."""
        inherited: list[int] = []
        if os.name == "posix":
            self._ready, end = os.pipe()
            inherited = [end]
            environ |= {state_file.READY: str(end)}
        # A session of its own: Ctrl-C is meant for the program, and the proxy outlives it.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environ,
            pass_fds=inherited,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        for end in inherited:
            os.close(end)

    def wait_until_ready(self) -> RunningProxy:
        """Wait until it listens. Raises Failure with its own words if it does not start."""
        if self._ready is not None:
            select.select([self._ready], [], [], READY_WITHIN)
        ready = wait_until_ready(self.process, READY_WITHIN)
        if ready is None:
            raise self._did_not_start()
        return ready

    def stop(self) -> None:
        """End it, when all that is queued for the log is written."""
        if self.process.poll() is None:
            self.process.terminate()
            end = time.monotonic() + STOPPED_WITHIN
            own_python.wait_for_end(self.process.pid, STOPPED_WITHIN)
            try:
                self.process.wait(max(end - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def warnings(self) -> str:
        """The lines that it has written so far."""
        return self._written(0).decode("utf-8", "replace")

    def new_lines(self, *, is_last: bool) -> str:
        """The lines that it has written since this was last asked; one that it is still writing if this `is_last`."""
        written = self._written(self._told)
        lines = written if is_last else written[: written.rfind(b"\n") + 1]
        self._told += len(lines)
        return lines.decode("utf-8", "replace")

    def _written(self, start: int) -> bytes:
        file = self._log.fileno()
        if not hasattr(os, "pread"):
            self._log.seek(start)
            return self._log.read()
        return os.pread(file, os.fstat(file).st_size - start, start)  # its place in the file is the proxy's, too

    def close(self) -> None:
        """End it, and remove its log."""
        self.stop()
        self._log.close()
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None

    def _did_not_start(self) -> Failure:
        """The proxy's own sentence, or of a traceback its last line."""
        words, returncode = self.warnings().strip().removeprefix("sessiontap: "), self.process.returncode
        if "Traceback (most recent call last)" in words:
            return Failure(f"the proxy did not start: {words.splitlines()[-1]}", "`sessiontap run` shows more")
        return Failure(words or f"the proxy ended at once with status {returncode}", status=2 if returncode == 2 else 1)


@contextmanager
def private_proxy(
    rules: Path | None, trace: Path, behind: ProxyBefore | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[PrivateProxy]:
    """Start a proxy, with more environment `variables`, and end it at the end of the block."""
    proxy = PrivateProxy(rules, trace, behind, variables or {})
    try:
        yield proxy
    finally:
        proxy.close()


def _end_with_parent() -> None:
    """Even a parent that is killed leaves no proxy behind (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
