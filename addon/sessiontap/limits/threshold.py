"""A threshold: what is counted, over which scope, and how much of it is too much. An item of `alert:` makes several."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from sessiontap import units

Measure = Literal["calls", "tokens", "cost_usd", "duration", "error_rate", "repeats"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
WINDOWED: tuple[Measure, ...] = ("calls", "tokens", "cost_usd", "error_rate")
"""Measures that may be counted within a sliding window."""
Per = Literal["session", "user", "process", "branch", "day"]
PERS: tuple[Per, ...] = get_args(Per)
Kind = Literal["alert", "limit"]


class MeterKey(NamedTuple):
    """The key of a meter: thresholds of one rule and kind that count the same share it."""

    kind: Kind
    rule: str
    measure: Measure
    per: Per
    within: str
    """Seconds; empty without a window."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold of a rule. It counts the calls that the rule matches."""

    kind: Kind
    rule: str
    """The rule's label."""
    measure: Measure
    most: float
    """It is reached when the count is this much or more: dollars, seconds, a share of 1, or a number."""
    per: Per
    within: float | None = None
    """Seconds of a sliding window; None: since the scope began."""
    name: str | None = None
    """Its own name for people."""
    meter: MeterKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        within = "" if self.within is None else f"{self.within:g}"
        object.__setattr__(self, "meter", MeterKey(self.kind, self.rule, self.measure, self.per, within))

    @property
    def label(self) -> str:
        """The name that people are told."""
        return self.name or self.rule

    @property
    def text(self) -> str:
        """As it stands in a rule: `cost_usd: $1.00 per session within 10m00s`."""
        return f"{self.measure}: {amount(self.measure, self.most)} per {self.per}{self.window}"

    @property
    def window(self) -> str:
        """`` within 10m00s``; empty if it has none."""
        return "" if self.within is None else f" within {units.duration(self.within)}"


def amount(measure: Measure, value: float) -> str:
    """Return a count for people: `$1.02`, `1h00m`, `30%`, `1,234`."""
    match measure:
        case "cost_usd":
            return f"${value:,.2f}" if value >= 1 else units.dollars(value)
        case "duration":
            return units.duration(value)
        case "error_rate":
            return f"{value:.0%}"
    return units.count(round(value))


class Scope(NamedTuple):
    """Calls that are counted together."""

    key: str
    """The same for all calls of the scope, also after a restart."""
    text: str
    """For people."""


class CallScopes(NamedTuple):
    """The facts that tell the scopes of a call: its session, user, process tree, branch, day. Unknown is None."""

    at: int
    """When it began, Unix nanoseconds."""
    session: str | None = None
    session_name: str | None = None
    path: str | None = None
    user: str | None = None
    """As the rules set it."""
    process: str | None = None
    """The id of its process tree; of a client on another machine its address with its proxy user."""
    process_name: str | None = None
    lane: str = ""
    """Calls that follow each other, as repeats are looked for: its conversation, if it goes on from one."""

    def of(self, per: Per) -> Scope | None:
        """Return the call's scope; None if what tells it is not known."""
        match per:
            case "session" if self.session is not None:
                return Scope(self.session, f"session {self.session_name or '-'} ({self.session[:8]})")
            case "branch" if self.session is not None and self.path is not None:
                branch = branch_of(self.path)
                named = f"{branch} of session {self.session_name or '-'} ({self.session[:8]})"
                return Scope(f"{self.session} {branch}", named)
            case "user" if self.user is not None:
                return Scope(self.user, f"user {self.user}")
            case "process" if self.process is not None:
                return Scope(self.process, f"the processes of {self.process_name or self.process}")
            case "day":
                day = time.strftime("%Y-%m-%d", time.gmtime(self.at // 10**9))
                return Scope(day, f"day {day}")
        return None


def branch_of(path: str) -> str:
    """Return the branch of a session's path: its first two levels, `/course/lesson` of `/course/lesson/one`."""
    return "/".join(path.split("/", 3)[:3])
