"""Which tools the results of a request come from, where the request holds them without their calls.

Over a WebSocket, and wherever a request names the reply that it goes on from, results come alone: a call's id and what
came of it. The tool's name stood in the reply that issued the id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sessiontap.llm.call import Asked
from sessiontap.llm.pick import names
from sessiontap.sessions.known import Known, KnownCalls
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.parents import is_counted


def named(known: KnownCalls, scope: MatchScope, asked: Asked) -> Asked:
    """The same with the tools' names, as far as replies that mean something here have told them."""
    if not asked.results:
        return asked
    before = [one for id in asked.previous for one in _under(known, scope, f"reply {id}")]
    results = tuple((id, name or (_name(known, scope, id, before) if id else None)) for id, name in asked.results)
    return replace(asked, results=results, tool_results=names(name for _, name in results))


def _name(known: KnownCalls, scope: MatchScope, id: str, before: list[Known]) -> str | None:
    """Of the tool call `id`, by the replies that the request names, else by whoever issued the id."""
    found = _names(before, id)
    if not found and not is_counted(id):
        found = _names(_under(known, scope, f"tool {id}"), id)
    return found.pop() if len(found) == 1 else None


def _names(calls: Iterable[Known], id: str) -> set[str]:
    return {name for one in calls for issued, name in one.tools if issued == id and name}


def _under(known: KnownCalls, scope: MatchScope, key: str) -> list[Known]:
    return [one for one in known.under(key) if one.scope.process == scope.process or scope.shares_ids_with(one.scope)]
