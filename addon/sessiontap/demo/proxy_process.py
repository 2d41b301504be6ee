"""A mitmproxy process that runs for as long as a `with` block: started, listening, stopped."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sessiontap import own_python
from sessiontap.demo import redirect
from sessiontap.demo.redirect import Redirect

LISTENING = re.compile(r"proxy\b.* listening at \S*:(\d+)")
START_LIMIT = 120.0  # seconds; a cold start with a new CA takes two, on a busy machine many more
STOP_LIMIT = 60.0  # seconds; it takes a fraction of one, on a busy machine many more


class ProxyFailed(Exception):
    """The proxy did not start, or ended by itself; the message holds its own words."""


MITMDUMP = ("-c", "from mitmproxy.tools.main import mitmdump; mitmdump()")
"""The same as the script `mitmdump`, which breaks when its venv moves."""
SESSIONTAP_RUN = ("-m", "sessiontap.cli", "run")


def mitmdump(*scripts: Path, options: Mapping[str, str | Path], program: Sequence[str] = MITMDUMP) -> list[str]:
    """A command line: mitmdump with these scripts and `--set` options, on a free port of this machine.

    `program`: another Python program that takes mitmdump's arguments.
    """
    command = [*own_python.command(*program), "--listen-host", "127.0.0.1", "--listen-port", "0"]
    for script in scripts:
        command += ["-s", str(script)]
    for name, value in options.items():
        command += ["--set", f"{name}={value}"]
    return command


class ProxyProcess:
    """Runs `command` in `folder`, which is its home too: it reads and writes nothing of the user's."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        redirects: Sequence[Redirect] = (),
        environment: Mapping[str, str] | None = None,
        home: str | None = None,
    ) -> None:
        """`home`: another home than `folder`."""
        self._command = list(command)
        self._folder = folder
        self._environment = {
            **(os.environ if environment is None else environment),
            "HOME": home or str(folder),
            "PYTHONUNBUFFERED": "1",
            redirect.VARIABLE: redirect.format_table(redirects),
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._said = threading.Condition()
        self._ended = False
        self.lines: list[str] = []
        """Its output so far, stdout and stderr."""
        self.port = 0

    def __enter__(self) -> Self:
        """Start it, and return when it listens.

        :raises ProxyFailed: it does not.
        """
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, name="proxy-output", daemon=True)
        self._reader.start()
        try:
            line = self.wait_line(lambda text: LISTENING.search(text) is not None, START_LIMIT)
            found = LISTENING.search(line)
            assert found is not None
            self.port = int(found[1])
            self._check_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The value for `HTTPS_PROXY`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_line(self, fits: Callable[[str], bool], timeout: float = START_LIMIT) -> str:
        """The first line of its output that fits.

        :raises ProxyFailed: it ended without, or `timeout` seconds passed.
        """
        with self._said:
            self._said.wait_for(lambda: self._ended or any(map(fits, self.lines)), timeout)
            for line in self.lines:
                if fits(line):
                    return line
        happened = "ended" if self._ended else f"did not get there in {timeout:g} s"
        raise ProxyFailed(f"the proxy {happened}; it said: {self._last_words()}")

    def stop(self) -> int:
        """End it by SIGTERM, after a while by SIGKILL. Return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._reader is not None:
            self._reader.join(STOP_LIMIT)
        return status

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def _check_it_answers(self) -> None:
        """Raise ProxyFailed if it does not answer: it listens before its scripts load, and ends if they do not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), START_LIMIT) as probe:
                probe.sendall(b"GET / HTTP/1.1\r\n\r\n")  # without a host: the answer is its own
                if probe.recv(1):
                    return
        except OSError:
            pass
        if self._reader is not None:
            self._reader.join(STOP_LIMIT)  # for its last words
        raise ProxyFailed(f"the proxy ended at its start; it said: {self._last_words()}")

    def _last_words(self) -> str:
        """Return the lines that the addon wrote for people; without any, all of its output."""
        to_people = [line.removeprefix("sessiontap: ") for line in self.lines if line.startswith("sessiontap: ")]
        return "\n".join(to_people) or self.output.strip() or "nothing"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._said:
                    self.lines.append(line.rstrip("\n"))
                    self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()
