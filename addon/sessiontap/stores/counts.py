"""The counts of alerts and limits of all proxies that share a store: what `limits.Tracker` counts, in Redis.

A call asks once as it begins, if its rules have alerts or limits, and once when it has ended (`count.lua`). Beside that
this proxy counts its own calls. So while the store is away, or late, it goes on with what it knows; what it counted
meanwhile the store is told once it is back.

A call with a limit waits for its count. Which thresholds hold, and which count each reads, follows from the answer of
`begin.lua` (session, parent, the rules that look at them), and a count cannot be taken back, since other calls are
refused by it and its crossing is told once. So it is asked for ahead of that answer, in the same request, and counted
only if the answer is what was expected. Else it is asked for again, within the same bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.limits import CallScopes, Counted, Crossing, Scope, Threshold, Tracker
from sessiontap.limits.meters import SLICES
from sessiontap.limits.shared import CallBegins, RestoredCounts
from sessiontap.limits.tracker import MOST_IN_FLIGHT, MOST_REFUSING, BeginResult, key_of
from sessiontap.sessions.store import Patience
from sessiontap.stores.connection import StoreError
from sessiontap.stores.redis_store import RedisStore

_MOST_UNTOLD = 10_000
_TOLD_AT_ONCE = 200
_MILLISECOND = 1_000_000
_NOTHING, _UNKNOWN = "-", ""
_SCALES = {"cost_usd": 1e9, "duration": 1e3}
"""A measure's unit in the store."""


class _Reader(NamedTuple):
    """A threshold, and the count that it reads."""

    threshold: Threshold
    scope: Scope
    key: str
    """Of the count in the store."""
    id: str


class _Asked(NamedTuple):
    """A call that the store counts."""

    call: str
    scopes: CallScopes
    readers: Sequence[_Reader]
    at: int
    arguments: Sequence[str | bytes | int]

    def passed(self) -> _Asked:
        """Return the same for a call that has gone through: no limit may refuse it any more."""
        arguments = [*self.arguments]
        arguments[_PROXY:_READERS] = ["", ""]
        arguments[_MAY_REFUSE::_PER_READER] = [0] * len(self.readers)
        return self._replace(arguments=arguments)

    def ahead(self, proxy: int) -> _Asked:
        """Return the same, to be counted only if the call's session is what was expected."""
        arguments = [*self.arguments]
        arguments[_PROXY:_READERS] = [proxy, self.call]
        return self._replace(arguments=arguments)


