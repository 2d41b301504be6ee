"""Small bodies lean on one model: an earlier body of their endpoint, whose zstd tables are made once.

Finding the best base of a body and making its tables takes 100 microseconds, which a small call is not worth. What most
small bodies share, the form of the JSON and the instructions, any other of the same endpoint has; compressing 1 KB with
tables that are at hand takes 7 microseconds and leaves 390 bytes, where zstd alone leaves 490. Where a model is of
little help, the body is written by itself and is from then on the model of its program and path.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from sessiontap.trace import body
from sessiontap.trace.body import Plain

Record = dict[str, Any]

LARGEST = 2048
"""Bytes of a body that leans on a model, and of a model."""
MAX_MODELS = 32
"""Each has tables of some 60 KB."""
_HELPS = 0.6
"""A body that a model brings below this part of its size is not tried alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A body that stands by itself in the segment."""

    call: str
    offset: int
    """Of its record's frame in the segment."""
    tables: body.Tables


class Models:
    """The models of one segment's requests, or replies. Not safe for several threads."""

    def __init__(self) -> None:
        self._models: OrderedDict[Hashable, Model] = OrderedDict()
        self._new: list[tuple[Hashable, Model]] = []

    def clear(self) -> None:
        """A new segment begins."""
        self._models.clear()
        self._new.clear()

    def written(self) -> None:
        """What the last `pack` gave is in the segment."""
        for key, model in self._new:
            self._models[key] = model
            while len(self._models) > MAX_MODELS:
                self._models.popitem(last=False)
        self._new.clear()

    def pack(self, call: Record, plain: Plain, offset: int) -> dict[str, Any]:
        """The stored form of a body of at most LARGEST bytes in the record of `call`, written at `offset`."""
        self._new.clear()
        session = call.get("session")
        path = session.get("path") if isinstance(session, dict) else None
        endpoint = call.get("host"), call.get("route")
        own = (*endpoint, call.get("caller"), path)
        key: Hashable = own
        model = self._models.get(own)
        if model is None:
            key, model = endpoint, self._models.get(endpoint)
        alone = None
        if model is not None:
            self._models.move_to_end(key)
            packed = model.tables.compress(plain.data)
            if len(packed) > len(plain.data) * _HELPS:
                alone = body.encode(plain.data, plain.wire)
            if alone is None or len(packed) < len(alone["data"]) * 0.75:
                named = None if model.call == call.get("parent") else model.call
                return body.as_delta(plain.data, plain.wire, packed, named, offset - model.offset)
        if isinstance(call_id := call.get("id"), str):
            self._new.append((endpoint if model is None else own, Model(call_id, offset, body.Tables(plain.data))))
        return alone or body.encode(plain.data, plain.wire)
