"""The session that a call was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sessiontap.rules.decision import Source

Evidence = Literal["declared", "exact", "strong", "weak", "new"]
Kind = Literal["new", "continue", "retry", "branch", "parallel", "compaction", "auxiliary", "subagent"]


@dataclass(frozen=True, slots=True)
class Session:
    """`step` counts the session's calls from 0; `renamed_to` is a later name that a verbatim id does not take."""

    id: str
    name: str
    step: int
    source: Source
    renamed_to: str | None = None
    key: str | None = None
    """The id of the first session of the same evidence and name, where `idle` or `max_calls` has ended that one.
    With `id`, `name`, `step` and the time of a call it is all that a restart needs."""


@dataclass(frozen=True, slots=True)
class Link:
    """How a call hangs on earlier ones. `parent` is a call id, None where it is not known for certain."""

    conversation: str | None = None
    parent: str | None = None
    evidence: Evidence | None = None
    parent_trace: str | None = None
    """The parent call's trace id as its own server named it (TraceForge), else its call id."""
    kind: Kind | None = None
    """What the call is to its conversation; None where it belongs to none."""
    root: str | None = None
    """The conversation that the whole tree of agents began with: a sub-agent's own `conversation` is another."""
    lineage: tuple[str, ...] = ()
    """The sub-agents from the main one down to the one that calls; empty for the main one."""
    session: str | None = None
    """The session id of the agent whose tool the calling one is, where its own is but a run's (`Agent.of_run`)."""