class StoreCounts:
    """`SharedCounts` of the proxies of a store."""

    def __init__(self, store: RedisStore, own: Tracker, tell: Callable[[Sequence[Crossing]], None]) -> None:
        """`own` counts this proxy's calls; `tell` is told of crossings that the store says late."""
        self._store = store
        self._own = own
        self._tell = tell
        self._in_flight: BoundedDict[str, tuple[CallScopes, list[_Reader]]] = BoundedDict(MOST_IN_FLIGHT)
        self._refusing: BoundedDict[str, tuple[str, Crossing]] = BoundedDict(MOST_REFUSING)
        self._untold: deque[_Asked] = deque(maxlen=_MOST_UNTOLD)
        """Calls that were counted while the store was away."""
        self._ahead: BoundedDict[str, tuple[_Asked, asyncio.Future[Any]]] = BoundedDict(MOST_IN_FLIGHT)
        """Calls that were asked for ahead of their session."""
        self._told_alone: BoundedDict[tuple[str, float], bool] = BoundedDict(MOST_REFUSING)
        """Crossings that this proxy found meanwhile."""

    def ahead(self, begins: CallBegins) -> None:
        asked = _asked(begins, _readers(begins)).ahead(self._store.presence.number)
        if asked.readers and not self._untold:
            answer = self._store.run("count", *asked.arguments)
            if answer is not None:
                self._ahead.put(begins.call, (asked, answer))

    def begin(self, begins: CallBegins) -> asyncio.Future[BeginResult]:
        own = begins.begin(self._own)
        readers = _readers(begins)
        if begins.counts:
            self._in_flight.put(begins.call, (begins.scopes, readers))
        asked = _asked(begins, readers)
        ahead = self._ahead.pop(begins.call) or (asked, self._ask(asked))
        return asyncio.ensure_future(self._begun(begins, asked, ahead, own))

    def ended(self, call: str, counted: Counted) -> asyncio.Future[Sequence[Crossing]]:
        own = self._own.ended(call, counted)
        scopes, readers = self._in_flight.pop(call, (None, None))
        if scopes is None or readers is None:
            return _done(())
        adds = [_ended(one.threshold, counted) for one in readers]
        arguments = _arguments("end", counted.at, readers, adds, counts=True, may_refuse=False)
        asked = _Asked(call, scopes, readers, counted.at, arguments)
        return asyncio.ensure_future(self._ended(asked, self._ask(asked), own))

    def forget(self, call: str) -> None:
        self._own.forget(call)
        self._in_flight.pop(call)

    def restore(self, restored: RestoredCounts) -> None:
        """The store has the counts of before; those of the log are this proxy's own."""
        restored.restore(self._own)

    def refusing(self) -> asyncio.Future[Sequence[Crossing]]:
        return _done([crossing for _, (_, crossing) in self._refusing.items()])

    def lift(self, id: str) -> asyncio.Future[Crossing | None]:
        found = self._refusing.pop(id)
        if found is None:
            return _done(None)
        self._own.lift(id)
        self._store.run("lift", found[0])
        return _done(found[1])

    # -- the store -----------------------------------------------------------------------------------------------------

    def _ask(self, asked: _Asked) -> asyncio.Future[Any] | None:
        """Have the store count, behind what it was not told yet. None: it is away."""
        if not asked.readers:
            return None
        for _ in range(min(len(self._untold), _TOLD_AT_ONCE)):
            before = self._store.run("count", *self._untold[0].arguments)
            if before is None:
                return None
            before.add_done_callback(partial(self._take_late, self._untold.popleft()))
        return self._store.run("count", *asked.arguments) if not self._untold else None

    def _patience(self, begins: CallBegins) -> Patience:
        """Return what a call has left: whatever it asks the store, it waits for no longer than the bound in all."""
        bound = self._store.address.timeout
        left = bound if begins.may_wait is None else begins.may_wait
        return Patience(left, bound - left)

    async def _begun(
        self,
        begins: CallBegins,
        asked: _Asked,
        ahead: tuple[_Asked, asyncio.Future[Any] | None],
        own: BeginResult,
    ) -> BeginResult:
        patience, counts = self._patience(begins), own.refused is None
        told = await self._within_bound(*ahead, patience, counts=counts)
        if told is not None and told[0] == b"unforeseen":
            told = await self._within_bound(asked, self._ask(asked), patience, counts=counts)
        if begins.may_refuse:
            self._store.note_wait(patience)
        if told is None:
            self._note_alone(own.crossings)
            if own.refused is not None:
                self._in_flight.pop(asked.call)
                self._note_refused(asked, own.refused)
            return own
        if told[0] == b"refused":
            _, number, value, unknown, is_first = told
            crossing = _crossing(asked, number, value, unknown)
            self._in_flight.pop(asked.call)
            self._note_refused(asked, crossing)
            return BeginResult(refused=crossing, is_first=bool(is_first))
        for one in asked.readers:
            self._refusing.pop(one.id)
        return BeginResult(_crossings(asked, told))

    async def _ended(
        self, asked: _Asked, answer: asyncio.Future[Any] | None, own: Sequence[Crossing]
    ) -> Sequence[Crossing]:
        told = await self._within_bound(asked, answer, self._store.patience())
        if told is None:
            self._note_alone(own)
            return own
        return _crossings(asked, told)

    async def _within_bound(
        self, asked: _Asked, answer: asyncio.Future[Any] | None, patience: Patience, *, counts: bool = True
    ) -> Any:
        """Return the store's answer; None if it is away or late. `counts`: it is told later if it is away."""
        if answer is None:
            if counts and asked.readers:
                self._untold.append(asked.passed())
            return None
        try:
            return await self._store.within(patience, answer)
        except TimeoutError:
            answer.add_done_callback(partial(self._take_late, asked, counts=counts))
            return None
        except StoreError:
            if counts:
                self._untold.append(asked.passed())
            return None

    def _take_late(self, asked: _Asked, answer: asyncio.Future[Any], *, counts: bool = True) -> None:
        """Tell crossings that were not told by what this proxy knew itself. `counts`: the call has gone through, also
        if the store would have refused it."""
        if answer.cancelled():
            return
        if answer.exception() is not None:
            self._untold.append(asked.passed())
            return
        told = answer.result()
        if told[0] == b"unforeseen":
            if counts:
                self._untold.append(asked.passed())
        elif told[0] == b"refused":
            _, number, value, unknown, is_first = told
            if counts:
                self._untold.append(asked.passed())
            self._tell([_crossing(asked, number, value, unknown)] if is_first else [])
        else:
            alone = self._told_alone
            self._tell([one for one in _crossings(asked, told) if not alone.peek((one.id, one.threshold.most))])

    def _note_alone(self, crossings: Sequence[Crossing]) -> None:
        for one in crossings:
            self._told_alone.put((one.id, one.threshold.most), True)

    def _note_refused(self, asked: _Asked, crossing: Crossing) -> None:
        key = next(one.key for one in asked.readers if one.id == crossing.id)
        self._refusing.put(crossing.id, (key, crossing))


