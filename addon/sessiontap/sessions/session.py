"""The session and the link that a call was given, and its default path. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sessiontap.llm.call import Agent
from sessiontap.rules.decision import IdSourceKind
from sessiontap.rules.set_keys import slug

Evidence = Literal["declared", "exact", "strong", "weak", "new"]
"""What a link rests on, the best first; `conversations` says what each means."""
Kind = Literal["new", "continue", "retry", "branch", "parallel", "compaction", "auxiliary", "subagent"]


@dataclass(frozen=True, slots=True)
class Session:
    """`step` counts the session's calls from 0; `renamed_to` is a later name that a verbatim id does not take."""

    id: str
    name: str
    step: int
    source: IdSourceKind
    renamed_to: str | None = None
    key: str | None = None
    """The id of the first session of the same evidence and name, if `idle` or `max_calls` has ended that one.
    A restart restores a session from `id`, `name`, `step`, `key` and the time of a call."""


@dataclass(frozen=True, slots=True)
class Link:
    """How a call is linked to earlier ones. `parent` is a call id, None if it is not certain."""

    conversation: str | None = None
    parent: str | None = None
    evidence: Evidence | None = None
    parent_trace: str | None = None
    """The parent call's trace id as its own server named it (TraceForge), else its call id."""
    kind: Kind | None = None
    """The call's part in its conversation; None if it belongs to none."""
    root: str | None = None
    """The conversation at the root of the tree of agents: a sub-agent's own `conversation` is another one."""
    lineage: tuple[str, ...] = ()
    """The sub-agents from the main one down to the one that calls; empty for the main one."""
    session: str | None = None
    """The session id of the agent that uses this one as a tool, if this one declares only a run (`Agent.of_run`)."""


def agent_path(agent: Agent | None, operation: str | None, lineage: tuple[str, ...] = ()) -> str:
    """Return a call's default path: `/main`, `/main/general-purpose/explore` or, for a program that is no known agent,
    its operation: `/chat`.

    `lineage` is `Link.lineage`; without it a known agent's own word for its sub-agent counts. An unknown program has a
    main agent only once one of its calls is known to be a sub-agent's.
    """
    if not lineage and agent is not None and agent.subagent:
        lineage = (agent.subagent,)
    if not lineage:
        no_model = agent is None or operation == "other"  # settings, events: no call of a model
        return "/" + (slug(operation or "other") or "other") if no_model else "/main"
    return "/" + "/".join(("main", *(slug(name) or "subagent" for name in lineage)))
