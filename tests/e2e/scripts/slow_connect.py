"""A script for mitmproxy: servers are connected when the file that CONNECT_WHEN names is there."""

from __future__ import annotations

import asyncio
import os
from typing import Any


async def server_connect(data: Any) -> None:
    print("CONNECTING", flush=True)
    while not os.path.exists(os.environ["CONNECT_WHEN"]):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)  # another process makes it
