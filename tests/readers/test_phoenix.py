"""Arize Phoenix, asked by REST and GraphQL what it has of a session."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from tests.e2e.lab import wait_until
from tests.readers import servers, session
from tests.readers.session import CHAT, INPUT, OUTPUT, TOKENS, TREE, USER

from sessiontap.span_ids import span_id

QUERY = """{ node(id: "%s") { ... on ProjectSession {
  sessionId numTraces firstInput { value }
  tokenUsage { prompt completion total }
  costSummary { total { cost } prompt { cost } completion { cost } }
  traces(first: 10) { edges { node { numSpans rootSpan { name statusCode cumulativeTokenCountTotal } } } }
} } }"""
PROJECT, MARKER = "openinference.project.name", "marker"
"""The attribute of spans that names their project, and the project of the markers."""


@dataclass(frozen=True)
class Told:
    """What Phoenix has: its spans by id, and the session as its page shows it."""

    spans: list[dict[str, Any]]
    session: dict[str, Any] | None


class Phoenix:
    def __init__(self, url: str) -> None:
        self._url = url
        self._sent = 0
        """Markers."""

    def told(self) -> Told:
        """What it has once it has inserted all that it took so far: it inserts spans in the order in which they came,
        so a span that is sent now is there after them."""
        self._sent += 1
        self._send_marker()
        wait_until(lambda: len(self._spans(MARKER)) == self._sent, lambda: f"{self._spans(MARKER)} are inserted")
        return Told(self._spans("default"), self._session())

    def _send_marker(self) -> None:
        ids = {"trace_id": secrets.token_bytes(16), "span_id": secrets.token_bytes(8)}
        at = time.time_ns()
        span = Span(name="marker", start_time_unix_nano=at, end_time_unix_nano=at, **ids)
        project = KeyValue(key=PROJECT, value=AnyValue(string_value=MARKER))
        spans = ResourceSpans(resource=Resource(attributes=[project]), scope_spans=[ScopeSpans(spans=[span])])
        body = ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()
        request = urllib.request.Request(f"{self._url}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        urllib.request.urlopen(request, timeout=20).close()

    def _spans(self, project: str) -> list[dict[str, Any]]:
        try:
            return list(self._get(f"/v1/projects/{project}/spans?limit=200")["data"])
        except urllib.error.HTTPError:
            return []

    def _session(self) -> dict[str, Any] | None:
        try:
            id = self._get("/v1/sessions/session-1")["data"]["id"]
        except urllib.error.HTTPError:
            return None
        body = json.dumps({"query": QUERY % id}).encode()
        request = urllib.request.Request(f"{self._url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return dict(json.load(reply)["data"]["node"])

    def annotations(self) -> list[dict[str, Any]]:
        """The annotations of all spans and of the session that is scored; notes are annotations, too."""
        ids = [span["context"]["span_id"] for span in self._spans("default")]
        spans = "&".join(f"span_ids={id}" for id in ids)
        place = "/v1/projects/default"
        found = list(self._get(f"{place}/span_annotations?{spans}&limit=100")["data"])
        return [*found, *self._get(f"{place}/session_annotations?session_ids=session-2&limit=100")["data"]]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=20) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def told(pushed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Told, Told, Told]]:
    with servers.phoenix(tmp_path_factory.mktemp("phoenix-store")) as url:
        yield pushed("phoenix", url, Phoenix(url).told)


def tree(told: Told) -> list[tuple[str, str | None, str, str]]:
    """Name, the parent's name, kind and status of each span."""
    names = {span["context"]["span_id"]: span["name"] for span in told.spans}
    found = [(one["name"], names.get(one["parent_id"]), one["span_kind"], one["status_code"]) for one in told.spans]
    return sorted(found, key=str)


def test_calls_are_there_before_their_turn_is_complete(told: tuple[Told, Told, Told]) -> None:
    assert tree(told[0]) == [(CHAT, None, "LLM", "OK")] * 4  # their root is still to come


def test_the_tree_is_that_of_agents_tools_and_calls(told: tuple[Told, Told, Told]) -> None:
    assert tree(told[1]) == TREE


