"""Which tools the results of a request come from, where the request holds them without their calls.

Over a WebSocket, and wherever a request names the reply that it goes on from, results come alone: a call's id and what
came of it. The tool's name stood in the reply that issued the id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sessiontap.llm.call import Asked
from sessiontap.llm.pick import names
from sessiontap.sessions.ground import Ground
from sessiontap.sessions.known import Known, KnownCalls
from sessiontap.sessions.parents import is_counted


def named(known: KnownCalls, ground: Ground, asked: Asked) -> Asked:
    """The same with the tools' names, as far as replies that mean something here have told them."""
    if not asked.results:
        return asked
    before = [one for id in asked.previous for one in _under(known, ground, f"reply {id}")]
    results = tuple((id, name or (_name(known, ground, id, before) if id else None)) for id, name in asked.results)
    return replace(asked, results=results, tool_results=names(name for _, name in results))


def _name(known: KnownCalls, ground: Ground, id: str, before: list[Known]) -> str | None:
    """Of the tool call `id`, by the replies that the request names, else by whoever issued the id."""
    found = _names(before, id)
    if not found and not is_counted(id):
        found = _names(_under(known, ground, f"tool {id}"), id)
    return found.pop() if len(found) == 1 else None


def _names(calls: Iterable[Known], id: str) -> set[str]:
    return {name for one in calls for issued, name in one.tools if issued == id and name}


def _under(known: KnownCalls, ground: Ground, key: str) -> list[Known]:
    return [one for one in known.under(key) if one.ground.process == ground.process or ground.akin(one.ground)]
