"""docs/recipes/chat-page: a session for each browser's conversation, and Langfuse, which goes down and comes back."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import Lab, wait_until
from tests.push.otlp_collector import Collector, attributes_of
from tests.recipes import chat_model
from tests.recipes.recipe import Ended, Recipe, missing_lines, page, push_row, said, session_headers, shown
from tests.support.dialogue import Handler, Request, Respond
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler

from sessiontap.trace import RecordedCall

NAME = "chat-page"
KEYS = {"OPENAI_API_KEY": "sk-test-0000", "PORT": "0"}
LANGFUSE_KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test", "LANGFUSE_SECRET_KEY": "sk-lf-0123456789abcdef"}
ADA = {"conversation": "tab-1", "user": "ada", "plan": "pro", "locale": "en-GB"}
BOB = {"conversation": "tab-2", "user": "guest-5f1d", "plan": "free", "locale": "de"}
TALK = (
    (BOB, "Hello"),
    (ADA, "Hello"),
    (BOB, "Do you ship to Norway?"),
    (ADA, "Where is my parcel?"),
    (ADA, "Thanks, bye!"),
)
"""Two users begin with the same word, and write by turns."""


def openai() -> Handler:
    """A model that never says the same twice."""
    numbers = count(1)

    async def answer(request: Request, respond: Respond) -> None:
        asked = json.loads(await request.body())
        await chat_model.reply(respond, asked, f"Of course. (note {next(numbers)})")

    return answer


def browsers(first: str, before: Callable[[int], None] = lambda number: None) -> str:
    """What the users of the page see. `before` is called with the number of each message before it is sent."""
    url, opener = first.split()[-1], urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE) as opened:
        seen = [str(opened.read().decode())]
    for number, (browser, text) in enumerate(TALK):
        before(number)
        body = json.dumps({**browser, "text": text}).encode()
        with opener.open(urllib.request.Request(f"{url}chat", body), timeout=PATIENCE) as reply:
            seen.append(str(json.load(reply)["text"]))
    return "\n".join(seen)


class Langfuse:
    """A receiver of OTLP in Langfuse's place. It hangs, goes away and comes back, always at the same port."""

    def __init__(self) -> None:
        self.collector = Collector()
        self.asked = threading.Event()
        """A request came while it hung."""
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The attributes of the spans of calls to a model, by their begin."""
        found = [(span.start_time_unix_nano, attributes_of(span)) for span in self.collector.spans.values()]
        found.sort(key=lambda one: one[0])
        return [told for _, told in found if told["langfuse.observation.type"] == "generation"]

    def start(self) -> None:
        langfuse = self

        class Handler(SmallHandler):
            def do_POST(self) -> None:
                body = self.body()
                if not langfuse._goes_on.is_set():
                    langfuse.asked.set()
                    langfuse._goes_on.wait()
                    self.answer(b"{}", 503)
                    return
                reply = langfuse.collector.post(self.path, body, dict(self.headers.items()))
                self.answer(reply.body, reply.status)

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def hang(self) -> None:
        self._goes_on.clear()

    def stop(self) -> None:
        assert self._server is not None
        self._goes_on.set()
        self._server.shutdown()
        self._server.server_close()


class Fate:
    """What becomes of Langfuse while the users write."""

    def __init__(self, langfuse: Langfuse, trace: Path) -> None:
        self._langfuse, self._trace = langfuse, trace

    def __call__(self, number: int) -> None:
        """Before the message of this number."""
        if number == 2:
            wait_until(lambda: len(self._langfuse.calls) == 2)
            self._langfuse.hang()
        elif number == 3:  # message 2 was answered while it hung
            assert self._langfuse.asked.wait(PATIENCE)
            self._langfuse.stop()
        elif number == 4:  # message 3 was answered while it was gone
            wait_until(lambda: "refused" in str(push_row(self._trace)["last_error"]))
            self._langfuse.start()


@dataclass
class Run:
    """The page has served both users, through the proxy and past it."""

    recipe: Recipe
    through: Ended
    past: Ended
    calls: list[RecordedCall]
    trace: Path
    received: list[Request]
    """What came to OpenAI through the proxy."""
    langfuse: Langfuse
    output: str
    """The proxy's."""


