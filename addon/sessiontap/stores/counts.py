"""The counts of alerts and limits of all proxies that share a store: what `limits.Tracker` counts, in Redis.

A call whose rules have limits is counted in the request that asks for its session, in the session that the store finds
(`begin.lua`). So it waits once, and a limit refuses by the count of all. The answer may show that other rules hold, or
another session: then what was counted is taken back, and the call is counted where it belongs, both behind its back,
and no limit refuses it by a count that was not asked for. Calls with alerts alone are counted behind their back, and
so is what each call comes to (`count.lua`).

Beside that this proxy counts its own calls. So while the store is away, or late, it goes on with what it knows; what it
counted meanwhile the store is told once it is back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from sessiontap.bounded_dict import BoundedDict
from sessiontap.limits import CallScopes, Counted, Crossing, Scope, Threshold, Tracker
from sessiontap.limits.meters import SLICES
from sessiontap.limits.shared import CallBegins, CountAhead, CountAnswer, RestoredCounts
from sessiontap.limits.tracker import MOST_IN_FLIGHT, MOST_REFUSING, BeginResult, key_of
from sessiontap.stores.connection import StoreError
from sessiontap.stores.redis_store import RedisStore

_MOST_UNTOLD = 10_000
_TOLD_AT_ONCE = 200
_MILLISECOND = 1_000_000
_NOTHING, _UNKNOWN = "-", ""
_SCALES = {"cost_usd": 1e9, "duration": 1e3}
"""A measure's unit in the store."""

Arguments = list[str | bytes | int]


class _Reader(NamedTuple):
    """A threshold, and the count that it reads."""

    threshold: Threshold
    scope: Scope
    key: str
    """Of the count in the store; without the session, if that `is_of_session`."""
    is_of_session: bool
    id: str


