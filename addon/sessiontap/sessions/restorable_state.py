"""The state by which a conversation goes on after a restart: `to_state` for a call's record, `from_state` from it.

It stands in the record's `link`. It holds digests of messages, never a text, and keyed digests of the scope. A field
that an older version did not write is missing, and a damaged one counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.llm.call import Call
from sessiontap.llm.history import DelegatedPrompt, History, ReplyFingerprint
from sessiontap.sessions.declared import declaration_of
from sessiontap.sessions.known_calls import KnownCall
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link


def to_state(scope: MatchScope, call: Call, history: History, ending: ReplyFingerprint) -> dict[str, Any]:
    """Return the state of a call that ended: plain values, about 200 bytes.

    Besides it `from_state` needs what the record holds anyway: the link, and the ids of the reply and its tool calls.
    """
    declaration = declaration_of(call, history)
    state: dict[str, Any] = {
        "match_scope": [scope.process, scope.family, scope.name, scope.session],
        "request_chain": history.end,
        "system": history.system,
        "settings": history.settings,
        "declared": declaration.conversation if declaration else None,
        "of_run": declaration is not None and declaration.of_run,
        "reply_chain": ending.key,
        "reply_outline": ending.gist,
        "reply_digest": ending.said,
        "pair_digest": ending.pair,
        "delegated": [[one.digest, one.tool, one.id] for one in ending.handed],
        "failed": ending.failed,
        "retryable": ending.again,
        "incomplete": ending.cut,
    }
    return {key: value for key, value in state.items() if value not in (None, [], False)}


def from_state(
    call_id: str,
    at: int,
    link: Link,
    state: Mapping[str, Any],
    response_id: str | None,
    tools: Iterable[tuple[str, str | None]],
    warm_up: bool,
) -> tuple[KnownCall, ReplyFingerprint] | None:
    """Return a recorded call and its reply, None if the record does not say enough. See `Conversations.restore`."""
    scope = _scope(state.get("match_scope"))
    request_chain = _bytes(state.get("request_chain"))
    if link.conversation is None or scope is None or request_chain is None:
        return None
    declared = state.get("declared")
    known = KnownCall(
        id=call_id,
        scope=scope,
        at=at,
        conversation=link.conversation,
        root=link.root or link.conversation,
        lineage=tuple(link.lineage),
        request_chain=request_chain,
        system=_bytes(state.get("system")),
        settings=_bytes(state.get("settings")),
        declared=declared if isinstance(declared, str) else None,
        of_run=state.get("of_run") is True,
        parent=link.parent,
        advances=link.kind != "auxiliary",
        evidence=link.evidence,
        warm_up=warm_up,
    )
    ending = ReplyFingerprint(
        key=_bytes(state.get("reply_chain")),
        gist=_bytes(state.get("reply_outline")),
        said=_bytes(state.get("reply_digest")),
        pair=_bytes(state.get("pair_digest")),
        response_id=response_id,
        tools=tuple(tools),
        handed=tuple(_delegated(state.get("delegated"))),
        failed=state.get("failed") is True,
        again=state.get("retryable") is True,
        cut=state.get("incomplete") is True,
    )
    return known, ending


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _scope(value: object) -> MatchScope | None:
    match value:
        case [str(process), str(family), str(name), session]:
            return MatchScope(process, family, name, session if isinstance(session, str) else None)
    return None


def _delegated(rows: object) -> Iterable[DelegatedPrompt]:
    for row in rows if isinstance(rows, list | tuple) else ():
        match row:
            case [bytes(found), str(tool), str() | None as id]:
                yield DelegatedPrompt(found, tool, id)
