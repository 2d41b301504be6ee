"""The parts of requests and replies (`sessiontap.part`), of whatever wire family.

Requests are read by the forms that the families declare, which also serve comparing messages (`messages`); here
nothing is left out but what changes with every request (`Family.prompt_noise`, marks for the cache). Parts come in the
order by which providers cache: tool definitions, system prompts, messages. Media within a tool's result stands behind
it, with its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sessiontap.llm.call import Call, Reply
from sessiontap.llm.families import (
    NOISE,
    PARTS,
    TEXTS,
    WRAPPERS,
    definitions_in,
    prompt_pieces,
    read_messages,
    shape_of,
    tool_lists,
)
from sessiontap.llm.message_pieces import (
    CallPiece,
    MediaPiece,
    MessagePiece,
    ReasoningPiece,
    ResultPiece,
    TextPiece,
    ToolOutput,
    ToolsPiece,
)
from sessiontap.llm.messages import AGENT, ContentReader
from sessiontap.llm.pick import dicts, text, written
from sessiontap.llm.streaming import arguments_of
from sessiontap.llm.tool_errors import states_error
from sessiontap.part import Part

MOST_PARTS = 50_000
"""Parts of a request that are read."""

_ROLES = {"developer": "system", AGENT: "user"}
_MEDIA_TYPES = ("media_type", "mimeType", "mime_type")
_MEDIA = ("image", "audio", "video", "file", "document", "inlineData", "inline_data")
"""A part is media if its type or one of its keys has one of these in it."""
_DEEPEST = 4
"""Levels of a part that are searched for its media type."""


def request_parts(call: Call) -> list[Part]:
    """Return the parts of a request, at most `MOST_PARTS`; none if its body is no JSON object."""
    body = unwrapped(call.json)
    return list(islice(_request_parts(body), MOST_PARTS)) if body is not None else []


def unwrapped(body: Any) -> dict[str, Any] | None:
    """Return the object that holds the messages: the body, or the one in it that wraps a request; None without one."""
    if not isinstance(body, dict):
        return None
    return next((inner for key in WRAPPERS if isinstance(inner := body.get(key), dict)), body)


def reply_parts(call: Call, reply: Reply) -> list[Part]:
    """Return the parts of a reply: reasoning, text, tool calls, and the tools that the provider ran, by name."""
    pieces: list[MessagePiece] = []
    if reply.reasoning:
        pieces.append(ReasoningPiece(reply.reasoning))
    if reply.text:
        pieces.append(TextPiece(reply.text))
    pieces += (CallPiece(tool.name, tool.arguments, tool.id) for tool in reply.tool_calls)
    pieces += (CallPiece(name, None) for name in reply.builtin_tool_calls)
    return list(_parts("assistant", None, pieces, CalledTools()))


class _WholeContent(ContentReader):
    """Keeps all of a content: texts as they were sent, results, media, and what does not count in what is said."""

    __slots__ = ()

    def text(self, words: str) -> list[MessagePiece]:
        return [TextPiece(words)] if words else []

    def uncounted(self, part: dict[str, Any]) -> list[MessagePiece]:
        return self._part(part)

    def result(self, call_id: str | None, content: Any, output: ToolOutput | None = None) -> ResultPiece:
        return ResultPiece(call_id, b"", output or ToolOutput(content))

    def whole(self, part: dict[str, Any], *pieces: MessagePiece) -> list[MessagePiece]:
        return list(pieces)

    def media(self, part: dict[str, Any]) -> MediaPiece:
        return MediaPiece(b"", part)


WHOLE_CONTENT = _WholeContent(PARTS, NOISE)


class CalledTools:
    """The tools that were called so far, by the ids of their calls."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._latest: list[str] = []
        """Those of the latest message with calls."""
        self._open = False
        """The latest message with calls goes on: no result has come yet."""

    def called(self, name: str, call_id: str | None) -> None:
        """Remember a call."""
        if call_id:
            self._names[call_id] = name
        if not self._open:
            self._latest = []
        self._latest.append(name)
        self._open = True

    def answers(self, call_id: str | None) -> str | None:
        """The tool of a result; without an id only if a single tool was called."""
        self._open = False
        if call_id:
            return self._names.get(call_id)
        return self._latest[0] if len(set(self._latest)) == 1 else None


def _request_parts(body: dict[str, Any]) -> Iterator[Part]:
    tools = CalledTools()
    for offered in tool_lists(body):
        yield from _definitions(offered, None)
    yield from _parts("system", None, prompt_pieces(body, WHOLE_CONTENT), tools)
    shape = shape_of(body)
    for key in TEXTS if shape is None else [one for one in TEXTS if one not in shape.keys]:
        for content in body[key] if isinstance(body.get(key), list) else [body.get(key)]:
            yield from _parts("user", None, WHOLE_CONTENT.pieces(content), tools)
    for number, (role, pieces) in enumerate(read_messages(body, WHOLE_CONTENT)):
        yield from _parts(_ROLES.get(role, role), number, pieces, tools)


