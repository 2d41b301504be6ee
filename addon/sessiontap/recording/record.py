"""A finished call as the map that is written: the keys of docs/trace-format.md, redacted, bodies as they are.

Everything here runs on the writer's thread. Keys that scanning needs stand first, `request` and `response` last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sessiontap.callers import Caller
from sessiontap.gateways import failure_of, gateway_facts
from sessiontap.llm.call import Asked, Call, Reply
from sessiontap.llm.content_encoding import HARMLESS, decode_chunks
from sessiontap.llm.response_facts import rate_limits, request_id
from sessiontap.recording.budget import COPIES
from sessiontap.recording.decode import DecodedBody, DecodedExchange, DecodedMessage
from sessiontap.recording.finished import CallCounted, FinishedCall, ReceivedResponse, RecordedPlan
from sessiontap.redaction import Redactor
from sessiontap.redaction.memory_in_use import Used, untold
from sessiontap.redaction.metadata import metadata_of
from sessiontap.rules.decision import FilledSettings
from sessiontap.sessions.session import Link
from sessiontap.trace import body
from sessiontap.trace.outcomes import WARM_UP
from sessiontap.trace.values import dollars, pack_chunks, tokens

Record = dict[str, Any]
_Kept = body.Plain | Record | None
"""The part of a body that a record keeps: all of it, or its size."""

MOST_DAMAGED = 1 << 20
"""Bytes of a damaged body of which it is tried how much of them can be read."""


def is_kept(call: FinishedCall) -> bool:
    """False if a rule says `capture: none`: such a call is counted, never written."""
    return call.capture != "none"


def knowing(call: FinishedCall, exchange: DecodedExchange, caller: Caller | None, redactor: Redactor) -> Redactor:
    """`redactor`, and it finds the call's own credentials in whatever is said of it."""
    return redactor.with_credentials(exchange.request.headers, call.url, caller.env if caller else {})


def call_record(
    call: FinishedCall,
    exchange: DecodedExchange,
    redactor: Redactor,
    caller: Caller | None = None,
    link_state: Mapping[str, Any] | None = None,
    counted: CallCounted | None = None,
    used: Used = untold,
) -> Record:
    """Return the `call` map, redacted, bodies as `body.Plain`.

    `redactor` knows the call's own credentials (`knowing`). With `capture: metadata` only what is metadata
    (redaction/metadata.py) is left, and of bodies their size. `link_state` is what the conversation is restored from
    after a restart, in plain values. `counted`: given if alerts and limits counted its cost. `used`: as for
    `Redactor.body`.
    """
    plan, reply, asked = call.plan, exchange.reply, call.call
    filled = plan.filled if plan else FilledSettings()
    link = plan.link if plan else Link()
    rules = [*(plan.rules if plan else ()), *filled.rules]
    is_full = call.capture == "full"
    bodies = [exchange.request.body, exchange.response.body if exchange.response else None]
    flags = list(dict.fromkeys(exchange.flags))
    if any(one is not None and one.undecodable for one in bodies) and "undecodable" not in flags:
        flags.append("undecodable")
    request_body, response_body = (_body(one, redactor, is_full, used) for one in bodies)
    record: Record = {
        "type": "call",
        "id": call.id,
        "time": call.time,
        "session": _session(plan, exchange.flags, redactor),
        "conversation": link.conversation,
        "parent": link.parent,
        "evidence": link.evidence,
        "link": dict(link_state or {}) or None,
        "caller": caller.id if caller else None,
        "caller_unknown": None if caller else _text(call.caller_unknown, redactor),
        "llm": _llm(asked, reply, exchange.response, redactor),
        "outcome": exchange.outcome,
        "flags": flags,
        "duration": call.duration,
        "time_to_first_byte": call.time_to_first_byte,
        "time_to_first_token": exchange.time_to_first_token,
        "client": call.client,
        "proxy_user": _text(call.proxy_user, redactor),
        "agent": asked.agent.name if asked and asked.agent else None,
        "subagent": _text(asked.subagent, redactor) if asked else None,
        "user": _text(filled.user, redactor),
        "properties": redactor.mapping(filled.properties),
        "tags": [redactor.text(tag) for tag in filled.tags],
        "state": redactor.value(filled.state),
        "rules": _texts(dict.fromkeys(rules), redactor),
        "host": _text(call.host, redactor),
        "forwarded_host": _text(call.sent.host, redactor),
        "route": _text(asked.endpoint.route, redactor) if asked else None,
        "changes": _changes(plan, call.host, redactor),
        "gateway": _gateway(plan, call.received, exchange.response, redactor),
        **({"counted": {"cost_usd": dollars(counted.cost_usd)}} if counted is not None else {}),
        "request": _request(call, exchange.request, redactor, request_body),
        "response": _response(call, exchange.response, redactor, response_body),
    }
    return record if is_full else metadata_of(record)


