"""OpenAI realtime over a WebSocket, and those who speak it (Azure, xAI): a turn of the socket (`socket_turns`).

Source: platform.openai.com/docs/api-reference/realtime-client-events and realtime-server-events. Older names of events
(`response.text.delta`, `response.audio_transcript.delta`) are still in use. What is spoken appears as its transcript.
Usage stands in `response.done`; xAI's beside `response`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute, SocketGrammar
from sessiontap.llm.newest_turn import nameless
from sessiontap.llm.openai_input import INPUT
from sessiontap.llm.openai_responses import tool_name
from sessiontap.llm.pick import count, dicts, dig, first_count, names, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import pieces
from sessiontap.llm.usage import billed_of

_TEXT_DELTAS = frozenset(
    {
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
    }
)
_ARGUMENTS_DELTA = "response.function_call_arguments.delta"
_MODEL_PARAMETERS = ("model", "deployment")
"""In the URL; Azure names a deployment."""


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`. `body` is what `socket_frames.turn_request` makes of the frames."""
    session, wish = dig(body, "session"), dig(body, "response")
    items = list(dicts(body, "input"))
    answered = [text(item, "call_id") for item in items if item.get("type") == "function_call_output"]
    called = {text(item, "call_id"): text(item, "name") for item in items if item.get("type") == "function_call"}
    parameters = dict(request.query)
    in_url = next((parameters[name] for name in _MODEL_PARAMETERS if parameters.get(name)), None)
    tools = wish if isinstance(dig(wish, "tools"), list) else session
    return Asked(
        model=text(wish, "model") or text(session, "model") or in_url,
        stream=True if request.body else None,
        tools_offered=names(map(tool_name, dicts(tools, "tools"))),
        tool_results=names(map(called.get, answered)),
        results=nameless([(call_id, called.get(call_id)) for call_id in answered]),
        message=next((it for item in reversed(items) if item.get("role") == "user" and (it := _text_of(item))), None),
        prompt=text(wish, "instructions") or text(session, "instructions"),
        answered=names(reversed(answered)),
    )


def _text_of(item: Any) -> str | None:
    """An item's text; of what is spoken, the transcript."""
    parts = (text(part, "text") or text(part, "transcript") for part in dicts(item, "content"))
    return "\n".join(part for part in parts if part) or None


@dataclass(slots=True)
class _SpokenItem:
    """One output item, as far as it came."""

    kind: str | None = None
    name: str | None = None
    call_id: str | None = None
    texts: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def learn(self, item: Any, *, done: bool) -> None:
        """From the item itself; once it is done it says everything that it has."""
        self.kind = text(item, "type") or self.kind
        self.name = text(item, "name") or self.name
        self.call_id = text(item, "call_id") or self.call_id
        if done and (words := _text_of(item)):
            self.texts = [words]
        if done and (arguments := text(item, "arguments")):
            self.arguments = [arguments]

    def call(self) -> ToolCall | None:
        if self.kind != "function_call" or not self.name:
            return None
        return ToolCall(self.name, self.call_id, "".join(self.arguments) or None)


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    problems: list[str] = []
    items: dict[str, _SpokenItem] = {}
    model = response_id = None
    ended: Any = None
    usage: Any = None
    error: CallError | None = None
    first_token: int | None = None
    for event, _, end in pieces(response, problems):
        kind = text(event, "type") or ""
        key = text(event, "item_id") or text(event, "item", "id") or ""
        delta = text(event, "delta")
        match kind:
            case "session.created" | "session.updated":
                model = text(event, "session", "model") or model
            case "response.created":
                response_id = text(event, "response", "id") or response_id
            case "response.output_item.added" | "response.output_item.done":
                items.setdefault(key, _SpokenItem()).learn(event.get("item"), done=kind.endswith("done"))
            case "response.done":
                ended = event.get("response")
                usage = dig(ended, "usage") or event.get("usage")
            case "error":
                error = error_inside(event)
            case _ if delta and kind in _TEXT_DELTAS:
                items.setdefault(key, _SpokenItem("message")).texts.append(delta)
            case _ if delta and kind == _ARGUMENTS_DELTA:
                items.setdefault(key, _SpokenItem("function_call")).arguments.append(delta)
        if first_token is None and delta and kind.startswith("response."):
            first_token = end
    for item in dicts(ended, "output"):
        items.setdefault(text(item, "id") or "", _SpokenItem()).learn(item, done=True)
    status = text(ended, "status")
    return Reply(
        response_model=text(ended, "model") or model,
        response_id=text(ended, "id") or response_id,
        text="\n".join(words for item in items.values() if (words := "".join(item.texts))) or None,
        tool_calls=tuple(tool for item in items.values() if (tool := item.call())),
        builtin_tool_calls=tuple(item.kind for item in items.values() if item.kind in _RUN_THERE),
        finish_reason=text(ended, "status_details", "reason") or status,
        usage=usage_of(usage),
        billed=billed_of(usage),
        error=_failure(ended) if status is not None else error,
        first_token=first_token,
        problems=tuple(problems),
    )


_RUN_THERE = ("mcp_call",)


def _failure(response: Any) -> CallError | None:
    """Return the error of a reply that failed. An error in it that is about another frame is none of the reply's."""
    if text(response, "status") != "failed":
        return None
    error = dig(response, "status_details", "error")
    return CallError(text(error, "type") or text(error, "code"), text(error, "message"))


def usage_of(usage: Any) -> Usage | None:
    """`input_tokens` includes cached ones; text and audio are counted together."""
    found = Usage(
        input=count(usage, "input_tokens"),
        output=count(usage, "output_tokens"),
        cache_read=first_count(
            usage, ("input_token_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")
        ),
        reasoning=first_count(
            usage, ("output_token_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")
        ),
    )
    return None if found == Usage() else found


def _is_upgrade(path: str, headers: Headers) -> bool:
    """By OpenAI's header or subprotocol, or by the model in the query."""
    named = f"{headers.get('openai-beta') or ''} {headers.get('sec-websocket-protocol') or ''}"
    parameters = dict(parse_qsl(path.partition("?")[2]))
    return "realtime" in named or any(parameters.get(name) for name in _MODEL_PARAMETERS)


FAMILY = Family(
    "realtime",
    asked,
    reply,
    is_upgrade=_is_upgrade,
    routes=(
        FamilyRoute("GET", "**/openai/realtime", "realtime"),  # Azure
        FamilyRoute("GET", "**/realtime", "realtime"),
    ),
    socket=SocketGrammar(
        starts=frozenset({"response.create"}),
        begins="response.created",
        ends=frozenset({"response.done"}),
        cancels="response.cancel",
        busy="conversation_already_has_active_response",
        unasked=True,
        settings="session.update",
        items="conversation.item.create",
    ),
    messages=(INPUT,),
)
