"""The proxies of this machine: those that run, by the state files that they write, and one started for one program."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sessiontap import own_python
from sessiontap.cli.errors import Failure
from sessiontap.proxy import own_address, state_file  # plain Python: no mitmproxy in them

REACHABLE_WITHIN = 0.5
"""Seconds for a connection to a proxy of this machine."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A proxy as it described itself."""

    pid: int
    started: float
    """Unix seconds."""
    host: str
    """The address at which a program of this machine reaches it."""
    port: int
    confdir: Path
    trace: Path
    rules: Path | None
    listens_on: str

    @property
    def url(self) -> str:
        return url(self.host, self.port)


def url(host: str, port: int) -> str:
    """The proxy URL for a host name or address and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def parse(text: str) -> RunningProxy | None:
    """A state file's content; None if it is not (yet) one, or if the proxy listens nowhere."""
    try:
        values: Any = json.loads(text)
        host, rules = str(values["listen_host"] or ""), values["rules"]
        return RunningProxy(
            pid=int(values["pid"]),
            started=float(values["started"]),
            host=_EVERYWHERE.get(host, host),
            port=int(values["listen_port"]),
            confdir=Path(values["confdir"]),
            trace=Path(values["trace"]),
            rules=Path(rules) if rules else None,
            listens_on=host,
        )
    except (ValueError, TypeError, KeyError):
        return None


def read(path: Path) -> RunningProxy | None:
    """The state file at `path`; None if there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def newest(folder: Path | None = None) -> RunningProxy | None:
    """The proxy that was started last and still answers."""
    return next(running(folder), None)


def running(folder: Path | None = None) -> Iterator[RunningProxy]:
    """Every proxy that answers, newest first; files that dead ones left behind are passed over."""
    found = [read(path) for path in (folder or state_file.folder()).glob("*.json")]
    for proxy in sorted((one for one in found if one), key=lambda one: one.started, reverse=True):
        if _alive(proxy.pid) and _answers(proxy):
            yield proxy


def wait_until_ready(
    process: subprocess.Popen[bytes], within: float, folder: Path | None = None
) -> RunningProxy | None:
    """The state of a proxy that was just started, once it listens; None if it dies. Raises Failure after `within` s."""
    path = (folder or state_file.folder()) / f"{process.pid}.json"
    begun, earliest = time.monotonic(), time.time() - 60
    while time.monotonic() - begun < within:
        proxy = read(path)
        if proxy is not None and proxy.started > earliest:  # an older one is a dead namesake's
            return proxy
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        return None
    raise Failure(
        f"the proxy did not come up within {within:.0f} seconds", "start it by hand to see why: sessiontap run"
    )


def recorded(proxy: RunningProxy, pid: int) -> own_address.Answer | None:
    """Ask if the calls of process `pid` and its children are in the log; wait until they are or it takes too long.

    None if the proxy does not answer that: it is another version, or asks for a password.
    """
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=own_address.LIMIT + 5)
    try:
        connection.request("GET", own_address.recorded_url(pid))
        answer = json.loads(connection.getresponse().read(1000))
        return own_address.Answer(answer["recorded"] is True, int(answer["in_flight"]))
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
        return None
    finally:
        connection.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _answers(proxy: RunningProxy) -> bool:
    try:
        with socket.create_connection((proxy.host, proxy.port), timeout=REACHABLE_WITHIN):
            return True
    except OSError:
        return False


READY_WITHIN = 30.0
STOPPED_WITHIN = 15.0
"""Seconds; what is queued for the log is written before it ends."""


@contextmanager
def own_proxy(rules: Path | None, trace: Path) -> Iterator[RunningProxy]:
    """A proxy on loopback while the block runs. What it warned of is printed on stderr behind it.

    Raises Failure with the proxy's own words if it does not start.
    """
    command = own_python.command("-m", "sessiontap.cli", "run", "--listen-host", "127.0.0.1", "-p", "0")
    command += ["--set", f"session_trace={trace}", "--set", "termlog_verbosity=warn"]
    if rules is not None:
        command += ["--set", f"session_rules={rules}"]
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C is meant for the program, and the proxy outlives it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=own_python.environment(os.environ),
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            ready = wait_until_ready(process, READY_WITHIN)
            if ready is None:
                raise _did_not_start(_text(log), process.returncode)
            yield ready
        finally:
            _stop(process)
        sys.stderr.write(_text(log))


def _end_with_parent() -> None:
    """Even a parent that is killed leaves no proxy behind (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _did_not_start(log: str, returncode: int) -> Failure:
    """The proxy's own sentence, or of a traceback its last line."""
    words = log.strip().removeprefix("sessiontap: ")
    if "Traceback (most recent call last)" in words:
        return Failure(f"the proxy did not start: {words.splitlines()[-1]}", "`sessiontap run` shows more")
    return Failure(words or f"the proxy ended at once with status {returncode}", status=2 if returncode == 2 else 1)
