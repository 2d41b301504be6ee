"""A call's record as it stands in the segment: its bodies packed, as changes of earlier ones if that is smaller.

The writer's thread calls it; zstd lets other threads work meanwhile. One `Packer` goes with one segment at a time: no
body has its base in another segment.

An app that works through a conversation sends its last request again with something added: the best base is the body
that shares the longest beginning. Candidates are, in this order, the call that this one follows (if that is known), the
latest of its conversation, session and path, and the latest of the same endpoint in any session (agents begin every
session with the same instructions). Replies share only their form, which any of the same endpoint has.

A delta is read by reading its base first. Chains are bounded by what that costs, not by their number: `reach` counts
the bytes that are decoded on the way to a body, with `STEP` for each record. A chain of 200 turns that grow to 640 KB
reads in about 10 ms, 580 small ones in 15.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from sessiontap.trace import body
from sessiontap.trace.body import LARGEST_DELTA, MAX_REACH, SMALL, STEP, Plain

Record = dict[str, Any]

AS_IT_IS = 2048
"""Bytes up to which a body is not packed: the segment that is closed, compressed as a whole, is smaller for it (calls
of two bodies of 0.8 KB: 480 bytes each, 570 if they are deltas of others at nine times the CPU time), and any msgpack
reader reads them."""
MAX_BYTES = 64 << 20
MAX_BODIES = 2_000
PER_KEY = 32
"""Latest bodies that are remembered of a conversation, a session's path, an endpoint."""
_LEAST_SHARED = 128
"""Bytes; a body that shares less of its beginning is no help worth the dependence."""
_OWN = 0.9
"""A body that begins with this much of an earlier one continues it; one that an earlier one has this much of repeats
it: there is no better base worth looking for."""
_FIRST_LOOK = 64
_PIECE = 1 << 16
"""Bytes that are compared at a time: copies of them stay in the processor's cache."""


class Packer:
    """Packs the calls of one segment in the order in which they are written: `at`, then `written`, for each."""

    def __init__(self, index_bytes: int = 72 << 20) -> None:
        """`index_bytes`: the bytes of bodies that later ones may be deltas of; a ninth of it is for replies."""
        replies = index_bytes // 9
        self._bases = {
            "request": Bases(max_bytes=index_bytes - replies),
            "response": Bases(max_bytes=replies, replies=True),
        }
        self._pending: list[tuple[Bases, Record, bytes, int, Base | None]] = []

    def clear(self) -> None:
        """A new segment begins."""
        for bases in self._bases.values():
            bases.clear()
        self._pending.clear()

    def at(self, call: Record, offset: int) -> Record:
        """The call as it is written at `offset` of the segment."""
        self._pending.clear()
        packed = {}
        for side, bases in self._bases.items():
            message = call.get(side)
            if isinstance(message, dict) and isinstance(plain := message.get("body"), Plain):
                if len(plain.data) <= AS_IT_IS:
                    packed[side] = message | {"body": {**plain.extra, **body.encode(plain.data, plain.wire, AS_IT_IS)}}
                    continue
                base = bases.choose(call, plain.data)
                if base is None:
                    stored = body.encode(plain.data, plain.wire)
                else:
                    stored = body.encode_delta(plain.data, plain.wire, base.data, base.call, offset - base.offset)
                leans_on = base if body.is_delta(stored) else None
                self._pending.append((bases, call, plain.data, offset, leans_on))
                packed[side] = message | {"body": {**plain.extra, **stored}}
        return call | packed

    def written(self) -> None:
        """The call of the last `at` is in the segment: later ones may be deltas of it."""
        for bases, call, data, offset, base in self._pending:
            bases.remember(call, data, offset, base)
        self._pending.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A body in the segment that can be had in `reach`."""

    call: str
    offset: int
    """Of its record's frame in the segment."""
    data: bytes
    reach: int


