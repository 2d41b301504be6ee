"""The calls that later ones may continue, and an index of them. Bounded by number and age.

`parents` makes the keys of the index: of a history's digest, or of an id that a reply issued.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sessiontap.bounded_dict import BoundedDict
from sessiontap.llm.history import whole
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Evidence

MAX_CALLS = 8_000
"""At about 1.5 KB each."""
MAX_AGE = 24 * 3600 * 1_000_000_000
"""Nanoseconds after its last use at which a call is forgotten."""
_MAX_PER_KEY = 16

Key = bytes | str
State = Literal["open", "unread", "done", "failed"]
"""`unread`: the client has its reply, which is yet to be read here."""


@dataclass(slots=True, eq=False)
class KnownCall:
    """A call that later ones may continue."""

    id: str
    scope: MatchScope
    at: int
    """Unix nanoseconds of its last use."""
    conversation: str
    root: str
    lineage: tuple[str, ...]
    request_chain: bytes
    """The chain of its request's history (`History.end`)."""
    system: bytes | None
    settings: bytes | None
    declared: str | None = None
    """The id of the conversation that it declares."""
    parent: str | None = None
    turn: str = ""
    """The id of the call with which its turn began."""
    advances: bool = True
    """False for an auxiliary call, such as one that asks for a title: nothing continues it."""
    state: State = "open"
    retryable: bool = False
    """It failed in a way that makes the same request worth another try."""
    reply_chain: bytes | None = None
    """The chain of the history that ends with its reply."""
    reply_outline: bytes | None = None
    """The same for a reply that was rewritten (see `llm.messages`)."""
    reply_digest: bytes | None = None
    """The digest of its reply alone, if that is substantial."""
    trace_id: str | None = None
    """The server's own id of the call."""
    child: str | None = None
    """The newest call that continues it."""
    tools: tuple[tuple[str, str | None], ...] = ()
    """(id, name) of its reply's tool calls that have ids."""
    evidence: Evidence | None = None
    """The evidence for its parent."""
    warm_up: bool = False
    """A call that names it as parent gets its parent instead."""
    incomplete: bool = False
    """Its reply broke off."""
    of_run: bool = False
    """It declares a run (`Agent.of_run`)."""
    keys: tuple[Key, ...] = ()

    @property
    def whole_request(self) -> bytes:
        """The digest of all that a retry repeats, as `History.whole`."""
        return whole(self.request_chain, self.system, self.settings)


class KnownCalls:
    """Calls by id and by keys. Of many under one key the newest stay."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._calls: BoundedDict[str, KnownCall] = BoundedDict(max_calls, lambda _, call: self._unindex_all(call))
        self._keys: dict[Key, KnownCall | list[KnownCall]] = {}
        """Nearly every key has one call."""

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, id: str | None) -> KnownCall | None:
        """Return the call with that id, None if it is not known."""
        return self._calls.peek(id) if id is not None else None

    def newest(self, count: int) -> list[KnownCall]:
        """Return up to `count` calls, the most recently used first."""
        return [call for _, call in self._calls.newest(count)]

    def add(self, call: KnownCall) -> None:
        """Remember a call. The least recently used ones are forgotten."""
        self._calls.put(call.id, call)

    def index(self, call: KnownCall, keys: Iterable[Key]) -> None:
        """Enter a remembered call under `keys`."""
        if self._calls.peek(call.id) is not call:
            return
        for key in keys:
            under = self._keys.get(key)
            if under is None:
                self._keys[key] = call
            elif isinstance(under, KnownCall):
                if under is call:
                    continue
                self._keys[key] = [under, call]
            elif call in under:
                continue
            else:
                under.append(call)
                if len(under) > _MAX_PER_KEY:
                    del under[0]
            call.keys = (*call.keys, key)

    def unindex(self, call: KnownCall, key: Key) -> None:
        """Remove a call's entry under `key`."""
        if key in call.keys:
            call.keys = tuple(one for one in call.keys if one != key)
            self._remove(call, key)

    def under(self, key: Key) -> list[KnownCall]:
        """Return the calls under a key, the oldest first."""
        under = self._keys.get(key)
        return [] if under is None else [under] if isinstance(under, KnownCall) else under

    def use(self, call: KnownCall, now: int) -> None:
        """Note that a call was continued `now`."""
        call.at = max(call.at, now)
        self._calls.use(call.id)

    def forget_old(self, now: int) -> None:
        """Drop the calls that were last used more than `MAX_AGE` ago."""
        while (oldest := self._calls.oldest()) is not None and now - oldest[1].at > MAX_AGE:
            self._calls.pop(oldest[0])
            self._unindex_all(oldest[1])

    def _unindex_all(self, call: KnownCall) -> None:
        for key in call.keys:
            self._remove(call, key)

    def _remove(self, call: KnownCall, key: Key) -> None:
        under = self._keys.get(key)
        if under is call:
            del self._keys[key]
        elif isinstance(under, list) and call in under:
            under.remove(call)
            if not under:
                del self._keys[key]
