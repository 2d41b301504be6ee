"""Says which options of mitmproxy's are in force once it runs."""

import json

from mitmproxy import ctx

NAMES = ("connection_strategy", "tcp_timeout", "flow_detail")


def running() -> None:
    print("OPTIONS", json.dumps({name: getattr(ctx.options, name) for name in NAMES}), flush=True)
