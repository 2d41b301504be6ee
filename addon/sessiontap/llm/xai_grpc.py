"""xAI's chat over gRPC, as its own client xai-sdk speaks it.

Source: the protos of xai-sdk 1.21.0 (`xai_api.Chat`). A request becomes the JSON that xAI speaks over HTTP, and is read
as `openai_chat` reads that. A reply is a list of outputs: the choices if a request asks for several; else what the
model said and did turn by turn, while xAI ran tools, and the last of the assistant's is the answer. Protobuf leaves out
what is zero. A stream's counts go up with every chunk; those of a stream that was cut are not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm import openai_chat
from sessiontap.llm.call import Asked, Call, Reply, ToolCall
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.grpc import is_grpc, reply_messages, request_message, status_error
from sessiontap.llm.pick import count, dicts, dig, names, place, text
from sessiontap.llm.protobuf import MANY, EnumNames, Schema, schema
from sessiontap.llm.refusal import grpc_refusal
from sessiontap.llm.usage import cost_of, usage_of

_STREAMING = "/GetCompletionChunk"

_ROLES = EnumNames({1: "user", 2: "assistant", 3: "system", 4: "function", 5: "tool", 6: "developer"})
_TIERS = EnumNames({1: "default", 2: "priority"})
_EFFORTS = EnumNames({1: "low", 2: "medium", 3: "high", 4: "none", 5: "xhigh"})
_FINISH = EnumNames(
    {1: "REASON_MAX_LEN", 2: "REASON_MAX_CONTEXT", 3: "REASON_STOP", 4: "REASON_TOOL_CALLS", 5: "REASON_TIME_LIMIT"}
)
_CLIENT_SIDE = 1
"""The type of a tool call that the app is asked to run; xAI runs the others."""
_NOTHING = Schema()
"""A message that counts by being there."""

_TOOL_CALL = schema(
    id=(1, "string"), type=(2, "int"), function=(10, schema(name=(1, "string"), arguments=(2, "string")))
)
_CONTENT = schema(
    text=(1, "string"),
    image_url=(2, schema(url=(1, "string"), file_id=(3, "string"))),
    file=(3, schema(file_id=(1, "string"), data=(2, "bytes"), filename=(3, "string"), mime_type=(4, "string"),
                     url=(5, "string"))),
)  # fmt: skip
_MESSAGE = schema(
    content=(1, _CONTENT, MANY),
    role=(2, _ROLES),
    name=(3, "string"),
    tool_calls=(4, _TOOL_CALL, MANY),
    reasoning_content=(5, "string"),
    tool_call_id=(7, "string"),
)
_FUNCTION = schema(name=(1, "string"), description=(2, "string"), parameters=(4, "string"))
_TOOL = schema(
    function=(1, _FUNCTION),
    web_search=(3, _NOTHING),
    x_search=(4, _NOTHING),
    code_execution=(5, _NOTHING),
    collections_search=(6, _NOTHING),
    mcp=(7, schema(server_label=(1, "string"))),
    attachment_search=(8, _NOTHING),
    image_generation=(10, _NOTHING),
)
_REQUEST = schema(
    messages=(1, _MESSAGE, MANY),
    model=(2, "string"),
    max_tokens=(7, "int"),
    n=(8, "int"),
    user=(16, "string"),
    tools=(17, _TOOL, MANY),
    reasoning_effort=(19, _EFFORTS),
    previous_response_id=(22, "string"),
    safety_identifier=(34, "string"),
)
_USAGE = schema(
    completion_tokens=(1, "int"),
    prompt_tokens=(2, "int"),
    total_tokens=(3, "int"),
    reasoning_tokens=(6, "int"),
    cached_tokens=(7, "int"),
    cost_in_usd_ticks=(11, "int"),
)
_COUNTS = ("completion_tokens", "prompt_tokens", "total_tokens", "reasoning_tokens", "cached_tokens")
_SAID = schema(
    content=(1, "string"), role=(2, _ROLES), tool_calls=(3, _TOOL_CALL, MANY), reasoning_content=(4, "string")
)
_RESPONSE = schema(
    id=(1, "string"),
    outputs=(2, schema(finish_reason=(1, _FINISH), index=(2, "int"), message=(3, _SAID)), MANY),
    model=(6, "string"),
    usage=(9, _USAGE),
    service_tier=(15, _TIERS),
)
_CHUNK = schema(
    id=(1, "string"),
    outputs=(2, schema(message=(1, _SAID), finish_reason=(3, _FINISH), index=(4, "int")), MANY),
    model=(4, "string"),
    usage=(6, _USAGE),
    service_tier=(12, _TIERS),
)


def request_json(request: Request) -> tuple[Any, str | None]:
    """Return a request as JSON, and its fault in words. See `family.Family`."""
    body, problem = request_message(request, _REQUEST)
    if body is not None and "tools" in body:
        body["tools"] = [_tool(tool) for tool in dicts(body, "tools")]
    return body, problem


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as over HTTP: one that xAI runs is told by its type."""
    kind = next(iter(tool), None)
    return tool if kind in (None, "function") else {"type": kind, **tool[kind]}


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    found = openai_chat.asked(request, body)
    offered = names(
        text(tool, "function", "name") or text(tool, "server_label") or text(tool, "type")
        for tool in dicts(body, "tools")
    )
    previous = names([text(body, "previous_response_id")])
    return replace(found, stream=request.path.endswith(_STREAMING), tools_offered=offered, previous=previous)


