"""The site as it is served: on a port of this machine, with a client that has been let in."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.support.gate import PATIENCE

from sessiontap.ui.guard import Access
from sessiontap.ui.reading import Reading
from sessiontap.ui.server import bind, serve
from sessiontap.ui.site import Site

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

    def get(self, path: str, *, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Ask; a header `Sec_Fetch_Site` is `Sec-Fetch-Site`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie is not None:
            sent.setdefault("Cookie", f"{COOKIE}={self.cookie}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers=sent)
            came = connection.getresponse()
            return Answer(came.status, {k.lower(): v for k, v in came.getheaders()}, came.read().decode())

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Send a value as JSON, or text as it is. `Content_Type="..."` says otherwise what it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        return self.get(path, method="POST", body=text, **{"Content_Type": "application/json", **headers})

    def send(self, path: str, page: str = "/", **fields: str) -> Answer:
        """Send a form as a browser does, with the token of the page that holds it."""
        found = re.search(r'name="token" value="([^"]+)"', self.get(page).text)
        assert found, f"{page} has no form that changes something"
        kind, own = "application/x-www-form-urlencoded", f"http://127.0.0.1:{self.port}"
        return self.post(path, urlencode({"token": found[1], **fields}), Content_Type=kind, Origin=own)

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
        thread.join(PATIENCE)
        loop.close()
