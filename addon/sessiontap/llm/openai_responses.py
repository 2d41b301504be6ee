"""OpenAI Responses: whole, as SSE, and as the same events over a WebSocket.

Source: platform.openai.com/docs/api-reference/responses and responses-streaming. A stream's items are put together from
their deltas and corrected by `output_item.done`; only if there were none (a retrieved response) the terminal event's
own `output` is read. Usage stands in the terminal event alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute, SocketGrammar
from sessiontap.llm.newest_turn import nameless
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.openai_input import INPUT, PARTS, UNCOUNTED, is_input
from sessiontap.llm.pick import count, dicts, dig, names, place, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import arguments_of, asked_for, pieces, reply_by_form
from sessiontap.llm.usage import billed_of, cost_of

CLIENT_CALLS: dict[str, str | None] = {
    "function_call": None,
    "custom_tool_call": None,
    "computer_call": "computer",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
}
"""Items that ask the app to run something, and the tool's name if the item has none. Other `*_call` items were run
by the provider: `web_search_call`, `file_search_call`, `code_interpreter_call`, `mcp_call`, ..."""

SOCKET = SocketGrammar(
    starts=frozenset({"response.create", "response.append"}),
    begins="response.created",
    cancels="response.cancel",
    ends=frozenset(f"response.{how}" for how in ("completed", "incomplete", "failed", "cancelled", "done")),
)

_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.done", "response.cancelled")
_REASONING_DELTAS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    given = dig(body, "input")
    given = [{"role": "user", "content": given}] if isinstance(given, str) else given
    answered, results, message = _newest(given if isinstance(given, list) else [])
    return Asked(
        model=text(body, "model"),
        stream=True if text(body, "type") in SOCKET.starts else asked_for(body),
        tools_offered=names(_offered(body)),
        tool_results=names(results),
        results=nameless([*zip(reversed(answered), results, strict=True)]),
        message=message,
        prompt=_prompt(body),
        user=text(body, "user") or text(body, "safety_identifier"),
        previous=names([text(body, "previous_response_id")]),
        answered=names(answered),
    )


def _offered(body: Any) -> Iterator[str | None]:
    """Names, those within a namespace by themselves, as calls state them. Codex offers tools within the input."""
    offered = [*dicts(body, "tools")]
    for item in dicts(body, "input"):
        if item.get("type") == "additional_tools":
            offered += dicts(item, "tools")
    for tool in offered:
        if tool.get("type") == "namespace":
            yield from map(tool_name, dicts(tool, "tools"))
        else:
            yield tool_name(tool)


def tool_name(tool: dict[str, Any]) -> str | None:
    return text(tool, "name") or text(tool, "server_label") or text(tool, "type")


def _newest(given: list[Any]) -> tuple[list[str | None], list[str | None], str | None]:
    """Call ids answered behind the last thing the model said, newest first; the tools' names in order; the user's text.

    The calls that the results answer stand just before them, which is where names are looked up.
    """
    answered: list[str | None] = []
    unnamed: set[str | None] = set()
    found: dict[str | None, str] = {}
    user: dict[str, Any] | None = None
    behind = True
    for item in reversed(given):
        kind = dig(item, "type")
        role = dig(item, "role")
        if role == "user":
            user = user or item
        elif isinstance(kind, str) and kind.endswith("_call_output"):
            if behind:
                answered.append(text(item, "call_id"))
                unnamed.add(text(item, "call_id"))
        elif role == "assistant" or (isinstance(kind, str) and (kind == "reasoning" or kind.endswith("_call"))):
            behind = False
            call_id, name = text(item, "call_id"), _call_name(item)
            if name and call_id in unnamed:
                found[call_id] = name
                unnamed.discard(call_id)
        if user and not behind and not unnamed:
            break
    return answered, [found.get(call_id) for call_id in reversed(answered)], content_text(dig(user, "content"), "\n")


def _prompt(body: Any) -> str | None:
    """The instructions and the system messages that the input opens with."""
    parts = [text(body, "instructions")]
    for item in dicts(body, "input"):
        if item.get("role") not in ("system", "developer"):
            break
        parts.append(content_text(item.get("content"), "\n"))
    return "\n".join(part for part in parts if part) or None


def _call_name(item: Any) -> str | None:
    return text(item, "name") or CLIENT_CALLS.get(text(item, "type") or "")


def usage_of(usage: Any) -> Usage | None:
    """`input_tokens` includes cached ones, `output_tokens` reasoning."""
    found = Usage(
        input=count(usage, "input_tokens"),
        output=count(usage, "output_tokens"),
        cache_read=count(usage, "input_tokens_details", "cached_tokens"),
        cache_write=count(usage, "input_tokens_details", "cache_write_tokens"),
        reasoning=count(usage, "output_tokens_details", "reasoning_tokens"),
    )
    return None if found == Usage() else found


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    if call.endpoint.operation == "count_tokens":
        return Reply()
    return reply_by_form(response, _whole, _streamed)


@dataclass(slots=True)
class _OutputItem:
    """One output item, as far as it came."""

    kind: str | None = None
    name: str | None = None
    id: str | None = None
    text: list[str] = field(default_factory=list)
    """Of reasoning, too."""
    arguments: list[str] = field(default_factory=list)

    def learn(self, item: Any, *, done: bool) -> None:
        """From the item itself; once it is done it says everything."""
        self.kind = text(item, "type") or self.kind
        self.name = _call_name(item) or self.name
        self.id = text(item, "call_id") or self.id
        if not done or not isinstance(item, dict):
            return
        if self.kind == "message":
            self.text = [part for piece in dicts(item, "content") if (part := _output_text(piece))] or self.text
        elif self.kind == "reasoning":
            texts = [text(one, "text") for key in ("summary", "content") for one in dicts(item, key)]
            self.text = [one for one in texts if one] or self.text
        elif self.kind in CLIENT_CALLS:
            given = next((item[key] for key in ("arguments", "input", "action", "operation") if key in item), None)
            if given is not None:
                self.arguments = [arguments_of(given) or ""]

    def call(self) -> ToolCall | None:
        if self.kind not in CLIENT_CALLS or not self.name:
            return None
        return ToolCall(self.name, self.id, "".join(self.arguments) or None)


def _output_text(part: Any) -> str | None:
    return text(part, "text") if dig(part, "type") in ("output_text", "text") else None


def _whole(body: Any, output: list[_OutputItem] | None = None) -> Reply:
    """A response object; `output` stands in for its own if the stream's events built one."""
    if not output:
        output = []
        for item in dicts(body, "output"):
            output.append(_OutputItem())
            output[-1].learn(item, done=True)
    run_there = [item.kind for item in output if item.kind and item.kind.endswith("_call")]
    builtin = tuple(kind for kind in run_there if kind not in CLIENT_CALLS)
    return Reply(
        response_model=text(body, "model"),
        response_id=text(body, "id"),
        text="".join(part for item in output if item.kind != "reasoning" for part in item.text) or None,
        reasoning="\n".join("".join(item.text) for item in output if item.kind == "reasoning" and item.text) or None,
        tool_calls=tuple(call for item in output if (call := item.call())),
        builtin_tool_calls=builtin,
        usage=usage_of(dig(body, "usage")),
        cost_reported=cost_of(dig(body, "usage")),
        billed=billed_of(dig(body, "usage"), builtin),
        service_tier=text(body, "service_tier"),
        error=_error(body),
    )


