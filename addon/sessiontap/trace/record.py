"""A finished call as the map that is written: the keys of docs/trace-format.md, redacted, bodies as they are.

Everything here runs on the writer's thread. Keys that scanning needs stand first, `request` and `response` last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessiontap.callers import Caller
from sessiontap.exchange import Headers
from sessiontap.gateways.route import Direct, Route
from sessiontap.headers.edit import Edit
from sessiontap.llm.call import Asked, Call, Reply
from sessiontap.llm.decode import HARMLESS, decode_chunks
from sessiontap.llm.limits import rate_limits, request_id
from sessiontap.redaction import Redactor
from sessiontap.redaction.metadata import metadata_of
from sessiontap.rules.decision import Decision, Labels
from sessiontap.sessions.session import Link, Session
from sessiontap.trace import body
from sessiontap.trace.note import note_record as note_record
from sessiontap.trace.views import WARM_UP as WARM_UP
from sessiontap.trace.views import dollars, tokens

Record = dict[str, Any]

MAX_CHUNKS = 1024
"""A stream of more chunks has neighbours put together until it fits."""


MOST_DAMAGED = 1 << 20
"""Bytes of a damaged body of which it is tried how much of them can be read."""


@dataclass(frozen=True, slots=True)
class SeenBody:
    """A body as it went by: decoded, or as on the wire where it could not be (`undecodable`)."""

    data: bytes
    encoding: str | None = None
    """Content-Encoding on the wire."""
    undecodable: bool = False
    total: int | None = None
    """Bytes that went by, where `data` holds fewer: it was cut."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it was forwarded."""

    method: str
    url: str
    http_version: str
    headers: Headers
    body: SeenBody | None = None
    trailers: Headers | None = None


@dataclass(frozen=True, slots=True)
class SeenResponse:
    """A response as it came, as far as it came."""

    status: int
    http_version: str
    headers: Headers
    body: SeenBody | None = None
    trailers: Headers | None = None
    chunks: Sequence[tuple[int, int]] = ()
    """Of a stream: nanoseconds since the call's start, bytes on the wire."""


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One call, when it is over. Times are Unix nanoseconds, durations nanoseconds; unknown is None."""

    id: str
    """UUIDv7."""
    time: int
    request: SeenRequest
    outcome: str
    """ok, http_error, stream_error, client_gone, upstream_gone, upstream_unreachable, websocket_closed."""
    response: SeenResponse | None = None
    duration: int | None = None
    time_to_first_byte: int | None = None
    time_to_first_token: int | None = None
    host: str | None = None
    """As the app asked for it."""
    forwarded_host: str | None = None
    """As it was sent."""
    caller: Caller | None = None
    client: str | None = None
    proxy_user: str | None = None
    call: Call | None = None
    reply: Reply | None = None
    decision: Decision | None = None
    labels: Labels | None = None
    session: Session | None = None
    session_extra: Mapping[str, Any] = field(default_factory=dict)
    """What restoring the session needs beside its own fields: plain values such as `key`, `started`."""
    link: Link | None = None
    link_extra: Mapping[str, Any] = field(default_factory=dict)
    """What restoring the conversation needs: plain values (`sessions.conversations.heads`)."""
    edits: Sequence[Edit] = ()
    gateway: Route | Direct | None = None
    """Where a gateway was wished: the route taken, or why the call went directly."""
    flags: Sequence[str] = ()


def is_kept(seen: CallSeen) -> bool:
    """False where a rule says `capture: none`: such a call is counted, never written."""
    return seen.decision is None or seen.decision.capture != "none"


def knowing(seen: CallSeen, redactor: Redactor) -> Redactor:
    """`redactor`, and it finds the call's own credentials in whatever is said of it."""
    env = seen.caller.env if seen.caller else {}
    return redactor.knowing(seen.request.headers, seen.request.url, env)


def call_record(seen: CallSeen, redactor: Redactor) -> Record:
    """The `call` map of `seen`, redacted, bodies as `body.Plain`. With `capture: metadata` only what is metadata
    (redaction/metadata.py) is left, and of bodies their size."""
    labels = seen.labels or Labels()
    rules = [*(seen.decision.rules if seen.decision else ()), *labels.rules]
    whole = seen.decision is None or seen.decision.capture == "full"
    redactor = knowing(seen, redactor)
    bodies = [seen.request.body, seen.response.body if seen.response else None]
    flags = list(dict.fromkeys(seen.flags))
    if any(one is not None and one.undecodable for one in bodies) and "undecodable" not in flags:
        flags.append("undecodable")
    call, link = seen.call, seen.link or Link()
    record: Record = {
        "type": "call",
        "id": seen.id,
        "time": seen.time,
        "session": _session(seen, redactor),
        "conversation": link.conversation,
        "parent": link.parent,
        "evidence": link.evidence,
        "link": dict(seen.link_extra) or None,
        "caller": seen.caller.id if seen.caller else None,
        "llm": _llm(call, seen.reply, seen.response, redactor),
        "outcome": seen.outcome,
        "flags": flags,
        "duration": seen.duration,
        "time_to_first_byte": seen.time_to_first_byte,
        "time_to_first_token": seen.time_to_first_token,
        "client": seen.client,
        "proxy_user": _text(seen.proxy_user, redactor),
        "agent": call.agent.name if call and call.agent else None,
        "subagent": _text(call.subagent, redactor) if call else None,
        "user": _text(labels.user, redactor),
        "properties": redactor.mapping(labels.properties),
        "tags": [redactor.text(tag) for tag in labels.tags],
        "state": redactor.value(labels.state),
        "rules": _texts(dict.fromkeys(rules), redactor),
        "host": _text(seen.host, redactor),
        "forwarded_host": _text(seen.forwarded_host, redactor),
        "route": _text(call.endpoint.route, redactor) if call else None,
        "changes": _changes(seen, redactor),
        "request": _request(seen.request, redactor, whole),
        "response": _response(seen.response, redactor, whole) if seen.response else None,
    }
    return record if whole else metadata_of(record)


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
        "container": caller.container,
        "env": redactor.mapping(caller.env),
    }


