"""What a call's record keeps so that its conversation goes on after a restart, and what is made of it again.

Of messages there are digests, never a text; of the scope keyed ones. What an older version did not keep is missing,
and what is damaged counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.llm.call import Call
from sessiontap.llm.history import Ending, Handed, History
from sessiontap.sessions.known import Known
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link
from sessiontap.sessions.threads import thread_of


def heads(scope: MatchScope, call: Call, history: History, ending: Ending) -> dict[str, Any]:
    """What a call's record keeps so that its conversation goes on after a restart: plain values, some 200 bytes.

    With the link (`conversation`, `parent`, `kind`, `root`, `lineage`), the reply's id and its tool calls' it is all.
    """
    thread = thread_of(call, history)
    kept: dict[str, Any] = {
        "match_scope": [scope.process, scope.family, scope.name, scope.session],
        "end": history.end,
        "system": history.system,
        "settings": history.settings,
        "declared": thread.conversation if thread else None,
        "of_run": thread is not None and thread.of_run,
        "reply": ending.key,
        "gist": ending.gist,
        "said": ending.said,
        "pair": ending.pair,
        "handed": [[one.digest, one.tool, one.id] for one in ending.handed],
        "failed": ending.failed,
        "again": ending.again,
        "cut": ending.cut,
    }
    return {key: value for key, value in kept.items() if value not in (None, [], False)}


def taken_over(
    call_id: str,
    at: int,
    link: Link,
    kept: Mapping[str, Any],
    response_id: str | None,
    tools: Iterable[tuple[str, str | None]],
    warm_up: bool,
) -> tuple[Known, Ending] | None:
    """A recorded call and its reply; None where the record does not say enough. See `Conversations.restore`."""
    scope = _scope(kept.get("match_scope"))
    end = _bytes(kept.get("end"))
    if link.conversation is None or scope is None or end is None:
        return None
    declared = kept.get("declared")
    known = Known(
        id=call_id,
        scope=scope,
        at=at,
        conversation=link.conversation,
        root=link.root or link.conversation,
        lineage=tuple(link.lineage),
        end=end,
        system=_bytes(kept.get("system")),
        settings=_bytes(kept.get("settings")),
        declared=declared if isinstance(declared, str) else None,
        of_run=kept.get("of_run") is True,
        parent=link.parent,
        advances=link.kind != "auxiliary",
        evidence=link.evidence,
        warm_up=warm_up,
    )
    ending = Ending(
        key=_bytes(kept.get("reply")),
        gist=_bytes(kept.get("gist")),
        said=_bytes(kept.get("said")),
        pair=_bytes(kept.get("pair")),
        response_id=response_id,
        tools=tuple(tools),
        handed=tuple(_handed(kept.get("handed"))),
        failed=kept.get("failed") is True,
        again=kept.get("again") is True,
        cut=kept.get("cut") is True,
    )
    return known, ending


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _scope(value: object) -> MatchScope | None:
    match value:
        case [str(process), str(family), str(name), session]:
            return MatchScope(process, family, name, session if isinstance(session, str) else None)
    return None


def _handed(rows: object) -> Iterable[Handed]:
    for row in rows if isinstance(rows, list | tuple) else ():
        match row:
            case [bytes(found), str(tool), str() | None as id]:
                yield Handed(found, tool, id)
