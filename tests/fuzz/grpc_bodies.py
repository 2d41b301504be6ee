"""Bodies of gRPC: protobuf mangled within its frames, frames mangled, cut and in any order.

    a field nobody knows put in    everything reads as before
    cut                            nothing is read that the whole does not say
    mangled, disturbed             no fault, nothing unbounded
"""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

from tests.fuzz import mutate
from tests.fuzz.material import Exchange, by_grpc
from tests.fuzz.readers import false_claims, flat, read_whole
from tests.fuzz.rounds import Case, Make, Wrong

from sessiontap.llm.grpc import messages

UNKNOWN = (
    b"\xf8\xff\x01\x05",  # field 4095, a number
    b"\xfa\xff\x01\x03abc",  # the same, bytes
    b"\xf9\xff\x01" + bytes(8),
    b"\xfd\xff\x01" + bytes(4),
)


def prepare(corpus: Path | None) -> Make:
    """The target."""
    material = tuple(by_grpc())

    def make(chance: Random) -> Case:
        one = chance.choice(material)
        return chance.choice((_unknown, _cut, _mangled, _mangled, _mangled))(chance, one)

    return make


def _data(body: bytes, one: Exchange) -> list[bytes]:
    return [found.data for found in messages(body, one.request.headers)]


def framed(data: bytes, *, compressed: bool = False) -> bytes:
    data = gzip.compress(data, mtime=0) if compressed else data
    return bytes([compressed]) + len(data).to_bytes(4) + data


def _unknown(chance: Random, one: Exchange) -> Case:
    def grown(body: bytes) -> bytes:
        return b"".join(framed(chance.choice(UNKNOWN) + data + chance.choice(UNKNOWN)) for data in _data(body, one))

    asked, told = grown(one.request.body or b""), grown(one.response.body)

    def check() -> None:
        before = flat(*read_whole(one, one.request.body, one.response.body))
        after = flat(*read_whole(one, asked, told))
        different = [name for name in before if name != "first_token" and before[name] != after[name]]
        if different:
            raise Wrong(f"{different[0]} is {after[different[0]]!r:.200} beside an unknown field, of {one.id}")

    return Case(check, asked + told, f"{one.id}: unknown fields")


def _cut(chance: Random, one: Exchange) -> Case:
    told = one.response.body[: chance.randrange(len(one.response.body) + 1)]

    def check() -> None:
        whole = read_whole(one, one.request.body, one.response.body)[1]
        part = read_whole(one, one.request.body, told, complete=False)[1]
        if wrong := false_claims(part, whole):
            raise Wrong(f"cut at {len(told)}, {one.id} says {wrong[0]} that the whole does not")

    return Case(check, told, f"{one.id}: cut at {len(told)}")


def _mangled(chance: Random, one: Exchange) -> Case:
    def damaged(body: bytes) -> bytes:
        parts = _data(body, one)
        if chance.random() < 0.3:
            parts = mutate.disturbed(chance, parts, parts)
        for _ in range(chance.randrange(1, 4)):
            if parts:
                at = chance.randrange(len(parts))
                parts[at] = mutate.mangled(chance, parts[at])
        found = b"".join(framed(data, compressed=chance.random() < 0.1) for data in parts)
        return mutate.mangled(chance, found) if chance.random() < 0.2 else found

    asked, told = damaged(one.request.body or b""), damaged(one.response.body)
    complete = chance.random() < 0.7

    def check() -> None:
        read_whole(one, asked, told, complete)

    return Case(check, asked + told, f"{one.id}: mangled")
