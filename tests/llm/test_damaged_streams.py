"""Streams in which an event cannot be read: counts that a later one may have overridden are unknown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import streamed
from tests.llm.llm_frames import chunk, received

from sessiontap.llm.call import Usage

DAMAGED = '{"usage": '
START = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}


def choice(finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": finish}], **more}


def text(finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": "a", "finish_reason": finish}], **more}


def candidate(finish: str | None = None, **counts: int) -> dict[str, Any]:
    one = {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": finish}
    return {"candidates": [one], "usageMetadata": counts}


COUNTED = {"prompt_tokens": 3, "completion_tokens": 1}
SO_FAR: dict[str, tuple[str, list[Any]]] = {
    "chat": ("/v1/chat/completions", [choice(usage=COUNTED), DAMAGED]),
    "completions": ("/v1/completions", [text(usage=COUNTED), DAMAGED]),
    "gemini": ("/v1beta/models/g:streamGenerateContent", [candidate(promptTokenCount=3), DAMAGED]),
    "anthropic": ("/v1/messages", [{**START, "message": {}}, DAMAGED, {"type": "message_stop"}]),
}
AT_THE_END: dict[str, tuple[str, list[Any], Usage]] = {
    "chat": ("/v1/chat/completions", [choice(), DAMAGED, choice("stop"), {"usage": COUNTED}], Usage(3, 1)),
    "completions": ("/v1/completions", [text(), DAMAGED, text("stop", usage=COUNTED)], Usage(3, 1)),
    "gemini": (
        "/v1beta/models/g:streamGenerateContent",
        [candidate(), DAMAGED, candidate("STOP", promptTokenCount=3, candidatesTokenCount=1)],
        Usage(3, 1),
    ),
    "anthropic": ("/v1/messages", [START, DAMAGED, END], Usage(10, 40)),
}


@pytest.mark.parametrize(("path", "events"), SO_FAR.values(), ids=SO_FAR)
def test_counts_on_the_way_are_unknown(path: str, events: list[Any]) -> None:
    found = streamed(path, events)
    assert (found.usage, len(found.problems)) == (None, 1)


@pytest.mark.parametrize(("path", "events", "usage"), AT_THE_END.values(), ids=AT_THE_END)
def test_counts_at_its_end_are_known(path: str, events: list[Any], usage: Usage) -> None:
    found = streamed(path, events)
    assert (found.usage, len(found.problems)) == (usage, 1)


def test_the_output_of_a_message_whose_last_statement_is_damaged_is_unknown() -> None:
    assert streamed("/v1/messages", [START, DAMAGED, {"type": "message_stop"}]).usage == Usage(10, None)


def test_the_output_of_a_model_that_counts_along_is_unknown_where_a_chunk_is_damaged() -> None:
    chunks = [{"generation": "a", "prompt_token_count": 3, "generation_token_count": 1}, b"{"]
    found = received("/model/m/invoke-with-response-stream", b"".join(map(chunk, chunks)))
    assert (found.text, found.usage) == ("a", Usage(3, None))
