"""Makes the look-up of callers fail or come late: `CALLERS` is `gone`, `late` or `not in time`."""

import asyncio
import os
from typing import Any

from sessiontap.callers import Found
from sessiontap.proxy import connections
from sessiontap.proxy.look_ups import LookUps

HOW = os.environ["CALLERS"]
LONG = 20.0
find = LookUps.find


async def find_late(self: LookUps, *asked: Any) -> Found:
    if HOW == "not in time":
        await asyncio.sleep(LONG)
    return await find(self, *asked)


if HOW == "gone":
    connections.find_known = lambda *_: Found(reason="gone")
else:
    connections.find_known = lambda *_: None
    LookUps.find = find_late  # type: ignore[method-assign]
    connections.PATIENCE = 0.0
    connections.PROTECTING_PATIENCE = LONG if HOW == "late" else 0.0
