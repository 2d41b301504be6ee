"""A log as a proxy with given rules leaves it: exchanges in plain values, planned and written by its parts.

The clock is the exchanges' own, so a week of traffic takes no time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessiontap import trace
from sessiontap.backtest.redecide import Redecision
from sessiontap.backtest.report import BacktestReport, compare
from sessiontap.callers import Caller, Found, Process
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.header_edit import apply
from sessiontap.proxy.alerts import Alerts
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.connections import Connection, Destinations
from sessiontap.proxy.finish import Bodies, CapturedBody, Heads, finished_call
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.prepare import history_of, read
from sessiontap.recording.decode import decode_exchange, planner_update
from sessiontap.recording.finished import BodyTransfer, ReceivedResponse, SentRequest
from sessiontap.recording.record import call_record, caller_record, is_kept, knowing
from sessiontap.redaction import Redactor
from sessiontap.rules import AsWritten, Rules, load_text
from sessiontap.trust import Upstream

START = 1_763_701_200 * 10**9  # 2025-11-21T05:00:00Z
SECOND = 10**9
CHAT = "/v1/chat/completions"


def process(number: int, name: str, *, tree: int | None = None, ancestors: Sequence[str] = (), **more: Any) -> Caller:
    """A process; those with one `tree` share a process tree."""
    return Caller(
        id=f"0aa5b8a2-0000-5000-8000-{number:012x}",
        pid=4000 + number,
        started=START - 60 * SECOND,
        name=name,
        names=(name, "python3"),
        exe="/usr/bin/python3",
        argv=("python3", f"/srv/{name}"),
        cwd="/srv",
        user="ada",
        ancestors=tuple(Process(3000 + at, one, None) for at, one in enumerate(ancestors)),
        tree=Process(2000, "", None, id=f"0aa5b8a2-0000-5000-9000-{tree:012x}") if tree is not None else None,
        **more,
    )


AGENT, HELPER, BOT = process(1, "agent.py", tree=1), process(2, "helper.py", tree=1), process(3, "bot.py", tree=3)


@dataclass(frozen=True)
class Ask:
    """A request and its reply: an OpenAI chat completion unless it says otherwise."""

    at: float
    """Seconds from the start."""
    caller: Caller | None = AGENT
    messages: Sequence[Mapping[str, Any]] = ({"role": "user", "content": "Why?"},)
    said: str = "Because."
    calls: Sequence[tuple[str, str, Mapping[str, Any]]] = ()
    """Tool calls of the reply: id, name, arguments."""
    took: float = 0.5
    planned: float = 0.0
    """Seconds from its start until it is planned: a large request takes a while to be read."""
    model: str = "gpt-4o-mini"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    host: str = "api.openai.com"
    client: str | None = "127.0.0.1"
    proxy_user: str | None = None
    connection: str = "connection-1"
    raw: tuple[bytes, bytes] | None = None
    """Both bodies, if they are no chat completion's."""
    method: str = "POST"
    target: str = CHAT
    reply_headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)

    @property
    def asked(self) -> bytes:
        if self.raw is not None:
            return self.raw[0]
        return json.dumps({"model": self.model, "messages": list(self.messages), **self.body}).encode()

    @property
    def answered(self) -> bytes:
        if self.raw is not None:
            return self.raw[1]
        if self.status >= 400:
            return json.dumps({"error": {"type": "server_error", "message": "no"}}).encode()
        tools = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for id, name, given in self.calls
        ]
        message = {"role": "assistant", "content": self.said or None, **({"tool_calls": tools} if tools else {})}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}
        return json.dumps({"id": f"chatcmpl-{self.at}", "model": self.model, "choices": [choice]}).encode()


def call_id(at: float, number: int) -> str:
    """A UUIDv7 of that time."""
    millis = f"{int((START + at * SECOND) // 10**6):012x}"
    return f"{millis[:8]}-{millis[8:]}-7000-8000-{number:012x}"