class _Asked(NamedTuple):
    """A call that the store counts."""

    call: str
    scopes: CallScopes
    readers: Sequence[_Reader]
    digest: bytes | None = None
    counts: bool = True

    @property
    def keys(self) -> dict[str, _Reader]:
        """The keys of its counts in the store, each with a threshold that reads it."""
        return {self.key(one): one for one in reversed(self.readers)}

    @property
    def counted(self) -> list[tuple[str, Threshold]]:
        """The counts of its thresholds, in their order."""
        return [(self.key(one), one.threshold) for one in self.readers]

    def key(self, reader: _Reader) -> str:
        """Return the key of a count in the store."""
        return f"{reader.key}:{self.scopes.session}" if reader.is_of_session else reader.key

    def within(self, session: str) -> _Asked:
        """Return the same as a call of this session."""
        return self._replace(scopes=self.scopes._replace(session=session))

    def but(self, keys: Iterable[str]) -> _Asked:
        """Return the same without the thresholds that read these counts."""
        return self._replace(readers=[one for one in self.readers if self.key(one) not in keys])

    def ahead(self) -> Arguments:
        """Return what asks for it together with its session."""
        return [self.scopes.at // _MILLISECOND, int(self.counts), *self._begun(may_refuse=True)]

    def behind(self, phase: str = "begin") -> Arguments:
        """Return what asks for it behind its back: no limit may refuse it any more."""
        return self._behind(phase, self._begun(may_refuse=False))

    def ended(self, counted: Counted) -> Arguments:
        """Return what tells the store what it came to."""
        return self._behind("end", _values(self.readers, [_ended(one.threshold, counted) for one in self.readers]))

    def _behind(self, phase: str, values: Arguments) -> Arguments:
        return [self.scopes.at // _MILLISECOND, phase, int(self.counts), self.scopes.session or "", *values]

    def _begun(self, *, may_refuse: bool) -> Arguments:
        adds = [_begun(one.threshold, self.digest) for one in self.readers]
        return _values(self.readers, adds, may_refuse=may_refuse)

    def crossing(self, one: _Reader, value: bytes, unknown: int) -> Crossing:
        """Return what the store says of a threshold."""
        amount, scopes = float(value) / _SCALES.get(one.threshold.measure, 1), self.scopes
        return Crossing(one.threshold, one.scope, amount, unknown, one.id, self.call, scopes.session, scopes.at)

    def crossings(self, told: Sequence[Any]) -> list[Crossing]:
        """Return the alerts that were reached; thresholds are numbered from 1."""
        return [self.crossing(self.readers[told[at] - 1], *told[at + 1 : at + 3]) for at in range(1, len(told), 3)]


class StoreCounts:
    """`SharedCounts` of the proxies of a store."""

    def __init__(self, store: RedisStore, own: Tracker, tell: Callable[[Sequence[Crossing]], None]) -> None:
        """`own` counts this proxy's calls; `tell` is told of crossings that the store says late."""
        self._store = store
        self._own = own
        self._tell = tell
        self._in_flight: BoundedDict[str, _Asked] = BoundedDict(MOST_IN_FLIGHT)
        self._refusing: BoundedDict[str, tuple[str, Crossing]] = BoundedDict(MOST_REFUSING)
        self._untold: deque[Arguments] = deque(maxlen=_MOST_UNTOLD)
        """Calls that were counted while the store was away, as it is told of them."""
        self._ahead: BoundedDict[str, tuple[_Asked, asyncio.Future[CountAnswer | None]]] = BoundedDict(MOST_IN_FLIGHT)
        """Calls that were asked for together with their session."""
        self._told_alone: BoundedDict[tuple[str, float], bool] = BoundedDict(MOST_REFUSING)
        """Crossings that this proxy found meanwhile."""

    def ahead(self, begins: CallBegins) -> CountAhead | None:
        asked = _asked(begins)
        if not asked.readers or not self._has_told():
            return None
        answer: asyncio.Future[CountAnswer | None] = asyncio.get_running_loop().create_future()
        self._ahead.put(begins.call, (asked, answer))
        return CountAhead(asked.ahead(), answer)

    def begin(self, begins: CallBegins) -> asyncio.Future[BeginResult]:
        own, asked = begins.begin(self._own), _asked(begins)
        if begins.counts:
            self._in_flight.put(begins.call, asked)
        expected, answer = self._ahead.pop(begins.call) or (asked, None)
        if answer is None:
            return self._begin_behind(asked, own, waits=begins.may_refuse)
        if answer.done():
            return _done(self._begun(asked, expected, answer.result(), own))
        is_refused = own.refused is not None
        answer.add_done_callback(partial(self._take_late, asked, expected, is_refused=is_refused))
        return _done(self._alone(asked, own))

    def ended(self, call: str, counted: Counted) -> asyncio.Future[Sequence[Crossing]]:
        own = self._own.ended(call, counted)
        asked = self._in_flight.pop(call)
        if asked is None:
            return _done(())
        asked = asked._replace(scopes=asked.scopes._replace(at=counted.at))
        return asyncio.ensure_future(self._waited(asked, self._send(asked.ended(counted)), own))

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

    # -- a call begins -------------------------------------------------------------------------------------------------

    def _begun(
        self, asked: _Asked, expected: _Asked, answer: CountAnswer | None, own: BeginResult
    ) -> BeginResult:
        """Return what the answer to a call that waited for it comes to."""
        if answer is None:
            if own.refused is None:
                self._untold.append(asked.behind())
            return self._alone(asked, own)
        found, told, keys = expected.within(answer.session), answer.told, asked.keys
        if told[0] == b"refused":
            _, number, value, unknown, is_first = told
            by = found.readers[number - 1]
            if (reader := keys.get(found.key(by))) is not None:
                crossing = asked.crossing(reader._replace(threshold=by.threshold), value, unknown)
                self._note_refused(asked, crossing)
                return BeginResult(refused=crossing, is_first=bool(is_first))
            found = found._replace(readers=())
        if found.counted == asked.counted:
            for one in asked.readers:
                self._refusing.pop(one.id)
            return BeginResult(asked.crossings(told))
        self._correct(asked, found, is_refused=own.refused is not None)
        return self._alone(asked, own)

    def _begin_behind(self, asked: _Asked, own: BeginResult, *, waits: bool) -> asyncio.Future[BeginResult]:
        """Count a call that does not wait for it, or (`waits`) whose limits were not known when its session was asked
        for."""
        if not asked.readers or (waits and own.refused is not None):
            return _done(self._alone(asked, own))
        if not waits:
            return asyncio.ensure_future(self._result(asked, self._send(asked.behind()), own))
        self._count_late(asked)
        return _done(self._alone(asked, own))

    async def _result(self, asked: _Asked, answer: asyncio.Future[Any] | None, own: BeginResult) -> BeginResult:
        return BeginResult(await self._waited(asked, answer, own.crossings))

    def _alone(self, asked: _Asked, own: BeginResult) -> BeginResult:
        """Return what this proxy knows itself."""
        self._note_alone(own.crossings)
        if own.refused is not None:
            self._note_refused(asked, own.refused)
        return own

    def _take_late(
        self, asked: _Asked, expected: _Asked, answer: asyncio.Future[CountAnswer | None], *, is_refused: bool
    ) -> None:
        """Take an answer that came when the call had gone on, or (`is_refused`) was refused by what was known."""
        counted = answer.result()
        if counted is None:
            if not is_refused:
                self._untold.append(asked.behind())
            return
        found, told = expected.within(counted.session), counted.told
        if told[0] == b"refused":
            _, number, value, unknown, is_first = told
            self._tell([found.crossing(found.readers[number - 1], value, unknown)] if is_first else [])
            found = found._replace(readers=())
        elif found.counted == asked.counted:
            self._tell_late(asked, told)
        self._correct(asked, found, is_refused=is_refused)

    def _correct(self, asked: _Asked, counted: _Asked, *, is_refused: bool) -> None:
        """Take back what was counted of a call that counts elsewhere, or (`is_refused`) nowhere, and count what was
        not."""
        wrong = counted.but(() if is_refused else asked.keys)
        if wrong.readers:
            self._send(wrong.behind("undo"))
        missing = asked.but(counted.keys)
        if missing.readers and not is_refused:
            self._count_late(missing)

    # -- the store -----------------------------------------------------------------------------------------------------

    def _has_told(self) -> bool:
        """Tell the store what it was not told yet. Return True if that is all of it."""
        for _ in range(min(len(self._untold), _TOLD_AT_ONCE)):
            if self._run(self._untold[0]) is None:
                return False
            self._untold.popleft()
        return not self._untold

    def _run(self, arguments: Arguments) -> asyncio.Future[Any] | None:
        """Have the store count; it is told again if it goes away. None: it is away."""
        answer = self._store.run("count", *arguments)
        if answer is not None:
            answer.add_done_callback(partial(self._note_failure, arguments))
        return answer

    def _note_failure(self, arguments: Arguments, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is not None:
            self._untold.append(arguments)

    def _send(self, arguments: Arguments) -> asyncio.Future[Any] | None:
        """Have the store count, behind what it was not told yet. None: it is told later."""
        answer = self._run(arguments) if self._has_told() else None
        if answer is None:
            self._untold.append(arguments)
        return answer

    def _count_late(self, asked: _Asked) -> None:
        """Have the store count a call that has gone on."""
        if (answer := self._send(asked.behind())) is not None:
            answer.add_done_callback(partial(self._take_counted, asked))

    async def _waited(
        self, asked: _Asked, answer: asyncio.Future[Any] | None, own: Sequence[Crossing]
    ) -> Sequence[Crossing]:
        """Return the crossings that the store tells, or those that this proxy found if it does not within the bound. No
        call waits for it."""
        if answer is not None:
            try:
                return asked.crossings(await self._store.within_bound(answer, is_waited_for=False))
            except TimeoutError:
                answer.add_done_callback(partial(self._take_counted, asked))
            except StoreError:
                pass
        self._note_alone(own)
        return own

    def _take_counted(self, asked: _Asked, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._tell_late(asked, answer.result())

    def _tell_late(self, asked: _Asked, told: Sequence[Any]) -> None:
        """Tell crossings that were not told by what this proxy knew itself."""
        alone = self._told_alone
        self._tell([one for one in asked.crossings(told) if not alone.peek((one.id, one.threshold.most))])

    def _note_alone(self, crossings: Sequence[Crossing]) -> None:
        for one in crossings:
            self._told_alone.put((one.id, one.threshold.most), True)

    def _note_refused(self, asked: _Asked, crossing: Crossing) -> None:
        self._in_flight.pop(asked.call)
        key = next(asked.key(one) for one in asked.readers if one.id == crossing.id)
        self._refusing.put(crossing.id, (key, crossing))


def _done[T](value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def _asked(begins: CallBegins) -> _Asked:
    """Return a call with its thresholds whose scope is known."""
    readers, scopes = [], begins.scopes
    for threshold in begins.thresholds:
        scope = scopes.of(threshold.per)
        if scope is not None:
            key, id = key_of(threshold, scope, scopes.lane)
            is_of_session = threshold.per in ("session", "branch")
            within = scope.key.removeprefix(scopes.session or "") if is_of_session else scope.key
            text = "\0".join((*key[0], within, key[2])).encode("utf-8", "surrogatepass")
            digest = blake2b(text, digest_size=16).hexdigest()
            readers.append(_Reader(threshold, scope, digest, is_of_session, id))
    return _Asked(begins.call, scopes, readers, begins.digest, begins.counts)


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


def _values(readers: Sequence[_Reader], adds: Sequence[str], *, may_refuse: bool = False) -> Arguments:
    """Return the values of thresholds as scripts read them (counting.lua)."""
    found: Arguments = []
    for one, more in zip(readers, adds, strict=True):
        threshold = one.threshold
        within = round((threshold.within or 0) * 1000)
        is_sum = threshold.measure in ("calls", "tokens", "cost_usd")
        most = threshold.most * _SCALES.get(threshold.measure, 1)
        found += [
            one.key,
            int(one.is_of_session),
            threshold.measure,
            max(1, within // SLICES) if within and is_sum else 0,
            within,
            f"{most:.17g}",
            threshold.kind,
            int(may_refuse),
            more,
        ]
    return found