def _error(body: Any) -> CallError | None:
    """`error: {code, message}` of a failed response, which has no `type`; or the event `error` if they lie flat."""
    error = dig(body, "error")
    if isinstance(error, dict) and error:
        return CallError(text(error, "type") or text(error, "code"), text(error, "message"))
    if error is None and dig(body, "type") == "error":
        return CallError(text(body, "code"), text(body, "message"))
    return error_inside(body)


def _streamed(response: Response) -> Reply:
    problems: list[str] = []
    items: dict[int, _OutputItem] = {}
    body: dict[str, Any] = {}
    ended: Any = None
    """The terminal event's response: before it, usage is null and the service tier the one that was asked for."""
    error: CallError | None = None
    first_token: int | None = None
    for event, _, end in pieces(response, problems):
        kind = text(event, "type") or ""
        at = place(event, "output_index")
        delta = text(event, "delta")
        if isinstance(stated := event.get("response"), dict):
            body = {**stated, "model": text(body, "model") or text(stated, "model")}
            if kind in _TERMINAL:
                ended = stated
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items.setdefault(at, _OutputItem()).learn(event.get("item"), done=kind.endswith("done"))
        elif kind == "response.output_text.delta" and delta:
            items.setdefault(at, _OutputItem("message")).text.append(delta)
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta") and delta:
            items.setdefault(at, _OutputItem()).arguments.append(delta)
        elif kind in _REASONING_DELTAS and delta:
            items.setdefault(at, _OutputItem("reasoning")).text.append(delta)
        elif kind == "error" or "error" in event:
            error = error or _error(event)
        if first_token is None and delta:
            first_token = end
    found = _whole(body, [items[at] for at in sorted(items)])
    return replace(
        found,
        usage=usage_of(dig(ended, "usage")),
        cost_reported=cost_of(dig(ended, "usage")),
        billed=billed_of(dig(ended, "usage"), found.builtin_tool_calls),
        service_tier=text(ended, "service_tier"),
        error=error or found.error,
        first_token=first_token,
        problems=tuple(problems),
    )


FAMILY = Family(
    "openai-responses",
    asked,
    reply,
    is_request=lambda _, body: text(body, "model") is not None and is_input(body.get("input")),
    is_upgrade=lambda path, headers: "responses" in (headers.get("openai-beta") or ""),
    routes=(
        FamilyRoute("POST", "**/responses", "chat"),
        FamilyRoute("GET", "**/responses", "chat"),  # the WebSocket's upgrade
        FamilyRoute("POST", "**/responses/compact", "chat"),
        FamilyRoute("POST", "**/responses/input_tokens", "count_tokens"),
        FamilyRoute("POST", "**/responses/{id}/cancel", "other"),
        FamilyRoute("GET", "**/responses/{id}", "other"),
    ),
    socket=SOCKET,
    messages=(INPUT,),
    prompts=("instructions",),
    tools=(("tools",),),
    other_repeats=True,
    parts=PARTS,
    uncounted=UNCOUNTED,
    fields=("previous_response_id", "conversation", "max_output_tokens", "output", "status"),
)
