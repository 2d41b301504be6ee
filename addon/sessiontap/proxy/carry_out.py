"""Carrying a plan out on mitmproxy's messages."""

from __future__ import annotations

from collections.abc import Iterable

from mitmproxy import http

from sessiontap.gateways import Route
from sessiontap.headers import Edit, apply
from sessiontap.proxy.context import Plan


def on_request(plan: Plan, request: http.Request) -> None:
    """Reroute the request and edit its headers; mitmproxy sets Host and :authority with the host."""
    edit(request, plan.edits)  # first: a call that a gateway gets without its headers would fail there
    if isinstance(plan.gateway, Route):
        request.scheme, request.host, request.port = plan.gateway.scheme, plan.gateway.host, plan.gateway.port
        if ":" in plan.gateway.host and request.host_header:  # mitmproxy writes an IPv6 address without its brackets
            request.host_header = request.host_header.replace(plan.gateway.host, f"[{plan.gateway.host}]", 1)


def edit(message: http.Message, edits: Iterable[Edit]) -> None:
    """Edit a message's header fields in place; those that are not named keep their order, case and bytes."""
    edits = [one for one in edits if one.action in ("set", "remove")]
    if edits:
        fields = apply(
            edits, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.fields]
        )
        if message.is_http2 or message.is_http3:  # or mitmproxy says of each that it is not
            fields = [(name.lower(), value) for name, value in fields]
        message.headers.fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
