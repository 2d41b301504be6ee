"""Has mitmproxy verify servers from this call on, or not, as the call's `x-verify` says."""

from __future__ import annotations

from mitmproxy import ctx, http


def responseheaders(flow: http.HTTPFlow) -> None:
    said = flow.request.headers.get("x-verify")
    if said is not None:
        ctx.options.update(ssl_insecure=said == "no")
