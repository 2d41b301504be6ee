"""The outcome of the rules for a call, as its record tells it and as it was decided again; and the difference of both.

Values that the log holds redacted, and keys of the proxy's own environment, are not compared: nobody knows them here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sessiontap.backtest.redecide import Redecided
from sessiontap.dialects import OWN_KEYS
from sessiontap.gateways import Route
from sessiontap.trace.outcomes import REFUSED, WARM_UP

Record = Mapping[str, Any]

REDACTED, NOT_CAPTURED, PROXY_ENV = "[redacted:", "[not captured]", "${proxy_env."
NOT_RECORDED = "not recorded"
_OWN_KEYS = frozenset(name.lower() for name in OWN_KEYS)
A_GATEWAY = "a gateway"
"""The gateway of a call that was to go through one and did not: its record does not name it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of the rules for a call. Of a call that is not recorded only `capture` is known."""

    capture: str = "full"
    """`full`, `metadata`, or `not recorded`."""
    session: str | None = None
    name: str | None = None
    path: str | None = None
    source: str | None = None
    user: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    state: Mapping[str, Any] | None = None
    gateway: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Header in lower case -> the value that is written, None if it is removed."""
    host: str | None = None
    """The host that gets them."""
    step: int | None = None
    parent: str | None = None
    conversation: str | None = None
    set_by: Mapping[str, str] = field(default_factory=dict)
    """Field -> label of the rule that set it; as recorded nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a call that would differ. A value is a text, or None if there is none."""

    field: str
    before: str | None
    after: str | None
    rule: str | None = None
    """The rule that sets it now."""


def recorded_outcome(record: Record) -> Outcome | None:
    """Return what was decided of a recorded call; None if nothing was, because planning failed."""
    session = record.get("session")
    if not session or "undecided" in (record.get("flags") or ()):
        return None
    body = (record.get("request") or {}).get("body") or {}
    changes = list(record.get("changes") or ())
    return Outcome(
        capture="metadata" if _is_metadata(record, body) else "full",
        session=session["id"],
        name=session.get("name"),
        path=session.get("path"),
        source=session.get("source"),
        user=record.get("user"),
        properties=record.get("properties") or {},
        tags=tuple(record.get("tags") or ()),
        state=record.get("state"),
        gateway=_recorded_gateway(record, changes),
        headers=_written((action, header, new) for action, header, _, new, *_ in changes),
        host=_sent_to(record, changes),
        step=session.get("step"),
        parent=record.get("parent"),
        conversation=record.get("conversation"),
    )


def redecided_outcome(found: Redecided) -> Outcome:
    """Return what was decided again of a call."""
    plan = found.plan
    if plan is None or plan.session is None or plan.decision.capture == "none":
        rule = plan.decision.set_by if plan is not None else {}
        label = rule.get("ignore") or rule.get("capture")
        return Outcome(NOT_RECORDED, set_by={"capture": label} if label else {})
    filled, session = plan.filled, plan.session
    flags = found.call.recorded.get("flags") or ()
    if REFUSED in flags:  # by a limit, and so by a limit again: nothing was sent
        plan = replace(plan, edits=(), reply_edits=(), gateway=None, decision=replace(plan.decision, gateway=None))
    return Outcome(
        capture=plan.decision.capture,
        session=session.id,
        name=session.name,
        path=filled.path,
        source=session.source,
        user=filled.user,
        properties=filled.properties,
        tags=filled.tags,
        state=filled.state,
        gateway=plan.decision.gateway,
        headers=_written((one.action, one.header, one.new) for one in (*plan.edits, *plan.reply_edits)),
        host=plan.gateway.host if isinstance(plan.gateway, Route) else found.call.recorded.get("host"),
        step=None if WARM_UP in flags else session.step,
        parent=plan.link.parent,
        conversation=plan.link.conversation,
        set_by={**plan.decision.set_by, **filled.set_by},
    )


