"""A push target of the tests: a server that takes lists of ids as JSON, and the target's module."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler, serving

from sessiontap.push import Target
from sessiontap.push.http import answer_of
from sessiontap.push.target import Item, NotReached, PushedCall, TargetAnswer, TargetSettings, UserTurn

TARGET = Target(
    "receiver",
    "the receiver of the tests",
    "tests.push.receiver",
    endpoint_variables=("RECEIVER_URL",),
    variables=("RECEIVER_KEY",),
)


class Sender:
    """Sends the ids of calls and turns."""

    max_bytes = 8 << 20
    max_items = 500

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        return [Item(call.call.id, call.call.id, 200)]

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        return [Item(turn.id, f"turn {turn.id}", 200)]

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        key = self._settings.credentials.get("RECEIVER_KEY")
        headers = {**self._settings.headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        body = json.dumps([item.data for item in items]).encode()
        try:
            return answer_of(self._settings.http.post(f"{self._settings.endpoint}/v1/ids", body, headers))
        except NotReached as error:
            return TargetAnswer("later", str(error))


def open_sender(settings: TargetSettings) -> Sender:
    return Sender(settings)


def ids_of(body: Any) -> list[str]:
    """The ids in a request: a list of this module's sender, or an entry of Helicone's."""
    return body if isinstance(body, list) else [body["providerRequest"]["meta"]["Helicone-Request-Id"]]


class Reply(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b"{}"


@dataclass
class Received:
    """What a receiver got."""

    url: str
    ids: list[str] = field(default_factory=list)
    """Of requests that it accepted."""
    requests: list[list[str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, wanted: Callable[[Received], bool]) -> bool:
        """Wait until `wanted` holds; it is asked after each request. A push beside a proxy has a low priority, so a
        busy machine lets it wait for long."""
        with self.came:
            return self.came.wait_for(lambda: wanted(self), PATIENCE)


@contextmanager
def receiver(answer: Callable[[list[str]], Reply] = lambda ids: Reply(), port: int = 0) -> Iterator[Received]:
    """A receiver that answers as the test says."""

    class Handler(SmallHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            ids = ids_of(json.loads(self.body()))
            reply = answer(ids)
            with received.came:
                received.requests.append(ids)
                received.headers.append({name.lower(): value for name, value in self.headers.items()})
                if reply.status == 200:
                    received.ids += ids
                received.came.notify_all()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # its client was killed

    server = Server(("127.0.0.1", port), Handler)
    received = Received(f"http://127.0.0.1:{server.server_address[1]}")
    with serving(server):
        yield received
