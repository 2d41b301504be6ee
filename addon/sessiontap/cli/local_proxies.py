"""The proxies that run on this machine, by the state files that they write, and what one is asked.

`env` and `exec` take a proxy of the same user that listens as a plain HTTP proxy (mode regular or upstream). A proxy
that an `exec` started for its program is taken by descendants of that `exec` alone: it ends with them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessiontap.cli.errors import Failure
from sessiontap.proxy import own_address, state_file  # plain Python: no mitmproxy in them

REACHABLE_WITHIN = 0.5
"""Seconds for a connection to a proxy of this machine."""
_AT_ONCE = 65536
"""Bytes that are read of an answer at a time."""
PLAIN_MODES = ("regular", "upstream")
"""mitmproxy's modes in which HTTPS_PROXY may name the listener."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Listener:
    """An address at which a proxy listens, and mitmproxy's name for how."""

    mode: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL by which a program of this machine reaches it."""
        return url(self.local_host, self.port)

    @property
    def local_host(self) -> str:
        """The address at which a program of this machine reaches it."""
        return _EVERYWHERE.get(self.host, self.host)


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A proxy as it described itself."""

    pid: int
    started: float
    """Unix seconds."""
    uid: int | None
    """The user; None on a system without numbers for users."""
    private_to: int | None
    """The pid of the `exec` that started it for its program."""
    listeners: tuple[Listener, ...]
    confdir: Path
    trace: Path
    rules: Path | None
    token: str | None = None
    """Opens its list of calls in flight; None of an older version."""
    answers_at: Listener | None = None
    """Where it answers for itself if it accepts no connections any more, and only waits for its calls in flight."""

    @property
    def plain(self) -> Listener | None:
        """The listener that HTTPS_PROXY may name."""
        return next((one for one in self.listeners if one.mode in PLAIN_MODES), None)

    @property
    def asked(self) -> Listener | None:
        """The listener at which it answers for itself."""
        return self.answers_at or self.plain

    @property
    def url(self) -> str:
        """The URL for HTTPS_PROXY. Only for a proxy with a plain listener."""
        assert self.plain is not None
        return self.plain.url


def url(host: str, port: int) -> str:
    """The proxy URL for a host name or address and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def parse(text: str) -> RunningProxy | None:
    """A state file's content; None if it is not (yet) one, or if the proxy listens nowhere."""
    try:
        values: Any = json.loads(text)
        listeners = tuple(map(_listener, values["listeners"]))
        answers_at = values.get("answers_at")
        if not listeners and answers_at is None:
            return None
        return RunningProxy(
            pid=int(values["pid"]),
            started=float(values["started"]),
            uid=values["uid"],
            private_to=values["private_to"],
            listeners=listeners,
            confdir=Path(values["confdir"]),
            trace=Path(values["trace"]),
            rules=Path(values["rules"]) if values["rules"] else None,
            token=values["token"] if isinstance(values.get("token"), str) else None,
            answers_at=_listener(answers_at) if answers_at is not None else None,
        )
    except (ValueError, TypeError, KeyError):
        return None


def _listener(values: Mapping[str, Any]) -> Listener:
    return Listener(str(values["mode"]), str(values["host"]), int(values["port"]))


