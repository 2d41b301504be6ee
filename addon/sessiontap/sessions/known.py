"""The calls that conversations are recognised by, and the keys that they are found under. Bounded by number and age."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sessiontap.sessions.ground import Ground

MOST = 20_000
"""Calls, at about 1 KB each."""
LONGEST = 24 * 3600 * 1_000_000_000
"""Nanoseconds for which a call is gone on from."""
_MOST_UNDER_ONE_KEY = 16


@dataclass(slots=True, eq=False)
class Known:
    """A call that others may go on from."""

    id: str
    ground: Ground
    at: int
    """Unix nanoseconds of its last use."""
    conversation: str
    root: str
    lineage: tuple[str, ...]
    end: bytes
    """The chain's last value in its request."""
    system: bytes | None
    declared: str | None = None
    """The conversation that it declared."""
    parent: str | None = None
    advances: bool = True
    """False for what goes beside the conversation, such as a title."""
    state: Literal["open", "done", "failed"] = "open"
    reply: bytes | None = None
    """The chain's value behind its reply."""
    gist: bytes | None = None
    trace: str | None = None
    """Its server's own name for it."""
    child: str | None = None
    """The newest call that goes on from it."""
    keys: list[Hashable] = field(default_factory=list)


class KnownCalls:
    """Calls by id and by keys. Of many under one key the newest count."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._calls: OrderedDict[str, Known] = OrderedDict()
        self._keys: dict[Hashable, list[Known]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, id: str | None) -> Known | None:
        """A call by its id."""
        return self._calls.get(id) if id is not None else None

    def add(self, call: Known) -> None:
        """Remember a call; the ones not used for longest are forgotten."""
        self._calls[call.id] = call
        while len(self._calls) > self._most:
            self._drop(next(iter(self._calls.values())))

    def index(self, call: Known, keys: Iterable[Hashable]) -> None:
        """Make a remembered call found under `keys`."""
        if self._calls.get(call.id) is not call:
            return
        for key in keys:
            under = self._keys.setdefault(key, [])
            if call not in under:
                under.append(call)
                call.keys.append(key)
                if len(under) > _MOST_UNDER_ONE_KEY:
                    del under[0]

    def under(self, key: Hashable) -> list[Known]:
        """Calls under a key, oldest first."""
        return self._keys.get(key, [])

    def use(self, call: Known, now: int) -> None:
        """A call was gone on from `now`."""
        call.at = max(call.at, now)
        if call.id in self._calls:
            self._calls.move_to_end(call.id)

    def forget(self, now: int) -> None:
        """Drop what has not been used for too long."""
        while self._calls:
            oldest = next(iter(self._calls.values()))
            if now - oldest.at <= LONGEST:
                break
            self._drop(oldest)

    def _drop(self, call: Known) -> None:
        del self._calls[call.id]
        for key in call.keys:
            under = self._keys.get(key)
            if under and call in under:
                under.remove(call)
                if not under:
                    del self._keys[key]

    def __iter__(self) -> Iterator[Known]:
        return iter(self._calls.values())
