"""The site as it is served: on a port of this machine, with a client that has been let in."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sessiontap.ui.guard import Access
from sessiontap.ui.reading import Reading
from sessiontap.ui.server import Site, bind, serve

COOKIE = "sessiontap-test"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Client:
    """A client of the site; `cookie` is what the site gave it."""

    port: int
    access: Access
    cookie: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Ask; a header `Sec_Fetch_Site` is `Sec-Fetch-Site`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie is not None:
            sent.setdefault("Cookie", f"{COOKIE}={self.cookie}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers=sent)
            came = connection.getresponse()
            return Answer(came.status, {k.lower(): v for k, v in came.getheaders()}, came.read().decode())

    def let_in(self) -> Client:
        """Use a token."""
        self.cookie = self.access.cookie_for(self.access.token(), None)
        return self


@contextlib.contextmanager
def served(open_reading: Callable[[], Reading], **more: Any) -> Iterator[Client]:
    """Serve the site on a thread."""
    sockets, access = bind(0), Access(COOKIE)
    site, loop = Site(open_reading, access, **more), asyncio.new_event_loop()
    task = loop.create_task(serve(site, sockets))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Client(sockets[0].getsockname()[1], access)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()
