"""From a call's record to what stands in the segment: bodies packed, what repeats left to one place.

One `Packer` goes with one segment at a time: nothing that it makes leans on another segment. It runs on the writer's
thread; zstd lets the others work meanwhile.
"""

from __future__ import annotations

from typing import Any

from sessiontap.trace import body, models
from sessiontap.trace.bases import Base, Bases
from sessiontap.trace.body import SMALL, Plain
from sessiontap.trace.frame import MARK
from sessiontap.trace.models import Models
from sessiontap.trace.shared import Shared

Record = dict[str, Any]


class Packer:
    """Packs the calls of one segment in the order in which they are written: `thin`, `at`, `written` for each."""

    def __init__(self, index_bytes: int = 72 << 20) -> None:
        """`index_bytes`: what the bodies may take that later ones lean on; a ninth of it is for replies."""
        replies = index_bytes // 9
        self._bases = {
            "request": Bases(max_bytes=index_bytes - replies),
            "response": Bases(max_bytes=replies, replies=True),
        }
        self._models = {side: Models() for side in self._bases}
        self._shared = Shared()
        self._facts: tuple[Record, Record] = {}, {}
        """The call that `thin` was given last, and what it made of it."""
        self._pending: list[tuple[Bases, Record, bytes, int, Base | None]] = []

    def clear(self) -> None:
        """A new segment begins."""
        for bases in self._bases.values():
            bases.clear()
        for one in self._models.values():
            one.clear()
        self._shared.clear()
        self._pending.clear()

    def thin(self, call: Record) -> tuple[Record | None, Record]:
        """The record of values that has to be written first, if any, and the call without them."""
        values, thin = self._shared.thin(call)
        self._facts = call, thin
        return values, thin

    def at(self, call: Record, offset: int) -> Record:
        """The call as it is written at `offset` of the segment."""
        self._pending.clear()
        packed = {}
        facts, thin = self._facts
        facts = facts if call is thin else call
        for side, bases in self._bases.items():
            message = call.get(side)
            if isinstance(message, dict) and isinstance(plain := message.get("body"), Plain):
                if SMALL < len(plain.data) <= models.LARGEST and MARK not in plain.data:
                    stored = self._models[side].pack(facts, plain, offset)
                    packed[side] = message | {"body": {**plain.extra, **stored}}
                    continue
                base = bases.choose(facts, plain.data)
                if base is None:
                    stored = body.encode(plain.data, plain.wire)
                else:
                    back = offset - base.offset
                    named = None if base.call == call.get("parent") else base.call
                    stored = body.encode_delta(plain.data, plain.wire, base.data, named, back)
                leans_on = base if body.is_delta(stored) else None
                self._pending.append((bases, facts, plain.data, offset, leans_on))
                packed[side] = message | {"body": {**plain.extra, **stored}}
        return call | packed

    def written(self) -> None:
        """The call of the last `at` is in the segment: later ones may lean on it."""
        self._shared.written()
        for one in self._models.values():
            one.written()
        for bases, call, data, offset, base in self._pending:
            bases.remember(call, data, offset, base)
        self._pending.clear()
        self._facts = {}, {}
