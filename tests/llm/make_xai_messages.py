"""Write xai_messages.json: messages of xAI's chat as its own package writes them.

pip install xai-sdk==1.21.0; python tests/llm/make_xai_messages.py
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from xai_sdk.chat import assistant, image, system, tool, tool_result, user  # type: ignore[import-not-found]
from xai_sdk.proto.v6 import chat_pb2 as chat  # type: ignore[import-not-found]
from xai_sdk.proto.v6 import sample_pb2, usage_pb2  # type: ignore[import-not-found]
from xai_sdk.tools import mcp, web_search  # type: ignore[import-not-found]

WEATHER = tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = chat.ToolCall(
    id="c1", type=chat.TOOL_CALL_TYPE_CLIENT_SIDE_TOOL,
    function=chat.FunctionCall(name="weather", arguments='{"city": "Oslo"}'),
)  # fmt: skip
SEARCH = chat.ToolCall(
    id="s1", type=chat.TOOL_CALL_TYPE_WEB_SEARCH_TOOL, status=chat.TOOL_CALL_STATUS_COMPLETED,
    function=chat.FunctionCall(name="web_search", arguments='{"query": "Oslo"}'),
)  # fmt: skip
USAGE = usage_pb2.SamplingUsage(
    completion_tokens=5, reasoning_tokens=7, prompt_tokens=9, total_tokens=21, prompt_text_tokens=9,
    cost_in_usd_ticks=12_500_000,
)  # fmt: skip
CACHED = usage_pb2.SamplingUsage(completion_tokens=5, prompt_tokens=9, total_tokens=14, cached_prompt_text_tokens=4)


def _called() -> chat.Message:
    said = assistant("")
    said.tool_calls.append(CALL)
    return said


def _output(index: int, role: int, said: str = "", finish: int = 0, **more: object) -> chat.CompletionOutput:
    message = chat.CompletionMessage(role=role, content=said, **more)
    return chat.CompletionOutput(index=index, finish_reason=finish, message=message)


def _chunk(*outputs: chat.CompletionOutputChunk, **more: object) -> chat.GetChatCompletionChunk:
    return chat.GetChatCompletionChunk(id="r1", model="grok-4", outputs=outputs, **more)


def _delta(index: int, role: int, said: str = "", finish: int = 0, **more: object) -> chat.CompletionOutputChunk:
    return chat.CompletionOutputChunk(
        index=index, finish_reason=finish, delta=chat.Delta(role=role, content=said, **more)
    )


AGENTIC = [
    _output(0, chat.ROLE_ASSISTANT, "Let me see.", tool_calls=[SEARCH]),
    _output(1, chat.ROLE_TOOL, "Rain.", tool_calls=[SEARCH]),
    _output(2, chat.ROLE_ASSISTANT, "It rains.", sample_pb2.REASON_STOP, reasoning_content="So it is."),
]

MESSAGES = {
    "a question": chat.GetCompletionsRequest(
        model="grok-4", messages=[system("Be brief."), user("Oslo?", image("https://img.example/a.png"))],
        tools=[WEATHER, web_search(), mcp(server_url="https://mcp.example", server_label="files")], user="ann",
    ),
    "a result": chat.GetCompletionsRequest(
        model="grok-4", messages=[user("Oslo?"), _called(), tool_result("rain", tool_call_id="c1")], tools=[WEATHER],
        previous_response_id="r0",
    ),
    "an answer": chat.GetChatCompletionResponse(
        id="r1", model="grok-4-0709", usage=USAGE, service_tier=2,
        outputs=[_output(0, chat.ROLE_ASSISTANT, "It rains.", sample_pb2.REASON_STOP, reasoning_content="So it is.")],
    ),
    "a tool call": chat.GetChatCompletionResponse(
        id="r1", model="grok-4", usage=CACHED,
        outputs=[_output(0, chat.ROLE_ASSISTANT, "", sample_pb2.REASON_TOOL_CALLS, tool_calls=[CALL])],
    ),
    "tools that xAI ran": chat.GetChatCompletionResponse(id="r1", model="grok-4", usage=USAGE, outputs=AGENTIC),
    "chunk 1": _chunk(_delta(0, chat.ROLE_ASSISTANT), usage=usage_pb2.SamplingUsage(prompt_tokens=9, total_tokens=9)),
    "chunk 2": _chunk(_delta(0, chat.ROLE_ASSISTANT, reasoning_content="So it is.")),
    "chunk 3": _chunk(_delta(0, chat.ROLE_ASSISTANT, "It ")),
    "chunk 4": _chunk(_delta(0, chat.ROLE_ASSISTANT, "rains.", tool_calls=[CALL])),
    "chunk 5": _chunk(_delta(0, chat.ROLE_ASSISTANT, "", sample_pb2.REASON_STOP), usage=USAGE),
    "two choices": chat.GetCompletionsRequest(model="grok-4", messages=[user("Oslo?")], n=2),
    "two answers": chat.GetChatCompletionResponse(
        id="r1", outputs=[_output(0, chat.ROLE_ASSISTANT, "Rain."), _output(1, chat.ROLE_ASSISTANT, "Sun.")]
    ),
}  # fmt: skip

if __name__ == "__main__":
    written = {name: base64.b64encode(one.SerializeToString()).decode() for name, one in MESSAGES.items()}
    path = Path(__file__).with_name("xai_messages.json")
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
