"""Find the known call that a request continues. `links` says what evidence means.

It is found by an id that its reply issued (the reply's own, a tool call's): a request that holds such an id was made
with that reply in hand. Some servers count ids anew in every reply (`call_0`); such an id says nothing by itself.

Else it is found by the request's history. A history is searched from the newest entry back, with one look-up per entry.
Every key except those of ids begins with the scope's prefix, so nothing outside the scope is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from sessiontap.llm.call import Asked
from sessiontap.llm.history import START, History, ReplyFingerprint
from sessiontap.llm.message_pieces import digest
from sessiontap.llm.pick import names
from sessiontap.sessions.known_calls import Key, KnownCall, KnownCalls
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Evidence

COUNTED_RETRY_WITHIN = 600 * 1_000_000_000
"""Nanoseconds within which a client that counts its retries may repeat a request."""
RETRY_WITHIN = 60 * 1_000_000_000
"""Nanoseconds within which the same request again is a retry of one that failed."""

# The kinds of keys: a request's history, the same with the reply, a whole request, a reply with the message before it.
_REQUEST, _REPLY, _WHOLE, _PAIR = b"u", b"b", b"w", b"p"

_COUNTED = re.compile(r"(?:.*[^A-Za-z0-9]|[A-Za-z]*)\d{1,4}\Z", re.DOTALL)
"""`call_0`, `7`, `tool12`, `functions.search:3`."""


class ParentMatch(NamedTuple):
    """A parent, and the evidence for it."""

    call: KnownCall
    evidence: Evidence
    windowed: bool = False
    """The messages before it are no longer in the history."""


def request_keys(scope: MatchScope, chain: bytes) -> list[bytes]:
    """Return the keys of a request, under which it stays indexed."""
    return [prefix + chain for prefix in _prefixes(_REQUEST, scope)]


def whole_key(scope: MatchScope, whole: bytes) -> bytes:
    """Return the key of a request that has no reply yet: the same process may send it again."""
    return _WHOLE + scope.key_prefix + whole


def reply_chain_keys(scope: MatchScope, chain: bytes) -> list[bytes]:
    """Return the keys of a history that ends with a reply."""
    return [prefix + chain for prefix in _prefixes(_REPLY, scope)]


def pair_keys(scope: MatchScope, history: History) -> list[bytes]:
    """Return the keys of a history's newest reply with the message before it; none if it holds no such reply."""
    pair = _newest_pair(history)
    return [prefix + pair for prefix in _prefixes(_PAIR, scope)] if pair is not None else []


def reply_keys(scope: MatchScope, reply: ReplyFingerprint, *, advances: bool) -> list[Key]:
    """Return the keys of a reply; one of an auxiliary call is found only by its ids."""
    keys = _id_keys(reply)
    if advances and reply.key is not None:
        keys += reply_chain_keys(scope, reply.key)
    if advances and reply.pair is not None:
        keys += (prefix + reply.pair for prefix in _prefixes(_PAIR, scope))
    return keys


def parent_of(
    known: KnownCalls, scope: MatchScope, asked: Asked, history: History, declared: bool
) -> ParentMatch | None:
    """Return the call that a request continues; `declared` says whether it declares a conversation."""
    for id in asked.previous:
        if issuer := _issuer_of_reply(known, scope, id):
            return ParentMatch(issuer, "exact")
    certain, depth = _by_reply(known, scope, history)
    if certain is not None:
        certain, depth = _beyond(known, certain, depth, history)
    weak = _by_request(known, scope, history, depth, certain.call if certain else None, declared)
    return weak or certain or _by_pair(known, scope, history, declared)


def repeated_call(
    known: KnownCalls, scope: MatchScope, history: History, retry: int | None, declared: bool, now: int
) -> KnownCall | None:
    """Return the call that a request repeats, None if there is none or if calls of several conversations fit.

    The call's request was equal in all. If the client says that this is a retry (`retry`), the call has no reply yet;
    else it failed within the last minute in a way that makes another try worthwhile.
    """
    if not history.entries:
        return None
    repeated = [
        one
        for one in known.under(whole_key(scope, history.whole))
        if one.child is None
        and (one.state != "done" or one.incomplete)
        and (one.declared is not None) == declared
        and (now - one.at <= COUNTED_RETRY_WITHIN if retry else one.retryable and now - one.at <= RETRY_WITHIN)
    ]
    return repeated[-1] if len({one.conversation for one in repeated}) == 1 else None


