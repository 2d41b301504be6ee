"""Answers about recorded sessions of real frameworks (../shared/corpus), one session a cassette."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest
from tests.analysis.made_turns import common
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded

from sessiontap.analysis.cache import cache as cache_of
from sessiontap.analysis.context import context
from sessiontap.analysis.tools import runs_of, tools
from sessiontap.analysis.waste import waste
from sessiontap.llm.parts import reply_parts, request_parts
from sessiontap.trace.index.turns import Turn

pytestmark = needs_corpus
MINUTE = "2026-11-01T12:{:02}:{:02}+00:00"


@cache
def sessions() -> dict[str, list[Turn]]:
    """Cassette -> its turns, ten seconds apart."""
    files: defaultdict[str, list[Recorded]] = defaultdict(list)
    for one in recorded():
        files[one.id.rpartition("#")[0]].append(one)
    return {name: _turns(name, found) for name, found in files.items()}


def _turns(name: str, found: Sequence[Recorded]) -> list[Turn]:
    turns: list[Turn] = []
    by_index: dict[int, Turn] = {}
    for step, one in enumerate(found):
        call, reply = one.call(), one.reply()
        request, parent = tuple(request_parts(call)), by_index.get(one.expect.get("parent", -1))
        first_new, at = common(parent, request), step * 10
        row = {
            "id": one.id,
            "time": MINUTE.format(at // 60, at % 60),
            "duration": 4.0,
            "time_to_first_byte": 1.0,
            "conversation": f"{name}-{one.expect.get('conversation')}",
            "step": step,
            "path": "/chat",
            "operation": call.endpoint.operation,
            "provider": call.endpoint.provider,
            "family": call.endpoint.family,
            "host": one.request.host,
            "request_model": call.asked.model,
            "response_model": reply.response_model,
            "usage": asdict(reply.usage) if reply.usage else None,
        }
        turn = Turn(row, request, first_new, tuple(reply_parts(call, reply)), parent.call["id"] if parent else None)
        turns.append(turn)
        by_index[int(one.id.rpartition("#")[2])] = turn
    return turns


def test_every_session_has_all_answers() -> None:
    assert len(sessions()) > 500
    for name, turns in sessions().items():
        for row, turn in zip(context(turns, {})["turns"], turns, strict=True):
            split = row["split_estimated"]
            if split is not None:
                assert abs(sum(split.values()) - row["input_tokens"]) <= 5, turn.call["id"]
        rows = tools(turns)["tools"]
        asked = sum(part.kind == "tool_call" for turn in turns for part in turn.reply)
        assert sum(row["calls"] for row in rows) >= asked, name
        cache_of(turns, {})
        waste(turns, {})


def test_results_find_their_calls() -> None:
    """Of the results that requests bring in sessions whose links are known."""
    brought = matched = 0
    for turns in sessions().values():
        for run in runs_of(turns, lambda name: True)["calls"]:
            if run["result"] is not None:
                brought += 1
                matched += run["arguments"] is not None
    assert brought > 100
    assert matched / brought > 0.97


ADK = "openinference/python/instrumentation/openinference-instrumentation-google-adk/tests/cassettes/test_instrumentor/"
AGENTS = "openllmetry/packages/opentelemetry-instrumentation-openai-agents/tests/cassettes/"
VERTEX = "otel-contrib/instrumentation-genai/opentelemetry-instrumentation-vertexai/tests/cassettes/"
ANTHROPIC = "openllmetry/packages/opentelemetry-instrumentation-anthropic/tests/cassettes/test_prompt_caching/"
BEDROCK = "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/metrics/cassettes/"
OPENAI = "openllmetry/packages/opentelemetry-instrumentation-openai/tests/traces/cassettes/test_prompt_caching/"


@pytest.mark.parametrize(
    ("cassette", "expected"),
    [
        pytest.param(
            f"{ADK}test_google_adk_instrumentor_multi_tool_call",
            {"get_weather": (2, 2, 258, ['{"city":"New York"}', '{"city":"London"}'])},
            id="Gemini, without ids",
        ),
        pytest.param(
            f"{VERTEX}test_tool_events",
            {"get_current_weather": (2, 2, 64, ['{"location":"New Delhi"}', '{"location":"San Francisco"}'])},
            id="Vertex, a history whose replies were not recorded",
        ),
        pytest.param(
            f"{AGENTS}test_recipe_agents_hierarchy/test_recipe_agents_hierarchy",
            {
                "transfer_to_recipe_editor_agent": (1, 1, 36, ["{}"]),
                "search_recipes": (2, 2, 1626, ['{"query":"carbonara"}'] * 2),
                "plan_and_apply_recipe_modifications": (2, 2, None, None),
            },
            id="Responses API, agents that hand over",
        ),
    ],
)
def test_tools_as_read_in_the_cassette(cassette: str, expected: dict[str, tuple[Any, ...]]) -> None:
    turns = sessions()[cassette]
    rows = {row["tool"]: row for row in tools(turns)["tools"]}
    assert set(rows) == set(expected)
    for name, (calls, results, size, arguments) in expected.items():
        assert (rows[name]["calls"], rows[name]["results"], rows[name]["errors"]) == (calls, results, 0)
        assert size in (None, rows[name]["result_bytes"])
        given = [one["arguments"] for one in runs_of(turns, lambda tool, name=name: tool == name)["calls"]]  # type: ignore[misc]
        assert arguments in (None, given)


FIRST, HIT, UNKNOWN = ("miss", ["first"]), ("hit", []), ("miss", ["unknown"])


@pytest.mark.parametrize(
    ("cassette", "expected"),
    [
        pytest.param(f"{ANTHROPIC}test_anthropic_prompt_caching_legacy", [FIRST, HIT], id="Anthropic"),
        pytest.param(f"{ANTHROPIC}test_anthropic_prompt_caching_stream_legacy", [FIRST, HIT], id="Anthropic, streamed"),
        pytest.param(f"{BEDROCK}test_bedrock_prompt_caching_metrics/test_prompt_cache", [FIRST, HIT], id="Bedrock"),
        pytest.param(f"{OPENAI}test_openai_prompt_caching", [FIRST, HIT, UNKNOWN, UNKNOWN], id="OpenAI"),
        pytest.param(
            f"{AGENTS}test_openai_agents/test_tool_call_and_result_attributes",
            [("miss", ["too_short"])] * 4,
            id="too short",
        ),
    ],
)
def test_cache_verdicts_on_recorded_traffic(cassette: str, expected: list[tuple[str, list[str]]]) -> None:
    """The same request twice; OpenAI's cassette was recorded twice over, and its cache forgot in between."""
    rows = [row for row in cache_of(sessions()[cassette], {})["turns"] if row["verdict"]]
    assert [(row["verdict"], [one["reason"] for one in row["reasons"]]) for row in rows] == expected


def test_the_last_request_of_a_recorded_agent() -> None:
    """Counts of parts as they stand in the cassette; the result of the search is the longest."""
    detail = context(sessions()[f"{AGENTS}test_recipe_agents_hierarchy/test_recipe_agents_hierarchy"], {}, 6)["detail"]
    assert detail["input_tokens"] == 1094
    assert {one["name"]: one["parts"] for one in detail["categories"]} == {
        "tool_definitions": 2,
        "system": 1,
        "user": 1,
        "tool_calls": 3,
        "tool_results": 3,
    }
    results = next(one for one in detail["categories"] if one["name"] == "tool_results")
    assert {one["name"] for one in results["within"]} == {
        "search_recipes",
        "plan_and_apply_recipe_modifications",
        "transfer_to_recipe_editor_agent",
    }
