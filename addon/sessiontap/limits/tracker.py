"""All meters of a proxy: they count calls as they begin and as they end, and tell which thresholds that reaches.

An alert is told once for each crossing of a scope, and again only after its count has fallen below the threshold. A
limit is reached by the calls before: the call that finds it so is refused, and counts nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from sessiontap import units
from sessiontap.bounded_dict import BoundedDict
from sessiontap.limits.meters import Elapsed, ErrorRate, Meter, Repeats, Sum, WindowSum
from sessiontap.limits.threshold import CallScopes, MeterKey, Scope, Threshold, amount

MOST_METERS = 20_000
"""Scopes times what is counted of each. A scope that was used least recently is forgotten, and counts from 0."""
MOST_IN_FLIGHT = 10_000
MOST_REFUSING = 1_000


class CountKey(NamedTuple):
    """The key of a count: what its meter measures, over which scope."""

    meter: MeterKey
    scope: str
    lane: str
    """Of `repeats`; empty otherwise."""


class Counted(NamedTuple):
    """The amounts that a call adds to the counts once it has ended. Unknown is None."""

    at: int
    """When it ended, Unix nanoseconds."""
    tokens: int | None = None
    cost_usd: float | None = None
    failed: bool | None = None
    tools: bytes | None = None
    """Digest of the tools that its reply calls, with their arguments; None if it calls none."""


class EndedCall(NamedTuple):
    """A recorded call, as counts are restored from it."""

    scopes: CallScopes
    thresholds: Sequence[Threshold]
    counted: Counted


@dataclass(frozen=True, slots=True)
class Crossing:
    """A count that has reached its threshold."""

    threshold: Threshold
    scope: Scope
    value: float
    unknown: int
    """Calls of the scope whose amount is not known: the value is without them."""
    id: str
    """Names the count: that of a limit is lifted by it."""
    call: str
    session: str | None
    at: int

    @property
    def text(self) -> str:
        """The crossing in words, without a word for what follows from it."""
        threshold = self.threshold
        least = "at least " if self.unknown else ""
        unknown = units.plural(self.unknown, "call")
        calls = f" ({unknown} of unknown {threshold.measure} left out)" if self.unknown else ""
        return (
            f"{threshold.measure} is {least}{amount(threshold.measure, self.value)}{threshold.window}{calls}, "
            f"at or above {amount(threshold.measure, threshold.most)}, in {self.scope.text}"
        )

    def summary(self) -> dict[str, Any]:
        """Return its values for any program of this machine: nothing of its session or its user."""
        threshold = self.threshold
        return {
            "time": self.at,
            "kind": threshold.kind,
            "name": threshold.label,
            "measure": threshold.measure,
            "per": threshold.per,
            "value": self.value,
            "threshold": threshold.most,
            "within": threshold.within,
        }

    def facts(self) -> dict[str, Any]:
        """Its values for the log and for programs."""
        threshold = self.threshold
        return {
            "rule": threshold.rule,
            "name": threshold.name,
            "measure": threshold.measure,
            "per": threshold.per,
            "scope": self.scope.key,
            "value": self.value,
            "threshold": threshold.most,
            "within": threshold.within,
            "unknown_calls": self.unknown,
            "id": self.id,
            "session": self.session,
            "call": self.call,
        }


class BeginResult(NamedTuple):
    """The thresholds that a call reaches as it begins."""

    crossings: Sequence[Crossing] = ()
    """Alerts to tell."""
    refused: Crossing | None = None
    """The limit by which the call is refused."""
    is_first: bool = False
    """It refuses its first call since it was reached."""


_COUNTED = BeginResult()


@dataclass(slots=True)
class _State:
    """The count of one scope, and the thresholds that it has reached."""

    meter: Meter
    scope: Scope
    key: CountKey
    told: set[float] = field(default_factory=set)
    """Thresholds that are reached and told."""


class Tracker:
    """For one thread: the proxy's loop."""

    def __init__(self) -> None:
        self._states: BoundedDict[CountKey, _State] = BoundedDict(MOST_METERS)
        self._in_flight: BoundedDict[str, tuple[CallScopes, list[tuple[Threshold, _State]]]] = BoundedDict(
            MOST_IN_FLIGHT
        )
        self._refusing: BoundedDict[str, tuple[CountKey, Crossing]] = BoundedDict(MOST_REFUSING)

    def begin(
        self,
        call: str,
        scopes: CallScopes,
        thresholds: Iterable[Threshold],
        digest: bytes | None = None,
        *,
        counts: bool = True,
        may_refuse: bool = True,
    ) -> BeginResult:
        """Count a call that begins, or refuse it.

        `digest` stands for the end of its request (see `Repeats`); None if it is not known. `counts`: it is a call of
        its session. `may_refuse`: it can still be answered by somebody else than its server.
        """
        now = scopes.at
        readers = self._readers(scopes, thresholds)
        if not readers:
            return _COUNTED
        for threshold, state in readers:
            if threshold.kind == "limit" and may_refuse:
                meter = state.meter
                value = meter.before(digest) if isinstance(meter, Repeats) else meter.value(now)
                if value is not None and value >= threshold.most:
                    return self._refused(threshold, state, value, call, scopes)
                if threshold.most in state.told:
                    state.told.discard(threshold.most)
                    self._refusing.pop(_id(state.key))
        if not counts:
            return _COUNTED
        for state in _states(readers):
            match state.meter:
                case Repeats() as repeats:
                    if digest is not None:
                        repeats.ask(digest)
                case Elapsed() as elapsed:
                    elapsed.add(now)
                case Sum() | WindowSum() as total if state.key.meter.measure == "calls":
                    total.add(1, now)
        self._in_flight.put(call, (scopes, readers))
        return BeginResult(self._crossings(readers, call, scopes, now))

    def ended(self, call: str, counted: Counted) -> Sequence[Crossing]:
        """Count a call that has ended. Return the alerts to tell; none if it was not counted as it began."""
        scopes, readers = self._in_flight.pop(call, (None, None))
        if scopes is None or readers is None:
            return ()
        _add_end(readers, counted)
        return self._crossings(readers, call, scopes, counted.at)

    def forget(self, call: str) -> None:
        """Drop a call in flight: nobody will tell how it ended."""
        self._in_flight.pop(call)

    def restore(self, calls: Iterable[EndedCall], lifted: Mapping[str, int], now: int) -> None:
        """Count calls of the log, in any order: several processes may have written it.

        `lifted`: when limits were lifted, by their ids; calls before that do not count for them any more. Alerts that
        are reached `now` are not told again.
        """
        found: list[tuple[CallScopes, list[tuple[Threshold, _State]], Counted]] = []
        for scopes, thresholds, counted in sorted(calls, key=lambda call: call.scopes.at):
            readers = self._readers(scopes, thresholds)
            if lifted:
                readers = [one for one in readers if lifted.get(_id(one[1].key), 0) <= scopes.at]
            for state in _states(readers):
                if isinstance(state.meter, Elapsed):
                    state.meter.add(scopes.at)
                elif isinstance(state.meter, Sum | WindowSum) and state.key.meter.measure == "calls":
                    state.meter.add(1, scopes.at)
            found.append((scopes, readers, counted))
        for _, readers, counted in sorted(found, key=lambda one: one[2].at):
            _add_end(readers, counted)
        alerts = {(one, state.key): state for _, readers, _ in found for one, state in readers if one.kind == "alert"}
        for (threshold, _), state in alerts.items():
            value = state.meter.value(now)
            if value is not None and value >= threshold.most:
                state.told.add(threshold.most)

    def refusing(self) -> list[Crossing]:
        """Return the limits that refused a call when they were last asked, the newest last."""
        return [crossing for _, (_, crossing) in self._refusing.items()]

    def lift(self, id: str) -> Crossing | None:
        """Have a limit count from 0 in its scope. Return it; None if none of this id refuses calls."""
        found = self._refusing.pop(id)
        if found is None:
            return None
        self._states.pop(found[0])
        return found[1]

    def _readers(self, scopes: CallScopes, thresholds: Iterable[Threshold]) -> list[tuple[Threshold, _State]]:
        """The thresholds whose scope is known, each with the count that it reads."""
        readers = []
        for threshold in thresholds:
            scope = scopes.of(threshold.per)
            if scope is None:
                continue
            key, _ = key_of(threshold, scope, scopes.lane)
            state = self._states.get(key)
            if state is None:
                state = _State(_meter(threshold), scope, key)
                self._states.put(key, state)
            readers.append((threshold, state))
        return readers

    def _crossings(
        self, readers: Iterable[tuple[Threshold, _State]], call: str, scopes: CallScopes, now: int
    ) -> list[Crossing]:
        found = []
        for threshold, state in readers:
            if threshold.kind != "alert":
                continue
            value = state.meter.value(now)
            if value is None or value < threshold.most:
                state.told.discard(threshold.most)
            elif threshold.most not in state.told:
                state.told.add(threshold.most)
                found.append(_crossing(threshold, state, value, call, scopes, now))
        return found

    def _refused(self, threshold: Threshold, state: _State, value: float, call: str, scopes: CallScopes) -> BeginResult:
        crossing = _crossing(threshold, state, value, call, scopes, scopes.at)
        is_first = threshold.most not in state.told
        state.told.add(threshold.most)
        self._refusing.put(crossing.id, (state.key, crossing))
        return BeginResult(refused=crossing, is_first=is_first)


