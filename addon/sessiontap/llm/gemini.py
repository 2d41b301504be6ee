"""Gemini's generateContent, as Google AI, Vertex and Code Assist (Gemini CLI with a login) speak it.

Source: ai.google.dev/api/generate-content. A stream is SSE with `alt=sse`, else one JSON array that grows. Code Assist
wraps request and response: `{model, request: {...}}`, `{response: {...}}`. Field names are camel case; what clients
send may be snake case, both are the same to the service. Counts: tokens that tools put into the prompt belong to the
input, thoughts to the output; the cached part is within the prompt. Protobuf leaves out what is zero, so a missing
candidates count beside a thoughts count is none. With `enum-encoding=int` a finish reason is a number: left unread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Operation, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece, ReasoningPiece, ToolOutput
from sessiontap.llm.messages import ContentReader, MessageShape, reasoning, role_of
from sessiontap.llm.newest_turn import MessageLayout, Named, newest
from sessiontap.llm.pick import count, counts, dicts, dig, items, names, parse, place, text
from sessiontap.llm.refusal import google_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import arguments_of, pieces, streams
from sessiontap.llm.usage import billed_of

_STREAMING = ":streamGenerateContent"


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`. The model stands in the URL, but for Code Assist."""
    inner = dig(body, "request") if isinstance(dig(body, "request"), dict) else None
    asks = body if inner is None else inner
    asks = _in_either_case(asks, "generateContentRequest") or asks  # countTokens
    turn = newest(items(asks, "contents"), _LAYOUT)
    return Asked(
        model=None if inner is None else text(body, "model"),
        stream=request.path.endswith(_STREAMING),
        tools_offered=names(list(_offered(asks))),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=_system(_in_either_case(asks, "systemInstruction")),
        answered=turn.answered,
    )


_SNAKE = {
    "systemInstruction": "system_instruction",
    "generateContentRequest": "generate_content_request",
    "functionDeclarations": "function_declarations",
    "functionCall": "function_call",
    "functionResponse": "function_response",
}


def _in_either_case(value: Any, camel: str) -> Any:
    """The field in camel case or in snake case."""
    found = dig(value, camel)
    return dig(value, _SNAKE[camel]) if found is None else found


def _offered(asks: Any) -> Iterator[str | None]:
    """Declared functions by name, what Google runs itself by its key: `googleSearch`, `codeExecution`."""
    for tool in dicts(asks, "tools"):
        for key in tool:
            if key in ("functionDeclarations", "function_declarations"):
                yield from (text(declared, "name") for declared in dicts(tool, key))
            else:
                yield key


def _system(instruction: Any) -> str | None:
    if isinstance(instruction, str):
        return instruction or None
    return _text_of(list(dicts(instruction, "parts")), "\n")


def _text_of(parts: list[dict[str, Any]], separator: str = "") -> str | None:
    """The text of parts without thoughts."""
    return separator.join(words for part in parts if not part.get("thought") and (words := text(part, "text"))) or None


def _role(content: Any) -> Literal["user", "assistant"] | None:
    role = dig(content, "role")
    if role == "model":
        return "assistant"
    return "user" if role in ("user", None) and items(content, "parts") else None


def _parts(content: Any, camel: str) -> Iterator[Named]:
    """The calls or the answers in a message."""
    for part in dicts(content, "parts"):
        if (found := _in_either_case(part, camel)) is not None:
            yield text(found, "id"), text(found, "name")


_LAYOUT = MessageLayout(
    role=_role,
    text=lambda content: _text_of(list(dicts(content, "parts")), "\n"),
    results=lambda content: _parts(content, "functionResponse"),
    calls=lambda content: _parts(content, "functionCall"),
)


def usage_of(usage: Any) -> Usage | None:
    """`usageMetadata`, normalised; None if it states no count (Vertex opens a stream with a traffic type alone)."""
    thought = count(usage, "thoughtsTokenCount")
    made = counts(usage, "candidatesTokenCount", "thoughtsTokenCount")
    if made is None and dig(usage, "candidatesTokenCount") is None:
        made = thought
    found = Usage(
        input=counts(usage, "promptTokenCount", "toolUsePromptTokenCount"),
        output=made,
        cache_read=count(usage, "cachedContentTokenCount"),
        reasoning=thought,
    )
    return None if found == Usage() else found


