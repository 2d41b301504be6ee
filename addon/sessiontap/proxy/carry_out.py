"""Carrying a plan out on mitmproxy's messages."""

from __future__ import annotations

from collections.abc import Iterable

from mitmproxy import http

from sessiontap.gateways.route import Route
from sessiontap.headers.edit import Edit
from sessiontap.proxy.plan import Plan


def on_request(plan: Plan, request: http.Request) -> None:
    """Reroute the request and edit its headers; mitmproxy sets Host and :authority with the host."""
    if isinstance(plan.gateway, Route):
        request.scheme, request.host, request.port = plan.gateway.scheme, plan.gateway.host, plan.gateway.port
    edit(request.headers, plan.edits)


def edit(headers: http.Headers, edits: Iterable[Edit]) -> None:
    """Edit header fields in place."""
    for one in edits:
        if one.action == "set" and one.new is not None:
            headers[one.header] = one.new
        elif one.action == "remove":
            headers.pop(one.header, None)