def _meter(threshold: Threshold) -> Meter:
    match threshold.measure:
        case "error_rate":
            return ErrorRate(threshold.within)
        case "duration":
            return Elapsed()
        case "repeats":
            return Repeats()
    return Sum() if threshold.within is None else WindowSum(threshold.within)


def _states(readers: Iterable[tuple[Threshold, _State]]) -> Iterable[_State]:
    """The counts, each once: several thresholds may read one."""
    return {state.key: state for _, state in readers}.values()


def _add_end(readers: Iterable[tuple[Threshold, _State]], counted: Counted) -> None:
    for state in _states(readers):
        match state.meter:
            case ErrorRate() as rate:
                if counted.failed is not None:
                    rate.add(counted.failed, counted.at)
            case Repeats() as repeats:
                repeats.call(counted.tools)
            case Sum() | WindowSum() as total:
                match state.key.meter.measure:
                    case "tokens":
                        total.add(counted.tokens, counted.at)
                    case "cost_usd":
                        total.add(counted.cost_usd, counted.at)


def _crossing(threshold: Threshold, state: _State, value: float, call: str, scopes: CallScopes, at: int) -> Crossing:
    return Crossing(threshold, state.scope, value, state.meter.unknown, _id(state.key), call, scopes.session, at)


def key_of(threshold: Threshold, scope: Scope, lane: str) -> tuple[CountKey, str]:
    """Return the key of the count that a threshold reads, and the id that people are told of it."""
    key = CountKey(threshold.meter, scope.key, lane if threshold.measure == "repeats" else "")
    return key, _id(key)


def _id(key: CountKey) -> str:
    meter, scope, lane = key
    return blake2b("\0".join((*meter, scope, lane)).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