@pytest.fixture(scope="module")
def run(lab: Lab) -> Iterator[Run]:
    provider = lab.upstream(openai(), ["api.openai.com"])
    other = lab.upstream(openai(), ["localhost"])
    langfuse = Langfuse()
    langfuse.start()
    recipe = Recipe(NAME, lab)
    proxy = recipe.proxy({**LANGFUSE_KEYS, "LANGFUSE_BASE_URL": langfuse.url})
    fate = Fate(langfuse, proxy.trace_folder)
    command = [sys.executable, "app.py"]
    through = recipe.through(command, KEYS, lambda first: browsers(first, fate))
    past = recipe.past(command, {**KEYS, "OPENAI_BASE_URL": f"https://localhost:{other.port}/v1"}, browsers)
    wait_until(lambda: len(langfuse.calls) == len(TALK) and push_row(proxy.trace_folder)["behind"] == 0)
    calls = proxy.stop()
    wait_until(lambda: push_row(proxy.trace_folder)["pid"] is None)
    yield Run(recipe, through, past, calls, proxy.trace_folder, provider.requests, langfuse, proxy.process.output)
    langfuse.stop()


def test_the_users_see_no_difference(run: Run) -> None:
    assert run.through.seen == run.past.seen
    assert run.through.status == 0
    assert run.through.stdout.splitlines()[-1] == "2 conversations"


def test_it_knows_nothing_of_us(run: Run) -> None:
    for name in ("app.py", "page.html"):
        source = (run.recipe.folder / name).read_text("utf-8").lower()
        assert not any(word in source for word in ("sessiontap", "langfuse", "session_id", "proxy"))


def test_each_conversation_is_a_session(run: Run) -> None:
    sessions: dict[str, list[RecordedCall]] = {}
    for call in run.calls:
        sessions.setdefault(call.record["session"]["id"], []).append(call)
    bob, ada = sessions.values()
    assert [call.record["user"] for call in bob] == ["guest-5f1d"] * 2
    assert [call.record["user"] for call in ada] == ["ada"] * 3
    assert {tuple(call.record["tags"]) for call in ada} == {("shop", "en-GB")}
    assert [call.record["properties"] for call in ada] == [
        {"plan": "pro", "locale": "en-GB", "message": "0", "status": "open"},
        {"plan": "pro", "locale": "en-GB", "message": "1", "status": "open"},
        {"status": "closed", "plan": "pro", "locale": "en-GB", "message": "2"},
    ]
    assert [call.record["evidence"] for call in ada] == ["new", "strong", "strong"]


def test_nothing_is_added_to_what_it_sends(run: Run) -> None:
    assert [session_headers(request) for request in run.received] == [{}] * 5
    assert [call.record["changes"] for call in run.calls] == [[]] * 5


def test_langfuse_has_every_message_once(run: Run) -> None:
    collector = run.langfuse.collector
    assert collector.received == len(collector.spans)
    told = run.langfuse.calls
    assert [one["user.id"] for one in told] == [browser["user"] for browser, _ in TALK]
    assert [one["session.id"] for one in told] == [call.record["session"]["id"] for call in run.calls]
    assert [one["langfuse.trace.metadata.message"] for one in told] == ["0", "0", "1", "1", "2"]
    assert set(collector.urls) == {"/api/public/otel/v1/traces"}


def test_langfuse_has_the_conversations_as_sessions_with_a_trace_for_each_message(run: Run) -> None:
    roots = [span for span in run.langfuse.collector.spans.values() if not span.parent_span_id]
    assert len({span.trace_id for span in roots}) == len(TALK)
    last = run.langfuse.calls[-1]
    shown_there = {
        "user.id": "ada",
        "langfuse.trace.name": "Shop Help",
        "langfuse.trace.tags": ["shop", "en-GB"],
        "langfuse.trace.metadata.plan": "pro",
        "langfuse.trace.metadata.message": "2",
        "langfuse.trace.metadata.status": "closed",
    }
    assert {name: last[name] for name in shown_there} == shown_there
    assert json.loads(last["langfuse.observation.usage_details"]) == {"input": 85, "output": 4}
    assert "Thanks, bye!" in last["langfuse.observation.input"]


def test_its_keys_are_in_no_log(run: Run) -> None:
    auth = {headers.get("Authorization") for headers in run.langfuse.collector.headers}
    assert auth == {f"Basic {b64encode(b'pk-lf-test:sk-lf-0123456789abcdef').decode()}"}
    assert "sk-lf-0123456789abcdef" not in run.output
    written = b"".join(path.read_bytes() for path in run.trace.rglob("*") if path.is_file())
    assert b"sk-lf-0123456789abcdef" not in written


def test_the_page_shows_what_langfuse_got(run: Run) -> None:
    (block,) = re.findall(r"```json\n(.*?)\n```", page(NAME), re.DOTALL)
    for name, value in json.loads(block).items():
        assert run.langfuse.calls[-1][name] == value or value == "..."


def test_the_page_shows_what_is_said(run: Run) -> None:
    commands = shown(page(NAME))
    assert [command.split()[1] for command, _ in commands] == ["ls", "show", "show", "push"]
    for command, text in commands:
        assert missing_lines(text, said(command, NAME, run.trace)) == []
