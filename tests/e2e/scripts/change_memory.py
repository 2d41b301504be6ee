"""Changes an option of the addon when the file in `CHANGE_WHEN` appears, and says so."""

import asyncio
import os
import sys
from pathlib import Path

from mitmproxy import ctx

TASKS: list[asyncio.Task[None]] = []


async def change() -> None:
    while not Path(os.environ["CHANGE_WHEN"]).exists():
        await asyncio.sleep(0.02)
    ctx.options.update(session_memory="128MB")
    print("CHANGED", file=sys.stderr, flush=True)


def running() -> None:
    TASKS.append(asyncio.get_running_loop().create_task(change()))
