"""Which recorded call a request goes on from, as its history tells; see `conversations` for what evidence means.

Histories are looked through from the newest step back, one look-up a step; every key but those of ids holds the
scope's seed, so nothing is found outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from sessiontap.llm.call import Asked
from sessiontap.llm.canonical import digest
from sessiontap.llm.history import START, Ending, History
from sessiontap.sessions.known import Key, Known, KnownCalls
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Evidence

RETRY_WITHIN = 600 * 1_000_000_000
"""Nanoseconds within which a client that counts its retries may repeat a request."""
AGAIN_WITHIN = 60 * 1_000_000_000
"""Nanoseconds within which the same request again is a retry of one that failed."""

_COUNTED = re.compile(r"(?:.*[^A-Za-z0-9]|[A-Za-z]*)\d{1,4}\Z", re.DOTALL)
"""`call_0`, `7`, `tool12`, `functions.search:3`: counted anew in every reply, by the server."""

# What keys stand for: a history up to a request's end, one behind a reply, a whole request, a reply with its question.
_UP_TO, _BEHIND, _WHOLE, _PAIR = b"u", b"b", b"w", b"p"


class Found(NamedTuple):
    """A parent, and what says so."""

    call: Known
    evidence: Evidence
    windowed: bool = False
    """What came before it is not in the history any more."""


def request_keys(scope: MatchScope, end: bytes) -> list[Key]:
    """What a request is found under for as long as it is known."""
    return [prefix + end for prefix in _prefixes(_UP_TO, scope)]


def whole_key(scope: MatchScope, whole: bytes) -> Key:
    """What a request is found under until it has its reply: it may be sent again, by the same process."""
    return _WHOLE + scope.key_prefix + whole


def reply_keys(scope: MatchScope, ending: Ending, *, advances: bool) -> list[Key]:
    """What a reply is found under; one beside the conversation only by its ids."""
    keys: list[Key] = [f"tool {id}" for id, _ in ending.tools]
    if ending.response_id:
        keys.append(f"reply {ending.response_id}")
    if advances and ending.key is not None:
        keys += (prefix + ending.key for prefix in _prefixes(_BEHIND, scope))
    if advances and ending.pair is not None:
        keys += (prefix + ending.pair for prefix in _prefixes(_PAIR, scope))
    return keys


def parent_of(known: KnownCalls, scope: MatchScope, asked: Asked, history: History, declared: bool) -> Found | None:
    """The call that a request goes on from; `declared` says whether it declares a conversation."""
    for id in asked.previous:
        if issuer := _issuer(known, scope, f"reply {id}", id, START, START):
            return Found(issuer, "exact")
    certain, depth = _by_reply(known, scope, history)
    if certain is not None:
        certain, depth = _beyond(known, certain, depth, history)
    weak = _by_request(known, scope, history, depth, certain.call if certain else None, declared)
    return weak or certain or _by_pair(known, scope, history, declared)


def twin_of(
    known: KnownCalls, scope: MatchScope, history: History, retry: int | None, declared: bool, now: int
) -> Known | None:
    """The call that a request repeats: the same in all, still without its reply where the client says that it tries
    again, else failed just now in a way that is worth another try. None where several conversations' calls are."""
    if not history.steps:
        return None
    twins = [
        one
        for one in known.under(whole_key(scope, history.whole))
        if one.child is None
        and (one.state != "done" or one.cut)
        and (one.declared is not None) == declared
        and (now - one.at <= RETRY_WITHIN if retry else one.again and now - one.at <= AGAIN_WITHIN)
    ]
    return twins[-1] if len({one.conversation for one in twins}) == 1 else None


def _by_reply(known: KnownCalls, scope: MatchScope, history: History) -> tuple[Found | None, int]:
    """The newest recorded reply that stands in the history, by its tool calls' ids or as a whole; and how many steps
    lead up to its end."""
    steps, chain, behind = history.steps, history.chain, _prefixes(_BEHIND, scope)
    answered: list[str] = []
    for at in range(len(steps), 0, -1):
        step = steps[at - 1]
        if step.role != "assistant":
            answered += reversed(step.answered)
            continue
        for id in (*answered, *reversed(step.issued)):
            if issuer := _issuer(known, scope, f"tool {id}", id, chain[at - 1], chain[at]):
                return Found(issuer, "exact"), at
        answered = []
        if best := _fitting(known, behind, chain[at], history):
            return Found(best, "strong"), at
    for id in answered[:1]:  # a request that holds results alone
        if issuer := _issuer(known, scope, f"tool {id}", id, START, START):
            return Found(issuer, "exact"), len(steps)
    return None, 0


