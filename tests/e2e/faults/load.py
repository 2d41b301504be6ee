"""Load that knows what it sent: growing conversations whose every reply follows from the call's key alone.

So what a log holds is checked against the clients' and the server's own account, never against the log itself.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.lab import Lab
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE

from sessiontap.demo.provider_replies import sse
from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall

PLAIN, SECURE = "llm.example", "api.openai.com"
"""The hosts of calls in plain HTTP and over TLS."""
PATH = "/v1/chat/completions"
RULES: Any = {
    "version": 1,
    "hosts": [{"host": PLAIN}],
    "rules": [{"session": {"name": "Load", "id": "${header.x-run}", "path": "/work"}}],
}
TURNS = 20
"""After so many a conversation begins anew."""
LARGE = 600_000
"""Bytes of a reply that takes the disk a moment."""
_INSTRUCTIONS = random.Random(0).randbytes(6_000).hex()
Failures = (OSError, http.client.HTTPException)
"""What a client may meet when its proxy dies."""


def text(key: str) -> str:
    """The words of the reply to the call `key`: mostly few; some fill megabytes and cannot be compressed."""
    chance = random.Random(key)
    size = LARGE if chance.random() < 0.04 else chance.randrange(10, 1500)
    return chance.randbytes(size).hex()


def pieces(key: str) -> list[bytes]:
    """The events of a streamed reply to the call `key`."""
    words = text(key)
    size = len(words) // 5 + 1
    deltas = [{"content": words[at : at + size]} for at in range(0, len(words), size)]
    chunks = [{"id": key, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return [*map(sse, chunks), sse("[DONE]")]


def reply(key: str, stream: bool) -> bytes:
    """The body of the reply to the call `key`."""
    if stream:
        return b"".join(pieces(key))
    message = {"role": "assistant", "content": text(key)}
    return json.dumps({"id": key, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


async def answer(request: Request, respond: Respond) -> None:
    """The server's side."""
    asked = json.loads(await request.body())
    key = asked["user"]
    if not asked["stream"]:
        await respond.whole(200, reply(key, False), [("content-type", "application/json")])
        return
    await respond.start(200, [("content-type", "text/event-stream")])
    for piece in pieces(key):
        await respond.send(piece)
    await respond.end()


def serve(lab: Lab) -> list[Redirect]:
    """Servers for both hosts, and how a proxy finds them."""
    plain = lab.upstream(answer, [PLAIN], tls=False)
    secure = lab.upstream(answer, [SECURE])
    return [Redirect(PLAIN, 80, plain.port), Redirect(SECURE, 443, secure.port)]


class Ledger:
    """What clients sent, by the calls' keys."""

    def __init__(self) -> None:
        self._sent: dict[str, str] = {}
        self.answered: set[str] = set()
        """The calls whose clients got the whole reply."""
        self.runs: dict[str, str] = {}
        """Session id -> the run whose calls it holds."""

    @property
    def number(self) -> int:
        """Of calls that were sent."""
        return len(self._sent)

    def sent(self, key: str, body: bytes) -> None:
        assert key not in self._sent
        self._sent[key] = hashlib.sha256(body).hexdigest()

    def check(self, call: RecordedCall) -> str:
        """The key of a recorded call, whose bodies are those that went by."""
        body = call.request_body()
        assert body is not None
        asked = json.loads(body)
        key: str = asked["user"]
        assert self._sent[key] == hashlib.sha256(body).hexdigest(), f"the request of {key} is not what was sent"
        got, whole = call.response_body() or b"", reply(key, asked["stream"])
        if call.record["outcome"] == "ok":
            assert got == whole, f"the reply to {key} is not what was sent"
        else:
            assert whole.startswith(got), f"the reply to {key} is not what was sent"
        run = self.runs.setdefault(call.record["session"]["id"], key.partition(":")[0])
        assert key.startswith(f"{run}:"), f"{key} is in the session of {run}"
        return key

    def check_all(self, calls: Iterable[RecordedCall]) -> list[str]:
        """As `check`, each call once."""
        keys = [self.check(call) for call in calls]
        assert len(keys) == len(set(keys)), "a call is there twice"
        return keys


def all_at_once(number: int, work: Callable[[int], None]) -> None:
    """Run `work(n)` for each n on threads that begin together; what one raises fails the test."""
    begin, failures = threading.Barrier(number), []

    def run(n: int) -> None:
        try:
            begin.wait(PATIENCE)
            work(n)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@dataclass
