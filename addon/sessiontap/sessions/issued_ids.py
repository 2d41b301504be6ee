"""Ids that replies issue (the reply's own, its tool calls'), and the calls that issued them.

A later request that holds such an id was made with that reply in hand. Some servers count ids anew in every reply
(`call_0`); such an id says nothing by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sessiontap.llm.call import Asked
from sessiontap.llm.history import START, ReplyFingerprint
from sessiontap.llm.pick import names
from sessiontap.sessions.known_calls import Key, KnownCall, KnownCalls
from sessiontap.sessions.match_scope import MatchScope

_COUNTED = re.compile(r"(?:.*[^A-Za-z0-9]|[A-Za-z]*)\d{1,4}\Z", re.DOTALL)
"""`call_0`, `7`, `tool12`, `functions.search:3`."""


def id_keys(ending: ReplyFingerprint) -> list[Key]:
    """Return the keys under which a reply's ids are indexed."""
    keys: list[Key] = [_tool_key(id) for id, _ in ending.tools]
    if ending.response_id:
        keys.append(_reply_key(ending.response_id))
    return keys


def issuer_of_reply(known: KnownCalls, scope: MatchScope, id: str) -> KnownCall | None:
    """Return the call whose reply has that id."""
    return _issuer(known, scope, _reply_key(id), id, START, START)


def issuer_of_tool_call(
    known: KnownCalls, scope: MatchScope, id: str, before: bytes = START, after: bytes = START
) -> KnownCall | None:
    """Return the call whose reply issued the tool call `id`. `before` and `after` are the history's chain before and
    after the step that holds the id, START if the request holds results alone."""
    return _issuer(known, scope, _tool_key(id), id, before, after)


def with_tool_names(known: KnownCalls, scope: MatchScope, asked: Asked) -> Asked:
    """Return what is asked, with the names of the tools whose results it holds without their calls.

    Over a WebSocket, and in any request that names the reply it continues, results come alone: a call's id and its
    result. The tool's name stood in the reply that issued the id.
    """
    if not asked.results:
        return asked
    before = [one for id in asked.previous for one in _calls_under(known, scope, _reply_key(id))]
    results = tuple(
        (id, name or (_tool_name(known, scope, id, before) if id else None)) for id, name in asked.results
    )
    return replace(asked, results=results, tool_results=names(name for _, name in results))


def is_counted(id: str) -> bool:
    """Whether a tool call's id is one that its server counts anew in every reply."""
    return _COUNTED.match(id) is not None


def _issuer(
    known: KnownCalls, scope: MatchScope, key: Key, id: str, before: bytes, after: bytes
) -> KnownCall | None:
    """Return the call whose reply issued an id. If the id alone does not say it, the call's request must stand just
    before it in the history."""
    if not (indexed := known.under(key)):  # nearly always; this is asked of every id of a long history
        return None
    issuers = [one for one in indexed if scope.shares_ids_with(one.scope)]
    adjacent = [one for one in issuers if one.request_chain == before != START or one.reply_chain == after != START]
    if adjacent:
        return adjacent[-1] if len({one.conversation for one in adjacent}) == 1 else None
    return issuers[0] if len(issuers) == 1 and not is_counted(id) else None


def _tool_name(known: KnownCalls, scope: MatchScope, id: str, before: list[KnownCall]) -> str | None:
    """Return the name of the tool call `id`, by the replies that the request names, else by whoever issued the id."""
    found = _tool_names(before, id)
    if not found and not is_counted(id):
        found = _tool_names(_calls_under(known, scope, _tool_key(id)), id)
    return found.pop() if len(found) == 1 else None


def _tool_names(calls: Iterable[KnownCall], id: str) -> set[str]:
    return {name for one in calls for issued, name in one.tools if issued == id and name}


def _calls_under(known: KnownCalls, scope: MatchScope, key: Key) -> list[KnownCall]:
    return [one for one in known.under(key) if one.scope.process == scope.process or scope.shares_ids_with(one.scope)]


def _tool_key(id: str) -> str:
    return f"tool {id}"


def _reply_key(id: str) -> str:
    return f"reply {id}"
