"""OpenAI chat completions, as OpenAI and everybody who copies it speaks them.

Source: platform.openai.com/docs/api-reference/chat. What others do differently: content as a list of parts (Mistral),
`message` beside `delta` in a stream (Writer), usage under `x_groq` (Groq), errors inside a 200 (OpenRouter, Groq,
Azure's content filter), tool-call deltas without an index or all with index 0 (Gemini's compatible endpoint).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Reply, ToolCall
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.messages import CHAT, REASONING_FIELDS, is_conversation, reasoning
from sessiontap.llm.newest_turn import MessageLayout, newest
from sessiontap.llm.pick import dicts, dig, items, names, place, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import Growing, StreamEvent, arguments_of, asked_for, pieces, reply_by_form
from sessiontap.llm.usage import billed_of, cost_of, usage_of

_SYSTEM = ("system", "developer")


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    messages = items(body, "messages")
    turn = newest(messages, _LAYOUT)
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        tools_offered=names(_tool_name(tool) for tool in [*dicts(body, "tools"), *dicts(body, "functions")]),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=_prompt(messages),
        user=text(body, "user") or text(body, "safety_identifier"),
        answered=turn.answered,
    )


def content_text(content: Any, joint: str = "") -> str | None:
    """The text of a message's content: a string, or its text parts joined; None for none."""
    if isinstance(content, list):
        parts = (part if isinstance(part, str) else _part_text(part) for part in content)
        content = joint.join(part for part in parts if part)
    return content if isinstance(content, str) and content else None


def _part_text(part: Any) -> str | None:
    return text(part, "text") if dig(part, "type") in ("text", "input_text", "output_text", None) else None


def thought_in(content: Any) -> str | None:
    """Return the reasoning among the parts of a message's content (Mistral): a list of texts in each."""
    parts = (part for part in items({"content": content}, "content") if dig(part, "type") == "thinking")
    return "".join(thought for part in parts if (thought := content_text(dig(part, "thinking")))) or None


def _tool_name(tool: dict[str, Any]) -> str | None:
    return text(tool, "function", "name") or text(tool, "custom", "name") or text(tool, "name") or text(tool, "type")


_LAYOUT = MessageLayout(
    role=lambda message: role if (role := dig(message, "role")) in ("user", "assistant") else None,
    text=lambda message: content_text(dig(message, "content"), "\n"),
    results=lambda message: (
        [(text(message, "tool_call_id"), text(message, "name"))] if dig(message, "role") in ("tool", "function") else ()
    ),
    calls=lambda message: [(text(call, "id"), _tool_name(call)) for call in dicts(message, "tool_calls")],
)


def _prompt(messages: list[Any]) -> str | None:
    """The system messages that the conversation opens with."""
    parts: list[str] = []
    for message in messages:
        if dig(message, "role") not in _SYSTEM:
            break
        if words := content_text(dig(message, "content"), "\n"):
            parts.append(words)
    return "\n".join(parts) or None


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    problems: list[str] = []
    return reply_by_form(response, whole, lambda stream: streamed(pieces(stream, problems), stream.complete, problems))


def whole(body: Any) -> Reply:
    """A chat completion in one piece."""
    choice = _first(body)
    message = dig(choice, "message")
    return Reply(
        response_model=text(body, "model"),
        response_id=text(body, "id"),
        text=content_text(dig(message, "content")),
        reasoning=reasoning_said(message),
        tool_calls=tuple(_tool_calls(message)),
        finish_reason=text(choice, "finish_reason"),
        usage=usage_of(dig(body, "usage")) or usage_of(dig(body, "x_groq", "usage")),
        cost_reported=cost_of(dig(body, "usage")),
        billed=billed_of(dig(body, "usage")),
        service_tier=text(body, "service_tier"),
        error=_error(body, choice),
    )


def _first(body: Any) -> dict[str, Any] | None:
    """Choice 0, or the first if none is numbered."""
    choices = list(dicts(body, "choices"))
    return next((choice for choice in choices if choice.get("index") == 0), choices[0] if choices else None)


def _error(body: Any, choice: Any) -> CallError | None:
    return error_inside(body) or error_inside(choice) or error_inside(dig(body, "x_groq"))


def _tool_calls(message: Any) -> Iterator[ToolCall]:
    for call in dicts(message, "tool_calls"):
        if name := _tool_name(call):
            given = dig(call, "function", "arguments")
            given = dig(call, "custom", "input") if given is None else given
            yield ToolCall(name, text(call, "id"), arguments_of(given))
    if name := text(message, "function_call", "name"):
        yield ToolCall(name, None, arguments_of(dig(message, "function_call", "arguments")))