_PROXY, _READERS, _PER_READER, _MAY_REFUSE = 3, 5, 8, 11
"""Of the script's arguments behind the prefix: where those begin that have it count ahead, and those of thresholds; how
many stand for a threshold, and the first that lets it refuse."""


def _done[T](value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def _readers(begins: CallBegins) -> list[_Reader]:
    """The thresholds whose scope is known."""
    readers = []
    for threshold in begins.thresholds:
        scope = begins.scopes.of(threshold.per)
        if scope is not None:
            key, id = key_of(threshold, scope, begins.scopes.lane)
            text = "\0".join((*key[0], *key[1:])).encode("utf-8", "surrogatepass")
            readers.append(_Reader(threshold, scope, blake2b(text, digest_size=16).hexdigest(), id))
    return readers


def _begun(threshold: Threshold, digest: bytes | None) -> str:
    """Return what a call adds as it begins."""
    match threshold.measure:
        case "calls" | "duration":
            return "1"
        case "repeats" if digest is not None:
            return digest.hex()
    return _NOTHING


def _ended(threshold: Threshold, counted: Counted) -> str:
    """Return what a call adds once it has ended."""
    match threshold.measure:
        case "tokens":
            return _UNKNOWN if counted.tokens is None else str(counted.tokens)
        case "cost_usd":
            return _UNKNOWN if counted.cost_usd is None else str(round(counted.cost_usd * _SCALES["cost_usd"]))
        case "error_rate" if counted.failed is not None:
            return str(int(counted.failed))
        case "repeats":
            return counted.tools.hex() if counted.tools is not None else _UNKNOWN
    return _NOTHING


def _asked(begins: CallBegins, readers: Sequence[_Reader]) -> _Asked:
    at, adds = begins.scopes.at, [_begun(one.threshold, begins.digest) for one in readers]
    arguments = _arguments("begin", at, readers, adds, counts=begins.counts, may_refuse=begins.may_refuse)
    return _Asked(begins.call, begins.scopes, readers, at, arguments)


def _arguments(
    phase: str, at: int, readers: Sequence[_Reader], adds: Sequence[str], *, counts: bool, may_refuse: bool
) -> list[str | bytes | int]:
    found: list[str | bytes | int] = [at // _MILLISECOND, phase, int(counts), "", ""]
    for one, more in zip(readers, adds, strict=True):
        threshold = one.threshold
        within = round((threshold.within or 0) * 1000)
        is_sum = threshold.measure in ("calls", "tokens", "cost_usd")
        most = threshold.most * _SCALES.get(threshold.measure, 1)
        found += [
            one.key,
            threshold.measure,
            max(1, within // SLICES) if within and is_sum else 0,
            within,
            f"{most:.17g}",
            threshold.kind,
            int(may_refuse),
            more,
        ]
    return found


def _crossings(asked: _Asked, told: Sequence[Any]) -> list[Crossing]:
    return [_crossing(asked, *told[at : at + 3]) for at in range(1, len(told), 3)]


def _crossing(asked: _Asked, number: int, value: bytes, unknown: int) -> Crossing:
    """Return what the store says of a threshold; they are numbered from 1."""
    one = asked.readers[number - 1]
    amount = float(value) / _SCALES.get(one.threshold.measure, 1)
    return Crossing(one.threshold, one.scope, amount, unknown, one.id, asked.call, asked.scopes.session, asked.at)
