"""Gemini's Interactions API, as Google AI and Vertex speak it: whole, and as SSE.

Source: ai.google.dev/api/interactions-api, and the types of google-genai 3.4. A conversation is a list of **steps**
(`user_input`, `model_output`, `thought`, `function_call`, `function_result`, and one call and one result for each tool
that Google runs). The server keeps it: a request names the interaction that it continues, or sends all steps. Until
May 2026 an answer held contents in place of steps: `outputs`, and `content.*` and `interaction.complete` in a stream.
Counts: tokens that tools put into the prompt belong to the input, thoughts to the output; the cached part is within the
input. Usage stands where an interaction has ended. An agent's interaction names no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Billed, Call, CallError, Operation, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece, ToolOutput
from sessiontap.llm.messages import ContentReader, MessageShape, PartReader, role_of
from sessiontap.llm.newest_turn import MessageLayout, Named, newest
from sessiontap.llm.openai_input import is_input, provider_ran
from sessiontap.llm.pick import count, counts, dicts, dig, flag, names, parse, place, text
from sessiontap.llm.refusal import google_refusal
from sessiontap.llm.response_facts import error_inside, error_of
from sessiontap.llm.streaming import arguments_of, asked_for, pieces, reply_by_form

_CONTENTS = frozenset({"text", "image", "audio", "document", "video"})
"""Kinds of content, of which a user's or the model's step is made. One may stand in the input by itself."""
_STEPS = frozenset({"user_input", "model_output", "thought", "function_result"})
"""Steps that no other API has."""
_TOOLS = (
    *("google_search", "google_maps", "url_context", "code_execution", "file_search", "retrieval", "tool_search"),
    *("processing", "mcp_server_tool"),
)
"""Tools that Google runs: each has a step `NAME_call` and one `NAME_result`."""
_ENDED = frozenset(
    {"completed", "failed", "cancelled", "incomplete", "requires_action", "budget_exceeded", "requires_continuation"}
)


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    turn = newest(_steps(dig(body, "input")), _LAYOUT)
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        tools_offered=names(text(tool, "name") or text(tool, "type") for tool in dicts(body, "tools")),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=text(body, "system_instruction"),
        previous=names([text(body, "previous_interaction_id")]),
        answered=turn.answered,
    )


# The input -----------------------------------------------------------------------------------------------------------


def _steps(given: Any) -> list[Any]:
    """The steps of an input: a text, a content, or a list of contents is one step of the user's."""
    steps: list[Any] = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str) or text(one, "type") in _CONTENTS:
            if not (steps and dig(steps[-1], "type") == "user_input" and one is not given):
                steps.append({"type": "user_input", "content": []})
            steps[-1] = {"type": "user_input", "content": [*steps[-1]["content"], one]}
        elif one is not None:
            steps.append(one)
    return steps


def _role(step: Any) -> Literal["user", "assistant"] | None:
    kind = text(step, "type")
    if kind == "user_input":
        return "user"
    if kind is None and isinstance(step, dict):  # an older form: {role, content}
        role = role_of(step)
        return role if role in ("user", "assistant") else None  # type: ignore[return-value]
    return None if kind in (None, "function_result") else "assistant"


def _words(step: Any) -> str | None:
    content = dig(step, "content")
    parts = content if isinstance(content, list) else [content]
    return "\n".join(words for part in parts if (words := part if isinstance(part, str) else _text(part))) or None


def _text(content: Any) -> str | None:
    return text(content, "text") if dig(content, "type") in ("text", None) else None


def _results(step: Any) -> Iterator[Named]:
    for one in _with_inner(step):
        if one.get("type") == "function_result":
            yield text(one, "call_id"), text(one, "name")


def _calls(step: Any) -> Iterator[Named]:
    for one in _with_inner(step):
        if one.get("type") == "function_call":
            yield text(one, "id"), text(one, "name")


def _with_inner(step: Any) -> Iterable[dict[str, Any]]:
    return [step, *dicts(step, "content")] if isinstance(step, dict) else ()


_LAYOUT = MessageLayout(role=_role, text=_words, results=_results, calls=_calls)


