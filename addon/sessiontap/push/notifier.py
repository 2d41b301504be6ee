"""Tell a command and a webhook of alerts and limits that are reached: a process of its own, fed by the proxy.

On standard input come lines of JSON: `{"settings": {"run", "webhook", "headers"}}` first, and when they change, then
`{"crossing": {...}}`. On standard output goes a line for each that was told, or was not: `{"by", "error"}`. Command and
webhook have a thread and a queue each, so that one that hangs holds up nothing. The input's end is the end.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, TextIO

from sessiontap.push.http import HttpClient, answer_kind, retry_after
from sessiontap.push.target import HttpTransport, NotReached

RUN_SECONDS = 30.0
"""For the command."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
PAUSES = (1.0, 5.0, 25.0)
"""Seconds before each further try of the webhook."""
LONGEST_PAUSE = 60.0
"""That its server may ask for."""
MOST_WAITING = 1_000
"""Crossings that wait for the command, or for the webhook."""
CLOSING_SECONDS = 5.0
"""For what waits when the proxy has ended."""
NICE = 10
"""A tenth of the usual weight. With the least, a busy machine would hardly let it tell anything."""


class NotTold(Exception):
    """Why the command or the webhook was not told, in words without credentials."""


def run(command: Sequence[str], crossing: Mapping[str, Any], seconds: float = RUN_SECONDS) -> None:
    """Run the command with the crossing as JSON on its standard input. Raises NotTold. It is not run again."""
    name = os.path.basename(command[0])
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise NotTold(f"{name} cannot be started: {error.strerror or error}") from None
    try:
        process.communicate(json.dumps(crossing).encode() + b"\n", seconds)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
        raise NotTold(f"{name} did not end in {seconds:g} s, and was ended") from None
    if process.returncode:
        raise NotTold(f"{name} ended with status {process.returncode}")


def post(
    url: str,
    headers: Mapping[str, str],
    crossing: Mapping[str, Any],
    http: HttpTransport,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Send the crossing as JSON, again after a passing failure. Raises NotTold."""
    body = json.dumps(crossing).encode()
    for pause in (*PAUSES, None):
        asked_for = None
        try:
            reply = http.post(url, body, {"Content-Type": "application/json", **headers})
        except NotReached as error:
            why = str(error)
        else:
            kind = answer_kind(reply.status)
            if kind == "accepted":
                return
            why = f"it answered with status {reply.status}"
            if kind != "later":
                raise NotTold(why)
            asked_for = retry_after(reply.headers)
        if pause is None:
            raise NotTold(why)
        wait(min(asked_for, LONGEST_PAUSE) if asked_for is not None else pause)


class _Sink:
    """The command or the webhook: what waits for it, and the thread that tells it."""

    def __init__(self, by: str, report: Callable[[str, str | None], None]) -> None:
        self._by, self._report = by, report
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._run, name=f"tell-{by}", daemon=True).start()

    def put(self, tell: Callable[[], None]) -> None:
        """Call `tell` when it is its turn. It raises NotTold."""
        try:
            self._waiting.put_nowait(tell)
        except queue.Full:
            self._report(self._by, f"more than {MOST_WAITING:,} alerts wait for it, so it is not told of some")

    @property
    def is_busy(self) -> bool:
        return self._waiting.unfinished_tasks > 0

    def _run(self) -> None:
        while True:
            tell = self._waiting.get()
            try:
                tell()
                self._report(self._by, None)
            except NotTold as error:
                self._report(self._by, str(error))
            except Exception as error:  # of ours, or a setting that no request can be made of
                self._report(self._by, f"it could not be told ({type(error).__name__})")
            finally:
                self._waiting.task_done()


class Notifier:
    """Takes the lines of standard input."""

    def __init__(self, output: TextIO, http: HttpTransport | None = None) -> None:
        self._output, self._http = output, http
        self._lock = threading.Lock()
        self._settings: Mapping[str, Any] = {}
        self._sinks: dict[str, _Sink] = {}

    def take(self, line: Mapping[str, Any]) -> None:
        """Take new settings, or tell all of a crossing."""
        if "settings" in line:
            self._settings = line["settings"]
            return
        settings, crossing = self._settings, line["crossing"]
        if settings.get("run"):
            self._sink("command").put(partial(run, settings["run"], crossing))
        if settings.get("webhook"):
            self._sink("webhook").put(partial(self._post, settings, crossing))

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Wait for what is still to be told."""
        end = time.monotonic() + seconds
        while any(sink.is_busy for sink in self._sinks.values()) and time.monotonic() < end:
            time.sleep(0.02)

    def _sink(self, by: str) -> _Sink:
        if by not in self._sinks:
            self._sinks[by] = _Sink(by, self._report)
        return self._sinks[by]

    def _post(self, settings: Mapping[str, Any], crossing: Mapping[str, Any]) -> None:
        if self._http is None:
            self._http = HttpClient(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS)
        post(settings["webhook"], settings.get("headers", {}), crossing, self._http)

    def _report(self, by: str, error: str | None) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._output.write(json.dumps({"by": by, "error": error}) + "\n")
            self._output.flush()


def serve(lines: BinaryIO, notifier: Notifier) -> None:
    """Take all lines, then wait for what is still to be told."""
    for line in lines:
        notifier.take(json.loads(line))
    notifier.close()


def main() -> int:
    """The process. Returns the exit status."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    serve(sys.stdin.buffer, Notifier(sys.stdout))
    sys.stdout.flush()
    os._exit(0)  # a thread may hang in a request


if __name__ == "__main__":
    sys.exit(main())
