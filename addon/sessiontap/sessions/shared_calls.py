"""Calls as other proxies are told of them, and the keys by which a later call finds those that it may continue.

An **evidence key** has at most 25 bytes: the digest of a history, or of an id that a reply issued, within a match
scope. A store finds calls by these keys and knows no more of them. `parents` makes those that stand for messages; ids
get their scope here. A call that begins asks for its keys in the order in which they count, the newest of its history
first. If a certain one finds a call, those behind it are not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from sessiontap.llm.history import DelegatedPrompt, text_digest
from sessiontap.llm.message_pieces import digest
from sessiontap.sessions.declared import conversation_id
from sessiontap.sessions.known_calls import KnownCall, State
from sessiontap.sessions.links import LinkedCall
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.parents import (
    is_counted,
    pair_keys,
    reply_chain_keys,
    reply_id_key,
    request_keys,
    tool_call_key,
    whole_key,
)
from sessiontap.sessions.session import Evidence

MOST_ENTRIES = 32
"""Entries of a history, from its end, that are asked for."""
_ID, _DELEGATED, _DECLARED = b"i", b"d", b"c"

Worth = Literal["certain", "likely", "unlikely"]
"""`certain`: if the key finds a call, those behind it are not needed. `unlikely`: what it finds is rarely continued."""


class EvidenceKey(NamedTuple):
    """A key under which calls are found that another may continue."""

    key: bytes
    worth: Worth = "likely"


class SharedCall(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A call as `KnownCall` has it, in plain values, and its session."""

    id: str
    process: str
    family: str
    name: str
    session: str | None
    given_session: str | None
    at: int
    conversation: str
    root: str
    lineage: tuple[str, ...]
    request_chain: bytes
    system: bytes | None
    settings: bytes | None
    declared: str | None
    parent: str | None
    turn: str
    advances: bool
    state: State
    """`open` until its reply is read: others wait for it."""
    retryable: bool
    reply_chain: bytes | None
    reply_outline: bytes | None
    reply_digest: bytes | None
    trace_id: str | None
    tools: tuple[tuple[str, str | None], ...]
    evidence: Evidence | None
    warm_up: bool
    incomplete: bool
    of_run: bool
    keys: tuple[bytes, ...]
    """Those of `KnownCall.keys` that stand for messages."""
    ids: tuple[str, ...]
    """The others: of ids that its reply issued."""
    delegated: tuple[DelegatedPrompt, ...] = ()
    session_key: str = ""
    """The id of the first session of the call's evidence and name."""
    rank: int | None = None
    """`Session.rank` if a value joined the call to its session."""
    child: str | None = None
    """The newest call that continues it."""
    continues: bool = False
    """It is the newest that continues its parent."""

    @property
    def scope(self) -> MatchScope:
        """The scope, pseudonymized."""
        return MatchScope(self.process, self.family, self.name, self.session, self.given_session)

    def evidence_keys(self) -> list[bytes]:
        """Return the keys under which others find the call."""
        found, scope = list(self.keys), self.scope
        for key in self.ids:
            found += _id_keys(scope, key)
        for one in self.delegated:
            found += (_delegated_key(origin, one.digest) for origin in scope.origins)
        if self.declared is not None:
            found.append(_declared_key(self.declared))
        return found


SAME = (
    "id", "at", "conversation", "root", "lineage", "request_chain", "system", "settings", "declared", "parent", "turn",
    "advances", "evidence", "warm_up", "of_run",
)  # fmt: skip
"""Fields of a `KnownCall` that are its own from its beginning."""
OF_REPLY = (
    "state", "retryable", "reply_chain", "reply_outline", "reply_digest", "trace_id", "tools", "incomplete",
)  # fmt: skip
"""Those that its reply sets."""


def shared_call(
    known: KnownCall, parent: KnownCall | None, delegated: Iterable[DelegatedPrompt] = ()
) -> SharedCall:
    """Return a known call as others are told of it; `delegated` are the texts that its reply hands to tools."""
    scope = known.scope
    fields = {field: getattr(known, field) for field in (*SAME, *OF_REPLY)}
    if known.state == "unread":
        fields["state"] = "open"
    return SharedCall(
        process=scope.process,
        family=scope.family,
        name=scope.name,
        session=scope.session,
        given_session=scope.given_session,
        keys=tuple(key for key in known.keys if isinstance(key, bytes)),
        ids=tuple(key for key in known.keys if isinstance(key, str)),
        delegated=tuple(delegated),
        continues=parent is not None and parent.child == known.id,
        **fields,
    )


def known_call(call: SharedCall) -> KnownCall:
    """Return the call that others told of; it is indexed nowhere yet."""
    return KnownCall(scope=call.scope, child=call.child, **{one: getattr(call, one) for one in (*SAME, *OF_REPLY)})


def evidence_keys(linked: LinkedCall) -> list[EvidenceKey]:
    """Return the keys by which a call that begins finds those that it may continue."""
    scope, history, declaration = linked.scope, linked.history, linked.declaration
    found: list[EvidenceKey] = []
    if declaration is not None:
        parent = [conversation_id(declaration.parent)] if declaration.parent else []
        found += (EvidenceKey(_declared_key(id)) for id in (declaration.conversation, *parent))
    found += (
        EvidenceKey(key, "certain") for id in linked.call.asked.previous for key in _id_keys(scope, reply_id_key(id))
    )
    if not history.entries:
        return found
    found.append(EvidenceKey(whole_key(scope, history.whole), "unlikely"))
    if history.opening is not None and not any(entry.role == "assistant" for entry in history.entries):
        said = dict.fromkeys(map(text_digest, (history.opening, *history.parts)))
        found += (EvidenceKey(_delegated_key(origin, one)) for one in said for origin in scope.origins)
    return [*found, *_of_entries(linked), *map(EvidenceKey, pair_keys(scope, history))]


def _of_entries(linked: LinkedCall) -> Iterator[EvidenceKey]:
    """Yield the keys of a history's entries, the newest first."""
    scope, history = linked.scope, linked.history
    entries, chain = history.entries, history.chain
    for at in range(len(entries), max(len(entries) - MOST_ENTRIES, 0), -1):
        entry = entries[at - 1]
        for id in (*reversed(entry.answered), *reversed(entry.issued)):
            worth: Worth = "likely" if is_counted(id) else "certain"
            yield from (EvidenceKey(key, worth) for key in _id_keys(scope, tool_call_key(id)))
        if entry.role == "assistant":
            yield from (EvidenceKey(key, "certain") for key in reply_chain_keys(scope, chain[at]))
        elif at < len(entries):
            yield from map(EvidenceKey, request_keys(scope, chain[at]))


def _id_keys(scope: MatchScope, key: str) -> list[bytes]:
    """Return the evidence keys of an id: within the origin, and within the session that the app named."""
    return [_key(_ID, *origin, key) for origin in scope.origins]


def _delegated_key(origin: tuple[str, str], prompt: bytes) -> bytes:
    return _key(_DELEGATED, *origin, prompt.hex())


def _declared_key(conversation: str) -> bytes:
    return _key(_DECLARED, conversation)


def _key(kind: bytes, *parts: str) -> bytes:
    return kind + digest("\0".join(parts).encode("utf-8", "surrogatepass"))
