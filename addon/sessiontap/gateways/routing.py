"""Plan the way of a call through a gateway: the questions that are the same for all kinds, asked in one order.

1. Is there an address, and is it not the call's own already?
2. Can the gateway carry the call at all? Its kind says (`carry`): where, with which headers, or why not.
3. Would anything that the rules send there be exposed on the way? Then it gets nothing, be its key the app's own.
4. Which key opens it, and may this client use it?

A call that cannot go this way goes to its own host, for a reason that is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sessiontap import trust
from sessiontap.dialects.header_text import ascii_text
from sessiontap.gateways.gateway import Direct, GatewayCall, Route
from sessiontap.gateways.urls import BaseUrl, base_url_of, climbs, origin
from sessiontap.header_edit import Edit


class Carried(NamedTuple):
    """A call as the gateway needs it."""

    target: str
    """Path and query, below the gateway's address."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers to set."""
    remove: tuple[str, ...] = ()
    """Headers of the app's that would be in the gateway's way."""


class GatewayKey(NamedTuple):
    """The key that opens a gateway, and the header that it goes in."""

    header: str
    variable: str
    """Of the proxy's environment, for the kind's own address. A gateway of one's own gets no key but the rules'."""
    prefix: str = ""
    needed: bool = True
    """Without a key the gateway would take no call."""
    is_apps_own: Callable[[str], bool] = bool
    """Takes the header's value as the app sent it. Returns True if that is a key of this gateway already."""


type Carry = Callable[[GatewayCall, BaseUrl], Carried | str]
"""Return a call as the gateway needs it, or the sentence why it cannot carry it."""


def plan_way(title: str, own: str | None, key: GatewayKey | None, carry: Carry, call: GatewayCall) -> Route | Direct:
    """Return the way of a call through the gateway at the call's `url`, else at the kind's `own` address."""
    url = call.url or own
    if url is None:
        return Direct(f"{title} has no address: give it a url under gateways in the rules. Calls go to their own hosts")
    at = base_url_of(url)
    if at is None:
        return Direct(f"The gateway's url {url!r} has no host or no right port: calls go to their own hosts")
    if origin(call.scheme, call.host.lower().rstrip("."), call.port) == at.origin:
        return Direct(f"Already at the gateway: the app itself calls {at.origin}")
    if call.signed:
        return Direct(f"The call to {call.host} is signed by AWS for that host, so it cannot go through {title}")
    if climbs(call.target):
        return Direct(f"Paths with . or .. as a segment do not go through {title}")
    carried = carry(call, at)
    if isinstance(carried, str):
        return Direct(carried)
    exposed = trust.why_exposed(call.upstream.rerouted(at.scheme, at.host, at.port), at.host)
    if exposed:
        return Direct(f"The gateway's calls go to their own hosts, for their keys would be exposed: {exposed}")
    opened = _key_edit(title, key, call)
    if isinstance(opened, Direct):
        return opened
    if call.own_headers_use_keys and call.why_not_client:
        return _client_may_not()
    target = at.path + carried.target
    edits = _edits(call, carried, opened)
    return Route(at.scheme, at.host, at.port, edits, target=None if target == call.target else target)


def key_text(text: str | None, prefix: str = "") -> str | None:
    """Return a header's value that holds the key; None if there is none that a header can hold."""
    key = (text or "").strip().removeprefix(prefix).strip()
    return prefix + key if key and key.isascii() and key.isprintable() and " " not in key else None


def _key_edit(title: str, key: GatewayKey | None, call: GatewayCall) -> Edit | Direct | None:
    """Return the edit that sets the gateway's key, None if the call goes without, or why it goes to its own host."""
    if key is None:
        return None
    sent = call.headers.get(key.header)
    if sent is not None and key.is_apps_own(sent):
        return None
    if any(name.lower() == key.header.lower() for name in call.own_headers):
        return None
    source = call.key if call.key is not None else None if call.url else call.proxy_env.get(key.variable)
    value = key_text(source, key.prefix)
    if value is None:
        if (source or "").strip():
            return Direct(f"{title}'s key holds characters that no header can: calls go to their own hosts")
        return _no_key(title, key, call) if key.needed else None
    if call.why_not_client:
        return _client_may_not()
    return Edit("set", key.header, sent, value, "gateway" if call.key is not None else key.variable)


def _no_key(title: str, key: GatewayKey, call: GatewayCall) -> Direct:
    if call.url:
        return Direct(
            f"The gateway ({title}) has no key, so its calls go to their own hosts. Give it one in the rules: "
            f'gateways: {{NAME: {{key: "${{proxy_env.{key.variable}}}"}}}}, with that variable set where the proxy runs'
        )
    return Direct(
        f"{key.variable} is not set where the proxy runs, so calls for {title} go to their own hosts. "
        f"Start the proxy with {key.variable}=..."
    )


def _client_may_not() -> Direct:
    return Direct(
        "A client on another machine does not get the gateway's key. To let it, name it in the rule that sets the "
        "gateway: match: {client: ...}"
    )


def _edits(call: GatewayCall, carried: Carried, key: Edit | None) -> tuple[Edit, ...]:
    """Return the edits of the headers, each name once: the rules' own before the kind's."""
    found: dict[str, Edit] = {}

    def add(edits: Iterable[Edit]) -> None:
        for edit in edits:
            found.setdefault(edit.header.lower(), edit)

    sent = call.headers
    own = ((name, ascii_text(value)) for name, value in call.own_headers.items())
    add(Edit("set", name, sent.get(name), value, "gateway") for name, value in own)
    if key is not None:
        add([key])
    add(Edit("set", name, sent.get(name), value, "gateway") for name, value in carried.headers)
    add(Edit("remove", name, sent.get(name), None, "gateway") for name in carried.remove if name in sent)
    return tuple(found.values())