def priced_record(call: FinishedCall, exchange: DecodedExchange, redactor: Redactor) -> Record:
    """Return the keys of a call's record by which its cost is known."""
    return {
        "time": call.time,
        "llm": _llm(call.call, exchange.reply, None, redactor),
        "outcome": exchange.outcome,
        "host": call.host,
        "route": call.call.endpoint.route if call.call else None,
        "request": {"method": call.method},
        "response": {"status": call.received.status} if call.received else None,
    }


def caller_record(caller: Caller, redactor: Redactor) -> Record:
    """The `caller` map of a process."""
    return {
        "type": "caller",
        "id": caller.id,
        "pid": caller.pid,
        "started": caller.started,
        "name": _text(caller.name, redactor),
        "names": _texts(caller.names, redactor),
        "exe": _text(caller.exe, redactor),
        "argv": redactor.argv(caller.argv),
        "cwd": _text(caller.cwd, redactor),
        "user": caller.user,
        "uid": caller.uid,
        "ancestors": [
            {"pid": one.pid, "name": _text(one.name, redactor), "started": one.started} for one in caller.ancestors
        ],
        "tree": {"id": caller.tree.id, "pid": caller.tree.pid} if caller.tree and caller.tree.id else None,
        "container": caller.container,
        "env": redactor.mapping(caller.env),
    }


def _session(plan: RecordedPlan | None, flags: Sequence[str], redactor: Redactor) -> Record | None:
    session = plan.session if plan else None
    if plan is None or session is None:
        return None
    record: Record = {
        "id": redactor.text(session.id),
        "name": redactor.text(session.name),
        "path": redactor.text(plan.filled.path),
        "step": None if WARM_UP in flags else session.step,
        "source": session.source,
    }
    if session.renamed_to is not None:
        record["renamed_to"] = redactor.text(session.renamed_to)
    if session.key:
        record["key"] = redactor.value(session.key)  # for restoring the session
    if session.rank is not None:
        record["rank"] = session.rank
    return record


def _llm(call: Call | None, reply: Reply | None, response: DecodedMessage | None, redactor: Redactor) -> Record:
    endpoint, asked = (call.endpoint, call.asked) if call else (None, None)
    usage, error = (reply.usage, reply.error) if reply else (None, None)
    tools = reply.tool_calls if reply else ()
    record: Record = {
        "provider": endpoint.provider if endpoint else None,
        "family": endpoint.family if endpoint else None,
        "operation": endpoint.operation if endpoint else None,
        "request_model": _text((asked.model if asked else None) or (endpoint.model if endpoint else None), redactor),
        "response_model": _text(reply.response_model, redactor) if reply else None,
        "response_id": _text(reply.response_id, redactor) if reply else None,
        "stream": reply.stream if reply else None,
        "finish_reason": _text(reply.finish_reason, redactor) if reply else None,
        "tools_offered": _texts(asked.tools_offered if asked else (), redactor),
        "tool_calls": _texts((tool.name for tool in tools), redactor),
        "tool_results": [_text(name, redactor) for name in _results(asked)] if asked else [],
        "usage": {
            "input": tokens(usage.input),
            "output": tokens(usage.output),
            "cache_read": tokens(usage.cache_read),
            "cache_write": tokens(usage.cache_write),
            "reasoning": tokens(usage.reasoning),
        }
        if usage
        else None,
        "cost_reported": dollars(reply.cost_reported) if reply else None,
        "service_tier": _text(reply.service_tier, redactor) if reply else None,
        "error": {"type": _text(error.type, redactor), "message": _text(error.message, redactor)} if error else None,
    }
    if reply and reply.billed and (billed := reply.billed.stated()):
        # A flag is a number to Python, too, and stays.
        record["billed"] = {key: one for key, one in billed.items() if type(one) is not int or tokens(one) is not None}
    if response is not None and (asked_as := request_id(response.headers)):
        record["request_id"] = redactor.text(asked_as)
    if response is not None and (limits := rate_limits(response.headers)):
        record["rate_limits"] = {name: redactor.text(value) for name, value in limits.items()}
    if any(tool.id for tool in tools):
        record["tool_call_ids"] = [_text(tool.id, redactor) for tool in tools]
    if problems := [*(asked.problems if asked else ()), *(reply.problems if reply else ())]:
        record["problems"] = _texts(problems, redactor)
    return record


