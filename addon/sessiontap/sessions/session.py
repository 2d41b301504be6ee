"""The session and the link of a call, its default path, and the ids of sessions and calls.

A session's id needs no memory. A given id (the app's, an agent's, a template's, a literal) is used as it is if every
reader of session headers accepts it: `[A-Za-z0-9_-]{8,128}`. All others, and the generated ones, are a UUIDv5 of their
source, their evidence and the session's name. So two proxies, or one restarted, give the same id without a word between
them. A call's id sorts by time.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from hashlib import sha1
from threading import Lock
from typing import Literal
from uuid import UUID

from sessiontap.llm.call import Agent
from sessiontap.rules.decision import IdSourceKind
from sessiontap.rules.set_keys import slug
from sessiontap.value_classes import dataclass

Evidence = Literal["declared", "exact", "strong", "weak", "new"]
"""The evidence for a link, the best first; `links` says what each means."""
Kind = Literal["new", "continue", "retry", "branch", "parallel", "compaction", "auxiliary", "subagent"]

NAMESPACE = UUID("c0b0a1de-93f1-5c38-8d5e-2b6f1a7e4d90")
"""Sessiontap's own. Changing it changes every derived session id."""

_NAMESPACE = NAMESPACE.bytes

STEP = 1 << 30
"""The distance between two call ids of one millisecond: 1 in the 12 bits behind the milliseconds."""

_VERBATIM = re.compile(r"[A-Za-z0-9_-]{8,128}\Z")


@dataclass(frozen=True, slots=True)
class Session:
    """`step` counts the session's calls from 0; `renamed_to` is a later name that a verbatim id does not take."""

    id: str
    name: str
    step: int
    source: IdSourceKind
    renamed_to: str | None = None
    key: str | None = None
    """The id of the first session of the same evidence and name, if `idle` or `max_calls` has ended that one.
    A restart restores a session from `id`, `name`, `step`, `key` and the time of a call."""
    rank: int | None = None
    """Of a joined one: the place of the template that gave the value, from 0."""
    is_local: bool = False
    """The step is this proxy's own, since the store that proxies share was away."""


@dataclass(frozen=True, slots=True)
class Link:
    """The link of a call to earlier ones. `parent` is a call id, None if it is not certain."""

    conversation: str | None = None
    parent: str | None = None
    evidence: Evidence | None = None
    parent_trace: str | None = None
    """The parent call's trace id as its own server named it (TraceForge), else its call id."""
    kind: Kind | None = None
    """The call's part in its conversation; None if it belongs to none."""
    root: str | None = None
    """The conversation at the root of the tree of agents: a sub-agent's own `conversation` is another one."""
    lineage: tuple[str, ...] = ()
    """The sub-agents from the main one down to the one that calls; empty for the main one."""
    session: str | None = None
    """The session id of the agent that uses this one as a tool, if this one declares only a run (`Agent.of_run`)."""


def agent_path(agent: Agent | None, operation: str | None, lineage: tuple[str, ...] = ()) -> str:
    """Return a call's default path: `/main`, `/main/general-purpose/explore` or, for a program that is no known agent,
    its operation: `/chat`.

    `lineage` is `Link.lineage`; without it a known agent's own word for its sub-agent counts. An unknown program has a
    main agent only once one of its calls is known to be a sub-agent's.
    """
    if not lineage and agent is not None and agent.subagent:
        lineage = (agent.subagent,)
    if not lineage:
        no_model = agent is None or operation == "other"  # settings, events: no call of a model
        return "/" + (slug(operation or "other") or "other") if no_model else "/main"
    return "/" + "/".join(("main", *(slug(name) or "subagent" for name in lineage)))


def is_verbatim(value: str) -> bool:
    """Return True if a given id is used as it is."""
    return _VERBATIM.match(value) is not None


@lru_cache(maxsize=4096)
def derived_id(source: str, evidence: str, name: str, started: int | None = None) -> str:
    """Return the UUIDv5 of source, evidence and name. `started` (Unix nanoseconds) is part of it for a session that
    follows one that `idle` or `max_calls` ended. Each part's length goes with it, so parts cannot run together.
    """
    joined = f"{len(source)}:{source}{len(evidence)}:{evidence}{len(name)}:{name}"
    if started is not None:
        joined += f"{len(str(started))}:{started}"
    # A name may come from header bytes that are no UTF-8. RFC 9562, 5.5; as `uuid.uuid5`, in a third of its time.
    digest = bytearray(sha1(_NAMESPACE + joined.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return dashed(digest.hex())


def dashed(digits: str) -> str:
    """Return 32 hexadecimal digits in the form of a UUID."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class CallIds:
    """UUIDv7 (RFC 9562, 5.7) that only ever go up within a process, whatever the clock does.

    Behind the 48 bits of milliseconds stands a 42-bit counter (RFC 9562, 6.2, method 1), begun at random each
    millisecond with its top bit clear, so that it has room; then 32 random bits. It goes up by STEP, so that the ids
    of a millisecond differ in their first 18 characters, which is what people are shown.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._ms = -1
        self._count = 0

    def next(self, now_ns: int) -> str:
        """Return a new id for `now_ns`, Unix nanoseconds."""
        random = int.from_bytes(os.urandom(10), "big")
        with self._lock:
            ms = now_ns // 1_000_000
            if ms > self._ms:
                self._ms, self._count = ms, (random >> 32) & ((1 << 41) - 1)
            else:
                self._count += STEP
                if self._count >> 42:
                    self._ms, self._count = self._ms + 1, 0
            ms, count = self._ms & ((1 << 48) - 1), self._count
        high = ms << 16 | 0x7 << 12 | count >> 30
        low = 0b10 << 62 | (count & 0x3FFFFFFF) << 32 | random & 0xFFFFFFFF
        return dashed(f"{high:016x}{low:016x}")


_CALL_IDS = CallIds()


def call_id(now_ns: int) -> str:
    """Return a call's id: a UUIDv7 for `now_ns`, above every one that this process returned before."""
    return _CALL_IDS.next(now_ns)
