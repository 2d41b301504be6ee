"""Gaps of the trace, as sentences on stderr: damage, lost records, killed proxies, calls that were not captured, and
clocks that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sessiontap.cli.output import line, print_notice
from sessiontap.trace import Trace, Unreadable
from sessiontap.units import day_and_clock, duration, plural

if TYPE_CHECKING:
    from sessiontap.trace.index.clocks import ClockGap

SHOWN = 3
"""Places of damage that are named."""


def tell(trace: Trace, since: int | None = None) -> None:
    """Print what is missing from the trace; notes count since `since` (Unix nanoseconds)."""
    notes = trace.notes(since)
    clocks = differing_clocks(trace.query_clock_gaps())
    of_notes = (*lost(notes), *killed(notes), *uncaptured(notes), *protected(notes))
    for text in (*of_notes, *damaged(trace.problems), *clocks):
        print_notice(line(text))


def lost(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Records that were dropped, in one sentence."""
    reasons: dict[str, int] = {}
    times = []
    for one in notes:
        if one.get("kind") == "dropped" and isinstance(one.get("dropped"), dict):
            times.append(one.get("time") or 0)
            for reason, number in one["dropped"].items():
                reasons[reason] = reasons.get(reason, 0) + number
        elif one.get("kind") == "vanished":
            times.append(one.get("time") or 0)
            reasons["vanished"] = reasons.get("vanished", 0) + (one.get("records") or 0)
    if not times:
        return []
    why = ", ".join(f"{_REASONS.get(reason, reason)}: {number:,}" for reason, number in reasons.items())
    when = f"since {day_and_clock(min(times))}" if len(times) > 1 else f"at {day_and_clock(times[0])}"
    total = sum(reasons.values())
    most = "up to " if "died" in reasons else ""  # what was being written is lost as well, and nobody counted it
    return [f"{most}{plural(total, 'record')} {'was' if total == 1 else 'were'} lost {when} ({why})"]


def killed(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ends of a proxy that had no time to write what was under way, in one sentence."""
    times = [one.get("time") or 0 for one in notes if one.get("kind") == "proxy_gone"]
    if not times:
        return []
    often = f"{len(times)} times, the last time " if len(times) > 1 else ""
    return [f"the proxy was killed or crashed {often}at {day_and_clock(max(times))}: calls under way are not recorded"]


def uncaptured(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Connections to LLM hosts that were not decrypted, a sentence for each program."""
    by_process: dict[str, list[Mapping[str, Any]]] = {}
    for one in notes:
        if one.get("kind") == "not_captured":
            who = str(one.get("process") or one.get("client") or "an unknown program")
            by_process.setdefault(who, []).append(one)
    return [
        f"{plural(len(some), 'connection')} of {process} to {_hosts(some)} passed unseen: {some[-1].get('text')}"
        for process, some in by_process.items()
    ]


def protected(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Calls that a rule was applied to because it may match, a sentence for each rule and what it did."""
    by_rule: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in notes:
        if one.get("kind") == "protected":
            by_rule.setdefault((str(one.get("rule") or ""), str(one.get("effect"))), []).append(one)
    return [
        f"{plural(len(some), 'connection' if effect == 'ignore' and not some[-1].get('call') else 'call')} to "
        f"{_hosts(some)} by {some[-1].get('text')}"
        for (_, effect), some in by_rule.items()
    ]


def differing_clocks(gaps: Iterable[ClockGap]) -> list[str]:
    """The machines whose clocks differ, in one sentence."""
    apart = [
        f"that of {one.behind or 'this machine'} is at least {duration(one.least / 1e9)} behind that of {one.ahead}"
        for one in gaps
    ]
    return [f"clocks differ: {', '.join(apart)}; the order of their calls is as these clocks say"] if apart else []


def _hosts(notes: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(one.get("host")) for one in notes}))


def damaged(problems: Iterable[Unreadable]) -> list[str]:
    """A sentence for each place that cannot be read."""
    found = list(problems)
    texts = [f"{one.path} at {one.offset}: {one.text}" for one in found[:SHOWN]]
    if len(found) > SHOWN:
        texts.append(f"{plural(len(found) - SHOWN, 'more place')} of the trace cannot be read")
    return texts


_REASONS = {
    "queue": "the queue was full",
    "disk": "the disk failed",
    "fault": "a fault of ours",
    "closed": "at the end",
    "died": "with the recorder that was killed or crashed",
}
