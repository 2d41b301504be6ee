"""Counts and amounts as replies state them: a number out of range, or of another type, is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import reply, streamed
from tests.llm.llm_frames import chunk, received

from sessiontap.llm import pick
from sessiontap.llm.call import Usage
from sessiontap.llm.pick import MOST
from sessiontap.llm.usage import billed_of

IN_RANGE = {"zero": 0, "one": 1, "the largest": MOST, "a whole float": 28.0}
OUT_OF_RANGE = {
    "negative": -1,
    "beyond the range": MOST + 1,
    "of 63 bits": 2**63 - 1,
    "of 64 bits": 2**64,
    "of 100 bits": 2**100,
    "a large float": 1e300,
    "a fraction": 1.5,
    "text": "12",
    "true": True,
    "a list": [1],
}


@pytest.mark.parametrize("stated", IN_RANGE.values(), ids=IN_RANGE)
def test_a_count_in_range(stated: Any) -> None:
    assert pick.count({"n": stated}, "n") == stated


@pytest.mark.parametrize("stated", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_a_count_out_of_range_is_unknown(stated: Any) -> None:
    assert pick.count({"n": stated}, "n") is None


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        (0, 0.0),
        (0.25, 0.25),
        (10**9, 1e9),
        (10**9 + 1, None),
        (-0.01, None),
        (1e308, None),
        (10**400, None),
        ("1", None),
    ],
    ids=str,
)
def test_an_amount_of_money(stated: Any, known: float | None) -> None:
    assert pick.dollars({"cost": stated}, "cost") == known


USAGE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # family: path, reply, the key of its input, the key of a part that the input includes (or "")
    "chat": ("/v1/chat/completions", {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}, "prompt_tokens", ""),
    "anthropic": (
        "/v1/messages",
        {"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}},
        "input_tokens",
        "cache_read_input_tokens",
    ),
    "gemini": (
        "/v1beta/models/g:generateContent",
        {"usageMetadata": {"promptTokenCount": 5, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 2}},
        "promptTokenCount",
        "toolUsePromptTokenCount",
    ),
    "converse": (
        "/model/m/converse",
        {"usage": {"inputTokens": 5, "cacheReadInputTokens": 3, "outputTokens": 2}},
        "inputTokens",
        "cacheReadInputTokens",
    ),
    "interaction": (
        "/v1beta/interactions",
        {
            "object": "interaction",
            "usage": {"total_input_tokens": 5, "total_tool_use_tokens": 3, "total_output_tokens": 2},
        },
        "total_input_tokens",
        "total_tool_use_tokens",
    ),
}


def usage_with(family: str, key: str, stated: Any) -> Usage | None:
    path, body, _, _ = USAGE[family]
    return reply(path, {name: part | {key: stated} if "sage" in name else part for name, part in body.items()}).usage


@pytest.mark.parametrize("stated", [2**64, 2**63 - 1, -1, "5"], ids=str)
@pytest.mark.parametrize("family", USAGE)
def test_the_tokens_of_a_call_that_are_out_of_range_are_unknown_and_the_others_known(family: str, stated: Any) -> None:
    found = usage_with(family, USAGE[family][2], stated)
    assert found is not None
    assert (found.input, found.output) == (None, 2)


@pytest.mark.parametrize(("stated", "total"), [(3, 8), (None, 5), (2**64, None), (MOST, None), ("3", None)], ids=str)
@pytest.mark.parametrize("family", [family for family, (*_, part) in USAGE.items() if part])
def test_a_sum_of_which_a_part_cannot_be_read_is_unknown(family: str, stated: Any, total: int | None) -> None:
    found = usage_with(family, USAGE[family][3], stated)
    assert found is not None
    assert found.input == total


def test_what_is_billed_apart_is_unknown_where_a_part_of_it_cannot_be_read() -> None:
    parts = [{"modality": "AUDIO", "tokenCount": 3}, {"modality": "AUDIO", "tokenCount": -1}]
    assert billed_of({"promptTokensDetails": parts, "cacheDetails": [{"ttl": "1h", "inputTokens": "x"}]}) is None


def test_a_count_that_cannot_be_read_takes_the_place_of_an_earlier_one() -> None:
    chunks = [{"generation": "a", "generation_token_count": 1}, {"generation": "b", "generation_token_count": 2**64}]
    found = received("/model/m/invoke-with-response-stream", b"".join(map(chunk, chunks)))
    assert (found.text, found.usage) == ("ab", None)


def test_a_part_of_a_stream_whose_place_cannot_be_read_is_not_put_to_the_first() -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"content": "mine"}}]},
        {"choices": [{"index": "x", "delta": {"content": "another"}}]},
        {"choices": [{"index": 2**64, "delta": {"content": "a third"}}]},
    ]
    assert streamed("/v1/chat/completions", events).text == "mine"


def test_tool_calls_at_places_that_cannot_be_read_are_not_lost() -> None:
    events = [
        {"type": "content_block_start", "index": place, "content_block": {"type": "tool_use", "name": name}}
        for place, name in (("x", "first"), (None, "second"), (None, "third"), (2**64, "fourth"))
    ]
    found = streamed("/v1/messages", events)
    assert [tool.name for tool in found.tool_calls] == ["first", "second", "third", "fourth"]
