"""Recognise the known agent that sent a request, with its own session, thread and sub-agent. (docs/agents.md)

An agent is a `KnownAgent` of a module that `MODULES` names. They are asked in order; the first of which one sign holds
is the one.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from sessiontap.exchange import Headers
from sessiontap.llm.agent_signs import LONGEST_ID, UNTYPED, AgentRequest, HeaderSign, KnownAgent, Sign, first_usable
from sessiontap.llm.call import Agent

MODULES = (
    "known_agents",
)  # fmt: skip
"""The modules that describe agents, each in `AGENTS`."""

AGENTS: tuple[KnownAgent, ...] = tuple(
    agent for module in MODULES for agent in import_module(f"sessiontap.llm.{module}").AGENTS
)
UNTYPED_WORDS: tuple[str, ...] = (UNTYPED, *(word for agent in AGENTS for word in agent.untyped_words))
"""Words that say no more than that it is a sub-agent."""

_BY_HEADER: dict[str, list[tuple[int, HeaderSign]]] = {}
"""Header name -> the signs that look at it, each with its agent's place in `AGENTS`."""
_BY_REQUEST: list[tuple[int, Sign]] = []
"""The signs that look at the body, or at several headers."""

for _place, _agent in enumerate(AGENTS):
    for _sign in _agent.signs:
        if isinstance(_sign, HeaderSign):
            _BY_HEADER.setdefault(_sign.name, []).append((_place, _sign))
        else:
            _BY_REQUEST.append((_place, _sign))


def _places(name: str, value: str) -> tuple[int, ...]:
    """Return the places of the agents of which a sign holds for a header. Clients send the same values again and again,
    and most signs look at one header; long values are not remembered."""
    return _known_places(name, value) if len(value) <= LONGEST_ID else _find_places(name, value)


def _find_places(name: str, value: str) -> tuple[int, ...]:
    return tuple(place for place, sign in _BY_HEADER[name] if sign.holds(value))


_known_places = lru_cache(maxsize=1024)(_find_places)


def agent_of(headers: Headers, body: Any = None) -> Agent | None:
    """Return the known agent that sent this, or None. `body` is the request's parsed JSON."""
    lowered = headers.first
    request = AgentRequest(lowered, body)
    # Of the signs, only those can hold whose header is there: a handful of some thirty.
    places = {place for name in lowered if name in _BY_HEADER for place in _places(name, lowered[name])}
    places.update(place for place, sign in _BY_REQUEST if sign(request))
    if not places:
        return None
    known = AGENTS[min(places)]
    return Agent(
        name=known.name,
        session=first_usable(request, known.session),
        thread=first_usable(request, known.thread),
        parent_thread=first_usable(request, known.parent_thread),
        subagent=first_usable(request, known.subagent),
        of_run=known.of_run is not None and known.of_run(request),
    )
