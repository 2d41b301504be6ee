"""The calls that conversations are recognised by, and the keys that they are found under. Bounded by number and age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sessiontap.bounded import BoundedDict
from sessiontap.llm.history import whole
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Evidence

MOST = 8_000
"""Calls, at about 1.5 KB each."""
LONGEST = 24 * 3600 * 1_000_000_000
"""Nanoseconds for which a call is gone on from."""
_MOST_UNDER_ONE_KEY = 16

Key = bytes | str


@dataclass(slots=True, eq=False)
class Known:
    """A call that others may go on from."""

    id: str
    scope: MatchScope
    at: int
    """Unix nanoseconds of its last use."""
    conversation: str
    root: str
    lineage: tuple[str, ...]
    end: bytes
    """The chain's last value in its request."""
    system: bytes | None
    settings: bytes | None
    declared: str | None = None
    """The conversation that it declared."""
    parent: str | None = None
    advances: bool = True
    """False for what goes beside the conversation, such as a title."""
    state: Literal["open", "done", "failed"] = "open"
    again: bool = False
    """It failed in a way that the same request may get over."""
    reply: bytes | None = None
    """The chain's value behind its reply."""
    gist: bytes | None = None
    said: bytes | None = None
    """Stands for its reply alone, where that is substantial."""
    trace: str | None = None
    """Its server's own name for it."""
    child: str | None = None
    """The newest call that goes on from it."""
    tools: tuple[tuple[str, str | None], ...] = ()
    """(id, name) of its reply's tool calls, where they have ids."""
    evidence: Evidence | None = None
    """What its parent rests on."""
    warm_up: bool = False
    """What goes on from it hangs where it hung."""
    cut: bool = False
    """Its reply did not come to its end."""
    of_run: bool = False
    """What it declares is a run (`Agent.of_run`)."""
    keys: tuple[Key, ...] = ()

    @property
    def whole(self) -> bytes:
        """As `History.whole`."""
        return whole(self.end, self.system, self.settings)


class KnownCalls:
    """Calls by id and by keys. Of many under one key the newest count."""

    def __init__(self, most: int = MOST) -> None:
        self._calls: BoundedDict[str, Known] = BoundedDict(most, lambda _, call: self._unfind(call))
        self._keys: dict[Key, Known | list[Known]] = {}
        """Nearly always there is one."""

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, id: str | None) -> Known | None:
        """A call by its id."""
        return self._calls.peek(id) if id is not None else None

    def add(self, call: Known) -> None:
        """Remember a call; the ones not used for longest are forgotten."""
        self._calls.put(call.id, call)

    def index(self, call: Known, keys: Iterable[Key]) -> None:
        """Make a remembered call found under `keys`."""
        if self._calls.peek(call.id) is not call:
            return
        for key in keys:
            under = self._keys.get(key)
            if under is None:
                self._keys[key] = call
            elif isinstance(under, Known):
                if under is call:
                    continue
                self._keys[key] = [under, call]
            elif call in under:
                continue
            else:
                under.append(call)
                if len(under) > _MOST_UNDER_ONE_KEY:
                    del under[0]
            call.keys = (*call.keys, key)

    def unindex(self, call: Known, key: Key) -> None:
        """Make a call found under `key` no more."""
        if key in call.keys:
            call.keys = tuple(one for one in call.keys if one != key)
            self._remove(call, key)

    def under(self, key: Key) -> list[Known]:
        """Calls under a key, oldest first."""
        under = self._keys.get(key)
        return [] if under is None else [under] if isinstance(under, Known) else under

    def use(self, call: Known, now: int) -> None:
        """A call was gone on from `now`."""
        call.at = max(call.at, now)
        self._calls.use(call.id)

    def forget(self, now: int) -> None:
        """Drop what has not been used for too long."""
        while (oldest := self._calls.oldest()) is not None and now - oldest[1].at > LONGEST:
            self._calls.pop(oldest[0])
            self._unfind(oldest[1])

    def _unfind(self, call: Known) -> None:
        for key in call.keys:
            self._remove(call, key)

    def _remove(self, call: Known, key: Key) -> None:
        under = self._keys.get(key)
        if under is call:
            del self._keys[key]
        elif isinstance(under, list) and call in under:
            under.remove(call)
            if not under:
                del self._keys[key]
