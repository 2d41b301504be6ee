"""A recorded call as `rules explain` takes it: its facts, and the headers that the rules would write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from sessiontap import trust
from sessiontap.analysis.recorded_call import asked_request, read_asked
from sessiontap.backtest.recorded_facts import caller_of
from sessiontap.headers import OWN_KEYS, OutgoingCall, plan
from sessiontap.rules import Explanation, Facts, Rules, SessionFacts
from sessiontap.sessions import Link, Session
from sessiontap.trace import RecordedCall
from sessiontap.trust import Upstream


def facts_of(call: RecordedCall) -> Facts:
    """The facts that the rules may look at. Raises BodyError."""
    record, request = call.record, asked_request(call)
    read_call = read_asked(call, request)
    facts = Facts(
        host=request.host,
        caller=caller_of(call),
        client_ip=record.get("client"),
        proxy_user=record.get("proxy_user"),
        provider=read_call.endpoint.provider,
        request=request,
        call=read_call,
        time=record.get("time"),
        client_is_local=trust.is_local(record.get("client"), None, call.caller is not None),
        # The log does not say whether certificates were verified. What was withheld stands in its changes.
        exposed=trust.why_exposed(
            Upstream(request.scheme, request.host, request.port, request.host, verifies=True), request.host
        ),
    )
    # The log does not say why a process is not known: for other machines it never is.
    return replace(facts, is_remote=facts.client_ip is not None and not facts.client_is_local)


def session_of(call: RecordedCall) -> SessionFacts | None:
    """The session that it was given, if name and step of it are known."""
    session = call.record.get("session") or {}
    name, step = session.get("name"), session.get("step")
    return SessionFacts(session["id"], name, step) if name is not None and step is not None else None


class ExplainedHeader(NamedTuple):
    """A header, and what is done with it: `set`, `remove`, `keep`, `withhold`."""

    action: str
    header: str
    rule: str | None
    """The rule that wishes it, or the reason."""


def headers_of(
    explanation: Explanation, rules: Rules, facts: Facts, session: SessionFacts, call_id: str
) -> list[ExplainedHeader] | None:
    """Return the headers that the rules would write, remove or leave; None if the call goes to a gateway.

    Their values are not given: only the proxy knows the call's turn, its parent and its own environment.
    """
    decision = explanation.decision
    if decision.ignore or decision.gateway is not None or facts.request is None:
        return None
    call = OutgoingCall(
        facts.request.headers,
        facts.host or "",
        facts.provider,
        facts.request.target,
        id=call_id,
        dialects=rules.dialects,
    )
    at = Session(session.id, session.name, session.step, "process")
    edits = plan(decision, explanation.filled, at, Link(), call)
    return [ExplainedHeader(one.action, one.header, one.rule) for one in edits if one.header not in OWN_KEYS]


def header_lines(headers: list[ExplainedHeader]) -> list[str]:
    """Return them for a person: those that are written together, and each of the others with its reason."""
    words = {"remove": "removed", "keep": "the app's own stays", "withhold": "not written"}
    written = ", ".join(one.header for one in headers if one.action == "set")
    lines = [f"headers              {written}"] if written else []
    for one in headers:
        label, _, cut = (one.rule or "").partition("; ")
        if one.action != "set":
            lines.append(f"header {one.header}: {words[one.action]} ({cut or label})")
        elif cut:
            lines.append(f"header {one.header}: {cut}")
    return lines


def as_json(headers: list[ExplainedHeader] | None) -> list[dict[str, Any]] | None:
    return None if headers is None else [one._asdict() for one in headers]
