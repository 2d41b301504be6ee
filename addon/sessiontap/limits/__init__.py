"""Alerts and limits: counting calls by scope, and telling when a count reaches its threshold.

    threshold.py    what is counted, over which scope (session, user, process tree, branch, day), how much is too much
    meters.py       the counts themselves, each of bounded size: sums, sliding windows, rates of errors, repeats, time
    tracker.py      all meters of a proxy: a call begins, a call has ended; which thresholds were reached
    shared.py       the same where several processes count together: what crosses to there

Everything is pure: times come from outside, in Unix nanoseconds, and nothing is waited for. The proxy calls it on its
loop, for calls alone whose rules have an alert or a limit. The rule that must hold: what is not known is not counted,
so it neither tells anybody of anything nor refuses a call.
"""

from sessiontap.limits.threshold import MEASURES, PERS, CallScopes, Measure, Per, Scope, Threshold
from sessiontap.limits.tracker import Counted, Crossing, EndedCall, Tracker

__all__ = [
    "MEASURES",
    "PERS",
    "CallScopes",
    "Counted",
    "Crossing",
    "EndedCall",
    "Measure",
    "Per",
    "Scope",
    "Threshold",
    "Tracker",
]
