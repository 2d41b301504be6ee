"""Mistral's conversations: whole, and as SSE.

Source: docs.mistral.ai/api, and the types of mistralai 3.7. A conversation is a list of **entries** (`message.input`,
`message.output`, `function.call`, `function.result`, `tool.execution` of a tool that Mistral runs, `agent.handoff`).
The server keeps it under the id that its first reply gives; a later request adds entries to `/conversations/{id}`, and
has the same id in its reply. A request to an agent names no model; the reply's entries do.

Counts: tokens of connectors (the tools that Mistral runs) are in `total_tokens` alone. How they are billed is not
stated, so such tools count as billed apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Billed, Call, CallError, Reply, ToolCall
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece
from sessiontap.llm.messages import ContentReader, MessageShape, is_conversation, role_of, silent
from sessiontap.llm.newest_turn import MessageLayout, Named, newest
from sessiontap.llm.openai_chat import content_text, thought_in
from sessiontap.llm.pick import count, dicts, dig, names, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import arguments_of, asked_for, pieces, reply_by_form
from sessiontap.llm.usage import usage_of

_ENTRIES = frozenset(
    {"message.input", "message.output", "function.call", "function.result", "tool.execution", "agent.handoff"}
)


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    turn = newest(_entries(dig(body, "inputs")), _LAYOUT)
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        tools_offered=names(_tool_name(tool) for tool in dicts(body, "tools")),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=text(body, "instructions"),
        previous=names([_continued(request.path)]),
        answered=turn.answered,
    )


def _continued(path: str) -> str | None:
    """The id of the conversation that a request adds to. A restart from an entry begins another one."""
    last = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if last not in ("conversations", "restart") else None


def _tool_name(tool: dict[str, Any]) -> str | None:
    return text(tool, "function", "name") or text(tool, "connector_id") or text(tool, "type")


# The entries ---------------------------------------------------------------------------------------------------------


def _entries(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _role(entry: Any) -> Literal["user", "assistant"] | None:
    kind = text(entry, "type")
    if isinstance(entry, str):
        return "user"
    if kind in ("message.input", "message.output", None) and isinstance(entry, dict):
        role = "assistant" if kind == "message.output" else role_of(entry)
        return role if role in ("user", "assistant") else None  # type: ignore[return-value]
    return "assistant" if kind in ("function.call", "tool.execution", "agent.handoff") else None


def _words(entry: Any) -> str | None:
    return (entry or None) if isinstance(entry, str) else content_text(dig(entry, "content"), "\n")


_LAYOUT = MessageLayout(
    role=_role,
    text=_words,
    results=lambda entry: [(text(entry, "tool_call_id"), None)] if dig(entry, "type") == "function.result" else (),
    calls=lambda entry: [_named(entry)] if dig(entry, "type") == "function.call" else (),
)


def _named(entry: Any) -> Named:
    return text(entry, "tool_call_id"), text(entry, "name")


def _messages(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    for entry in _entries(body["inputs"]):
        if dig(entry, "type") == "function.result":
            yield "tool", [content.result(text(entry, "tool_call_id"), entry.get("result"))]
        else:
            yield _role(entry) or "user", _pieces(entry, content)


def _pieces(entry: Any, content: ContentReader) -> list[MessagePiece]:
    """The pieces of an entry. What Mistral ran does not count, as in the reply."""
    match dig(entry, "type"):
        case "function.call":
            return [CallPiece(text(entry, "name") or "", entry.get("arguments"), text(entry, "tool_call_id"))]
        case "tool.execution" | "agent.handoff":
            return content.uncounted(entry)
    return content.pieces(entry.get("content") if isinstance(entry, dict) and "content" in entry else entry)


def _ran_there(entry: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    return [CallPiece(text(entry, "name") or "", entry.get("arguments"), text(entry, "id"))]


# The reply -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Output:
    """One entry of a reply, as far as it came."""

    kind: str | None
    name: str | None = None
    id: str | None = None
    """Of a function's call."""
    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def learn(self, content: Any) -> bool:
        """Take in a content, whole or a part of one. True if it holds something that the model generated."""
        content = [content] if isinstance(content, dict) else content
        words, thought = content_text(content), thought_in(content)
        self.text += [words] if words else []
        self.thought += [thought] if thought else []
        return bool(words or thought)


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    return reply_by_form(response, _whole, _streamed)


def _whole(body: Any) -> Reply:
    outputs = [_entry(entry) for entry in dicts(body, "outputs")]
    models = (text(entry, "model") for entry in dicts(body, "outputs"))
    return _reply(text(body, "conversation_id"), models, outputs, dig(body, "usage"), error_inside(body))


