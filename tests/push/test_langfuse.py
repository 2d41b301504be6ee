"""Langfuse as a target: its address and keys, and that nothing is lost or told twice while it is away."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Run, runner
from tests.push import logs
from tests.push.made_calls import coding_turn, pushed, turn_of
from tests.push.otlp_collector import Collector, attributes_of, served, spans_in

from sessiontap import span_ids, trace
from sessiontap.exchange import Headers
from sessiontap.push import TARGETS
from sessiontap.push.cursor import Cursor
from sessiontap.push.delivery import NotDelivered
from sessiontap.push.http import HttpClient
from sessiontap.push.pusher import Pusher, cursor_of
from sessiontap.push.target import HttpReply, Sender, TargetAnswer, TargetSettings, UserTurn
from sessiontap.push.targets.langfuse import resource, traces_url

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-2"}


def sender(http: Any, endpoint: str = "https://cloud.langfuse.com", *, content: bool = True) -> Sender:
    return TARGETS["langfuse"].open_sender(TargetSettings(endpoint, KEYS, content, http))


def sent(turn: UserTurn, *, content: bool = True) -> Collector:
    collector = Collector()
    to = sender(collector, content=content)
    items = [item for call in turn.calls for item in to.call_items(call)] + list(to.turn_items(turn))
    assert to.send(items) == TargetAnswer("accepted")
    return collector


def test_address_and_headers() -> None:
    collector = sent(coding_turn())
    assert collector.urls == ["https://cloud.langfuse.com/api/public/otel/v1/traces"]
    headers = collector.headers[0]
    assert headers.get("x-langfuse-ingestion-version") == "4"
    kind, _, text = (headers.get("Authorization") or "").partition(" ")
    assert (kind, base64.b64decode(text)) == ("Basic", b"pk-lf-1:sk-lf-2")
    assert b"sk-lf-2" not in collector.requests[0].SerializeToString()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://langfuse.lan:3000", "http://langfuse.lan:3000/api/public/otel/v1/traces"),
        ("https://h/langfuse", "https://h/langfuse/api/public/otel/v1/traces"),
        ("https://h/api/public/otel", "https://h/api/public/otel/v1/traces"),
        ("https://h/api/public/otel/v1/traces", "https://h/api/public/otel/v1/traces"),
    ],
)
def test_addresses(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


def test_all_spans_of_a_turn_arrive_with_session_and_trace_name() -> None:
    collector = sent(coding_turn())
    for span in collector.spans.values():
        found = attributes_of(span)
        assert found["session.id"]
        assert found["langfuse.trace.name"] == "Course"
        assert found["langfuse.observation.type"]


def test_content_goes_only_if_it_is_asked_for() -> None:
    assert b"Fix the dates" in sent(coding_turn()).requests[0].SerializeToString()
    assert b"Fix the dates" not in sent(coding_turn(), content=False).requests[0].SerializeToString()


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, {}),
        (
            {"LANGFUSE_TRACING_ENVIRONMENT": "Staging", "LANGFUSE_RELEASE": "v2"},
            {"langfuse.environment": "staging", "langfuse.release": "v2"},
        ),
        ({"LANGFUSE_TRACING_ENVIRONMENT": "not a name"}, {}),
    ],
    ids=["none", "both", "an environment that Langfuse does not take"],
)
def test_environment_and_release_of_the_sdks_variables(environ: dict[str, str], found: dict[str, str]) -> None:
    assert resource(environ) == found


def test_an_id_that_langfuse_would_drop_arrives_as_one_that_it_takes() -> None:
    collector = sent(turn_of(pushed("a", session={"id": "s" * 500}, user="Zoë " * 100)))
    for span in collector.spans.values():
        found = attributes_of(span)
        assert max(len(found["session.id"]), len(found["user.id"])) <= 200
        assert found["user.id"].isascii()
        assert found["langfuse.trace.metadata.session_id"] == "s" * 500


# Up, down, and back


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


class Langfuse:
    """A log that is pushed to a Langfuse on one port of this machine, whether one answers there or not."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.pauses: list[float] = []
        self.told: list[str] = []

    def record(self, *calls: dict[str, Any]) -> None:
        logs.log_of(self.folder, *calls)

    def push(self) -> Cursor:
        """Push what there is, without waiting where it would."""
        endpoint = f"http://127.0.0.1:{self.port}"
        file, cursor = cursor_of(self.folder, "langfuse", endpoint, None)

        def pause(seconds: float) -> bool:
            self.pauses.append(seconds)
            return True

        client = HttpClient()
        pusher = Pusher(
            trace.open(self.folder), sender(client, endpoint), file, cursor, target=TARGETS["langfuse"],
            content=True, pause=pause, tell=self.told.append,
        )  # fmt: skip
        try:
            with file.held():
                pusher.run()
        finally:
            client.close()
        written = file.read()
        assert written is not None
        return written


