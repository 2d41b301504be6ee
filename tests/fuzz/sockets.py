"""The frames of a WebSocket, mutated and in any order, taken apart into turns, and what the readers make of these.

No fault; what is held stays within its cap; each turn begins before it is over, and is over once; its lines are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.made_up import SOCKETS
from tests.fuzz.material import exchanges
from tests.fuzz.readers import flat, sound, values_of
from tests.fuzz.rounds import Case, Make, Wrong

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Endpoint
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.socket_frames import SocketFrame
from sessiontap.llm.socket_turns import SocketTurn, SocketTurns

FAMILIES: tuple[tuple[str, str], ...] = (
    ("realtime", "/v1/realtime?model=m"), ("openai-responses", "/v1/responses"), ("other", "/v1/socket"),
)  # fmt: skip
HEADERS = Headers([("upgrade", "websocket")])
Item = tuple[bool, Any]
"""From the client, and the value or bytes of a frame."""


def prepare(corpus: Path | None) -> Make:
    """The target."""
    values = values_of(exchanges(corpus))
    known: list[Item] = [(True, value) for _, _, asked, _ in SOCKETS for value in asked]
    known += [(False, value) for _, _, _, told in SOCKETS for value in told]

    def make(chance: Random) -> Case:
        family, path = chance.choice(FAMILIES)
        _, _, asked, told = chance.choice(SOCKETS)
        items: list[Item] = [(True, value) for value in asked] + [(False, value) for value in told]
        items *= chance.choice((1, 1, 2, 5))
        for _ in range(chance.randrange(5)):
            items = mutate.disturbed(chance, items, chance.sample(known, 4))
        frames = [_frame(chance, at, item, values) for at, item in enumerate(items[:400])]
        cap = chance.choice((0, 10, 500, 20_000, 10**8))

        def check() -> None:
            run(family, path, frames, cap)

        return Case(check, b"\n".join(one.data for one in frames), f"{family}: {len(frames)} frames, cap {cap}")

    return make


def _frame(chance: Random, at: int, item: Item, values: list[Any]) -> SocketFrame:
    from_client, value = item
    if chance.random() < 0.15:
        value = mutate.changed(chance, value, values)
    data = mutate.dumped(value)
    if chance.random() < 0.05:
        data = mutate.mangled(chance, data)
    if chance.random() < 0.03:
        data = mutate.token_changed(chance, data)
    if chance.random() < 0.03:
        from_client = not from_client
    if chance.random() < 0.02:
        data = json.dumps(
            {"type": "response.output_audio.delta", "delta": "QUJD" * 5000, "audio": "QUJD" * 99}
        ).encode()
    return SocketFrame(chance.choice((at, at, at, 0, 10**18)), from_client, data, chance.random() > 0.03)


def run(family: str, path: str, frames: list[SocketFrame], cap: int) -> None:
    """Feed the frames, read the turns. Raises `Wrong`."""
    socket = SocketTurns(family, cap)
    begun: list[SocketTurn] = []
    over: list[SocketTurn] = []
    for frame in frames:
        for what, turn in socket.frame(frame):
            (begun if what == "begun" else over).append(turn)
        under_way = [turn for turn in begun if turn not in over]
        held = sum(turn.held for turn in under_way)
        if held > cap + 4_000_000 or len(under_way) > 80:
            raise Wrong(f"{held} bytes and {len(under_way)} turns under way, of a cap of {cap} bytes")
    over += socket.close()
    if len({id(turn) for turn in over}) != len(over):
        raise Wrong("a turn is over twice")
    if {id(turn) for turn in begun} != {id(turn) for turn in over}:
        raise Wrong(f"{len(begun)} turns have begun, {len(over)} are over")
    for turn in over:
        _read(family, path, turn)


def _read(family: str, path: str, turn: SocketTurn) -> None:
    request = Request("GET", "api.openai.com", path, HEADERS, bytes(turn.request.data))
    call = read_request(request, Endpoint("openai", family, "chat", path))
    response = Response(101, HEADERS, bytes(turn.reply.data), turn.ended)
    reply = read_reply(call, request, response)
    sound(call, reply, response)
    flat(call, reply)
