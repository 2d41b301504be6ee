from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply, streamed

from sessiontap.llm.call import CallError, Usage

WHOLE: dict[str, tuple[str, Any, tuple[str | None, str | None, str | None, Usage | None]]] = {
    "anthropic's older completion": (
        "/v1/complete",
        {"completion": " Hi", "stop_reason": "stop_sequence", "model": "claude-2.1"},
        (" Hi", "claude-2.1", "stop_sequence", None),
    ),
    "watsonx": (
        "/ml/v1/text/generation",
        {
            "model_id": "flan",
            "results": [
                {"generated_text": "2", "generated_token_count": 2, "input_token_count": 7, "stop_reason": "eos"}
            ],
        },
        ("2", "flan", "eos", Usage(7, 2)),
    ),
    "a prompt service": (
        "/v1/prompts/p1/completions",
        {
            "model": "gpt",
            "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        },
        ("hi", "gpt", "stop", Usage(1, 2)),
    ),
    "a model that is no answer's": (
        "/v1/assistants",
        {"id": "asst_1", "object": "assistant", "model": "gpt"},
        (None, None, None, None),
    ),
    "a list": ("/v1/models", ["a"], (None, None, None, None)),
}


@pytest.mark.parametrize(("path", "body", "expected"), WHOLE.values(), ids=WHOLE)
def test_whole(path: str, body: Any, expected: tuple[str | None, str | None, str | None, Usage | None]) -> None:
    found = reply(path, body)
    assert (found.text, found.response_model, found.finish_reason, found.usage) == expected


STREAMS: dict[str, tuple[str, list[Any], str]] = {
    "anthropic's older completion": (
        "/v1/complete",
        [{"completion": " a"}, {"type": "ping"}, {"completion": "b"}],
        " ab",
    ),
    "writer": ("/v1/completions", [{"value": "a"}, {"value": " b"}], "a b"),
    "a prompt service": (
        "/v1/prompts/p1/completions",
        [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in "ab"],
        "ab",
    ),
}


@pytest.mark.parametrize(("path", "events", "text"), STREAMS.values(), ids=STREAMS)
def test_streamed(path: str, events: list[Any], text: str) -> None:
    assert streamed(path, events, provider="writer").text == text


def test_the_model_of_any_request_is_taken() -> None:
    assert asked("/v1/images/generations", {"model": "dall-e-2", "prompt": "a cat"}).model == "dall-e-2"


def test_an_error_inside_a_200() -> None:
    assert reply("/v1/images/generations", {"error": {"message": "no"}}).error == CallError(None, "no")
