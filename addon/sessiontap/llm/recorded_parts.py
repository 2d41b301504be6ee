"""The parts of a recorded call. `trace.open(folder, parts_of=recorded_parts)` uses it.

The trace log knows nothing of prompts and replies, so whoever opens it for a search, or for the turns of a session,
passes this reader in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Endpoint
from sessiontap.llm.large_bodies import read_bounded, readable
from sessiontap.llm.parts import reply_parts, request_parts
from sessiontap.llm.read import read_request
from sessiontap.part import CallParts


def recorded_parts(record: Mapping[str, Any], asked: bytes | None, answered: bytes | None) -> CallParts:
    """Return the parts of the call of this record; `asked` and `answered` are its bodies.

    Of bodies that are too large to be read in full it gives what is known of them. May raise ValueError, LookupError or
    RecursionError for odd ones.
    """
    if not asked and not answered:
        return CallParts([], [])
    llm, sent, came = record.get("llm") or {}, record["request"], record.get("response")
    endpoint = Endpoint(
        llm.get("provider"),
        llm.get("family") or "other",
        llm.get("operation") or "other",
        record.get("route") or "",
    )
    url = urlsplit(sent.get("url") or "")
    request = Request(sent.get("method") or "", record.get("host") or "", url.path or "/", _headers(sent), asked)
    request = readable(request) or request
    call = read_request(request, endpoint)
    if not (came and answered and came.get("status")):
        return CallParts(request_parts(call), [])
    whole = record.get("outcome") in ("ok", "http_error")
    reply = read_bounded(call, request, Response(came["status"], _headers(came), answered, whole))
    return CallParts(request_parts(call), reply_parts(call, reply))


def _headers(message: Mapping[str, Any]) -> Headers:
    return Headers(map(tuple, message.get("headers") or ()))