def test_what_comes_twice_is_counted_once(told: tuple[Told, Told, Told]) -> None:
    _, whole, again = told
    assert tree(again) == TREE
    assert again.session == whole.session


def test_the_session_has_its_turns_words_and_tokens(told: tuple[Told, Told, Told]) -> None:
    session = told[2].session
    assert session is not None
    assert (session["sessionId"], session["numTraces"]) == ("session-1", 2)
    assert session["firstInput"] == {"value": "Fix the dates."}
    assert session["tokenUsage"] == {"prompt": INPUT, "completion": OUTPUT, "total": INPUT + OUTPUT}
    traces = [edge["node"] for edge in session["traces"]["edges"]]
    assert [(trace["numSpans"], trace["rootSpan"]["statusCode"]) for trace in traces] == [(11, "OK"), (2, "ERROR")]
    assert traces[0]["rootSpan"]["cumulativeTokenCountTotal"] == INPUT + OUTPUT  # although the root came last


def test_its_own_prices_take_cached_tokens_apart(told: tuple[Told, Told, Told]) -> None:
    session = told[2].session
    assert session is not None
    cached = 400 * len(TOKENS)
    prompt = ((INPUT - cached) * 3.0 + cached * 0.3) / 1e6  # dollars a million tokens: Claude Sonnet 4.5
    assert session["costSummary"]["prompt"]["cost"] == pytest.approx(prompt)
    assert session["costSummary"]["total"]["cost"] == pytest.approx(prompt + OUTPUT * 15 / 1e6)


def test_a_failed_call_tells_why(told: tuple[Told, Told, Told]) -> None:
    failed = [span for span in told[2].spans if span["status_code"] == "ERROR" and span["span_kind"] == "LLM"]
    assert [(span["status_message"], span["attributes"]["error.type"]) for span in failed] == [
        ("Overloaded", "overloaded_error")
    ]


def test_a_call_has_its_labels_and_its_messages(told: tuple[Told, Told, Told]) -> None:
    calls = sorted((span for span in told[2].spans if span["name"] == CHAT), key=lambda span: span["start_time"])
    found = calls[0]["attributes"]
    wanted = {
        "session.id": "session-1",
        "user.id": USER,
        "tag.tags": ["nightly"],
        "metadata.mode": "act",
        "llm.token_count.prompt": TOKENS["a"][0],
        "llm.token_count.prompt_details.cache_read": 400,
        "llm.input_messages.0.message.content": "Fix the dates.",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "Read",
    }
    assert {key: found.get(key) for key in wanted} == wanted


@pytest.fixture(scope="module")
def scores(scored: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Any]]:
    with servers.phoenix(tmp_path_factory.mktemp("phoenix-scores")) as url:
        yield scored("phoenix", url, Phoenix(url).annotations)


def test_scores_are_annotations_of_spans_and_the_session(scores: tuple[Any, Any, Any]) -> None:
    given = {(one["name"], tuple(one["result"].values()), one["annotator_kind"]) for one in scores[0]}
    assert given == {
        ("helpful", (None, 0.8, "It reads both."), "HUMAN"),
        ("correct", ("false", 0.0, None), "HUMAN"),
        ("grade", ("poor", None, None), "HUMAN"),
        ("note", (None, None, "Look again."), "HUMAN"),
        ("star", ("true", 1.0, None), "HUMAN"),
    }
    ids = {session.call_id("session-2", name): name for name in "abcdef"}
    spans = {span_id(id): name for id, name in ids.items()}
    found = {one["name"]: spans.get(one.get("span_id"), one.get("session_id")) for one in scores[0]}
    assert found == {"helpful": "a", "correct": "b", "grade": "b", "note": "e", "star": "session-2"}


def test_a_later_score_replaces_it_and_one_that_was_taken_away_goes(scores: tuple[Any, Any, Any]) -> None:
    found = {one["name"]: one["result"]["score"] for one in scores[1]}
    assert found == {"helpful": 0.4, "grade": None, "note": None}
    assert len(scores[1]) == 3


def test_scores_that_come_twice_are_counted_once(scores: tuple[Any, Any, Any]) -> None:
    kept = [[(one["name"], one["result"]) for one in answer] for answer in scores[1:]]
    assert sorted(kept[0], key=str) == sorted(kept[1], key=str)
