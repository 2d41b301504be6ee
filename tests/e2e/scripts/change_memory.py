"""Changes an option of the addon when a request for /change comes, and says so."""

import sys

from mitmproxy import ctx, http


def request(flow: http.HTTPFlow) -> None:
    if flow.request.path == "/change":
        flow.response = http.Response.make(200)
        ctx.options.update(session_memory="128MB")
        print("CHANGED", file=sys.stderr, flush=True)