def _beyond(known: KnownCalls, certain: Found, depth: int, history: History) -> tuple[Found, int]:
    """The newest reply of the same conversation behind a certain one, where something between them was changed, as by
    clients that clear away old results of tools: a reply is then known by what it said."""
    said = {step.digest: at for at, step in enumerate(history.steps[depth:], depth + 1) if step.role == "assistant"}
    one = certain.call
    while said and (child := known.get(one.child)) is not None and child is not one:
        if child.said in said and said[child.said] > depth:
            certain, depth = Found(child, "strong"), said[child.said]
        one = child
    return certain, depth


def is_counted(id: str) -> bool:
    """Whether a tool call's id is one that its server counts anew in every reply."""
    return _COUNTED.match(id) is not None


def _issuer(known: KnownCalls, scope: MatchScope, key: str, id: str, before: bytes, after: bytes) -> Known | None:
    """The call whose reply issued an id. Where that alone does not say it, its request must stand just before."""
    issuers = [one for one in known.under(key) if scope.shares_ids_with(one.scope)]
    at_place = [one for one in issuers if one.end == before != START or one.reply == after != START]
    if at_place:
        return at_place[-1] if len({one.conversation for one in at_place}) == 1 else None
    return issuers[0] if len(issuers) == 1 and not is_counted(id) else None


def _by_request(
    known: KnownCalls, scope: MatchScope, history: History, depth: int, certain: Known | None, declared: bool
) -> Found | None:
    """The deepest recorded request that the history begins with, below what a reply has made certain."""
    prefixes = _prefixes(_UP_TO, scope)
    for at in range(len(history.steps) - 1, max(depth, 1) - 1, -1):

        def fits(one: Known, at: int = at) -> bool:
            if not _goes_on_from(one, history, at):
                return False
            if certain is not None:
                return one.conversation == certain.conversation
            return _near(one, scope, declared) and _alike(one, history, declared)

        if best := _fitting(known, prefixes, history.chain[at], history, fits):
            return Found(best, "weak")
    return None


def _prefixes(what: bytes, scope: MatchScope) -> list[bytes]:
    """What a key of messages begins with: of the own process, then of the session."""
    return [what + seed for seed in scope.key_prefixes]


def _fitting(
    known: KnownCalls,
    prefixes: list[bytes],
    value: bytes,
    history: History,
    fits: Callable[[Known], bool] = lambda one: True,
) -> Known | None:
    """The best call under the first key that has one. Nearly always there is none, and this is asked of every step of a
    long history."""
    for prefix in prefixes:
        candidates = known.under(prefix + value)
        if candidates and (best := _best([one for one in candidates if fits(one)], history)):
            return best
    return None


def _near(one: Known, scope: MatchScope, declared: bool) -> bool:
    """Whether weak evidence may lead to a call: in another process only where an agent declares its conversation."""
    return declared or one.scope.origin == scope.origin


def _goes_on_from(one: Known, history: History, at: int) -> bool:
    """Whether what follows the first `at` steps may be what came of a call: it has ended, and if its reply is known,
    the history holds the same, if rewritten, and with no other ids. A call without a reply has left none."""
    step = history.steps[at]
    if step.role != "assistant" or one.state != "done":
        return step.role != "assistant" and one.state != "open"
    if step.issued and one.tools and not any(id in step.issued for id, _ in one.tools):
        return False
    return one.gist in (None, step.gist)


def _alike(one: Known, history: History, declared: bool) -> bool:
    """Whether two requests could be one conversation's where only their messages say so: the system prompt or the
    settings must be the same, and neither is declared where the other is not."""
    if (one.declared is not None) != declared:
        return False
    return one.system == history.system or one.settings == history.settings


def _by_pair(known: KnownCalls, scope: MatchScope, history: History, declared: bool) -> Found | None:
    """A history of which the beginning was left out: the newest reply with the message before it."""
    steps = history.steps
    for at in range(len(steps) - 1, 0, -1):
        if steps[at].role == "assistant":
            pair = digest(steps[at - 1].digest, steps[at].digest)
            near = lambda one: _near(one, scope, declared)  # noqa: E731
            best = _fitting(known, _prefixes(_PAIR, scope), pair, history, near)
            return Found(best, "weak", windowed=True) if best else None
    return None


def _best(candidates: list[Known], history: History) -> Known | None:
    """Of several that fit, the newest of one conversation: among those with the same settings and system prompt, else
    the same system prompt, and first among those from which no call has gone on. None where conversations are left
    that nothing tells apart."""
    if len(candidates) > 1:
        same = [one for one in candidates if one.system == history.system] or candidates
        same = [one for one in same if one.settings == history.settings] or same
        candidates = [one for one in same if one.child is None] or same
    return candidates[-1] if len({one.conversation for one in candidates}) == 1 else None
