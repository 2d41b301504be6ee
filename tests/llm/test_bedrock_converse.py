from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply
from tests.llm.llm_frames import error, event, exception, received

from sessiontap.llm.call import CallError, Reply, ToolCall, Usage

PATH = "/model/amazon.nova-lite-v1%3A0/converse"
STREAM = "/model/amazon.nova-lite-v1%3A0/converse-stream"

MESSAGES = [
    {"role": "user", "content": [{"text": "old"}]},
    {"role": "assistant", "content": [{"text": "hm"}]},
    {"role": "user", "content": [{"text": "new"}, {"image": {}}, {"guardContent": {"text": {"text": "guarded"}}}]},
    {
        "role": "assistant",
        "content": [
            {"text": "Well."},
            {"toolUse": {"toolUseId": "t1", "name": "read", "input": {}}},
            {"toolUse": {"toolUseId": "t2", "name": "write", "input": {}}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "1"}]}},
            {"toolResult": {"toolUseId": "t2", "content": [{"json": {}}]}},
        ],
    },
]
BODY = {
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "read"}}, {"cachePoint": {}}, {"systemTool": {"name": "nova_code"}}]
    },
    "messages": MESSAGES,
}


# What is asked


def test_a_turn_with_tool_results() -> None:
    found = asked(PATH, BODY)
    assert (found.model, found.stream) == ("amazon.nova-lite-v1:0", False)
    assert (found.prompt, found.message) == ("Be brief.", "new\nguarded")
    assert found.tools_offered == ("read", "nova_code")
    assert (found.tool_results, found.answered) == (("read", "write"), ("t2", "t1"))


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (STREAM, "amazon.nova-lite-v1:0", True),
        ("/model/anthropic.claude-v2:1/converse", "anthropic.claude-v2:1", False),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A012345678901%3Ainference-profile%2Fus.claude/converse",
            "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.claude",
            False,
        ),
    ],
)
def test_the_path_says_model_and_stream(path: str, model: str, stream: bool) -> None:
    for body in ({}, None):
        found = asked(path, body)
        assert (found.model, found.stream) == (model, stream)


def test_counting_tokens_uses_none() -> None:
    path = "/model/m/count-tokens"
    assert asked(path, {"input": {"converse": BODY}}).message == "new\nguarded"
    assert reply(path, {"inputTokens": 5}).usage is None


# What comes back

USAGES: dict[str, tuple[Any, Usage | None]] = {
    "none": (None, None),
    "plain": ({"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, Usage(3, 2)),
    "cached tokens come on top": (
        {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 40, "cacheWriteInputTokens": 5},
        Usage(48, 2, 40, 5),
    ),
    "no cached tokens, as stated": (
        {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0},
        Usage(3, 2, 0, 0),
    ),
    "Nova's names": (
        {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokenCount": 40, "cacheWriteInputTokenCount": 0},
        Usage(43, 2, 40, 0),
    ),
    "cached tokens alone": ({"cacheReadInputTokens": 40}, Usage(None, None, 40)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert reply(PATH, {"output": {"message": {"content": []}}, "usage": usage}).usage == expected
    assert received(STREAM, event("metadata", {"usage": usage})).usage == expected


CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "hmm"}}},
    {"text": "Hel"},
    {"citationsContent": {"content": [{"text": "lo"}], "citations": []}},
    {"toolUse": {"toolUseId": "t0", "name": "nova_grounding", "type": "server_tool_use", "input": {}}},
    {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"x": 1}}},
]


def test_a_whole_answer() -> None:
    body = {
        "output": {"message": {"role": "assistant", "content": CONTENT}},
        "stopReason": "tool_use",
        "serviceTier": {"type": "flex"},
        "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:x"}},
    }
    assert reply(PATH, body) == Reply(
        stream=False,
        response_model="arn:aws:bedrock:x",
        text="Hello",
        reasoning="hmm",
        tool_calls=(ToolCall("read", "t1", '{"x":1}'),),
        builtin_tool_calls=("nova_grounding",),
        finish_reason="tool_use",
        service_tier="flex",
    )


def delta(index: int, **delta: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abc"})


def start(index: int, **use: Any) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": use}})


FRAMES = [
    event("messageStart", {"role": "assistant", "p": "abc"}),
    delta(0, reasoningContent={"text": "hmm"}),
    delta(1, text="Hel"),
    delta(1, text="lo"),
    event("contentBlockStop", {"contentBlockIndex": 1}),
    start(2, toolUseId="t0", name="nova_grounding", type="server_tool_use"),
    delta(2, toolUse={"input": "{}"}),
    start(3, toolUseId="t1", name="read"),
    delta(3, toolUse={"input": '{"x"'}),
    delta(3, toolUse={"input": ":1}"}),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2}, "metrics": {"latencyMs": 5}}),
]
TRUTH = Reply(
    stream=True,
    text="Hello",
    reasoning="hmm",
    tool_calls=(ToolCall("read", "t1", '{"x":1}'),),
    builtin_tool_calls=("nova_grounding",),
    finish_reason="tool_use",
    usage=Usage(3, 2),
    first_token=len(FRAMES[0] + FRAMES[1]),
)


@pytest.mark.parametrize("content_type", ["application/vnd.amazon.eventstream", None])
def test_a_stream(content_type: str | None) -> None:
    assert received(STREAM, b"".join(FRAMES), content_type) == TRUTH


def test_a_stream_cut_anywhere_says_nothing_false() -> None:
    body = b"".join(FRAMES)
    for end in range(len(body) + 1):
        found = received(STREAM, body[:end], complete=False)
        assert "Hello".startswith(found.text or "")
        assert [call.name for call in found.tool_calls] in ([], ["read"])
        assert all('{"x":1}'.startswith(call.arguments or "") for call in found.tool_calls)
        assert found.usage in (None, TRUTH.usage)
        assert found.finish_reason in (None, "tool_use")
        assert found.first_token in (None, TRUTH.first_token)
        assert found.problems == ()


@pytest.mark.parametrize("frame", [exception("throttlingException", "slow"), error("throttlingException", "slow")])
def test_an_error_inside_a_stream(frame: bytes) -> None:
    found = received(STREAM, FRAMES[0] + FRAMES[2] + frame)
    assert (found.text, found.error) == ("Hel", CallError("throttlingException", "slow"))


def test_a_damaged_frame_is_told_and_the_rest_is_read() -> None:
    damaged = bytearray(FRAMES[1])
    damaged[-6] ^= 1
    found = received(STREAM, FRAMES[0] + bytes(damaged) + FRAMES[2] + FRAMES[3])
    assert (found.text, len(found.problems)) == ("Hello", 1)
