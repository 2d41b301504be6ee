"""`export --preview`: what would leave, as text."""

from __future__ import annotations

from collections.abc import Iterable

from sessiontap.export.exported_call import ExportedCall
from sessiontap.export.leaving import Leaving
from sessiontap.plain_text import line
from sessiontap.units import moment, plural, size

SHOWN = 12
"""Names of a kind that are listed, those of most calls first."""


def text(calls: Iterable[ExportedCall]) -> str:
    """What is in these calls: a line for each kind of name."""
    found = Leaving()
    for call in calls:
        found.add(call)
    lines = [f"{plural(found.calls, 'call')} of {plural(len(found.sessions), 'session')}"]
    if found.calls:
        lines[0] += f", {moment(found.first)} to {moment(found.last)}"
        lines.append(f"bodies: {size(found.request_bytes)} of requests, {size(found.response_bytes)} of responses")
        lines.append(f"redacted: {plural(found.redacted, 'value')}")
    for kind, names in found.names.items():
        listed = [f"{name} ({number:,})" for name, number in names.most_common(SHOWN)]
        more = len(names) - len(listed)
        lines.append(f"{kind}: {', '.join(listed)}" + (f" and {more} more" if more else ""))
    return "".join(line(one) + "\n" for one in lines)