def made_log(folder: Path, rules: str, asks: Iterable[Ask], *, servers: Iterable[Caller] = ()) -> trace.Trace:
    """Write the log of these exchanges under these rules. `servers`: processes that have a listening socket."""
    loaded, faults, redactor = load_text(rules), Faults(), Redactor(b"k" * 32)
    serving = {one.id for one in servers}
    planner = Planner(AsWritten(), faults, lambda caller: caller.id in serving)
    planner.conversations.key = b"k" * 32
    alerts = Alerts(Notices(), faults)
    destinations = Destinations(loaded)
    writer = trace.Writer(folder, writer_info={"pid": 1, "host": "test"}, fsync_seconds=None)
    writer.start()
    contexts: dict[int, CallContext] = {}
    for kind, number, ask in _events(asks):
        if kind == "planned":
            context = _context(ask, number, destinations)
            plan = alerts.begin(context, planner.plan(context, loaded))
            context.call, context.plan = plan.call, plan
            if plan.session is not None:
                contexts[number] = context
        elif number in contexts:
            _finish(ask, contexts.pop(number), planner, redactor, faults, writer)
    assert writer.close()
    assert not faults.counts
    return trace.open(folder)


def backtest(log: trace.Trace, rules: str | Rules, **more: Any) -> BacktestReport:
    """The report of these rules on a log."""
    loaded = load_text(rules) if isinstance(rules, str) else rules
    return compare(log.calls(newest_first=False, warm_ups=True), Redecision(loaded, AsWritten()), **more)


def _events(asks: Iterable[Ask]) -> list[tuple[str, int, Ask]]:
    found = []
    for number, ask in enumerate(asks):
        found.append((ask.at + ask.planned, 1, "planned", number, ask))
        found.append((ask.at + ask.took, 0, "ended", number, ask))
    return [(kind, number, ask) for _, _, kind, number, ask in sorted(found, key=lambda event: event[:4])]


def _context(ask: Ask, number: int, destinations: Destinations) -> CallContext:
    headers = Headers([("host", ask.host), ("content-type", "application/json"), *ask.headers.items()])
    path = ask.target.partition("?")[0]
    destination = destinations.find_call((ask.host,), 443, path)
    assert destination is not None
    wire = ask.asked
    request, call, _ = read(Request(ask.method, ask.host, ask.target, headers), destination, wire)
    unknown = "remote client" if ask.client not in (None, "127.0.0.1") else "gone"
    return CallContext(
        id=call_id(ask.at, number),
        time=round(START + ask.at * SECOND),
        started=0,
        connection=Connection(
            ask.connection,
            (ask.client, 0) if ask.client else None,
            Found(ask.caller, reason=None if ask.caller else unknown),
            proxy_user=ask.proxy_user,
        ),
        request=request,
        destination=destination,
        upstream=Upstream("https", ask.host, 443, ask.host, verifies=True),
        call=call,
        history=history_of(call),
    )


def _finish(
    ask: Ask, context: CallContext, planner: Planner, redactor: Redactor, faults: Faults, writer: trace.Writer
) -> None:
    assert context.plan is not None
    answered = Headers(ask.reply_headers)
    context.plan = planner.plan_reply(context.plan, answered, context.id)
    came = apply(context.plan.reply_edits, list(answered))
    sent = apply(context.plan.edits, list(context.request.headers))
    received = ReceivedResponse(ask.status, "HTTP/1.1", _fields(came))
    bodies = Bodies(*(CapturedBody([data], len(data), BodyTransfer(len(data))) for data in (ask.asked, ask.answered)))
    finished = finished_call(
        context,
        "ok" if ask.status < 400 else "http_error",
        round(ask.took * SECOND),
        Heads(SentRequest(ask.host, "HTTP/1.1", _fields(sent)), received),
        bodies,
    )
    exchange = decode_exchange(finished, bodies.request.data, bodies.response.data, faults)
    update, link_state = planner_update(finished, exchange, faults)
    planner.update(update)
    caller = context.connection.caller
    records = [caller_record(caller, redactor)] if caller is not None else []
    records.append(call_record(finished, exchange, knowing(finished, exchange, caller, redactor), caller, link_state))
    if is_kept(finished):
        assert writer.submit(lambda: records, 1000)


def _fields(headers: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