def read(path: Path) -> RunningProxy | None:
    """The state file at `path`; None if there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def running(folder: Path | None = None) -> Iterator[RunningProxy]:
    """Every proxy that answers, newest first. Files that dead ones left behind are passed over."""
    found = [read(path) for path in (folder or state_file.folder()).glob("*.json")]
    if not any(found):
        return
    from sessiontap.callers.running import is_alive

    for proxy in sorted((one for one in found if one and one.listeners), key=lambda one: one.started, reverse=True):
        if is_alive(proxy.pid) and answers(proxy.listeners[0].local_host, proxy.listeners[0].port):
            yield proxy


def usable(folder: Path | None = None) -> Iterator[RunningProxy]:
    """The proxies that `env` and `exec` may take: first those of an `exec` that we descend from; the newest first."""
    found = [proxy for proxy in running(folder) if proxy.plain is not None and proxy.uid == _uid()]
    above = ancestors() if any(proxy.private_to for proxy in found) else frozenset()
    yield from (proxy for proxy in found if proxy.private_to in above)
    yield from (proxy for proxy in found if proxy.private_to is None)


def ancestors() -> frozenset[int]:
    """The pids of our ancestors, and our own."""
    if sys.platform != "linux":
        import psutil

        return frozenset((os.getpid(), *(one.pid for one in psutil.Process().parents())))
    from sessiontap.callers.procfs import ProcessFolder

    pids = [os.getpid()]
    while pids[-1] > 0:
        try:
            with ProcessFolder(pids[-1]) as folder:
                pids.append(folder.stat().ppid)
        except (OSError, ValueError):
            break
    return frozenset(pids)


def dead_proxy(environ: Mapping[str, str]) -> str | None:
    """The URL of a proxy of ours that the environment names and that has ended: every call would fail there."""
    found = environ.get(OURS)
    if not found or environ.get("HTTPS_PROXY") != found:
        return None
    host, _, port = found.removeprefix("http://").rpartition(":")
    return None if answers(host.strip("[]"), int(port)) else found


OURS = "SESSIONTAP_PROXY"
"""The variable with the URL of the proxy that `env` or `exec` set the others for."""


def wait_until_ready(
    process: subprocess.Popen[bytes], within: float, folder: Path | None = None
) -> RunningProxy | None:
    """The state of a proxy that was just started, once it listens; None if it dies. Raises Failure after `within` s."""
    begun, earliest = time.monotonic(), time.time() - 60
    while time.monotonic() - begun < within:
        # Asked each time: the proxy may make the user's folder, for which another one stood in.
        proxy = read((folder or state_file.folder()) / f"{process.pid}.json")
        if proxy is not None and proxy.started > earliest:  # an older one is of a dead proxy with the same pid
            return proxy
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        return None
    raise Failure(
        f"the proxy did not come up within {within:.0f} seconds", "start it by hand to see why: sessiontap run"
    )


def recorded(proxy: RunningProxy, pid: int) -> own_address.ProcessAnswer | None:
    """Ask if the calls of process `pid` and its children are in the log; wait until they are or it takes too long.

    None if the proxy does not answer that: it is another version, or asks for a password.
    """
    answer = ask(proxy, own_address.recorded_url(pid))
    try:
        return own_address.ProcessAnswer(answer["recorded"] is True, int(answer["in_flight"]))
    except (ValueError, TypeError, KeyError):
        return None


def ask(proxy: RunningProxy, question: str) -> Any:
    """The proxy's own answer to a question (see `own_address`); None if it gives none."""
    if proxy.asked is None:
        return None
    within = own_address.LIMIT + 5
    try:
        return Asking(proxy.asked.local_host, proxy.asked.port, question, within).answer(within)
    except OSError:
        return None


class Asking:
    """A question to a proxy, and its answer in JSON (see `own_address`).

    The exchange is made on the socket itself: http.client would load modules of mail and TLS first, which takes longer
    than the proxy's answer.
    """

    def __init__(self, host: str, port: int, question: str, within: float) -> None:
        """Send the question. Raises OSError if the proxy cannot be reached `within` seconds."""
        self._socket = socket.create_connection((host, port), timeout=within)
        authority = question.removeprefix("http://").partition("/")[0]
        request = f"GET {question} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        try:
            self._socket.sendall(request.encode("ascii"))
        except OSError:
            self._socket.close()
            raise

    def answer(self, within: float) -> Any:
        """Return the value that the proxy gives `within` seconds; None if it gives none. It may be called once."""
        end = time.monotonic() + within
        received = b""
        try:
            with self._socket:
                while True:
                    self._socket.settimeout(max(end - time.monotonic(), 0.001))
                    more = self._socket.recv(_AT_ONCE)
                    if not more:
                        break
                    received += more
        except OSError:
            return None
        head, _, body = received.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        try:
            return json.loads(body) if status == [b"200"] else None
        except ValueError:
            return None


def has_variable(proxy: RunningProxy | None, name: str) -> bool | None:
    """Return True if the variable was set when the proxy was started; None if that is not known. Its value is not read
    any further: it may be a secret.
    """
    if proxy is None:
        return None
    import psutil  # 30 ms that other commands do not spend

    try:
        return name in psutil.Process(proxy.pid).environ()
    except (psutil.Error, OSError):
        return None


def answers(host: str, port: int) -> bool:
    """Return True if something listens there."""
    try:
        with socket.create_connection((host, port), timeout=REACHABLE_WITHIN):
            return True
    except OSError:
        return False


def _uid() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None
