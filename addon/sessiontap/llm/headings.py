"""The title and the reply of a recorded call, each as a line. `trace.open(folder, headings_of=heading)` uses it.

The trace log knows nothing of prompts and replies, so whoever opens it for a list of sessions passes this reader in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Call, Endpoint
from sessiontap.llm.families import WRAPPERS, messages_of
from sessiontap.llm.history import history
from sessiontap.llm.message_pieces import THOUGHT, TextPiece, without_element
from sessiontap.llm.messages import AGENT
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.wrappers import user_words

TITLE_LENGTH, REPLY_LENGTH = 80, 120
"""Characters of a line."""
_LONGEST_TITLE = 120
"""Characters of a reply that may be a title: a longer one is an answer."""
_DECORATION = re.compile(r"^(?:\*\*|#+ |title: *|[\"'`«“])+|(?:\*\*|[\"'`»”.])+$", re.IGNORECASE)

Heading = tuple[str | None, str | None, str | None]
"""The title that a client asked the model for, the user's first words, and the reply."""


def heading(record: Mapping[str, Any], asked: bytes | None, answered: bytes | None) -> Heading:
    """Read the bodies of the call of this record, of which one may not be at hand.

    May raise ValueError, LookupError or RecursionError for odd ones.
    """
    call, request = _request(record, asked)
    reply = None
    if answered and (status := (record.get("response") or {}).get("status")):
        whole = record.get("outcome") in ("ok", "http_error")
        reply = read_reply(call, request, Response(status, Headers(()), answered, whole)).text
    if asked and history(call).purpose == "title":
        return own_title(reply), None, None
    return None, first_words(call) if asked else None, as_line(reply or "", REPLY_LENGTH)


def first_words(call: Call) -> str | None:
    """The first words of the user in a request, as a line."""
    body = call.json
    if not isinstance(body, dict):
        return None
    for key in WRAPPERS:
        body = inner if isinstance(inner := body.get(key), dict) else body
    for role, pieces in messages_of(body):
        if role in ("user", AGENT):
            texts = (user_words(piece.text) for piece in pieces if isinstance(piece, TextPiece))
            if line := as_line(" ".join(filter(None, texts)), TITLE_LENGTH):
                return line
    return None


def own_title(reply: str | None) -> str | None:
    """The title in a model's reply to the request for one: a text, or JSON with a `title`; None if it holds none."""
    answer = reply or ""
    for name in THOUGHT:
        answer = without_element(answer, name)
    answer = answer.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if answer.startswith(("{", "[")):
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        title = found.get("title") if isinstance(found, dict) else None
        answer = title if isinstance(title, str) else ""
    elif "<title>" in answer:
        answer = answer.partition("<title>")[2].partition("</title>")[0]
    answer = _DECORATION.sub("", " ".join(answer.split()))
    return as_line(answer, TITLE_LENGTH) if len(answer) <= _LONGEST_TITLE else None


def as_line(words: str, most: int) -> str | None:
    """A text as one line of `most` characters; None if it says nothing."""
    line = " ".join(words[: most * 20].split())
    if len(line) > most:
        line = line[: most - 1].rstrip() + "…"
    return line or None


def _request(record: Mapping[str, Any], body: bytes | None) -> tuple[Call, Request]:
    llm, sent = record.get("llm") or {}, record["request"]
    endpoint = Endpoint(
        llm.get("provider"),
        llm.get("family") or "other",
        llm.get("operation") or "other",
        record.get("route") or "",
        llm.get("request_model"),
    )
    url = urlsplit(sent.get("url") or "")
    request = Request(sent.get("method") or "", record.get("host") or "", url.path or "/", Headers(()), body)
    return read_request(request, endpoint), request