class Bases:
    """A bounded memory of one segment's requests, or replies. Not safe for several threads."""

    def __init__(self, max_bytes: int = MAX_BYTES, *, replies: bool = False) -> None:
        self._max_bytes = max_bytes
        self._replies = replies
        self._bodies: OrderedDict[str, tuple[Base, tuple[Hashable, ...]]] = OrderedDict()
        self._latest: dict[Hashable, list[str]] = {}
        self._bytes = 0

    def clear(self) -> None:
        """A new segment begins."""
        self._bodies.clear()
        self._latest.clear()
        self._bytes = 0

    def choose(self, call: dict[str, Any], data: bytes) -> Base | None:
        """The body that `data`, a body of the call record `call`, had best be a delta of."""
        if not SMALL < len(data) <= LARGEST_DELTA:
            return None
        best: Base | None = None
        most = _LEAST_SHARED - 1
        for base in self._candidates(call):
            if base.reach + len(data) + STEP > MAX_REACH:
                continue
            if self._replies:
                return base
            if begins_alike(base.data, data, most + 1):
                best, most = base, common_prefix(base.data, data, most + 1)
                if most >= min(len(base.data), len(data)) * _OWN:
                    break
        return best

    def remember(self, call: dict[str, Any], data: bytes, offset: int, base: Base | None) -> None:
        """The record of `call` with the body `data` was written at `offset`, leaning on `base`."""
        call_id = call.get("id")
        if not SMALL < len(data) <= min(LARGEST_DELTA, self._max_bytes) or not isinstance(call_id, str):
            return
        if base is not None and (self._replies or begins_alike(base.data, data, ceil(len(base.data) * _OWN))):
            self._forget(base.call)  # whatever is a delta of it can as well be a delta of this one
        reach = len(data) + STEP + (base.reach if base is not None else 0)
        keys = tuple(_keys(call))
        self._forget(call_id)
        self._bodies[call_id] = Base(call_id, offset, data, reach), keys
        self._bytes += len(data)
        for key in keys:
            latest = self._latest.setdefault(key, [])
            latest.append(call_id)
            del latest[:-PER_KEY]
        while self._bytes > self._max_bytes or len(self._bodies) > MAX_BODIES:
            self._forget(next(iter(self._bodies)))

    def _candidates(self, call: dict[str, Any]) -> Iterator[Base]:
        seen: set[str] = set()
        parent = call.get("parent")
        groups = [[parent] if isinstance(parent, str) else [], *(self._latest.get(key, ()) for key in _keys(call))]
        for group in groups:
            for call_id in reversed(group):
                if call_id not in seen and (found := self._bodies.get(call_id)) is not None:
                    seen.add(call_id)
                    yield found[0]

    def _forget(self, call_id: str) -> None:
        base, keys = self._bodies.pop(call_id, (None, ()))
        if base is None:
            return
        self._bytes -= len(base.data)
        for key in keys:
            latest = self._latest.get(key)
            if latest and call_id in latest:
                latest.remove(call_id)
            if not latest:
                self._latest.pop(key, None)


def begins_alike(one: bytes, other: bytes, size: int) -> bool:
    """Return True if both begin with the same `size` bytes. Looks at the last of them first: histories that part do not
    come together again."""
    if size > min(len(one), len(other)):
        return False
    step = _FIRST_LOOK
    while size > 0:
        start = max(0, size - step)
        if one[start:size] != other[start:size]:
            return False
        size, step = start, min(2 * step, _PIECE)
    return True


def common_prefix(one: bytes, other: bytes, known: int = 0) -> int:
    """The number of bytes that both begin with, at least `known`. Compares at memory speed: doubling, then halving."""
    most = min(len(one), len(other))
    step = 4096
    while known < most and one[known : known + step] == other[known : known + step]:
        known += step
        step = min(2 * step, _PIECE)
    if known >= most:
        return most
    end = min(known + step, most)
    while known < end:  # the first `known` bytes agree, those up to `end` do not all
        middle = (known + end + 1) // 2
        if one[known:middle] == other[known:middle]:
            known = middle
        else:
            end = middle - 1
    return known


def _keys(call: dict[str, Any]) -> Iterator[Hashable]:
    session = call.get("session") or {}
    if conversation := call.get("conversation"):
        yield "conversation", conversation
    if session.get("id") is not None:
        yield "session", session["id"], session.get("path"), call.get("route")
        yield "session", session["id"], call.get("route")
    yield "endpoint", call.get("host"), call.get("route")