def _messages(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    for step in _steps(body["input"]):
        if isinstance(step, dict):
            kind = text(step, "type")
            role = role_of(step) if kind is None else "tool" if kind == "function_result" else _role(step)
            yield role or "user", _pieces(step, content)


def _pieces(step: Any, content: ContentReader) -> list[MessagePiece]:
    """The pieces of a step, or of a content. What Google ran does not count, as in the reply."""
    match text(step, "type"):
        case "function_call":
            return [CallPiece(text(step, "name") or "", step.get("arguments"), text(step, "id"))]
        case "function_result":
            return _result(step, content)
        case None | "user_input" | "model_output" if isinstance(inner := dig(step, "content"), list | str):
            if isinstance(inner, str):
                return content.text(inner)
            return [piece for one in inner for piece in _pieces(one, content)]
        case None:
            return content.pieces(step)
        case kind if kind in _CONTENTS:
            return content.pieces([step])
    return content.uncounted(step)


def _result(step: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    given = step.get("result")
    output = ToolOutput(given, text(step, "name"), flag(step, "is_error"))
    return [content.result(text(step, "call_id"), given, output)]


def _fits(body: dict[str, Any]) -> bool:
    """The first step tells: what else has an `input` has texts, or items of OpenAI's kinds."""
    given = body.get("input")
    first = given[0] if isinstance(given, list) and given else given
    kind = text(first, "type")
    if kind == "function_call":
        return text(first, "call_id") is None and isinstance(dig(first, "arguments"), dict)
    return kind in _CONTENTS or kind in _STEPS


# The interaction -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Step:
    """One step of an answer, as far as it came."""

    kind: str | None = None
    name: str | None = None
    id: str | None = None
    text: list[str] = field(default_factory=list)
    """Of a thought, its summary."""
    given: Any = None
    """The arguments that the step itself states."""
    arguments: list[str] = field(default_factory=list)
    """Those that came in pieces."""
    error: CallError | None = None

    def learn(self, step: Any) -> bool:
        """Take in a step, a content of the older form, or what a stream adds to one. True if that is something that the
        model generated."""
        kind = text(step, "type")
        if kind == "arguments_delta":
            self.arguments += [piece] if (piece := text(step, "arguments")) else []
            return bool(piece)
        if kind in ("text", "thought_summary"):
            words = text(step, "text") or text(step, "content", "text")
            self.text += [words] if words else []
            self.kind = self.kind or ("model_output" if kind == "text" else "thought")
            return bool(words)
        if kind in ("thought_signature", "text_annotation_delta", *_CONTENTS):
            return False
        self.kind = kind or self.kind
        self.name, self.id = text(step, "name") or self.name, text(step, "id") or self.id
        self.given = dig(step, "arguments") or self.given
        texts = [_text(one) for key in ("content", "summary") for one in dicts(step, key)]
        self.text += [words for words in texts if words]
        self.error = _fault(dig(step, "error"))
        return bool(self.text) or (kind == "function_call" and bool(self.given))

    def call(self) -> ToolCall | None:
        if self.kind != "function_call" or not self.name:
            return None
        return ToolCall(self.name, self.id, "".join(self.arguments) or arguments_of(self.given))


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    return reply_by_form(response, lambda body: _whole(body, _answer(body)), _streamed)


def _answer(body: Any) -> list[_Step]:
    """The steps of a whole interaction. One that is fetched again may begin with its input."""
    found = []
    for one in [*dicts(body, "steps"), *dicts(body, "outputs")]:
        found.append(_Step())
        found[-1].learn(one)
    return found


def _whole(body: Any, steps: list[_Step], stated: Any = None, first_token: int | None = None) -> Reply:
    """The reply of an interaction; `stated` is its usage if that stands elsewhere."""
    usage = dig(body, "usage") if stated is None else stated
    ran = [step.kind for step in steps if step.kind and step.kind.endswith("_call") and step.kind != "function_call"]
    thoughts = ["".join(step.text) for step in steps if step.kind == "thought" and step.text]
    return Reply(
        response_model=text(body, "model"),
        response_id=text(body, "id"),
        text="".join(piece for step in steps if step.kind == "model_output" for piece in step.text) or None,
        reasoning="\n".join(thoughts) or None,
        tool_calls=tuple(call for step in steps if (call := step.call())),
        builtin_tool_calls=tuple(ran),
        usage=_usage(usage),
        billed=_billed(usage, ran),
        service_tier=text(body, "service_tier"),
        error=_error(body) or next((step.error for step in steps if step.error), None),
        first_token=first_token,
    )


def _usage(usage: Any) -> Usage | None:
    found = Usage(
        input=counts(usage, "total_input_tokens", "total_tool_use_tokens"),
        output=counts(usage, "total_output_tokens", "total_thought_tokens"),
        cache_read=count(usage, "total_cached_tokens"),
        reasoning=count(usage, "total_thought_tokens"),
    )
    return None if found == Usage() else found


def _billed(usage: Any, ran: list[str]) -> Billed | None:
    found = Billed(
        audio_input=_modality(usage, "input_tokens_by_modality", "audio"),
        audio_cache_read=_modality(usage, "cached_tokens_by_modality", "audio"),
        audio_output=_modality(usage, "output_tokens_by_modality", "audio"),
        image_output=_modality(usage, "output_tokens_by_modality", "image"),
        tools=tuple(dict.fromkeys(kind.removesuffix("_call") for kind in ran if kind == "google_search_call")),
    )
    return found if found.stated() else None


def _modality(usage: Any, key: str, modality: str) -> int | None:
    """A modality that is left out of a list was not there."""
    if not isinstance(dig(usage, key), list):
        return None
    found = next((one for one in dicts(usage, key) if one.get("modality") == modality), None)
    return 0 if found is None else count(found, "tokens")


def _error(body: Any) -> CallError | None:
    """Of an interaction that failed: the first of `errors`, or `error`."""
    return _fault(next(iter(dicts(body, "errors")), None)) or _fault(dig(body, "error")) or error_inside(body)


def _fault(stated: Any) -> CallError | None:
    """`{code, message}`, whose code is a word."""
    if not isinstance(stated, dict) or not stated:
        return None
    return CallError(text(stated, "status") or text(stated, "code"), text(stated, "message"))


def error(response: Response) -> CallError:
    """See `family.Family`."""
    return _fault(dig(parse(response.body)[0], "error")) or error_of(response)


def _streamed(response: Response) -> Reply:
    problems: list[str] = []
    steps: dict[int, _Step] = {}
    body: dict[str, Any] = {}
    ended: Any = None
    """The interaction's usage: before its end it counts a part."""
    fault: CallError | None = None
    first_token: int | None = None
    for event, _, end in pieces(response, problems):
        kind = text(event, "event_type") or ""
        stated = event.get("interaction")
        if isinstance(stated, dict):
            body |= {key: value for key, value in stated.items() if value is not None}
            if kind in ("interaction.completed", "interaction.complete"):
                ended = dig(stated, "usage")
        elif kind == "interaction.status_update":
            body = {"id": text(event, "interaction_id")} | body
            ended = dig(event, "usage") if text(event, "status") in _ENDED and ended is None else ended
        elif kind == "error" or "error" in event:
            fault = fault or _error(event)
        elif kind.startswith(("step.", "content.")):
            step = steps.setdefault(place(event, "index"), _Step())
            news = next((event[key] for key in ("delta", "step", "content") if key in event), None)
            if step.learn(news) and first_token is None:
                first_token = end
    found = _whole(body, [steps[at] for at in sorted(steps)] or _answer(body), ended or {}, first_token)
    return replace(
        found,
        service_tier=found.service_tier if ended is not None else None,
        error=fault or found.error,
        problems=tuple(problems),
    )


def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    named = text(body, "model") is not None or text(body, "agent") is not None
    return named and (_fits(body) or is_input(body.get("input")))


_RAN_THERE: dict[str, PartReader] = {
    **{f"{tool}_call": provider_ran for tool in _TOOLS},
    **{f"{tool}_result": _result for tool in _TOOLS},
}

FAMILY = Family(
    "gemini-interactions",
    asked,
    reply,
    error=error,
    refusal=google_refusal,
    is_request=_is_request,
    routes=(
        FamilyRoute("POST", "**/locations/{location}/interactions", "chat"),
        FamilyRoute("POST", "**/{version}/interactions", "chat"),
        FamilyRoute("GET", "**/interactions/{id}", "other"),
        FamilyRoute("POST", "**/interactions/{id}/cancel", "other"),
    ),
    other_repeats=True,
    messages=(MessageShape(("input",), _fits, _messages),),
    prompts=("system_instruction",),
    tools=(("tools",),),
    uncounted=_RAN_THERE,
    noise=frozenset({"signature"}),
    fields=("previous_interaction_id", "generation_config", "agent", "status", "steps"),
)