def changes_of(before: Outcome, after: Outcome) -> Iterator[Change]:
    """Yield the fields of a call that would differ. Sessions are compared as sets of calls: see `sessions.py`."""
    if before.capture != after.capture:
        yield Change("capture", before.capture, after.capture, after.set_by.get("capture"))
    if after.capture == NOT_RECORDED:
        return
    for key in ("name", "path"):
        yield from _change(f"session.{key}", getattr(before, key), getattr(after, key), after)
    yield from _change("user", before.user, after.user, after)
    yield from _each("properties", before.properties, after.properties, after)
    yield from _change("tags", _listed(before.tags), _listed(after.tags), after)
    yield from _each("state", before.state or {}, after.state or {}, after)
    if before.gateway != after.gateway and not (before.gateway == A_GATEWAY and after.gateway is not None):
        yield Change("gateway", before.gateway, after.gateway, after.set_by.get("gateway"))
    yield from _header_changes(before, after)


def moves(before: Outcome, after: Outcome) -> Iterator[str]:
    """Yield `step` and `parent` if they would differ: they depend on other calls, too."""
    if after.capture != NOT_RECORDED:
        yield from (name for name in ("step", "parent") if getattr(before, name) != getattr(after, name))


def _header_changes(before: Outcome, after: Outcome) -> Iterator[Change]:
    """The headers that would or would not be written, and those of another value that a rule sets by name.

    Values of other headers are the session's, which is compared already.
    """
    if before.gateway != after.gateway:
        return  # another gateway needs others
    by_rule = {
        name.removeprefix("headers.set.").lower(): label
        for name, label in after.set_by.items()
        if name.startswith("headers.set.")
    }
    removed: list[str] = []
    added: list[str] = []
    for header in dict.fromkeys((*before.headers, *after.headers)):
        old, new = _header(before, header), _header(after, header)
        if header in _OWN_KEYS or old == new or _is_unknown(old) or _is_unknown(new):
            continue
        if new is None:
            removed.append(header)
        elif old is None:
            added.append(header)
        elif header in by_rule:
            yield Change(f"headers.{header}", old, new, by_rule[header])
    if removed or added:
        rule = after.set_by.get("send") or next((by_rule[header] for header in added if header in by_rule), None)
        yield Change("headers", _listed(removed), _listed(added), rule)


def _header(outcome: Outcome, header: str) -> str | None:
    if header not in outcome.headers:
        return None
    value = outcome.headers[header]
    return "(removed)" if value is None else value


def _each(section: str, before: Mapping[str, Any], after: Mapping[str, Any], outcome: Outcome) -> Iterator[Change]:
    for key in dict.fromkeys((*before, *after)):
        yield from _change(f"{section}.{key}", _text(before.get(key)), _text(after.get(key)), outcome)


def _change(name: str, before: str | None, after: str | None, outcome: Outcome) -> Iterator[Change]:
    if before != after and not _is_unknown(before) and not _is_unknown(after):
        yield Change(name, before, after, outcome.set_by.get(name))


def _is_unknown(value: str | None) -> bool:
    return value is not None and (REDACTED in value or value == NOT_CAPTURED or PROXY_ENV in value)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _listed(values: Iterable[str]) -> str | None:
    return ", ".join(values) or None


def _written(edits: Iterable[tuple[Any, Any, Any]]) -> dict[str, str | None]:
    return {
        header.lower(): new if action == "set" else None
        for action, header, new in edits
        if action in ("set", "remove") and isinstance(header, str)
    }


def _recorded_gateway(record: Record, changes: Iterable[Any]) -> str | None:
    named = (record.get("gateway") or {}).get("name")
    if named is not None:
        return str(named)
    return A_GATEWAY if any(one[0] in ("route", "direct") for one in changes) else None


def _sent_to(record: Record, changes: Iterable[Any]) -> str | None:
    return record.get("forwarded_host") if any(one[0] == "route" for one in changes) else record.get("host")


def _is_metadata(record: Record, body: Record) -> bool:
    """True if a record was cut down to metadata: header values are not there, or a body's size alone."""
    headers = (record.get("request") or {}).get("headers") or ()
    return any(value == NOT_CAPTURED for _, value in headers) or (
        bool(body) and body.get("enc") is None and "withheld" not in body
    )

