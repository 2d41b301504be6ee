"""Cohere: chat v1 and v2, generate, embed, rerank. Also how Command models answer on Bedrock.

Source: docs.cohere.com/reference/chat and /chat-v1. v2 is shaped much like OpenAI's chat and streams SSE; v1 has a
`message` beside a `chat_history` and streams JSON lines as `application/stream+json`. Of the two counts `tokens` is the
volume and `billed_units` the bill: the bill is taken only if no volume is stated. The plan that v2 gives before its
tool calls (`tool_plan`) is no text; v1 puts it into `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from sessiontap.exchange import Request, Response
from sessiontap.llm import openai_chat
from sessiontap.llm.call import Asked, Billed, Call, CallError, Operation, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece, ResultPiece, ToolOutput
from sessiontap.llm.messages import CHAT, ContentReader, MessageShape, is_conversation, role_of
from sessiontap.llm.newest_turn import MessageLayout, newest
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.pick import count, dicts, dig, items, names, place, text
from sessiontap.llm.refusal import message_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import Growing, StreamEvent, arguments_of, asked_for, pieces, reply_by_form
from sessiontap.llm.usage import billed_of


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    if dig(body, "messages") is not None:
        return openai_chat.asked(request, body)
    history = items(body, "chat_history")
    turn = newest([*history, _this_turn(body)], _LAYOUT)
    texts = items(body, "texts") or items(body, "inputs")
    other = text(body, "prompt") or text(body, "query") or (_embedded(texts[-1]) if texts else None)
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        tools_offered=names(text(tool, "name") for tool in dicts(body, "tools")),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message or other,
        prompt=text(body, "preamble") or _opening(history),
    )


def _this_turn(body: Any) -> dict[str, Any]:
    """v1's newest message, which stands outside of its history. It is empty if there are only tool results."""
    role = "USER" if text(body, "message") else "TOOL"
    return {"role": role, "message": dig(body, "message"), "tool_results": dig(body, "tool_results")}


def _role(message: Any) -> Literal["user", "assistant"] | None:
    role = (text(message, "role") or "").upper()
    return "assistant" if role == "CHATBOT" else "user" if role == "USER" else None


_LAYOUT = MessageLayout(
    role=_role,
    text=lambda message: text(message, "message"),
    results=lambda message: [(None, text(result, "call", "name")) for result in dicts(message, "tool_results")],
    calls=lambda message: (),
)


def _opening(history: list[Any]) -> str | None:
    first = history[0] if history else None
    return text(first, "message") if (text(first, "role") or "").upper() == "SYSTEM" else None


def _embedded(item: Any) -> str | None:
    return text(item) or content_text(dig(item, "content"), "\n")


