"""All that goes wrong, together: every call is delivered, memory stays bounded, and what was not recorded is counted.

50 clients talk without pause. Meanwhile others abort handshakes, cancel requests, fetch decompression bombs and large
files; 30 programs start at once; good and bad rules are saved; the recorder is killed. The suite does so for a few
seconds, `scripts/test --load` for two minutes.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import itertools
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from tests.e2e.faults.load import PATH, RULES, SECURE, Crowd, serve
from tests.e2e.faults.test_recorder import recorder_of
from tests.e2e.lab import Lab, Proxy, own_environment
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE

from sessiontap import trace
from sessiontap.demo.proxy_process import MITMDUMP

SECONDS = float(os.environ.get("SESSIONTAP_LOAD_SECONDS") or 4)
CLIENTS = "".join(chr(letter) for letter in range(0x100, 0x100 + 50))
PROGRAMS = 30
PROGRAMS_HOST, BOMBS_HOST = "api.mistral.ai", "api.groq.com"
BUDGET = 256 * 1024 * 1024
MEMORY = "256MB"
MARGIN = 120 * 1024 * 1024
"""For the recorder's own start (35 MiB), and for what mitmproxy itself takes under the same clients: of a bare mitmdump
43 MiB if it streams all bodies and 236 if it holds them, as it does by default. The addon has replies streamed."""
BOMB_SIZE = 512 * 1024 * 1024
FILE = os.urandom(1024 * 1024) * 8
REPLY = b'{"id": "one", "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}]}'
GOOD: Any = RULES | {"rules": [{"match": {"process": "curl"}, "session": {"name": "Programs"}}, *RULES["rules"]]}
BAD = ("rules: [", "version: 1\nrules:\n  - sesion: {}\n", "[" * 5000, "version: 1\nrules: &a [*a, *a]\n", "\0")


@cache
def bomb() -> bytes:
    """A gzip body of about 2 MB that decodes to 512 MB."""
    return gzip.compress(bytes(BOMB_SIZE), 1)


async def _programs(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, REPLY, [("content-type", "application/json")])


async def _bombs(request: Request, respond: Respond) -> None:
    await request.body()
    if request.path.endswith("/bomb"):
        framing = [("content-type", "application/json"), ("content-encoding", "gzip")]
        await respond.whole(200, bomb(), framing)
    else:
        await respond.whole(200, FILE, [("content-type", "application/octet-stream")])


class Trouble:
    """What happens beside the clients' calls, each kind on a thread of its own, until it is told to stop."""

    def __init__(self, proxy: Proxy, curl: str, scratch: Path) -> None:
        self._proxy = proxy
        self._curl = curl
        self._scratch = scratch
        self._trust = ssl.create_default_context(cafile=proxy.ca)
        self._stop = threading.Event()
        self.faults: list[str] = []
        self.delivered: set[str] = set()
        """Keys of the calls of programs, bombs and files that came whole."""
        self.counts: dict[str, int] = {}
        self.peak = 0
        """Bytes of memory of the proxy and its recorder together, at most."""
        kinds = (self._programs, self._bombs, self._abort, self._cancel, self._rules, self._kill, self._watch)
        self._threads = [
            threading.Thread(target=self._repeat, args=(kind,), name=kind.__name__, daemon=True) for kind in kinds
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE * 6)
            assert not thread.is_alive(), f"{thread.name} hangs"
        assert not self.faults, self.faults

    def _repeat(self, kind: Callable[[], Iterator[float]]) -> None:
        """Run a kind of trouble; it yields how many seconds to wait before it goes on."""
        try:
            for pause in kind():
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
                if self._stop.wait(pause):
                    return
        except Exception as error:
            self.faults.append(f"{kind.__name__}: {error!r}")

    def _programs(self) -> Iterator[float]:
        """30 programs at once, each with one call."""
        for wave in itertools.count():
            keys = [f"program-{wave}-{number}" for number in range(PROGRAMS)]
            started = [self._start_program(key) for key in keys]
            for key, process in zip(keys, started, strict=True):
                out, complaint = process.communicate(timeout=PATIENCE)
                if out == REPLY:
                    self.delivered.add(key)
                else:
                    self.faults.append(f"{key}: {complaint.decode()}")
            yield 1.0

    def _start_program(self, key: str) -> subprocess.Popen[bytes]:
        command = [self._curl, "-sS", "--fail", "--proxy", self._proxy.url, "--cacert", str(self._proxy.ca)]
        command += ["-H", f"x-key: {key}", "-d", '{"model":"mistral-small","messages":[]}']
        command += [f"https://{PROGRAMS_HOST}{PATH}"]
        return subprocess.Popen(command, env=own_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _bombs(self) -> Iterator[float]:
        """A reply of 2 MB that decodes to 512 MB, and a file of 8 MB."""
        for number in itertools.count():
            for kind, whole in (("bomb", bomb()), ("file", FILE)):
                key = f"{kind}-{number}"
                connection = http.client.HTTPSConnection(
                    "127.0.0.1", self._proxy.process.port, timeout=PATIENCE, context=self._trust
                )
                connection.set_tunnel(BOMBS_HOST, 443)
                connection.request("POST", f"/v1/files/{kind}", b'{"model":"llama-3"}', {"x-key": key})
                got = connection.getresponse().read()
                connection.close()
                if hashlib.sha256(got).digest() == hashlib.sha256(whole).digest():
                    self.delivered.add(key)
                else:
                    self.faults.append(f"{key} came as {len(got)} bytes")
            yield 0.5

    def _abort(self) -> Iterator[float]:
        """A TLS handshake that its client breaks off after the first bytes."""
        while True:
            with socket.create_connection(("127.0.0.1", self._proxy.process.port), PATIENCE) as connection:
                connection.sendall(f"CONNECT {SECURE}:443 HTTP/1.1\r\nHost: {SECURE}:443\r\n\r\n".encode())
                connection.recv(1024)
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                client = self._trust.wrap_bio(incoming, outgoing, server_hostname=SECURE)
                with suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                connection.sendall(outgoing.read())
                connection.recv(64)
            yield 0.02

    def _cancel(self) -> Iterator[float]:
        """A request whose client goes before its reply has come whole."""
        for number in itertools.count():
            with socket.create_connection(("127.0.0.1", self._proxy.process.port), PATIENCE) as connection:
                connection.sendall(f"CONNECT {BOMBS_HOST}:443 HTTP/1.1\r\nHost: {BOMBS_HOST}:443\r\n\r\n".encode())
                connection.recv(1024)
                with self._trust.wrap_socket(connection, server_hostname=BOMBS_HOST) as secure:
                    head = f"POST /v1/files/file HTTP/1.1\r\nHost: {BOMBS_HOST}\r\nx-key: cancelled-{number}\r\n"
                    secure.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
                    secure.recv(4096)
            yield 0.1

    def _rules(self) -> Iterator[float]:
        """Good and bad rules in turn."""
        for number in itertools.count():
            self._proxy.write_rules(GOOD)
            yield 0.3
            draft = self._scratch / "bad.yaml"
            draft.write_text(BAD[number % len(BAD)], encoding="utf-8")
            draft.replace(self._proxy.rules_file)
            yield 0.3

    def _kill(self) -> Iterator[float]:
        """The recorder dies."""
        yield 2.0
        while True:
            recorder = recorder_of(self._proxy)
            if recorder is not None:
                with suppress(psutil.NoSuchProcess):
                    recorder.send_signal(signal.SIGKILL)
            yield 10.0

    def _watch(self) -> Iterator[float]:
        own = psutil.Process(self._proxy.process.pid)
        command = own.cmdline()
        while True:
            total = own.memory_info().rss
            for process in own.children():
                with suppress(psutil.NoSuchProcess):
                    # A child that has not become the recorder yet still shares its parent's memory.
                    total += process.memory_info().rss if process.cmdline() != command else 0
            self.peak = max(self.peak, total)
            yield 0.1


def test_everything_at_once(lab: Lab, curl: str, tmp_path: Path) -> None:
    serve(lab)
    lab.upstream(_programs, [PROGRAMS_HOST])
    lab.upstream(_bombs, [BOMBS_HOST])
    proxy = lab.proxy(GOOD, program=MITMDUMP, options={"session_memory": MEMORY})
    before = psutil.Process(proxy.process.pid).memory_info().rss
    crowd = Crowd.of("run", CLIENTS, proxy.ca)
    trouble = Trouble(proxy, curl, tmp_path)
    crowd.start(proxy.process.port)
    trouble.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        crowd.wait_more(10)  # and none of them fails
    trouble.stop()
    crowd.stop()
    recorder = recorder_of(proxy)
    proxy.process.stop()
    if recorder is not None:
        recorder.wait(PATIENCE * 6)  # what is still queued it writes after the proxy has gone
    calls = list(trace.open(proxy.trace_folder).calls(newest_first=False))

    assert [line for line in proxy.process.lines if "a fault of its own" in line] == []
    assert trouble.peak - before < BUDGET + MARGIN, f"{trouble.peak / 2**20:.0f} MiB, {before / 2**20:.0f} at the start"
    keyed = {dict(call.record["request"]["headers"]).get("x-key"): call for call in calls}
    others = [call for key, call in keyed.items() if key is not None]
    talked = [call for call in calls if "x-key" not in dict(call.record["request"]["headers"])]
    cut = [call for call in talked if "over_budget" in call.record["flags"]]
    recorded = crowd.ledger.check_all(call for call in talked if "over_budget" not in call.record["flags"])
    delivered = {*crowd.ledger.answered, *trouble.delivered}
    missing = len(delivered - set(recorded) - set(keyed)) - len(cut)
    dropped = sum(sum(note["dropped"].values()) for note in proxy.notes("dropped"))
    print(
        f"{len(delivered)} calls delivered, {max(missing, 0)} of them not recorded, {dropped} said to be lost, "
        f"{len(cut)} recorded in part; memory {before / 2**20:.0f} MiB at the start, "
        f"{trouble.peak / 2**20:.0f} at most; {trouble.counts}"
    )
    assert missing <= dropped, f"{missing} of {len(delivered)} are missing, {dropped} are said to be"
    for call in others:
        if dict(call.record["request"]["headers"])["x-key"].startswith("program-"):
            assert call.caller is not None, "a program whose process is not known"
            assert call.caller["name"] == "curl"
    assert trouble.counts["_kill"] >= 2
    assert all(trouble.counts.get(kind) for kind in ("_programs", "_bombs", "_abort", "_cancel", "_rules"))
    assert not proxy.notes("not_captured"), "an aborted handshake turned capture off"