def _definitions(offered: Any, message: int | None) -> Iterator[Part]:
    for tool in definitions_in(offered):
        inner = tool.get("tools")
        if text(tool, "type") == "namespace" and isinstance(inner, list):
            for one in dicts(tool, "tools"):
                yield _definition(one, qualified(text(one, "name"), text(tool, "name")), message)
        else:
            yield _definition(tool, text(tool, "name"), message)


def _definition(tool: dict[str, Any], name: str | None, message: int | None) -> Part:
    name = name or text(tool, "server_label") or text(tool, "type") or next(iter(tool), None)
    content = written(tool)
    return Part("tool_definition", None, message, content, _byte_count(content), name)


def qualified(name: str | None, namespace: str | None) -> str | None:
    """The name of a tool within a namespace: that of an MCP server is part of it."""
    if name and namespace and namespace.startswith("mcp__"):
        return f"{namespace.rstrip('_')}__{name}"
    return name


def _parts(role: str, message: int | None, pieces: Iterable[MessagePiece], tools: CalledTools) -> Iterator[Part]:
    for piece in pieces:
        match piece:
            case TextPiece(words):
                yield Part("system" if role == "system" else "text", role, message, words, _byte_count(words))
            case ReasoningPiece(words, sealed):
                yield Part("reasoning", role, message, words, _byte_count(words) + sealed)
            case CallPiece(name, given, call_id):
                tools.called(name, call_id)
                content = arguments_of(given)
                size = _byte_count(content) + _byte_count(name)
                yield Part("tool_call", "assistant", message, content, size, name or None, call_id)
            case ResultPiece(call_id, _, output):
                yield from _result(message, call_id, output or ToolOutput(None), tools)
            case MediaPiece(_, sent):
                yield _media(role, message, sent)
            case ToolsPiece(offered):
                yield from _definitions(offered, message)


def _result(message: int | None, call_id: str | None, output: ToolOutput, tools: CalledTools) -> Iterator[Part]:
    called = tools.answers(call_id)
    name = output.name or called
    words, media = said_and_media(output.content)
    error = output.error
    if not error and (stated := states_error(name, words)) is not None:
        error = stated
    yield Part("tool_result", "tool", message, words, _byte_count(words), name, call_id, error)
    for one in media:
        yield _media("tool", message, one, call_id)


def said_and_media(content: Any) -> tuple[str, list[Any]]:
    """The text of a tool's result, and its media."""
    if content is None:
        return "", []
    if isinstance(content, str):
        return content, []
    if isinstance(content, dict) and len(content) == 1 and isinstance(only := next(iter(content.values())), str):
        return only, []
    if not isinstance(content, list) or not all(isinstance(one, dict | str) for one in content):
        return written(content) or "", []
    texts: list[str] = []
    media: list[Any] = []
    for piece in WHOLE_CONTENT.pieces(content):
        match piece:
            case TextPiece(text_of):
                texts.append(text_of)
            case MediaPiece(_, sent) if _is_media(sent):
                media.append(sent)
            case MediaPiece(_, sent):
                texts.append(_as_text(sent))
            case ResultPiece(_, _, ToolOutput(inner)):
                texts.append(_as_text(inner))
            case ReasoningPiece(str(text_of)):
                texts.append(text_of)
    return "\n".join(texts), media


def _as_text(value: Any) -> str:
    """A value as it stands, its only value if it has one: `{"json": ...}`."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return value if isinstance(value, str) else written(value) or ""


def _media(role: str, message: int | None, sent: Any, call_id: str | None = None) -> Part:
    """Media by its type; `other` if it is not known to be media."""
    content = written(sent)
    if not _is_media(sent):
        name = text(sent, "type") or (next(iter(sent), None) if isinstance(sent, dict) else None)
        return Part("other", role, message, content, _byte_count(content), name, call_id)
    return Part("media", role, message, None, _byte_count(content), _media_type(sent, 0), call_id)


def _is_media(sent: Any) -> bool:
    if isinstance(sent, list):
        return True  # images beside a content
    if not isinstance(sent, dict):
        return False
    words = (text(sent, "type") or "", *sent)
    return any(kind in word for word in words for kind in _MEDIA)


def _media_type(value: Any, depth: int) -> str | None:
    """A stated media type, or the one of a data URL; else a format (`png`), else None."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        return value[5:].partition(",")[0].partition(";")[0] or None if value.startswith("data:") else None
    if isinstance(value, list):
        return next((found for one in value[:1] if (found := _media_type(one, depth + 1))), None)
    if not isinstance(value, dict):
        return None
    stated = next((found for key in _MEDIA_TYPES if (found := text(value, key))), None)
    within = (found for inner in value.values() if (found := _media_type(inner, depth + 1)))
    return stated or next(within, None) or text(value, "format")


def _byte_count(words: str | None) -> int:
    if words is None:
        return 0
    return len(words) if words.isascii() else len(words.encode("utf-8", "surrogatepass"))
