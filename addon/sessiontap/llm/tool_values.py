"""The newest result and the newest call of each tool in a request, of whatever wire family.

Rules ask for them by the tool's name, and for a field of them by a path (`rules/facts.py`). They are read once somebody
asks. A result may be JSON itself, a text that is JSON, or wrapped in parts or a map with one key; any of these has the
fields of the JSON. A text that is no JSON has no fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sessiontap.llm.call import Call
from sessiontap.llm.families import read_messages
from sessiontap.llm.message_pieces import CallPiece, ResultPiece, ToolOutput
from sessiontap.llm.parts import WHOLE_CONTENT, CalledTools, said_and_media, unwrapped
from sessiontap.llm.pick import parse
from sessiontap.llm.streaming import arguments_of

MOST_TEXT = 64 * 1024
"""Characters of a result or of arguments that are given as text."""
MOST_JSON = 1 << 20
"""Characters of a text that is read as JSON."""


@dataclass(frozen=True)
class ToolValue:
    """The result of a tool, or the arguments of a call of it."""

    sent: Any
    text: str | None

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """The values whose fields these are, the best first; none if it is no JSON."""
        return tuple(_values(self.sent))


@dataclass(frozen=True, slots=True)
class ToolValues:
    """By the tool's name, the newest of each."""

    results: Mapping[str, ToolValue] = field(default_factory=dict)
    calls: Mapping[str, ToolValue] = field(default_factory=dict)


def tool_values(call: Call) -> ToolValues:
    """Return the newest results and calls of the tools in a request; none if its body is no JSON object.

    A result that names neither its tool nor a call of this request is named by what is known of its id
    (`Asked.results`).
    """
    body = unwrapped(call.json)
    if body is None:
        return ToolValues()
    known = {call_id: name for call_id, name in call.asked.results if call_id and name}
    tools = CalledTools()
    results: dict[str, ToolValue] = {}
    calls: dict[str, ToolValue] = {}
    for _, pieces in read_messages(body, WHOLE_CONTENT):
        for piece in pieces:
            if isinstance(piece, CallPiece):
                tools.called(piece.name, piece.id)
                given = arguments_of(piece.arguments)
                calls[piece.name] = ToolValue(piece.arguments, given and given[:MOST_TEXT])
            elif isinstance(piece, ResultPiece):
                output = piece.output or ToolOutput(None)
                called = tools.answers(piece.id)
                name = output.name or called or known.get(piece.id or "")
                if name:
                    results[name] = ToolValue(output.content, said_and_media(output.content)[0][:MOST_TEXT])
    return ToolValues(results, calls)


def _values(sent: Any) -> Iterator[Any]:
    if isinstance(sent, str):
        if sent.lstrip()[:1] in ("{", "[") and len(sent) <= MOST_JSON:
            value, problem = parse(sent)
            if problem is None:
                yield value
    elif isinstance(sent, dict):
        yield sent
        if len(sent) == 1:
            yield from _values(next(iter(sent.values())))
    elif isinstance(sent, list):
        for part in sent:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield from _values(part["text"])
            elif isinstance(part, dict) and isinstance(part.get("json"), dict | list):
                yield part["json"]
        yield sent
        if len(sent) == 1 and isinstance(sent[0], dict):
            yield sent[0]