def _by_reply(known: KnownCalls, scope: MatchScope, history: History) -> tuple[ParentMatch | None, int]:
    """Return the newest known reply in the history, found by its tool calls' ids or as a whole, and the number of
    entries up to its end."""
    entries, chain, reply_prefixes = history.entries, history.chain, _prefixes(_REPLY, scope)
    answered: list[str] = []
    for at in range(len(entries), 0, -1):
        entry = entries[at - 1]
        if entry.role != "assistant":
            answered += reversed(entry.answered)
            continue
        for id in (*answered, *reversed(entry.issued)):
            if issuer := issuer_of_tool_call(known, scope, id, chain[at - 1], chain[at]):
                return ParentMatch(issuer, "exact"), at
        answered = []
        if best := _fitting(known, reply_prefixes, chain[at], history):
            return ParentMatch(best, "strong"), at
    for id in answered[:1]:  # a request that holds results alone
        if issuer := issuer_of_tool_call(known, scope, id):
            return ParentMatch(issuer, "exact"), len(entries)
    return None, 0


def _beyond(known: KnownCalls, certain: ParentMatch, depth: int, history: History) -> tuple[ParentMatch, int]:
    """Return the newest reply of the same conversation after a certain one, even if the client changed something
    between them, such as cleared old tool results: such a reply is found by its own digest."""
    later = enumerate(history.entries[depth:], depth + 1)
    digests = {entry.digest: at for at, entry in later if entry.role == "assistant"}
    one = certain.call
    while digests and (child := known.get(one.child)) is not None and child is not one:
        if child.reply_digest in digests and digests[child.reply_digest] > depth:
            certain, depth = ParentMatch(child, "strong"), digests[child.reply_digest]
        one = child
    return certain, depth


def _by_request(
    known: KnownCalls, scope: MatchScope, history: History, depth: int, certain: KnownCall | None, declared: bool
) -> ParentMatch | None:
    """Return the longest known request that the history begins with, beyond what a reply has made certain."""
    prefixes = _prefixes(_REQUEST, scope)
    for at in range(len(history.entries) - 1, max(depth, 1) - 1, -1):

        def fits(one: KnownCall, at: int = at) -> bool:
            if not _may_continue(one, history, at):
                return False
            if certain is not None:
                return one.conversation == certain.conversation
            return _in_reach(one, scope, declared) and _alike(one, history, declared)

        if best := _fitting(known, prefixes, history.chain[at], history, fits):
            return ParentMatch(best, "weak")
    return None


def _prefixes(kind: bytes, scope: MatchScope) -> list[bytes]:
    """Return the starts of keys of one kind: of the process, then of the session."""
    return [kind + prefix for prefix in scope.key_prefixes]


def _fitting(
    known: KnownCalls,
    prefixes: list[bytes],
    value: bytes,
    history: History,
    fits: Callable[[KnownCall], bool] = lambda one: True,
) -> KnownCall | None:
    """Return the best call under the first key that has one. Nearly always there is none, and this is asked of every
    entry of a long history."""
    for prefix in prefixes:
        candidates = known.under(prefix + value)
        if candidates and (best := _best([one for one in candidates if fits(one)], history)):
            return best
    return None


def _in_reach(one: KnownCall, scope: MatchScope, declared: bool) -> bool:
    """True if weak evidence may lead to a call: to another process only if an agent declares its conversation."""
    return declared or one.scope.origin == scope.origin


def _may_continue(one: KnownCall, history: History, at: int) -> bool:
    """Return True if the history after its first `at` entries may continue a call. The call must have ended; if its
    reply is known, the history holds that reply, perhaps rewritten, with no other ids; if it is yet to be read, some
    reply; if it got none, the history has none.
    """
    entry = history.entries[at]
    if one.state == "unread":
        return entry.role == "assistant"
    if entry.role != "assistant" or one.state != "done":
        return entry.role != "assistant" and one.state != "open"
    if entry.issued and one.tools and not any(id in entry.issued for id, _ in one.tools):
        return False
    return one.reply_outline in (None, entry.outline)


def _alike(one: KnownCall, history: History, declared: bool) -> bool:
    """Return True if two requests may belong to one conversation by their messages alone: they have the same system
    prompt or the same settings, and both or neither declare a conversation."""
    if (one.declared is not None) != declared:
        return False
    return one.system == history.system or one.settings == history.settings


