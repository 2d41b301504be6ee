"""Messages between front and worker, and sockets beside them."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from tests.support.gate import PATIENCE

from sessiontap.proxy.channel import Channel, wait_for_message

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets are handed over")


class Side:
    """One side, and what it has received."""

    def __init__(self, end: socket.socket) -> None:
        self.messages: list[tuple[dict[str, Any], socket.socket | None]] = []
        self.ended = asyncio.Event()
        self._changed = asyncio.Event()
        self.channel = Channel(end, self._received, self.ended.set)

    def _received(self, message: dict[str, Any], handed: socket.socket | None) -> None:
        self.messages.append((message, handed))
        self._changed.set()

    async def received(self, number: int) -> list[tuple[dict[str, Any], socket.socket | None]]:
        while len(self.messages) < number:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), PATIENCE)
        return self.messages


async def test_messages_come_whole_and_in_order_and_each_socket_with_its_own() -> None:
    left, right = map(Side, socket.socketpair())
    pairs = [socket.socketpair() for _ in range(40)]
    for number, (near, far) in enumerate(pairs):
        near.send(b"%d" % number)
        left.channel.send({"text": "x" * 50_000})
        left.channel.send({"number": number}, far)
    got = await right.received(80)
    assert [message for message, _ in got[::2]] == [{"text": "x" * 50_000}] * 40
    for number, (message, handed) in enumerate(got[1::2]):
        assert message == {"number": number}
        assert handed is not None
        with handed:
            assert handed.recv(9) == b"%d" % number
            assert not handed.get_inheritable()
    for near, _ in pairs:
        assert near.recv(9) == b""  # nobody but the other side had it
        near.close()
    left.channel.close()
    right.channel.close()


async def test_the_end_of_one_side_is_told_to_the_other_behind_its_last_message() -> None:
    left, right = map(Side, socket.socketpair())
    left.channel.send({"last": True})
    left.channel.close()
    await asyncio.wait_for(right.ended.wait(), PATIENCE)
    assert right.messages == [({"last": True}, None)]


async def test_a_socket_that_cannot_be_sent_any_more_is_closed() -> None:
    left, right = map(Side, socket.socketpair())
    right.channel.close()
    await asyncio.wait_for(left.ended.wait(), PATIENCE)
    near, far = socket.socketpair()
    with near:
        left.channel.send({"kind": "client"}, far)
        assert near.recv(9) == b""


def test_without_a_loop_the_first_message_is_waited_for() -> None:
    left, right = socket.socketpair()
    with right:

        async def send() -> None:
            Side(left).channel.send({"kind": "begin"})

        asyncio.run(send())
        assert wait_for_message(right)
        left.close()
        assert not wait_for_message(right)
