"""A call's record as it stands in the segment: its bodies packed.

One `Packer` goes with one segment at a time: no body that it packs leans on another segment. It runs on the writer's
thread; zstd lets the others work meanwhile.
"""

from __future__ import annotations

from typing import Any

from sessiontap.trace import body
from sessiontap.trace.bases import Base, Bases
from sessiontap.trace.body import Plain

Record = dict[str, Any]


AS_IT_IS = 2048
"""Bytes up to which a body is not packed: the segment that is closed, compressed as a whole, is smaller for it (calls
of two bodies of 0.8 KB: 480 bytes each, 570 where they lean on others at nine times the CPU time), and any msgpack
reader reads them."""


class Packer:
    """Packs the calls of one segment in the order in which they are written: `at`, then `written`, for each."""

    def __init__(self, index_bytes: int = 72 << 20) -> None:
        """`index_bytes`: what the bodies may take that later ones lean on; a ninth of it is for replies."""
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
        """The call of the last `at` is in the segment: later ones may lean on it."""
        for bases, call, data, offset, base in self._pending:
            bases.remember(call, data, offset, base)
        self._pending.clear()
