"""A way to a port of this machine whose answers come later: python slow_way.py OWN_PORT TO_PORT SECONDS

Each piece of an answer is held back for the same time, however many are under way: as on a longer line.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

OWN, TO, DELAY = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", TO)
    with suppress(ConnectionError):
        await asyncio.gather(carry(reader, back, 0.0), carry(there, writer, DELAY))


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(1 << 16):
        if delay:
            loop.call_later(delay, sink.write, data)
        else:
            sink.write(data)
    loop.call_later(delay, sink.close)


async def main() -> None:
    server = await asyncio.start_server(relay, "127.0.0.1", OWN)
    await server.serve_forever()


asyncio.run(main())
