"""Recognise requests beside the conversation itself by their words, and those that open with a compacted history.

Agents and chat programs make calls beside the conversation: to find a title, to sum up what was said, to see whether a
key works. They are told by the words of their prompts, which are tables here, and none of them is taken for one if
the words are merely what somebody talks about: a title's prompt offers no tools and is the whole request, a summary's
stands in the place of the user's newest message.
"""

from __future__ import annotations

import re
from typing import Literal

from sessiontap.llm.call import Call
from sessiontap.llm.pick import count, dig

Purpose = Literal["title", "summary", "count", "probe", "warmup"]

_LOOKED_AT = 3000
"""Characters: prompts of this kind say at once what they want."""

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Fields with the tokens that a reply may have."""

_OF_TITLES = ("title", "name", "tags", "emoji", "topic", "follow", "summar")
_OF_SUMMARIES = ("summar", "compact", "condense", "continuing our")
_OF_CONTINUED = ("continued", "summary", "state_snapshot", "removed")
"""One of these stands in every such prompt: looking for them first costs a tenth."""

TITLES = re.compile(
    r"you are a title generator"
    r"|\b(?:generate|write|create|provide|suggest|come up with|give)\b[^.\n]{0,80}\b(?:title|name|tags|emoji)\b"
    r"[^.\n]{0,80}\b(?:conversation|chat|session|thread|dialog|dialogue|discussion)\b"
    r"|\b(?:summari[sz]e|title|name)\b[^.\n]{0,40}\bthis (?:coding )?(?:conversation|chat|session|thread)\b"
    r"|if this message indicates a new conversation topic"
    r"|suggest [^.\n]{0,40}follow-?up (?:questions|prompts)",
    re.IGNORECASE,
)

SUMMARIES = re.compile(
    r"create a detailed summary of (?:the|our) conversation"
    r"|provide a detailed (?:prompt|summary) for continuing our conversation"
    r"|context checkpoint compaction"
    r"|handoff summary for another (?:llm|language model|model)"
    r"|summari[sz]es? internal chat history into a given structure"
    r"|(?:summari[sz]e|condense|compact) (?:the|our|this) (?:above |previous |entire |whole )?"
    r"(?:conversation|chat|messages|dialogue)"
    r"|(?:create|write|extend) (?:a |the )?(?:concise |detailed )?summary of the (?:conversation|chat)",
    re.IGNORECASE,
)

CONTINUED = re.compile(
    r"this session is being continued from a previous conversation"
    r"|another language model started to solve this problem and produced a summary"
    r"|<state_snapshot>"
    r"|<conversation[-_]summary>"
    r"|some previous conversation history with the user has been removed"
    r"|(?:here is|this is) a (?:concise |detailed )?summary of (?:the|our) (?:previous |earlier )?conversation",
    re.IGNORECASE,
)


def purpose_of(call: Call, prompt: str | None, opening: str | None, latest: str | None) -> Purpose | None:
    """`prompt` is the system prompt, `opening` and `latest` the first and the newest text of the user."""
    if call.endpoint.operation == "count_tokens":
        return "count"
    if dig(call.json, "generate") is False:
        return "warmup"
    newest = (latest or "")[:_LOOKED_AT]
    if _asks(SUMMARIES, _OF_SUMMARIES, newest):
        return "summary"
    if call.asked.tools_offered:
        return None
    system = (prompt or "")[:_LOOKED_AT]
    if _asks(SUMMARIES, _OF_SUMMARIES, system):
        return "summary"
    first = (opening or "")[:_LOOKED_AT] if opening != latest else ""
    for one in (system, newest, first):
        if one and _asks(TITLES, _OF_TITLES, one):
            return "title"
    limits = [key for key in _LIMITS if key in call.json] if isinstance(call.json, dict) else []
    return "probe" if limits and 1 in [count(call.json, key) for key in limits] else None


def _asks(phrases: re.Pattern[str], words: tuple[str, ...], prompt: str) -> bool:
    lowered = prompt.lower()
    for word in words:
        if word in lowered:
            return phrases.search(prompt) is not None
    return False


def goes_on(opening: str | None) -> bool:
    """Return whether a request's first user message is the summary that a compaction left."""
    return opening is not None and _asks(CONTINUED, _OF_CONTINUED, opening[:_LOOKED_AT])
