"""The default path of a call, by the agents above it: `/main`, `/main/general-purpose/explore`, else `/chat`."""

from __future__ import annotations

from sessiontap.llm.call import Agent
from sessiontap.rules.path import slug


def agent_path(agent: Agent | None, operation: str | None, lineage: tuple[str, ...] = ()) -> str:
    """`lineage` is `Link.lineage`; without it a known agent's own word for its sub-agent counts.

    A program that is no known agent has a main agent only once one of its calls is known to be a sub-agent's.
    """
    if not lineage and agent is not None and agent.subagent:
        lineage = (agent.subagent,)
    if not lineage:
        errand = agent is None or operation == "other"  # settings, events: no call of a model
        return "/" + (slug(operation or "other") or "other") if errand else "/main"
    return "/" + "/".join(("main", *(slug(name) or "subagent" for name in lineage)))
