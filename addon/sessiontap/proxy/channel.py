"""Messages between the front and one of its workers, over a pair of Unix sockets; a message may hand a socket over.

A message is its length (4 bytes) and a map as JSON. A socket that it hands over travels with its first byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

_HANDS_OVER = "hands_over"
"""The key that says that a socket comes with the message."""
_READ = 1 << 16
_MOST_SOCKETS = 16
"""At a time; systems that stop reading at each of them give one."""
_BUSY = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.EMFILE)
"""There are too many sockets under way: it works again when the other side has taken some."""
_BUSY_SECONDS = 0.01

Received = Callable[[dict[str, Any], socket.socket | None], None]


class Channel:
    """One end. For the loop alone."""

    def __init__(self, end: socket.socket, received: Received, ended: Callable[[], None]) -> None:
        """`received(message, socket)` is called for each message, `ended` when the other side is gone."""
        end.setblocking(False)
        self._end = end
        self._received = received
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._bytes = bytearray()
        self._sockets: deque[int | None] = deque()
        """Descriptors that came, of messages that are not whole yet. None: there was no room for it in this process."""
        self._queue: deque[tuple[bytes, socket.socket | None]] = deque()
        self._is_open = True
        self._loop.add_reader(end, self._read)

    def send(self, message: dict[str, Any], handed: socket.socket | None = None) -> None:
        """Send a message, at once or when there is room. `handed` is the other side's from here on."""
        if not self._is_open:
            if handed is not None:
                handed.close()
            return
        text = json.dumps({**message, _HANDS_OVER: True} if handed is not None else message).encode()
        self._queue.append((len(text).to_bytes(4) + text, handed))
        if len(self._queue) == 1:
            self._write()

    def close(self) -> None:
        """End it. Sockets that were not sent are closed."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for _, handed in self._queue:
            if handed is not None:
                handed.close()
        self._queue.clear()

    def _write(self) -> None:
        while self._is_open and self._queue:
            data, handed = self._queue[0]
            try:
                sent = socket.send_fds(self._end, [data], [handed.fileno()] if handed is not None else [])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._end, self._write)
                return
            except OSError as error:
                if error.errno in _BUSY:
                    self._loop.remove_writer(self._end)
                    self._loop.call_later(_BUSY_SECONDS, self._write)
                    return
                self._over()
                return
            if handed is not None:
                handed.close()
            if sent == len(data):
                self._queue.popleft()
            else:
                self._queue[0] = data[sent:], None
        if self._is_open:
            self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._end, _READ, _MOST_SOCKETS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors, flags = b"", [], 0
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._sockets.extend(descriptors)
        if flags & socket.MSG_CTRUNC:
            self._sockets.append(None)
        if not data:
            self._over()
            return
        self._bytes += data
        while self._is_open and len(self._bytes) >= 4:
            end = 4 + int.from_bytes(self._bytes[:4])
            if len(self._bytes) < end:
                return
            message: dict[str, Any] = json.loads(self._bytes[4:end])
            del self._bytes[:end]
            self._received(message, self._socket() if message.pop(_HANDS_OVER, False) else None)

    def _socket(self) -> socket.socket | None:
        descriptor = self._sockets.popleft() if self._sockets else None
        if descriptor is None:
            return None
        with contextlib.suppress(OSError):
            return socket.socket(fileno=descriptor)
        return None

    def _over(self) -> None:
        if self._is_open:
            self.close()
            self._ended()


def wait_for_message(end: socket.socket) -> bool:
    """Wait for the first message on a socket that has no channel yet. False: the other side is gone."""
    size = int.from_bytes(end.recv(4, socket.MSG_WAITALL))
    return bool(size and end.recv(size, socket.MSG_WAITALL))
