"""Release what mitmproxy holds of a client's connection that has ended.

Its layers refer to each other in circles. Left alone, they stay until the next full garbage collection, and with them
the buffers of two TLS connections: 300 KiB for each client, which are hundreds of megabytes under load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.proxy.layer import Layer

from sessiontap.faults import Faults


def release_at_end(client: Client, faults: Faults) -> None:
    """Release the layers of a connection as soon as its task, which calls this, is over.

    If a timer was set after mitmproxy took them back, all stay as they are: the layers hear it once more.
    """
    proxyserver: Any = ctx.master.addons.get("proxyserver")
    handler = proxyserver.connections.get(client.id) if proxyserver is not None else None
    task = asyncio.current_task()
    if handler is None or task is None:
        return
    top: Layer = handler.layer
    timers: set[Any] = handler.wakeup_timer

    def is_over(_: object) -> None:
        with faults.guard("connections that have ended"):
            if not timers:
                release(top)

    task.add_done_callback(is_over)


def release(top: Layer) -> None:
    """Cut the references between layers of which nothing is expected any more; `top` is the outermost.

    If one of them still waits for a hook, all stay as they are: it goes on when the hook is done.
    """
    found = [top]
    known = {id(top)}
    for one in found:
        for other in _next_to(one):
            if id(other) not in known:
                known.add(id(other))
                found.append(other)
    if not any(one._paused for one in found):
        for one in found:
            one.context.layers.clear()
        for one in found:
            vars(one).clear()


def _next_to(one: Layer) -> Iterator[Layer]:
    """The layers that a layer refers to."""
    yield from one.context.layers
    for value in vars(one).values():
        if isinstance(value, Layer):
            yield value
        elif isinstance(value, dict):
            yield from (other for other in value.values() if isinstance(other, Layer))
