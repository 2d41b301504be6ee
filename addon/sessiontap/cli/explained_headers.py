"""The headers that rules would write into a recorded call."""

from __future__ import annotations

from typing import Any, NamedTuple

from sessiontap.headers import OWN_KEYS, OutgoingCall, plan
from sessiontap.rules import Explanation, Facts, Rules, SessionFacts
from sessiontap.sessions import Link, Session


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
    edits = plan(decision, explanation.labels, at, Link(), call)
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
