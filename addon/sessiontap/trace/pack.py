"""From a call's record to what stands in the segment: bodies packed, what repeats left to one place.

One `Packer` goes with one segment at a time: nothing that it makes leans on another segment. It runs on the writer's
thread; zstd lets the others work meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sessiontap.trace import body
from sessiontap.trace.bases import Base, Bases
from sessiontap.trace.body import Plain
from sessiontap.trace.shared import Shared

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """What is to be written for a call, `values` first; `Packer.at` makes the second of it."""

    values: Record | None
    call: Record


class Packer:
    """Packs the calls of one segment in the order in which they are written."""

    def __init__(self) -> None:
        self._bases = Bases()
        self._shared = Shared()
        self._pending: tuple[Record, bytes, int, Base | None] | None = None

    def clear(self) -> None:
        """A new segment begins."""
        self._bases.clear()
        self._shared.clear()
        self._pending = None

    def thin(self, call: Record) -> Packed:
        """The values that have to be written before the call, and the call without them."""
        return Packed(*self._shared.thin(call))

    def at(self, packed: Packed, offset: int) -> Record:
        """The call as it is written at `offset` of the segment."""
        call = packed.call
        self._pending = None
        request = call.get("request")
        plain = request.get("body") if isinstance(request, dict) else None
        if isinstance(request, dict) and isinstance(plain, Plain):
            base = self._bases.choose(call, plain.data)
            if base is None:
                stored = body.encode(plain.data, plain.wire)
            else:
                stored = body.encode_delta(plain.data, plain.wire, base.data, base.call, offset - base.offset)
                if not body.is_delta(stored):
                    base = None
            self._pending = call, plain.data, offset, base
            call = call | {"request": request | {"body": {**plain.extra, **stored}}}
        return packed_alone(call)

    def written(self) -> None:
        """The call of the last `at` is in the segment: later ones may lean on it."""
        self._shared.written()
        if self._pending is not None:
            self._bases.remember(*self._pending)
            self._pending = None


def packed_alone(call: Record) -> Record:
    """The call with its bodies packed each by itself."""
    sides = {
        side: message | {"body": {**plain.extra, **body.encode(plain.data, plain.wire)}}
        for side in ("request", "response")
        if isinstance(message := call.get(side), dict) and isinstance(plain := message.get("body"), Plain)
    }
    return call | sides if sides else call
