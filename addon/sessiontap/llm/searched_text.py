"""The texts of a recorded call that a full text search looks at. `trace.open(folder, texts_of=searched_text)` uses it.

The trace log knows nothing of prompts and replies, so whoever opens it for a search passes this reader in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Endpoint
from sessiontap.llm.read import read_reply, read_request


def searched_text(record: Mapping[str, Any], asked: bytes | None, answered: bytes | None) -> Iterator[str]:
    """The system prompt, the newest user message, and the reply with its tool calls, of the call of this record.

    `asked` and `answered` are its bodies. May raise ValueError, LookupError or RecursionError for odd ones.
    """
    if not asked and not answered:
        return
    llm, sent, came = record.get("llm") or {}, record["request"], record.get("response")
    endpoint = Endpoint(
        llm.get("provider"),
        llm.get("family") or "other",
        llm.get("operation") or "other",
        record.get("route") or "",
    )
    url = urlsplit(sent.get("url") or "")
    request = Request(sent.get("method") or "", record.get("host") or "", url.path or "/", Headers(()), asked)
    call = read_request(request, endpoint)
    yield from (text for text in (call.asked.prompt, call.asked.message) if text)
    if came and answered and came.get("status"):
        whole = record.get("outcome") in ("ok", "http_error")
        reply = read_reply(call, request, Response(came["status"], Headers(()), answered, whole))
        said = [reply.text or "", *(f"{tool.name} {tool.arguments or ''}" for tool in reply.tool_calls)]
        if text := "\n".join(filter(None, said)):
            yield text
