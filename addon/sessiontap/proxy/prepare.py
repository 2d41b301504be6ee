"""Read a request: decode its body, find what it asks for, and the conversation in it. Plain values, no hook."""

from __future__ import annotations

from dataclasses import replace

from sessiontap.exchange import Request
from sessiontap.llm.call import Asked, Call
from sessiontap.llm.content_encoding import decode
from sessiontap.llm.history import History, history
from sessiontap.llm.large_bodies import is_too_long, readable
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.proxy.connections import Destination
from sessiontap.proxy.context import CallContext, Plan

LIGHT, HEAVY = 1 << 16, 1 << 20
"""Bytes of a request that is always, and of one that is never, read on the loop."""
MANY_PARTS = 5_000
"""Objects in the JSON of one in between."""
TOO_LARGE = "the request is too large to be read in full"
TOO_LONG = "the request's conversation is too long to be followed"


def read(request: Request, destination: Destination, wire: bytes | None) -> tuple[Request, Call, str | None]:
    """The request with its body decoded, what it asks for, and what was wrong with its encoding.

    Of a body that is too large, or whose encoding stands for too much, only a part is read: see `Call.partial`.
    """
    problem, is_beyond = None, False
    if wire is not None:
        decoded = decode(wire, request.headers.get("content-encoding"))
        is_beyond, problem = decoded.beyond, decoded.problem
        body = None if is_beyond else decoded.data
        request = Request(
            request.method, request.host, request.target, request.headers, body, request.scheme, request.port
        )
    host, provider = destination.host, destination.provider
    endpoint = endpoint_of(request.method, host, request.path, provider, operation=destination.operation)
    part = readable(request)
    call = read_request(part or request, endpoint)
    if part is not None or is_beyond:
        call = replace(call, partial=True, asked=_with_problem(call, TOO_LARGE))
    elif is_too_long(call):
        call = replace(call, asked=_with_problem(call, TOO_LONG))
    return request, call, problem


def history_of(call: Call) -> History:
    """The conversation so far; an empty one if it is too long to be followed."""
    return History() if call.partial or is_too_long(call) else history(call)


def _with_problem(call: Call, problem: str) -> Asked:
    return replace(call.asked, problems=(problem, *call.asked.problems))


def is_heavy(wire: bytes, encoding: str | None) -> bool:
    """Reading the request takes the loop more than a few milliseconds: it is large, encoded, or has many parts."""
    size = len(wire)
    return size > HEAVY or (size > LIGHT and (encoding is not None or wire.count(b"{") > MANY_PARTS))


def slimmed(context: CallContext, plan: Plan) -> Plan:
    """Free what only planning needed of a large request: the call may take minutes. The plan without it."""
    if context.request.body is None or len(context.request.body) <= LIGHT:
        return plan
    context.request = replace(context.request, body=None)
    context.call = replace(plan.call, json=None)
    context.history = context.history.tail() if context.history is not None else None
    return replace(plan, call=context.call, history=plan.history.tail() if plan.history is not None else None)