def usage_of(meta: Any) -> Usage | None:
    """v2's `usage`, v1's `meta`; None if it states no tokens (search units are none)."""
    for counts in (dig(meta, "tokens"), dig(meta, "billed_units")):
        given, made = count(counts, "input_tokens"), count(counts, "output_tokens")
        if (given, made) != (None, None):
            return Usage(input=given, output=made, cache_read=count(meta, "cached_tokens"))
    return None


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`. Embeddings have no output."""

    def in_one(body: Any) -> Reply:
        if text(body, "event_type"):  # the one line that came of a stream without a content type
            return streamed([StreamEvent(body, None, len(response.body))], [])
        found = whole(body)
        if found.usage and call.endpoint.operation == "embeddings":
            return replace(found, usage=replace(found.usage, output=None))
        return found

    problems: list[str] = []
    return reply_by_form(response, in_one, lambda stream: streamed(pieces(stream, problems), problems))


def whole(body: Any) -> Reply:
    """An answer in one piece: v2's has a message, v1's a text, generate's a list of generations."""
    message = dig(body, "message")
    first = dig(body, "generations", 0)
    return Reply(
        response_id=text(body, "response_id") or text(body, "id"),
        text=content_text(dig(message, "content")) or text(body, "text") or text(first, "text"),
        reasoning="\n".join(one for part in dicts(message, "content") if (one := text(part, "thinking"))) or None,
        tool_calls=tuple(_tool_calls(message if isinstance(message, dict) else body)),
        finish_reason=text(body, "finish_reason") or text(first, "finish_reason"),
        usage=usage_of(dig(body, "usage")) or usage_of(dig(body, "meta")),
        billed=billed_of(dig(body, "usage") or dig(body, "meta")),
        error=error_inside(body),
    )


def _tool_calls(message: Any) -> Iterator[ToolCall]:
    """v2 has OpenAI's shape, v1 `{name, parameters}`."""
    for call in dicts(message, "tool_calls"):
        if name := text(call, "function", "name"):
            yield ToolCall(name, text(call, "id"), arguments_of(dig(call, "function", "arguments")))
        elif name := text(call, "name"):
            yield ToolCall(name, None, arguments_of(dig(call, "parameters")))


def streamed(events: Iterable[StreamEvent], problems: list[str]) -> Reply:
    """A stream of any of them."""
    response_id = finish = None
    texts: list[str] = []
    thought: list[str] = []
    growing: list[Growing] = []
    by_place: dict[int, Growing] = {}
    calls: tuple[ToolCall, ...] = ()
    last: Reply | None = None
    usage: Usage | None = None
    billed: Billed | None = None
    error: CallError | None = None
    first_token: int | None = None
    for event, _, end in events:
        kind = text(event, "type") or text(event, "event_type")
        delta = dig(event, "delta")
        part: str | None = None
        error = error or error_inside(event) or error_inside(delta)
        if kind == "message-start":
            response_id = text(event, "id")
        elif kind in ("content-start", "content-delta"):
            part = text(delta, "message", "content", "text")
            thought.append(text(delta, "message", "content", "thinking") or "")
        elif kind == "tool-call-start":
            call = dig(delta, "message", "tool_calls")
            if name := text(call, "function", "name"):
                arguments = arguments_of(dig(call, "function", "arguments")) or ""
                growing.append(Growing(name, text(call, "id"), [arguments]))
                by_place[place(event, "index")] = growing[-1]
        elif kind == "tool-call-delta":
            if found := by_place.get(place(event, "index")):
                found.parts.append(text(delta, "message", "tool_calls", "function", "arguments") or "")
        elif kind == "message-end":
            finish = text(delta, "finish_reason")
            usage, billed = usage_of(dig(delta, "usage")), billed_of(dig(delta, "usage"))
        elif kind == "tool-calls-generation":
            calls = tuple(_tool_calls(event))
        elif kind == "stream-end" or dig(event, "is_finished") is True:
            last = whole(dig(event, "response"))
            finish = text(event, "finish_reason") or last.finish_reason
        elif kind in ("text-generation", None) and place(event, "index") == 0:
            part = text(event, "text")
        if part:
            texts.append(part)
        if first_token is None and (part or kind in _GENERATED or text(delta, "message", "content", "thinking")):
            first_token = end
    done = tuple(call.done() for call in growing)
    return Reply(
        response_id=response_id or (last.response_id if last else None),
        text="".join(texts) or (last.text if last else None),
        reasoning="".join(thought) or None,
        tool_calls=done or calls or (last.tool_calls if last else ()),
        finish_reason=finish,
        usage=usage or (last.usage if last else None),
        billed=billed or (last.billed if last else None),
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


_GENERATED = ("tool-plan-delta", "tool-call-start", "tool-calls-chunk", "tool-calls-generation")


# Messages of the conversation --------------------------------------------------------------------------------------


def _messages(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    """v1: the history, then the newest message, then results that carry the calls they answer."""
    for message in dicts(body, "chat_history"):
        found = content.pieces(message.get("message"))
        found += (
            CallPiece(text(call, "name") or "", dig(call, "parameters"), text(call, "id"))
            for call in dicts(message, "tool_calls")
        )
        role = role_of(message)
        if role == "tool":
            found = [_result(given, content) for given in dicts(message, "tool_results")]
        yield role, found
    if found := content.pieces(body.get("message")):
        yield "user", found
    if results := items(body, "tool_results"):
        calls = [given.get("call") for given in dicts(body, "tool_results")]
        yield "assistant", [CallPiece(text(call, "name") or "", dig(call, "parameters")) for call in calls]
        yield "tool", [_result(given, content) for given in results]


def _result(given: Any, content: ContentReader) -> ResultPiece:
    outputs = dig(given, "outputs")
    return content.result(None, outputs, ToolOutput(outputs, text(given, "call", "name")))


_HISTORY = MessageShape(
    ("chat_history", "message", "tool_results"),
    lambda body: isinstance(body.get("chat_history"), list) or "message" in body,
    _messages,
    single=frozenset({"message"}),
    results=frozenset({"tool_results"}),
)

def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    """v1's model may be left out, but a `message` alone is what any chat on the web sends."""
    asks = is_conversation(body.get("messages")) or any(key in body for key in ("message", "prompt", "texts", "inputs"))
    return asks and text(body, "model") is not None and _FIELDS.issuperset(body)


_FIELDS = frozenset(
    (
        *("model", "message", "messages", "chat_history", "conversation_id", "preamble", "prompt", "texts", "inputs"),
        *("stream", "tools", "tool_results", "tool_choice", "strict_tools", "documents", "connectors", "priority"),
        *("search_queries_only", "citation_options", "citation_quality", "prompt_truncation", "response_format"),
        *("safety_mode", "thinking", "max_tokens", "max_input_tokens", "stop_sequences", "temperature", "seed"),
        *("k", "p", "logprobs", "frequency_penalty", "presence_penalty", "force_single_step", "raw_prompting"),
        *("return_prompt", "num_generations", "truncate", "preset", "end_sequences", "return_likelihoods"),
        *("images", "input_type", "embedding_types", "output_dimension", "is_search_query"),
    )
)
"""All fields of its requests (docs.cohere.com/reference): its paths are those of many others."""

FAMILY = Family(
    "cohere",
    asked,
    reply,
    refusal=message_refusal,
    is_request=_is_request,
    providers=("cohere", None),
    routes=(
        FamilyRoute("POST", "**/v1/chat", "chat"),
        FamilyRoute("POST", "**/v2/chat", "chat"),
        FamilyRoute("POST", "**/v1/generate", "text_completion"),
        FamilyRoute("POST", "**/v1/embed", "embeddings"),
        FamilyRoute("POST", "**/v2/embed", "embeddings"),
        FamilyRoute("POST", "**/v1/rerank", "rerank", ("cohere",)),
        FamilyRoute("POST", "**/v2/rerank", "rerank", ("cohere",)),
    ),
    messages=(CHAT, _HISTORY),
    prompts=("preamble",),
    texts=("texts", "inputs", "query", "documents"),
    inputs=("prompt", "texts", "inputs", "query", "documents"),
    tools=(("tools",),),
    choices=(("num_generations",),),
    fields=("meta", "response_id", "generation_id"),
)