def _states_count(usage: Any) -> bool:
    """Return True if usage states a count, even one that cannot be read: it replaces earlier counts."""
    return isinstance(usage, dict) and any(usage.get(key) is not None for key in _COUNTS)


_COUNTS = (
    *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    "cachedContentTokenCount",
)


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`. The answer of countTokens is no usage: nothing was used.

    A stream may be a JSON array, too: its elements have offsets, so that the first token has one.
    """
    if call.endpoint.operation == "count_tokens" or not response.body:
        return Reply()
    problems: list[str] = []
    chunks: Iterator[tuple[Any, int | None]]
    if streams(response):
        chunks = ((piece.value, piece.end) for piece in pieces(response, problems))
    elif response.body.lstrip().startswith(b"["):
        chunks = _elements(response, problems)
    else:
        body, problem = parse(response.body)
        if problem:
            return Reply(problems=(f"the response is {problem}",) if response.complete else ())
        chunks = iter([(body, None)])
    return assembled_reply(chunks, response.complete, problems)


def _elements(response: Response, problems: list[str]) -> Iterator[tuple[Any, int | None]]:
    """The objects of a JSON array with the offsets behind them, as far as it came."""
    body = response.body.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    at = end = body.find("[") + 1
    while True:
        start = at
        while at < len(body) and body[at] in " \t\r\n,":
            at += 1
        end += at - start
        if at >= len(body) or body[at] == "]":
            break
        try:
            after = decoder.raw_decode(body, at)[1]  # where the element ends; it is read as strictly as all others
        except (ValueError, RecursionError) as fault:
            if response.complete:
                problems.append(f"the response is no JSON behind byte {end} ({fault})")
            return
        raw = body[at:after].encode("utf-8", "surrogateescape")
        at, end = after, end + len(raw)
        value, problem = parse(raw)
        if problem:
            problems.append(f"the element that ends at byte {end} is {problem}")
        else:
            yield value, end
    if at >= len(body) and response.complete:
        problems.append("the response ends in the middle of an array")


def assembled_reply(chunks: Iterable[tuple[Any, int | None]], complete: bool, problems: list[str]) -> Reply:
    """A reply from its chunks, each with the offset behind it; gRPC's, too, once they are JSON."""
    model = response_id = finish = blocked = tier = None
    texts: list[str] = []
    thought: list[str] = []
    calls: list[ToolCall] = []
    error: CallError | None = None
    stated: Any = None
    at_end: Any = None
    searched = False
    still_open: dict[int, bool] = {}
    first_token: int | None = None
    for chunk, end in chunks:
        error = error or error_inside(chunk)
        chunk = dig(chunk, "response") or chunk
        model = model or text(chunk, "modelVersion")
        response_id = response_id or text(chunk, "responseId")
        blocked = blocked or text(chunk, "promptFeedback", "blockReason")
        candidate = None
        for one in dicts(chunk, "candidates"):
            index = place(one, "index")
            still_open[index] = not one.get("finishReason")
            candidate = one if index == 0 and candidate is None else candidate
        parts = list(dicts(candidate, "content", "parts"))
        first_token = end if parts and first_token is None else first_token
        texts.append(_text_of(parts) or "")
        thought += (text(part, "text") or "" for part in parts if part.get("thought") is True)
        calls += _tool_calls(parts)
        finish = text(candidate, "finishReason") or finish
        searched = searched or bool(items(candidate, "groundingMetadata", "webSearchQueries"))
        usage = dig(chunk, "usageMetadata")
        tier = text(usage, "serviceTier") or tier
        # Counts change along a stream, the prompt's too: of one that was cut or damaged only those at its end are true.
        if _states_count(usage):
            stated = usage
            at_end = usage if still_open and not any(still_open.values()) else at_end
    stated = stated if complete and not problems else at_end
    return Reply(
        response_model=model,
        response_id=response_id,
        text="".join(texts) or None,
        reasoning="".join(thought) or None,
        tool_calls=tuple(calls),
        finish_reason=finish or blocked,
        usage=usage_of(stated),
        billed=billed_of(stated, ("google_search",) if searched else ()),
        service_tier=tier,
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def _tool_calls(parts: list[dict[str, Any]]) -> Iterator[ToolCall]:
    for part in parts:
        wanted = _in_either_case(part, "functionCall")
        if name := text(wanted, "name"):
            yield ToolCall(name, text(wanted, "id"), arguments_of(dig(wanted, "args")))


# Messages of the conversation ----------------------------------------------------------------------------------------


def _contents(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    contents = body["contents"]
    for one in contents if isinstance(contents, list) else [contents]:
        if isinstance(one, dict):
            yield role_of(one), content.pieces(one.get("parts"))
        else:
            yield "user", content.pieces(one)


def _call_part(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    found = _in_either_case(part, "functionCall")
    if not isinstance(found, dict):
        return None
    return [CallPiece(text(found, "name") or "", found.get("args"), text(found, "id"))]


def _response_part(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    found = _in_either_case(part, "functionResponse")
    if not isinstance(found, dict):
        return None
    name, given = text(found, "name"), found.get("response")
    failed = True if isinstance(given, dict) and given.keys() == {"error"} else None
    return [content.result(text(found, "id"), [name, given], ToolOutput(given, name, failed))]


def _thought_part(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    if part.get("type") == "thought":  # a step of an interaction
        return reasoning(part, content)
    return [ReasoningPiece(text(part, "text"))] if part.get("thought") is True else None


_CONTENTS = MessageShape(("contents",), lambda body: isinstance(body.get("contents"), list | dict | str), _contents)


def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    inner = next((found for key in _WRAPPERS if isinstance(found := body.get(key), dict)), body)
    contents = inner.get("contents")
    return isinstance(contents, list) and any(isinstance(dig(one, "parts"), list | dict) for one in contents)


_WRAPPERS = ("request", "generateContentRequest", "generate_content_request")

FAMILY = Family(
    "gemini",
    asked,
    reply,
    refusal=google_refusal,
    is_request=_is_request,
    routes=(
        FamilyRoute("POST", "**/models/{model}:generateContent", "chat"),
        FamilyRoute("POST", "**/models/{model}:streamGenerateContent", "chat"),
        FamilyRoute("POST", "**/tunedModels/{model}:generateContent", "chat"),
        FamilyRoute("POST", "**/tunedModels/{model}:streamGenerateContent", "chat"),
        FamilyRoute("POST", "**/endpoints/{model}:generateContent", "chat"),
        FamilyRoute("POST", "**/endpoints/{model}:streamGenerateContent", "chat"),
        FamilyRoute("POST", "/v1internal:generateContent", "chat"),  # Code Assist
        FamilyRoute("POST", "/v1internal:streamGenerateContent", "chat"),
        FamilyRoute("POST", "/v1internal:countTokens", "count_tokens"),
        FamilyRoute("POST", "**/models/{model}:countTokens", "count_tokens"),
        FamilyRoute("POST", "**/models/{model}:computeTokens", "count_tokens"),
    ),
    array_streams=True,
    messages=(_CONTENTS,),
    prompts=("systemInstruction", "system_instruction"),
    tools=(("tools",), ("toolConfig", "tools"), ("tool_config", "tools")),
    wrappers=_WRAPPERS,
    choices=(("generationConfig", "candidateCount"),),
    uncounted={"thought": _thought_part},
    parts={
        **dict.fromkeys(("functionCall", "function_call"), _call_part),
        **dict.fromkeys(("functionResponse", "function_response"), _response_part),
    },
    noise=frozenset({"thoughtSignature", "thought_signature"}),
    fields=("generationConfig", "request", "project", "usageMetadata", "modelVersion", "responseId", "candidates"),
)