def _by_pair(known: KnownCalls, scope: MatchScope, history: History, declared: bool) -> ParentMatch | None:
    """Return the parent of a history without its beginning, by the newest reply and the message before it."""
    if (pair := _newest_pair(history)) is None:
        return None
    in_reach = lambda one: _in_reach(one, scope, declared)  # noqa: E731
    best = _fitting(known, _prefixes(_PAIR, scope), pair, history, in_reach)
    return ParentMatch(best, "weak", windowed=True) if best else None


def _newest_pair(history: History) -> bytes | None:
    """Return the digest of a history's newest reply and the message before it."""
    entries = history.entries
    at = next((at for at in range(len(entries) - 1, 0, -1) if entries[at].role == "assistant"), None)
    return digest(entries[at - 1].digest, entries[at].digest) if at is not None else None


def _best(candidates: list[KnownCall], history: History) -> KnownCall | None:
    """Return the newest of the calls that fit, None if they belong to several conversations.

    Calls with the same system prompt come first, then those with the same settings, then those that no call continues.
    """
    if len(candidates) > 1:
        same = [one for one in candidates if one.system == history.system] or candidates
        same = [one for one in same if one.settings == history.settings] or same
        candidates = [one for one in same if one.child is None] or same
    return candidates[-1] if len({one.conversation for one in candidates}) == 1 else None


# -- ids that replies issue --------------------------------------------------------------------------------------------


def _id_keys(reply: ReplyFingerprint) -> list[Key]:
    """Return the keys under which a reply's ids are indexed."""
    keys: list[Key] = [tool_call_key(id) for id, _ in reply.tools]
    if reply.response_id:
        keys.append(reply_id_key(reply.response_id))
    return keys


def _issuer_of_reply(known: KnownCalls, scope: MatchScope, id: str) -> KnownCall | None:
    """Return the call whose reply has that id. A conversation that the server keeps has one id for all of its replies:
    of these calls the newest."""
    key = reply_id_key(id)
    issuers = [one for one in known.under(key) if scope.shares_ids_with(one.scope)]
    if len(issuers) > 1 and len({one.conversation for one in issuers}) == 1:
        return issuers[-1]
    return _issuer(known, scope, key, id, START, START)


def issuer_of_tool_call(
    known: KnownCalls, scope: MatchScope, id: str, before: bytes = START, after: bytes = START
) -> KnownCall | None:
    """Return the call whose reply issued the tool call `id`. `before` and `after` are the history's chain before and
    after the step that holds the id, START if the request holds results alone."""
    return _issuer(known, scope, tool_call_key(id), id, before, after)


def with_tool_names(known: KnownCalls, scope: MatchScope, asked: Asked) -> Asked:
    """Return what is asked, with the names of the tools whose results it holds without their calls.

    Over a WebSocket, and in any request that names the reply it continues, results come alone: a call's id and its
    result. The tool's name stood in the reply that issued the id.
    """
    if not asked.results:
        return asked
    before = [one for id in asked.previous for one in _calls_under(known, scope, reply_id_key(id))]
    results = tuple((id, name or (_tool_name(known, scope, id, before) if id else None)) for id, name in asked.results)
    return replace(asked, results=results, tool_results=names(name for _, name in results))


def is_counted(id: str) -> bool:
    """Return True if a tool call's id is one that its server counts anew in every reply."""
    return _COUNTED.match(id) is not None


def _issuer(known: KnownCalls, scope: MatchScope, key: Key, id: str, before: bytes, after: bytes) -> KnownCall | None:
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
        found = _tool_names(_calls_under(known, scope, tool_call_key(id)), id)
    return found.pop() if len(found) == 1 else None


def _tool_names(calls: Iterable[KnownCall], id: str) -> set[str]:
    return {name for one in calls for issued, name in one.tools if issued == id and name}


def _calls_under(known: KnownCalls, scope: MatchScope, key: Key) -> list[KnownCall]:
    return [one for one in known.under(key) if one.scope.process == scope.process or scope.shares_ids_with(one.scope)]


def tool_call_key(id: str) -> str:
    """Return the key of a tool call's id."""
    return f"tool {id}"


def reply_id_key(id: str) -> str:
    """Return the key of a reply's own id."""
    return f"reply {id}"