class _GrowingCalls:
    """Tool calls put together from deltas."""

    def __init__(self) -> None:
        self.growing: list[Growing] = []
        self._at: dict[int, Growing] = {}

    def add(self, delta: dict[str, Any]) -> None:
        index, call_id = dig(delta, "index"), text(delta, "id")
        name = text(delta, "function", "name") or text(delta, "custom", "name")
        growing = self._at.get(index) if isinstance(index, int) else (self.growing[-1] if self.growing else None)
        begins = name is not None and (
            growing is None or (call_id is not None and growing.id not in (None, call_id)) or not isinstance(index, int)
        )
        if name is not None and begins:
            growing = Growing(name, call_id)
            self.growing.append(growing)
            if isinstance(index, int):
                self._at[index] = growing
        if growing is not None:
            given = dig(delta, "function", "arguments")
            growing.parts.append(arguments_of(dig(delta, "custom", "input") if given is None else given) or "")


def streamed(chunks: Iterable[StreamEvent], complete: bool, problems: list[str]) -> Reply:
    """A stream's chunks; Bedrock's, too, once they are taken out of their frames."""
    model = response_id = finish = tier = None
    error: CallError | None = None
    texts: list[str] = []
    thought: list[str] = []
    calls, legacy = _GrowingCalls(), _GrowingCalls()
    usage: Any = None
    at_end: Any = None
    open_choices: set[int] = set()
    first_token: int | None = None
    for chunk, _, end in chunks:
        model = model or text(chunk, "model")
        response_id = response_id or text(chunk, "id")
        tier = text(chunk, "service_tier") or tier
        for choice in dicts(chunk, "choices"):
            number = place(choice, "index")
            (open_choices.discard if choice.get("finish_reason") else open_choices.add)(number)
            delta = choice.get("delta") or choice.get("message")
            if first_token is None and _generated(delta):
                first_token = end
            if number == 0:
                finish = text(choice, "finish_reason") or finish
                texts.append(content_text(dig(delta, "content")) or "")
                thought.append(reasoning_said(delta) or "")
                for call in dicts(delta, "tool_calls"):
                    calls.add(call)
                if legacy_call := dig(delta, "function_call"):
                    legacy.add({"index": 0, "function": legacy_call})
                error = error or error_inside(choice)
        stated = dig(chunk, "usage") or dig(chunk, "x_groq", "usage")
        # Some servers count along in every chunk: of a stream that was cut or damaged, only a count at its end is true.
        usage = stated or usage
        at_end = stated if stated and not open_choices else at_end
        error = error or _error(chunk, None)
    usage = usage if complete and not problems else at_end
    return Reply(
        response_model=model,
        response_id=response_id,
        text="".join(texts) or None,
        reasoning="".join(thought) or None,
        tool_calls=tuple(call.done() for call in [*calls.growing, *legacy.growing]),
        finish_reason=finish,
        usage=usage_of(usage),
        cost_reported=cost_of(usage),
        billed=billed_of(usage),
        service_tier=tier,
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def reasoning_said(message: Any) -> str | None:
    """The reasoning beside or in the content of a message, or of a part of a stream; once, if it stands there twice."""
    beside = next((thought for key in REASONING_FIELDS if (thought := text(message, key))), None)
    return beside or thought_in(dig(message, "content"))


_GENERATED = ("content", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio")


def _generated(delta: Any) -> bool:
    return isinstance(delta, dict) and any(delta.get(key) for key in _GENERATED)


FAMILY = Family(
    "openai-chat",
    asked,
    reply,
    is_request=lambda _, body: is_conversation(body.get("messages")),  # local servers may do without a model
    routes=(
        # Azure: the deployment stands for the model. One that is called `chat` is not the path of chats.
        FamilyRoute("POST", "**/openai/deployments/{model}/chat/completions", "chat"),
        FamilyRoute(
            "POST", "**/openai/deployments/{model}/completions", "text_completion", family="openai-completions"
        ),
        FamilyRoute("POST", "**/publishers/{publisher}/models/{model}:rawPredict", "chat"),  # Vertex
        FamilyRoute("POST", "**/publishers/{publisher}/models/{model}:streamRawPredict", "chat"),
        FamilyRoute("POST", "**/v1/chat", "chat", ("writer",)),
        FamilyRoute("POST", "**/v1/completions", "text_completion", ("writer",), family="other"),
        FamilyRoute("POST", "**/prompts/{id}/completions", "chat", family="other"),
        FamilyRoute("POST", "**/chat/completions", "chat"),
        FamilyRoute("*", "**/chat/completions/{rest*}", "other", family="other"),
    ),
    messages=(CHAT,),
    tools=(("tools",), ("functions",)),
    choices=(("n",),),
    uncounted=dict.fromkeys(("reasoning", "reasoning_content"), reasoning),
    noise=frozenset({"id", "status", "annotations", "detail"}),
    fields=("n", "max_completion_tokens", "safety_identifier", "x_groq", "choices", "system_fingerprint"),
)
