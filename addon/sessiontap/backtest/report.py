"""Decide the calls of a log again and compare: the report of `sessiontap rules test`.

Memory is bounded by what differs, not by the calls: equal changes are counted together, and each knows one call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from sessiontap.backtest.outcome import Change, Outcome, changes_of, moves, recorded_outcome, redecided_outcome
from sessiontap.backtest.redecide import Redecided, Redecision
from sessiontap.backtest.sessions import SessionComparison
from sessiontap.backtest.tally import RuleTally, Tally
from sessiontap.backtest.uncertain import Uncertainty
from sessiontap.rules import AsWritten, Rules
from sessiontap.trace import RecordedCall, Trace
from sessiontap.trace.index.filters import Filters, given
from sessiontap.trace.outcomes import WARM_UP

MOST_CHANGED = 10_000
"""Changed calls that are told one by one; beyond that they are only counted."""
REMEMBERED = 86_400 * 10**9
"""Nanoseconds for which conversations are remembered."""

ComparedCall = Callable[[Redecided, Outcome, tuple[Change, ...] | None], None]
"""Called with each call that is compared, its outcome and what would be another; None if that is not known."""


@dataclass(slots=True)
class EqualCalls:
    """Calls that have something in common."""

    calls: int = 0
    example: str = ""
    """The first of them."""

    def add(self, call_id: str) -> None:
        self.example = self.example or call_id
        self.calls += 1


class UnknownFact(NamedTuple):
    """A fact that the log does not hold, and the rule that looks at it; None: the way the session's id is found."""

    what: str
    rule: str | None


class ChangedCall(NamedTuple):
    """A call, and what would be another."""

    id: str
    changes: tuple[Change, ...]


@dataclass(slots=True)
class BacktestReport:
    """The differences that these rules would make."""

    rules: Rules
    tally: Tally = field(init=False)
    sessions: SessionComparison = field(default_factory=SessionComparison)
    calls: int = 0
    unchanged: int = 0
    changed: int = 0
    uncertain: int = 0
    """Calls that might be changed: a fact is unknown that decides it. They are in none of the two."""
    undecided: int = 0
    """Calls of which nothing was decided when they were recorded."""
    failed: int = 0
    """Calls that could not be decided again, for a fault of ours."""
    changes: dict[Change, EqualCalls] = field(default_factory=dict)
    changed_calls: list[ChangedCall] = field(default_factory=list)
    moved: dict[str, EqualCalls] = field(default_factory=dict)
    """Calls that would have another `step` or `parent`."""
    unknown: dict[UnknownFact, EqualCalls] = field(default_factory=dict)
    taken_for_no_server: int = 0
    """Calls for whose session it matters if their process is a server, and the log does not tell."""
    env_seen: set[str] = field(default_factory=set)
    """Variables that some process of the log has."""

    def __post_init__(self) -> None:
        self.tally = Tally(self.rules)

    @property
    def is_unchanged(self) -> bool:
        """True if nothing would be another."""
        return not (self.changed or self.uncertain or self.failed) and not any(True for _ in self.sessions.changes())

    @property
    def env_unseen(self) -> list[str]:
        """Variables that the rules name and that no process of the log has: perhaps nobody asked for them then."""
        return sorted(self.rules.env_names - self.env_seen)

    def add(self, found: Redecided, uncertainty: Uncertainty) -> tuple[Outcome, tuple[Change, ...] | None] | None:
        """Take in a call. Return its outcome and what would be another, as `ComparedCall` is told; None if nothing was
        decided of it when it was recorded."""
        call_id = found.call.id
        self.calls += 1
        self.env_seen.update(((found.call.caller or {}).get("env") or {}).keys() & self.rules.env_names)
        uncertain = list(uncertainty.of_call(found))
        self.tally.add(found, uncertain)
        before, after = recorded_outcome(found.call.record), redecided_outcome(found)
        if before is None or found.failed:
            self.undecided += before is None
            self.failed += found.failed
            return None
        unknown = [UnknownFact(key, rule.label) for rule, key in uncertain]
        unknown += [UnknownFact("body", rule) for rule in _unfilled(found, self.rules)]
        self.taken_for_no_server += "server" in found.unrecorded
        if "connection" in found.unrecorded and after.source == "connection":
            unknown.append(UnknownFact("connection", None))
        for one in dict.fromkeys(unknown):
            self.unknown.setdefault(one, EqualCalls()).add(call_id)
        changes = tuple(changes_of(before, after))
        if unknown and (changes or before.session != after.session):
            self.uncertain += 1
            return after, None
        self.sessions.add(call_id, before, after)
        for place in moves(before, after):
            self.moved.setdefault(place, EqualCalls()).add(call_id)
        if not changes:
            self.unchanged += 1
            return after, ()
        self.changed += 1
        if len(self.changed_calls) < MOST_CHANGED:
            self.changed_calls.append(ChangedCall(call_id, changes))
        for change in changes:
            self.changes.setdefault(change, EqualCalls()).add(call_id)
        return after, changes

    def as_json(self) -> dict[str, Any]:
        """Return all of it in plain values."""
        return {
            "file": self.rules.filename,
            "unchanged": self.is_unchanged,
            "calls": {
                "total": self.calls,
                "unchanged": self.unchanged,
                "changed": self.changed,
                "uncertain": self.uncertain,
                "undecided": self.undecided,
                "failed": self.failed,
            },
            "rules": [_tally_json(tally) for tally in self.tally.rules],
            "sessions": {
                "before": self.sessions.before,
                "after": self.sessions.after,
                "unchanged": self.sessions.unchanged,
                "changes": [asdict(change) for change in self.sessions.changes()],
            },
            "changes": [{**asdict(change), **asdict(group)} for change, group in self.changes.items()],
            "moved": [{"place": one, **asdict(group)} for one, group in self.moved.items()],
            "changed_calls": [
                {"id": one.id, "changes": [asdict(change) for change in one.changes]} for one in self.changed_calls
            ],
            "unknown": [{**one._asdict(), **asdict(group)} for one, group in self.unknown.items()],
            "assumed": {"no_server_calls": self.taken_for_no_server, "env_unseen": self.env_unseen},
        }