def _entry(entry: dict[str, Any]) -> _Output:
    found = _Output(text(entry, "type"), text(entry, "name"), text(entry, "tool_call_id"))
    if found.kind == "message.output":
        found.learn(entry.get("content"))
    elif (given := arguments_of(entry.get("arguments"))) is not None:
        found.arguments.append(given)
    return found


def _reply(
    conversation: str | None,
    models: Iterator[str | None],
    outputs: list[_Output],
    usage: Any,
    error: CallError | None,
    first_token: int | None = None,
    problems: tuple[str, ...] = (),
) -> Reply:
    """The reply of a conversation's outputs. The first of their `models` is the one that was asked."""
    ran = tuple(one.name for one in outputs if one.kind == "tool.execution" and one.name)
    connectors = dig(usage, "connectors")
    apart = names((*(connectors if isinstance(connectors, dict) else ()), *ran))
    calls = (one for one in outputs if one.kind == "function.call" and one.name)
    return Reply(
        response_model=next((model for model in models if model), None),
        response_id=conversation,
        text="".join(piece for one in outputs for piece in one.text) or None,
        reasoning="\n".join("".join(one.thought) for one in outputs if one.thought) or None,
        tool_calls=tuple(ToolCall(one.name or "", one.id, "".join(one.arguments) or None) for one in calls),
        builtin_tool_calls=ran,
        usage=usage_of(usage),
        billed=Billed(tools=apart) if apart else None,
        error=error,
        first_token=first_token,
        problems=problems,
    )


def _streamed(response: Response) -> Reply:
    problems: list[str] = []
    outputs: dict[str, _Output] = {}
    models: list[str | None] = []
    conversation: str | None = None
    usage: Any = None
    error: CallError | None = None
    first_token: int | None = None
    for event, name, end in pieces(response, problems):
        kind = text(event, "type") or name or ""
        models.append(text(event, "model"))
        generated = False
        match kind:
            case "conversation.response.started":
                conversation = text(event, "conversation_id")
            case "conversation.response.done":
                usage = event.get("usage")
            case "message.output.delta":
                generated = _output(outputs, event, "message.output", "id").learn(event.get("content"))
            case "function.call.delta":
                called = _output(outputs, event, "function.call", "tool_call_id")
                called.name, called.id = text(event, "name") or called.name, text(event, "tool_call_id")
                called.arguments += [given] if (given := arguments_of(event.get("arguments"))) else []
                generated = True
            case "tool.execution.started":
                _output(outputs, event, "tool.execution", "id").name = text(event, "name")
            case "conversation.response.error":
                error = error or CallError(_code(event), text(event, "message"))
            case _:
                error = error or error_inside(event)
        first_token = end if generated and first_token is None else first_token
    return _reply(conversation, iter(models), list(outputs.values()), usage, error, first_token, tuple(problems))


def _output(outputs: dict[str, _Output], event: dict[str, Any], kind: str, key: str) -> _Output:
    """The entry that an event is about, in the order in which they came."""
    return outputs.setdefault(f"{kind} {text(event, key)}", _Output(kind))


def _code(event: dict[str, Any]) -> str | None:
    """A number, such as 3000."""
    code = count(event, "code")
    return text(event, "code") if code is None else str(code)


# The family ----------------------------------------------------------------------------------------------------------


_OWN_KEYS = ("model", "agent_id", "completion_args", "handoff_execution", "instructions", "store")
"""One of these stands beside `inputs`, which are texts to other services."""


def _fits(body: dict[str, Any]) -> bool:
    given = body.get("inputs")
    if isinstance(given, str):
        return any(key in body for key in _OWN_KEYS)
    first = given[0] if isinstance(given, list) and given else None
    return text(first, "type") in _ENTRIES or text(first, "object") == "entry" or is_conversation(given)


FAMILY = Family(
    "mistral-conversations",
    asked,
    reply,
    routes=(
        FamilyRoute("POST", "**/conversations", "chat"),
        FamilyRoute("POST", "**/conversations/{id}", "chat"),
        FamilyRoute("POST", "**/conversations/{id}/restart", "chat"),
    ),
    providers=("mistral",),
    messages=(MessageShape(("inputs",), _fits, _messages),),
    prompts=("instructions",),
    tools=(("tools",),),
    uncounted={"tool.execution": _ran_there, "agent.handoff": silent},
    fields=("agent_id", "completion_args", "handoff_execution", "store", "outputs", "conversation_id"),
)
