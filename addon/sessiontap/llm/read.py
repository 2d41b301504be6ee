"""Reading a call and its reply: picks the family's module and does what all families share. Raises nothing."""

from __future__ import annotations

from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.agents import agent_of
from sessiontap.llm.call import Asked, Billed, Call, Endpoint, Reply
from sessiontap.llm.families import family_of, socket_of
from sessiontap.llm.pick import parse
from sessiontap.llm.socket_frames import turn_request
from sessiontap.llm.streaming import STREAMS, body_kind, reply_kind
from sessiontap.value_classes import replaced

_ENOUGH = 16
"""Bytes that tell the kind of a body without a content type."""


def read_request(request: Request, endpoint: Endpoint) -> Call:
    """A request, understood. Its body is decoded, or None if it is not at hand: then only headers and path speak."""
    body, problems, partial = _json(request, endpoint)
    asked, agent, misread = Asked(), None, False
    try:
        agent = agent_of(request.headers, body)
        asked = family_of(endpoint.family).asked(request, body)
    except Exception as fault:
        problems, misread = (*problems, _fault(endpoint, "request", fault)), True
    if endpoint.model and not asked.model:
        asked = replaced(asked, model=endpoint.model)
    if problems:
        asked = replaced(asked, problems=problems + asked.problems)
    return Call(
        endpoint=endpoint,
        asked=asked,
        agent=agent,
        retry=_retry(request.headers.get("x-stainless-retry-count")),
        json=body,
        partial=partial,
        misread=misread,
    )


def read_reply(call: Call, request: Request, response: Response) -> Reply:
    """A response, understood, whole or as far as it came. Its body is decoded.

    Offsets in the reply are offsets in `response.body`.
    """
    stream: bool | None = None
    try:
        stream = _is_stream(call, response)
        if response.status >= 400:
            return Reply(stream=stream, error=family_of(call.endpoint.family).error(response))
        reply = family_of(call.endpoint.family).reply(call, response)
    except Exception as fault:
        return Reply(stream=stream, problems=(_fault(call.endpoint, "response", fault),))
    by_login = family_of(call.endpoint.family).is_subscription
    if reply.usage and by_login is not None and by_login(request.headers):
        reply = replaced(reply, billed=replaced(reply.billed or Billed(), subscription=True))
    return replaced(reply, stream=stream) if reply.stream is None else reply


def _is_stream(call: Call, response: Response) -> bool | None:
    """SSE, JSON lines or event-stream frames; None if too little came to tell (JSON may be the first of many lines).

    Nor can a JSON array be told from a whole reply if the family's streams may come as one.
    """
    content_type, body = response.headers.get("content-type"), response.body
    if not response.complete and len(body) < (1 if content_type else _ENOUGH):
        return None
    kind = reply_kind(response)
    if kind == "json" and family_of(call.endpoint.family).array_streams and body.lstrip().startswith(b"["):
        return None
    if kind == "json" and not content_type and not response.complete:
        return None
    return kind in STREAMS


def _json(request: Request, endpoint: Endpoint) -> tuple[Any, tuple[str, ...], bool]:
    """Return the request's JSON, the problems with it, and whether it may lack something.

    A body of another declared type (a file, a form) is no JSON and no problem. A WebSocket's turn is what
    `turn_request` makes of its frames.
    """
    body = request.body
    if not body:
        return None, (), False
    kind = body_kind(request.headers.get("content-type"), body)
    if (as_json := family_of(endpoint.family).request_json) is not None:
        value, problem = as_json(request)
        return value, (problem,) if problem else (), problem is not None
    if request.method == "GET" and (grammar := socket_of(endpoint.family)) is not None:
        value, problem = turn_request(body, grammar)
        return value, (problem,) if problem else (), problem is not None
    if kind not in ("json", "text"):
        return None, (), False
    value, problem = parse(body)
    return value, (f"the request body is {problem}",) if problem and kind == "json" else (), False


def _retry(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 6 else None


def _fault(endpoint: Endpoint, what: str, fault: Exception) -> str:
    return f"the {what} could not be read as {endpoint.family}: {type(fault).__name__}: {fault}"