@dataclass(slots=True)
class _Output:
    """One output, as far as it came."""

    is_assistant: bool = True
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: a call comes again when xAI has run it."""
    finish_reason: str | None = None

    def learn(self, output: dict[str, Any]) -> bool:
        """Take in an output, or a chunk's part of it. True if that is something that the model generated."""
        message = output.get("message")
        if (role := text(message, "role")) is not None:
            self.is_assistant = role == "assistant"
        texts, thoughts = text(message, "content"), text(message, "reasoning_content")
        self.text += [texts] if texts else []
        self.reasoning += [thoughts] if thoughts else []
        calls = list(dicts(message, "tool_calls"))
        for call in calls:
            self.calls[text(call, "id") or f" {len(self.calls)}"] = call
        self.finish_reason = text(output, "finish_reason") or self.finish_reason
        return bool(texts or thoughts or calls)


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    stream = call.endpoint.route.endswith(_STREAMING)
    if not is_grpc(response.headers):
        return Reply(stream=stream, error=status_error(response))
    problems: list[str] = []
    outputs: dict[int, _Output] = {}
    stated: dict[str, Any] = {}
    first_token: int | None = None
    for chunk, end in reply_messages(response, _CHUNK if stream else _RESPONSE, problems):
        stated |= {key: value for key, value in chunk.items() if key != "outputs"}
        for output in dicts(chunk, "outputs"):
            generated = outputs.setdefault(place(output, "index"), _Output()).learn(output)
            first_token = end if generated and first_token is None else first_token
    error = status_error(response)
    whole = response.complete and not problems and error is None
    usage = dict.fromkeys(_COUNTS, 0) | stated["usage"] if whole and isinstance(stated.get("usage"), dict) else None
    answers = [outputs[at] for at in sorted(outputs) if outputs[at].is_assistant]
    answers = answers[:1] if (count(call.json, "n") or 1) > 1 else answers
    answer = answers[-1] if answers else _Output()
    calls = [one for output in answers for one in output.calls.values() if text(one, "function", "name")]
    return Reply(
        stream=stream,
        response_model=text(stated, "model"),
        response_id=text(stated, "id"),
        text="".join(answer.text) or None,
        reasoning="".join(answer.reasoning) or None,
        tool_calls=tuple(_called(one) for one in calls if _is_the_app_s(one)),
        builtin_tool_calls=tuple(dig(one, "function", "name") for one in calls if not _is_the_app_s(one)),
        finish_reason=answer.finish_reason,
        usage=usage_of(usage),
        cost_reported=cost_of(usage),
        service_tier=text(stated, "service_tier"),
        error=error,
        first_token=first_token if stream else None,
        problems=tuple(problems),
    )


def _is_the_app_s(call: dict[str, Any]) -> bool:
    return call.get("type", _CLIENT_SIDE) in (0, _CLIENT_SIDE)


def _called(call: dict[str, Any]) -> ToolCall:
    return ToolCall(dig(call, "function", "name"), text(call, "id"), text(call, "function", "arguments"))


FAMILY = Family(
    "xai-grpc",
    asked,
    reply,
    refusal=grpc_refusal,
    request_json=request_json,
    routes=(
        FamilyRoute("POST", "/xai_api.Chat/GetCompletion", "chat"),
        FamilyRoute("POST", f"/xai_api.Chat{_STREAMING}", "chat"),
    ),
    asks_once=True,
)