def ids_of(*calls: str) -> set[bytes]:
    return {bytes.fromhex(span_ids.span_id(id)) for id in calls}


def test_down_for_a_while_nothing_is_lost_and_nothing_told_twice(tmp_path: Path, port: int) -> None:
    langfuse, collector = Langfuse(tmp_path, port), Collector()
    langfuse.record(*(logs.call(f"a{n}", n) for n in range(5)))
    with served(collector, port):
        langfuse.push()
    whole = len(collector.spans)

    langfuse.record(*(logs.call(f"b{n}", 100 + n) for n in range(5)))
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1:\d+ could not be reached"):
        langfuse.push()
    assert len(collector.spans) == whole

    busy = HttpReply(503, Headers([("Retry-After", "17")]), b"down for maintenance")
    langfuse.record(*(logs.call(f"c{n}", 200 + n) for n in range(5)))
    langfuse.pauses.clear()
    collector.answers = [busy, busy]
    with served(collector, port):
        cursor = langfuse.push()
        langfuse.push()
    assert [seconds >= 17 for seconds in langfuse.pauses] == [True, True], "it waits as long as it is asked to"
    assert ids_of(*(f"{name}{n}" for name in "abc" for n in range(5))) <= collector.spans.keys()
    assert collector.received == len(collector.spans) == 3 * whole, "each span came once"
    assert (cursor.set_aside_count, cursor.last_error) == (0, None)


def test_an_answer_that_got_lost_doubles_nothing(tmp_path: Path, port: int) -> None:
    langfuse, collector = Langfuse(tmp_path, port), Collector()
    langfuse.record(*(logs.call(f"a{n}", n) for n in range(5)))
    with served(collector, port):
        langfuse.push()
        whole = dict(collector.spans)
        for file in (tmp_path / "push").iterdir():
            file.unlink()
        langfuse.push()
    assert collector.received == 2 * len(whole)
    assert collector.spans == whole, "the same spans in all they say: Langfuse has them once"


class Picky(Collector):
    """A Langfuse that refuses a whole request for one span."""

    def __init__(self, *refused: bytes) -> None:
        super().__init__()
        self._refused = frozenset(refused)

    def post(self, url: str, body: bytes, headers: Any) -> HttpReply:
        before = dict(self.spans), self.received
        reply = super().post(url, body, headers)
        if self._refused.isdisjoint(_ids(self.requests[-1])):
            return reply
        self.spans, self.received = before
        return HttpReply(400, Headers(), b'{"error":"Invalid OTLP trace export: 1 of 9 span(s) cannot be processed"}')


def _ids(request: Any) -> Iterable[bytes]:
    return [span.span_id for span in spans_in(request)]


def test_one_span_that_is_refused_is_set_aside_and_all_others_arrive(tmp_path: Path, port: int) -> None:
    langfuse = Langfuse(tmp_path, port)
    (refused,) = ids_of("a7")
    collector = Picky(refused)
    langfuse.record(*(logs.call(f"a{n}", n) for n in range(40)))
    with served(collector, port):
        cursor = langfuse.push()
    assert ids_of(*(f"a{n}" for n in range(40) if n != 7)) <= collector.spans.keys()
    assert collector.received == len(collector.spans)
    assert [one["call"] for one in cursor.set_aside] == ["a7"]
    assert "cannot be processed" in cursor.set_aside[0]["reason"]


# The command


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_HOST", *KEYS):
        monkeypatch.delenv(name, raising=False)
    return runner(capsys, monkeypatch, "push", trace=logs.log_of(tmp_path / "log", logs.call("c1")))


@pytest.mark.parametrize("variable", ["LANGFUSE_BASE_URL", "LANGFUSE_HOST"])
def test_the_command_reads_the_variables_of_langfuses_sdks(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    collector = Collector()
    with served(collector) as url:
        monkeypatch.setenv(variable, url)
        assert run("langfuse") == (0, "1 call and 1 complete user turn sent to langfuse\n", "")
    assert ids_of("c1") <= collector.spans.keys()


def test_without_keys_it_says_which(run: Run) -> None:
    status, _, err = run("langfuse")
    assert status == 2
    assert "langfuse takes no calls without LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY" in err
