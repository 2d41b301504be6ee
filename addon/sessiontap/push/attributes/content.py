"""The content of a call or a turn, as conventions tell it: messages of parts, and the one text that tells most.

There is content only if the call has parts (`PushedCall.parts`), and only as redacted in the log. Of a long history the
newest parts are told, up to `MOST` bytes; a longer text is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.llm.wrappers import user_words
from sessiontap.part import CallParts, Part
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace.outcomes import is_main

MOST = 1 << 20
"""Bytes of a request's messages that are told; of tool definitions as many again."""
LONGEST = 1 << 18
"""Characters of one text."""
CUT = "… [cut]"


@dataclass(slots=True)
class ContentMessage:
    """A message, with all of its parts that have its role."""

    role: str
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CallContent:
    """The content of one call."""

    system: tuple[Part, ...]
    """System prompts that stand outside the messages."""
    input: tuple[ContentMessage, ...]
    output: tuple[Part, ...]
    tools: tuple[Part, ...]
    """Definitions."""
    is_cut: bool
    """Older parts are left out, or a text is cut."""


def content_of(call: PushedCall) -> CallContent | None:
    """Return the content of a call; None if it is not sent."""
    short = shortened(call)
    if short is None:
        return None
    parts, is_cut = short
    messages = [one for one in parts.request if one.kind != "tool_definition"]
    return CallContent(
        tuple(one for one in messages if one.kind == "system" and one.message is None),
        tuple(_messages(one for one in messages if one.kind != "system" or one.message is not None)),
        tuple(parts.reply),
        tuple(one for one in parts.request if one.kind == "tool_definition"),
        is_cut,
    )


def shortened(call: PushedCall) -> tuple[CallParts, bool] | None:
    """Return the parts of a call that are told, and whether something is left out; None if content is not sent."""
    if call.parts is None:
        return None
    tools, fewer = _newest([one for one in call.parts.request if one.kind == "tool_definition"])
    messages, cut = _newest([one for one in call.parts.request if one.kind != "tool_definition"])
    reply, shorter = _newest(call.parts.reply)
    return CallParts([*tools, *messages], reply), cut or fewer or shorter


def asked_text(call: PushedCall) -> str | None:
    """Return the newest text of the user's that the request brings, else the results of tools; None without content."""
    if call.parts is None:
        return None
    new = call.parts.request[call.first_new :]
    texts = [one.text for one in new if one.kind == "text" and one.role == "user" and one.text]
    words = [own for text in texts if (own := (user_words(text) or "").strip())]
    results = [one.text for one in new if one.kind == "tool_result" and one.text]
    return _joined(words[-1:] or texts[-1:] or results)


def answered_text(call: PushedCall) -> str | None:
    """Return the text of the reply, else the tools that it asks for; None without content."""
    if call.parts is None:
        return None
    texts = [one.text for one in call.parts.reply if one.kind == "text" and one.text]
    return _joined(texts or [f"{one.name}({one.text or ''})" for one in call.parts.reply if one.kind == "tool_call"])


def turn_input(turn: UserTurn) -> str | None:
    """Return the user's words with which a turn began."""
    return asked_text(turn.first)


def turn_output(turn: UserTurn) -> str | None:
    """Return the last word of its main agent."""
    mains = (call for call in reversed(turn.calls) if is_main(call.call.record))
    return next((text for call in mains if (text := answered_text(call))), None)


def as_json(value: Any) -> str:
    """Return a value as JSON text that any reader takes: numbers that JSON has not (NaN) become texts."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return as_json(json.loads(json.dumps(value), parse_constant=str))
    except RecursionError:
        return '"[nested too deeply]"'


def parsed(text: str | None) -> Any:
    """Return a JSON text's value; any other text as it is."""
    try:
        return json.loads(text or "", parse_constant=str)
    except (ValueError, RecursionError):
        return text


def _joined(texts: Sequence[str]) -> str | None:
    return _cut("\n".join(texts)) if texts else None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - len(CUT)] + CUT


def _newest(parts: Sequence[Part]) -> tuple[list[Part], bool]:
    """The newest parts of a list, `MOST` bytes at most, and whether anything of it is missing."""
    kept: list[Part] = []
    left, cut = MOST, False
    for part in reversed(parts):
        text = _cut(part.text) if part.text else part.text
        left -= len(text or "")
        if left < 0:
            return kept[::-1], True
        cut = cut or text != part.text
        kept.append(part if text is part.text else replace(part, text=text))
    return kept[::-1], cut


def _messages(parts: Iterable[Part]) -> Iterable[ContentMessage]:
    message: ContentMessage | None = None
    at: int | None = None
    for part in parts:
        role = part.role or "user"
        if message is None or role != message.role or part.message != at or part.message is None:
            if message is not None:
                yield message
            message, at = ContentMessage(role), part.message
        message.parts.append(part)
    if message is not None:
        yield message