def pack_chunks(chunks: Sequence[tuple[int, int]]) -> list[int]:
    """[delay, size, delay, size, ...]: microseconds since the chunk before or the call's start, and bytes."""
    pairs = list(chunks)
    while len(pairs) > MAX_CHUNKS:
        pairs = [
            (pair[0][0], sum(size for _, size in pair)) for pair in (pairs[i : i + 2] for i in range(0, len(pairs), 2))
        ]
    packed: list[int] = []
    before = 0
    for arrived, size in pairs:
        micros = max(before, arrived // 1000)
        packed += (micros - before, size)
        before = micros
    return packed


def unpack_chunks(packed: Sequence[int]) -> list[tuple[int, int]]:
    """`pack_chunks` backwards: (nanoseconds since the call's start, bytes)."""
    chunks = []
    now = 0
    for delay, size in zip(packed[::2], packed[1::2], strict=False):
        now += delay
        chunks.append((now * 1000, size))
    return chunks


def _session(seen: CallSeen, redactor: Redactor) -> Record | None:
    session = seen.session
    if session is None:
        return None
    record: Record = {
        "id": redactor.text(session.id),
        "name": redactor.text(session.name),
        "path": redactor.text(seen.labels.path) if seen.labels else "/",
        "step": None if WARM_UP in seen.flags else session.step,
        "source": session.source,
    }
    if session.renamed_to is not None:
        record["renamed_to"] = redactor.text(session.renamed_to)
    return record | {key: redactor.value(value) for key, value in seen.session_extra.items() if key not in record}


def _llm(call: Call | None, reply: Reply | None, response: SeenResponse | None, redactor: Redactor) -> Record:
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


def _request(request: SeenRequest, redactor: Redactor, whole: bool) -> Record:
    return {
        "method": request.method,
        "url": redactor.url(request.url),
        "http_version": request.http_version,
        "headers": redactor.headers(request.headers),
        "trailers": redactor.headers(request.trailers) if request.trailers is not None else None,
        "body": _body(request.body, redactor, whole),
    }


def _response(response: SeenResponse, redactor: Redactor, whole: bool) -> Record:
    return {
        "status": response.status,
        "http_version": response.http_version,
        "headers": redactor.headers(response.headers),
        "trailers": redactor.headers(response.trailers) if response.trailers is not None else None,
        "chunks": pack_chunks(response.chunks) if response.chunks else None,
        "body": _body(response.body, redactor, whole),
    }


def _body(seen: SeenBody | None, redactor: Redactor, whole: bool) -> body.Plain | Record | None:
    if seen is None:
        return None
    extra: Record = {}
    if seen.undecodable:
        extra["undecodable"] = True
    if seen.total is not None and seen.total > len(seen.data):
        extra["total"] = seen.total
    if whole and seen.undecodable and _hides_credential(seen, redactor):
        extra["withheld"] = "credential"
    elif whole:
        return body.Plain(redactor.body(seen.data), seen.encoding, extra)
    return extra | body.measured(len(seen.data), seen.encoding)


def _hides_credential(seen: SeenBody, redactor: Redactor) -> bool:
    """What of a damaged body can be decoded holds one; it is tried to the last bytes before the damage."""
    looked_at = seen.data[:MOST_DAMAGED]
    pieces = (looked_at[at : at + 16] for at in range(0, len(looked_at), 16))
    decoded = decode_chunks(pieces, seen.encoding, complete=False, limit=HARMLESS)
    if decoded.beyond:
        return True  # nobody looked at the rest of it
    legible = decoded.data
    return legible != looked_at and redactor.body(legible) != legible


def _changes(seen: CallSeen, redactor: Redactor) -> list[list[str | None]]:
    changes: list[list[str | None]] = [
        [
            edit.action,
            edit.header,
            redactor.header(edit.header, edit.old) if edit.old is not None else None,
            redactor.header(edit.header, edit.new) if edit.new is not None else None,
            edit.rule,
        ]
        for edit in seen.edits
    ]
    rule = seen.decision.set_by.get("gateway") if seen.decision else None
    if isinstance(seen.gateway, Route):
        route = seen.gateway
        changes.append(["route", None, seen.host, f"{route.scheme}://{route.host}:{route.port}", rule])
    elif isinstance(seen.gateway, Direct):
        changes.append(["direct", None, seen.host, None, seen.gateway.reason])
    return changes


def _text(value: str | None, redactor: Redactor) -> str | None:
    return None if value is None else redactor.text(value)


def _results(asked: Asked) -> Iterable[str | None]:
    """The tools whose results are handed in, each once; None among them for what nobody names."""
    return dict.fromkeys(name for _, name in asked.results) if asked.results else asked.tool_results


def _texts(values: Iterable[str], redactor: Redactor) -> list[str]:
    return [redactor.text(value) for value in values]