def _request(call: FinishedCall, request: DecodedMessage, redactor: Redactor, kept: _Kept) -> Record:
    return {
        "method": call.method,
        "url": redactor.url(call.url),
        "http_version": call.sent.http_version,
        "headers": redactor.headers(request.headers),
        "trailers": redactor.headers(request.trailers) if request.trailers is not None else None,
        "body": kept,
    }


def _response(
    call: FinishedCall, response: DecodedMessage | None, redactor: Redactor, kept: _Kept
) -> Record | None:
    if call.received is None or response is None:
        return None
    chunks, order = call.response_body.arrivals, call.response_body.order
    return {
        "status": call.received.status,
        "http_version": call.received.http_version,
        "headers": redactor.headers(response.headers),
        "trailers": redactor.headers(response.trailers) if response.trailers is not None else None,
        "chunks": pack_chunks(chunks) if chunks else None,
        **({"order": [number for run in order for number in run]} if order else {}),
        "body": kept,
    }


def _body(decoded: DecodedBody | None, redactor: Redactor, is_full: bool, used: Used) -> _Kept:
    if decoded is None:
        return None
    extra: Record = {}
    if decoded.undecodable:
        extra["undecodable"] = True
    if decoded.total is not None and decoded.total > len(decoded.data):
        extra["total"] = decoded.total
    if is_full and decoded.undecodable and _hides_credential(decoded, redactor, used):
        extra["withheld"] = "credential"
    elif is_full:
        return body.Plain(redactor.body(decoded.data, used), decoded.encoding, extra)
    return extra | body.measured(len(decoded.data), decoded.encoding)


def _hides_credential(damaged: DecodedBody, redactor: Redactor, used: Used) -> bool:
    """True if the part of a damaged body that can be decoded holds one; it is tried to the last bytes before the
    damage."""
    looked_at = damaged.data[:MOST_DAMAGED]
    pieces = (looked_at[at : at + 16] for at in range(0, len(looked_at), 16))
    decoded = decode_chunks(pieces, damaged.encoding, complete=False, limit=HARMLESS)
    if decoded.beyond:
        return True  # nobody looked at the rest of it
    legible = decoded.data
    used(COPIES * len(legible))
    return legible != looked_at and redactor.body(legible, used) != legible


def _changes(plan: RecordedPlan | None, host: str, redactor: Redactor) -> list[list[str | None]]:
    if plan is None:
        return []
    changes: list[list[str | None]] = [
        [
            edit.action,
            edit.header,
            redactor.header(edit.header, edit.old) if edit.old is not None else None,
            redactor.header(edit.header, edit.new) if edit.new is not None else None,
            edit.rule,
        ]
        for edit in plan.edits
    ]
    if (route := plan.route) is not None:
        rule = plan.set_by.get("gateway")
        path = redactor.url(route.target.partition("?")[0]) if route.target is not None else ""
        changes.append(["route", None, host, f"{route.scheme}://{route.host}:{route.port}{path}", rule])
    elif plan.direct is not None:
        changes.append(["direct", None, host, None, plan.direct.reason])
    return changes


def _gateway(
    plan: RecordedPlan | None, received: ReceivedResponse | None, response: DecodedMessage | None, redactor: Redactor
) -> Record | None:
    """Return the gateway that the call went through, with what it says of the call; None if it went through none."""
    if plan is None or (route := plan.route) is None:
        return None
    record: Record = {"kind": route.kind, "name": redactor.text(route.name)}
    if received is None or response is None:
        return record
    facts = gateway_facts(route.kind, response.headers)
    record |= {name: redactor.text(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    start = response.body.data if response.body is not None and not response.body.undecodable else b""
    if (failure := failure_of(route.kind, received.status, response.headers, start)) is not None:
        record["failure"] = failure.kind
        if failure.code is not None:
            record["failure_code"] = redactor.text(failure.code)
    return record


def _text(value: str | None, redactor: Redactor) -> str | None:
    return None if value is None else redactor.text(value)


def _results(asked: Asked) -> Iterable[str | None]:
    """The tools whose results are handed in, each once; None among them for what nobody names."""
    return dict.fromkeys(name for _, name in asked.results) if asked.results else asked.tool_results


def _texts(values: Iterable[str], redactor: Redactor) -> list[str]:
    return [redactor.text(value) for value in values]