def compare(
    calls: Iterable[RecordedCall],
    redecision: Redecision,
    wanted: Collection[str] | None = None,
    listeners: Iterable[ComparedCall] = (),
) -> BacktestReport:
    """Decide all `calls` again, which come by their start, and return what would be another of those `wanted`.

    `wanted`: ids; None: all.
    """
    report = BacktestReport(redecision.rules)
    uncertainty, listeners = Uncertainty(redecision.rules.rules), tuple(listeners)
    for found in redecision.decide(calls):
        is_warm_up = WARM_UP in (found.call.recorded.get("flags") or ())  # it counts as no call
        if is_warm_up or (wanted is not None and found.call.id not in wanted):
            continue
        compared = report.add(found, uncertainty)
        if compared is not None:
            for tell in listeners:
                tell(found, *compared)
    return report


def compare_log(log: Trace, rules: Rules, filters: Filters, listeners: Iterable[ComparedCall] = ()) -> BacktestReport:
    """Return the same for the calls of a log that fit the filters. Those of a day before them are decided, too, since
    they may go on from these. The rules' `${proxy_env.NAME}` stand as they are written. Raises TraceError."""
    wanted: set[str] | None = None
    since: int | None = None
    if given(filters):
        places = log.query_places(filters)
        wanted = {place.id for place in places}
        first = next((call.record["time"] for call in log.calls_at(places[:1])), None)
        since = first - REMEMBERED if first is not None else None
    calls = log.calls(newest_first=False, warm_ups=True, since=since)
    return compare(calls, Redecision(rules, AsWritten()), wanted, listeners)


def _unfilled(found: Redecided, rules: Rules) -> Iterator[str]:
    """The rules that matched a call without a body and had no value for a setting: perhaps the body had."""
    if "body" in found.unrecorded:
        missing = {(one.rule, one.step) for one in found.trail if one.outcome == "missing"}
        yield from (rule.label for rule in rules.rules if (rule.number, rule.step) in missing)


def _tally_json(tally: RuleTally) -> dict[str, Any]:
    never = tally.never_because
    return {
        "rule": tally.rule.label,
        "line": tally.rule.line,
        "matched": tally.matched,
        "set": tally.set,
        "shadowed": tally.shadowed,
        "not_reached": tally.not_reached,
        "uncertain": tally.uncertain,
        "uncertain_key": tally.uncertain_key,
        "never_because": {"key": never[0], "calls": never[1]} if never is not None else None,
        "nearest": {"key": tally.nearest[1], "was": tally.nearest[2]} if tally.nearest and not tally.matched else None,
    }
