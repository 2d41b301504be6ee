"""Arize Phoenix, asked by REST and GraphQL what it has of a session."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.readers import servers
from tests.readers.session import AGENT, INPUT, MODEL, OUTPUT, TOKENS, USER

QUERY = """{ node(id: "%s") { ... on ProjectSession {
  sessionId numTraces firstInput { value }
  tokenUsage { prompt completion total }
  costSummary { total { cost } prompt { cost } completion { cost } }
  traces(first: 10) { edges { node { numSpans rootSpan { name statusCode cumulativeTokenCountTotal } } } }
} } }"""
SETTLED = 20.0  # seconds; it inserts what it has taken within one


@dataclass(frozen=True)
class Told:
    """What Phoenix has: its spans by id, and the session as its page shows it."""

    spans: list[dict[str, Any]]
    session: dict[str, Any] | None


class Phoenix:
    def __init__(self, url: str) -> None:
        self._url = url

    def told(self, spans: int) -> Told:
        """What it has once it has inserted so many spans, and a moment later, when more would be there."""
        until = time.monotonic() + SETTLED
        while len(found := self._spans()) < spans and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.5)
        found = self._spans()
        return Told(found, self._session())

    def _spans(self) -> list[dict[str, Any]]:
        try:
            return list(self._get("/v1/projects/default/spans?limit=200")["data"])
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

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=20) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def told(pushed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Told, Told, Told]]:
    with servers.phoenix(tmp_path_factory.mktemp("phoenix-store")) as url:
        expected = iter((4, 13, 13))
        reader = Phoenix(url)
        yield pushed("phoenix", url, lambda: reader.told(next(expected)))


def tree(told: Told) -> list[tuple[str, str | None, str, str]]:
    """Name, the parent's name, kind and status of each span."""
    names = {span["context"]["span_id"]: span["name"] for span in told.spans}
    found = [(one["name"], names.get(one["parent_id"]), one["span_kind"], one["status_code"]) for one in told.spans]
    return sorted(found, key=str)


CHAT = f"chat {MODEL}"
MAIN, EXPLORE = f"invoke_agent {AGENT}", "invoke_agent explore"
TREE = [
    (CHAT, MAIN, "LLM", "ERROR"),
    (CHAT, MAIN, "LLM", "OK"),
    (CHAT, MAIN, "LLM", "OK"),
    (CHAT, MAIN, "LLM", "OK"),
    (CHAT, EXPLORE, "LLM", "OK"),
    (CHAT, EXPLORE, "LLM", "OK"),
    ("execute_tool Grep", EXPLORE, "TOOL", "OK"),
    ("execute_tool Read", MAIN, "TOOL", "ERROR"),
    ("execute_tool Read", MAIN, "TOOL", "OK"),
    ("execute_tool Task", MAIN, "TOOL", "OK"),
    (MAIN, None, "AGENT", "ERROR"),
    (MAIN, None, "AGENT", "OK"),
    (EXPLORE, "execute_tool Task", "AGENT", "OK"),
]


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
