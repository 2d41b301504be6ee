"""MLflow, asked by its own client what it has of a session."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agents import packages
from tests.readers import servers
from tests.readers.session import CHAT, INPUT, OUTPUT, TOKENS, TREE, USER, call_id

from sessiontap.span_ids import span_id

PROGRAM = Path(__file__).parent / "programs" / "ask_mlflow.py"
Traces = list[dict[str, Any]]


@pytest.fixture(scope="module")
def told(
    pushed: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Traces, Traces, Traces]]:
    folder = tmp_path_factory.mktemp("mlflow-store")
    with servers.mlflow(folder) as url:
        yield pushed("mlflow", url, lambda: asked(url, folder))


def asked(url: str, folder: Path) -> Traces:
    """What MLflow's own client finds there."""
    command = [str(packages.python(servers.MLFLOW)), str(PROGRAM), url]
    home = {"HOME": str(folder)}
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout))


def tree(traces: Traces) -> list[tuple[str, str | None, str, str]]:
    """Name, the parent's name, type and status of each span."""
    spans = [span for trace in traces for span in trace["spans"]]
    names = {span["id"]: span["name"] for span in spans}
    return sorted(((one["name"], names.get(one["parent"]), one["type"], one["status"]) for one in spans), key=str)


def usage(trace: dict[str, Any]) -> dict[str, int]:
    return dict(json.loads(trace["metadata"]["mlflow.trace.tokenUsage"]))


def numbers(text: str) -> Any:
    """A value of a trace's metadata: sums as JSON, or a text."""
    return json.loads(text) if text.startswith("{") else text


def test_calls_are_there_before_their_turn_is_complete(told: tuple[Traces, Traces, Traces]) -> None:
    (trace,) = told[0]
    assert [span["name"] for span in trace["spans"]] == [CHAT] * 4
    assert trace["state"] == "IN_PROGRESS"
    assert trace["metadata"]["mlflow.trace.session"] == "session-1"


def test_the_tree_is_that_of_agents_tools_and_calls(told: tuple[Traces, Traces, Traces]) -> None:
    assert tree(told[1]) == TREE
    assert [trace["state"] for trace in told[1]] == ["OK", "ERROR"]


def test_what_comes_twice_is_counted_once(told: tuple[Traces, Traces, Traces]) -> None:
    for before, after in zip(told[1], told[2], strict=True):
        for key in ("state", "tags", "request", "response", "duration", "spans"):
            assert after[key] == before[key]
        for key, value in before["metadata"].items():
            assert numbers(after["metadata"][key]) == pytest.approx(numbers(value)), key  # it adds costs in any order


def test_both_turns_are_of_the_session_and_its_user(told: tuple[Traces, Traces, Traces]) -> None:
    labels = [(one["metadata"]["mlflow.trace.session"], one["metadata"]["mlflow.trace.user"]) for one in told[2]]
    assert labels == [("session-1", USER)] * 2
    for trace in told[2]:
        wanted = {"mode": "act", "sessiontap.session.name": "Dates", "sessiontap.session.path": "/main"}
        assert {key: trace["tags"].get(key) for key in wanted} == wanted


def test_tokens_and_cost(told: tuple[Traces, Traces, Traces]) -> None:
    cached = 400 * len(TOKENS)
    counts = {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    assert usage(told[2][0]) == {**counts, "cache_read_input_tokens": cached}
    cost = json.loads(told[2][0]["metadata"]["mlflow.trace.cost"])
    given = ((INPUT - cached) * 3.0 + cached * 0.3) / 1e6  # dollars a million tokens: Claude Sonnet 4.5
    assert cost == pytest.approx(
        {"input_cost": given, "output_cost": OUTPUT * 15 / 1e6, "total_cost": given + OUTPUT * 15 / 1e6}
    )
    assert "mlflow.trace.tokenUsage" not in told[2][1]["metadata"]  # the call that failed states none: unknown, not 0


def test_a_turn_is_shown_by_what_was_asked_and_answered(told: tuple[Traces, Traces, Traces]) -> None:
    first = told[2][0]
    assert (json.loads(first["request"]), json.loads(first["response"])) == ("Fix the dates.", "Done.")
    assert first["duration"] == 17_000


def test_a_failed_call_tells_why(told: tuple[Traces, Traces, Traces]) -> None:
    failed = [one for one in told[2][1]["spans"] if one["name"] == CHAT]
    assert [(one["status"], one["message"], one["usage"], one["cost"]) for one in failed] == [
        ("ERROR", "Overloaded", None, None)
    ]


def test_a_call_has_its_messages_as_a_chat(told: tuple[Traces, Traces, Traces]) -> None:
    call = min((one for one in told[2][0]["spans"] if one["name"] == CHAT), key=lambda one: len(str(one["inputs"])))
    assert call["inputs"]["messages"] == [{"role": "user", "content": "Fix the dates."}]
    called = call["outputs"]["choices"][0]["message"]["tool_calls"]
    assert [one["function"]["name"] for one in called] == ["Read", "Read"]


@pytest.fixture(scope="module")
def scores(scored: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Any]]:
    folder = tmp_path_factory.mktemp("mlflow-scores")
    with servers.mlflow(folder) as url:
        yield scored("mlflow", url, lambda: [one for trace in asked(url, folder) for one in trace["assessments"]])


def values(assessments: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(one["name"], one["value"], one["rationale"], one["source"], one["session"]) for one in assessments}


def test_scores_are_feedback_of_spans_and_of_the_sessions_first_trace(scores: tuple[Any, Any, Any]) -> None:
    assert values(scores[0]) == {
        ("helpful", 0.8, "It reads both.", "HUMAN ada", None),
        ("correct", False, None, "HUMAN ada", None),
        ("grade", "poor", None, "HUMAN ada", None),
        ("note", "Look again.", None, "HUMAN ada", None),
        ("star", True, None, "HUMAN ada", "session-2"),
    }
    spans = {one["name"]: one["span"] for one in scores[0]}
    assert spans["helpful"] == span_id(call_id("session-2", "a"))
    assert spans["star"] is None


def test_a_later_score_replaces_it_and_one_that_was_taken_away_goes(scores: tuple[Any, Any, Any]) -> None:
    assert sorted((one["name"], one["value"]) for one in scores[1]) == [
        ("grade", "poor"), ("helpful", 0.4), ("note", "Look again.")
    ]  # fmt: skip


def test_scores_that_come_twice_are_counted_once(scores: tuple[Any, Any, Any]) -> None:
    assert len(scores[2]) == 3
    assert values(scores[2]) == values(scores[1])