class App:
    """One client and its conversation, which goes on over whatever proxy it is given."""

    run: str
    """The session's id, in which several may be."""
    name: str
    ledger: Ledger
    trust: ssl.SSLContext
    secure: bool
    count: int = 0
    _messages: list[dict[str, str]] = field(default_factory=list)
    _connection: http.client.HTTPConnection | None = None

    def connect(self, port: int) -> None:
        """Go on through the proxy at this port."""
        self.close()
        if self.secure:
            self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=self.trust)
            self._connection.set_tunnel(SECURE, 443)
        else:
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def ask(self) -> str:
        """The next call, whose key is returned once its reply is there and right.

        :raises OSError, HTTPException: the proxy failed it. The next call says the same again.
        """
        assert self._connection is not None
        if len(self._messages) >= 2 * TURNS:
            self._messages.clear()
        self.count += 1
        key = f"{self.run}:{self.name}:{self.count}"
        stream = self.count % 3 == 0
        opening = {"role": "system", "content": f"You are {self.name}. {_INSTRUCTIONS}"}
        question = {"role": "user", "content": f"Turn {len(self._messages) // 2}: what is new? " * 8}
        messages = [opening, *self._messages, question]
        body = json.dumps({"model": "gpt-4o", "stream": stream, "messages": messages, "user": key}).encode()
        self.ledger.sent(key, body)
        headers = {"host": PLAIN, "content-type": "application/json", "x-run": self.run, "user-agent": "load/1"}
        if self.secure:
            del headers["host"]
        target = PATH if self.secure else f"http://{PLAIN}{PATH}"
        self._connection.request("POST", target, body, headers)
        response = self._connection.getresponse()
        got = response.read()
        assert (response.status, got) == (200, reply(key, stream)), f"{key}: {response.status} {got[:300]!r}"
        self.ledger.answered.add(key)
        self._messages += [question, {"role": "assistant", "content": text(key)[:400]}]
        return key


class Crowd:
    """Apps that ask without pause, each on a thread of its own, until they are told to stop."""

    def __init__(self, ledger: Ledger, apps: Iterable[App]) -> None:
        self.ledger = ledger
        self.apps = list(apps)
        self._leave = threading.Event()
        self._done = 0
        self._asked = threading.Condition()
        self._threads: list[threading.Thread] = []
        self.faults: list[str] = []
        """Calls that failed, though nobody had said that they may."""

    @classmethod
    def of(cls, run: str, names: str, ca: Path, ledger: Ledger | None = None) -> Crowd:
        """Apps of these one-letter names in one session, every third of them over TLS."""
        ledger = Ledger() if ledger is None else ledger
        trust = ssl.create_default_context(cafile=ca)
        return cls(ledger, [App(run, name, ledger, trust, number % 3 == 2) for number, name in enumerate(names)])

    def start(self, port: int) -> None:
        """Begin, through the proxy at this port."""
        self._leave.clear()
        self._threads = [threading.Thread(target=self._work, args=(app, port), daemon=True) for app in self.apps]
        for thread in self._threads:
            thread.start()

    def wait_more(self, number: int) -> None:
        """Return once so many more calls were answered; with a failure, at once."""
        with self._asked:
            goal = self._done + number
            self._asked.wait_for(lambda: self._done >= goal or self.faults, PATIENCE * 2)
        assert not self.faults, self.faults
        assert self._done >= goal, f"{self._done} of {goal} calls were answered"

    def may_fail(self) -> None:
        """From now on a call that fails is no fault: the proxy is about to die."""
        self._leave.set()

    def stop(self) -> None:
        """End after the calls under way; every one was answered, and right."""
        self._leave.set()
        for thread in self._threads:
            thread.join(PATIENCE * 2)
            assert not thread.is_alive(), "a call hangs"
        for app in self.apps:
            app.close()
        assert not self.faults, self.faults

    def _work(self, app: App, port: int) -> None:
        try:
            app.connect(port)
            while not self._leave.is_set():
                app.ask()
                with self._asked:
                    self._done += 1
                    self._asked.notify_all()
        except Failures as error:
            if not self._leave.is_set():
                self._fault(f"{app.name}, call {app.count}: {error!r}")
        except AssertionError as error:
            self._fault(str(error))

    def _fault(self, text: str) -> None:
        with self._asked:
            self.faults.append(text)
            self._asked.notify_all()
