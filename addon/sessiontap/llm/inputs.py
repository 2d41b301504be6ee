"""The inputs of a request that may have several: texts that are to be embedded, completed or ranked.

`Asked.message` is the newest of them. Rules that keep calls out of the log look at each (`rules/match_keys.py`), once
one of them asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sessiontap.llm.call import Call
from sessiontap.llm.families import family_of
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.pick import text

_CONVERSATIONS = ("messages", "message")
"""Fields of a body that hold a conversation. What else stands beside it is no input of its own."""
_TEXT_FIELDS = ("text", "content")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The texts, and whether there is more than them: tokens, images, or a body of a form that is not known."""

    texts: tuple[str, ...] = ()
    unread: bool = False


def inputs_of(call: Call) -> Inputs:
    """Return the inputs of a request; none if it is a conversation or its body is no JSON object."""
    body, family = call.json, family_of(call.endpoint.family)
    if not family.inputs or not isinstance(body, dict):
        return Inputs()
    if any(field in body and field not in family.inputs for field in _CONVERSATIONS):
        return Inputs()
    given = [body[field] for field in family.inputs if body.get(field) is not None]
    texts: list[str] = []
    unread = not given
    while given:
        one = given.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, list):
            given += one
        elif isinstance(one, dict) and (words := _words(one)) is not None:
            texts.append(words)
        else:
            unread = True
    return Inputs(tuple(texts), unread)


def _words(item: dict[str, Any]) -> str | None:
    """Return the text of an input that is a map: that of its known fields, else all that it holds."""
    for field in _TEXT_FIELDS:
        if field in item:
            return content_text(item[field], "\n")
    return "\n".join(words for key in item if (words := text(item, key))) or None
