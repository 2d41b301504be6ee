"""A finished call for tests, described flat: `finished` and `exchange` are what the recorder has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from sessiontap.callers import Caller
from sessiontap.exchange import Headers
from sessiontap.gateways import Direct, Route
from sessiontap.header_edit import Edit
from sessiontap.llm.call import Call, Reply
from sessiontap.recording import record
from sessiontap.recording.decode import DecodedBody, DecodedExchange, DecodedMessage
from sessiontap.recording.finished import (
    BodyTransfer,
    CallCounted,
    FinishedCall,
    Outcome,
    ReceivedResponse,
    RecordedPlan,
    SentRequest,
)
from sessiontap.redaction import Redactor
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Link, Session


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """A request as it was forwarded."""

    method: str
    url: str
    http_version: str
    headers: Headers
    body: DecodedBody | None = None
    trailers: Headers | None = None


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A response as it came; `chunks` of a stream are (nanoseconds since the call's start, bytes)."""

    status: int
    http_version: str
    headers: Headers
    body: DecodedBody | None = None
    trailers: Headers | None = None
    chunks: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class CallSpec:
    """A call, and what was decided about it; without decision, settings, session and link it has no plan."""

    id: str
    time: int
    request: RequestSpec
    outcome: Outcome
    response: ResponseSpec | None = None
    duration: int = 0
    time_to_first_byte: int | None = None
    time_to_first_token: int | None = None
    host: str = "h.example"
    forwarded_host: str = "h.example"
    caller: Caller | None = None
    caller_unknown: str | None = None
    client: str | None = None
    proxy_user: str | None = None
    call: Call | None = None
    reply: Reply | None = None
    decision: Decision | None = None
    filled: FilledSettings | None = None
    session: Session | None = None
    link: Link | None = None
    link_state: Mapping[str, Any] = field(default_factory=dict)
    counted: CallCounted | None = None
    edits: Sequence[Edit] = ()
    gateway: Route | Direct | None = None
    flags: Sequence[str] = ()

    @property
    def plan(self) -> RecordedPlan | None:
        if not (self.decision or self.filled or self.session or self.link):
            return None
        decision = self.decision or Decision()
        return RecordedPlan(
            rules=decision.rules,
            capture=decision.capture,
            set_by=decision.set_by,
            filled=self.filled or FilledSettings(),
            session=self.session,
            link=self.link or Link(),
            edits=tuple(self.edits),
            route=self.gateway if isinstance(self.gateway, Route) else None,
            direct=self.gateway if isinstance(self.gateway, Direct) else None,
        )

    @property
    def finished(self) -> FinishedCall:
        """The call as it crosses the pipe."""
        assert self.outcome in get_args(Outcome)
        response = self.response
        return FinishedCall(
            id=self.id,
            time=self.time,
            duration=self.duration,
            outcome=self.outcome,
            method=self.request.method,
            url=self.request.url,
            host=self.host,
            target="/",
            sent=SentRequest(self.forwarded_host, self.request.http_version),
            received=ReceivedResponse(response.status, response.http_version) if response else None,
            request_body=BodyTransfer(),
            response_body=BodyTransfer(chunks=response.chunks if response else ()),
            time_to_first_byte=self.time_to_first_byte,
            flags=self.flags,
            caller=self.caller.id if self.caller else None,
            caller_unknown=self.caller_unknown,
            client=self.client,
            proxy_user=self.proxy_user,
            call=self.call,
            plan=self.plan,
        )

    @property
    def exchange(self) -> DecodedExchange:
        """Its messages, decoded and read."""
        request, response = self.request, self.response
        return DecodedExchange(
            request=DecodedMessage(request.headers, request.body, request.trailers),
            response=DecodedMessage(response.headers, response.body, response.trailers) if response else None,
            outcome=self.outcome,
            reply=self.reply,
            flags=tuple(self.flags),
            time_to_first_token=self.time_to_first_token,
        )


def call_record(spec: CallSpec, redactor: Redactor) -> dict[str, Any]:
    """Return its record, as the recorder makes it."""
    of_call = record.knowing(spec.finished, spec.exchange, spec.caller, redactor)
    return record.call_record(spec.finished, spec.exchange, of_call, spec.caller, spec.link_state, spec.counted)
