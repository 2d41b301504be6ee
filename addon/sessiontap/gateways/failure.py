"""Whose failure a reply is: the gateway's own, a control's that somebody set there, or the provider's behind it.

Each kind of gateway tells by its signatures, in its own module: `failure(status, headers, body_start)`. A reply without
a signature is the provider's, so a fault that nobody recognises is never taken for the gateway's.

Whoever goes to the provider itself when a gateway fails goes by these classes (`failing_open.py`): around
`gateway_refused`, since the provider has not got the call. Going around `policy` would go around a budget, a guardrail,
or a key that was revoked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from sessiontap.exchange import Headers

BODY_START = 16 * 1024
"""Bytes of a reply's body, decoded, that a signature needs at most: gateways' own errors are short."""


class GatewayFailure(NamedTuple):
    """A reply that is a failure."""

    kind: Literal["gateway_refused", "gateway_unanswered", "policy", "provider_error"]
    """`gateway_refused`: the gateway would not take the call, so no provider got it. `gateway_unanswered`: it failed in
    the midst, and a provider may have got the call; with its answer the gateway can do nothing any more. `policy`: a
    budget, a rate limit, a guardrail or a key's rights, kept by the gateway. `provider_error`: the provider's own."""
    code: str | None = None
    """The gateway's own short word for it (`budget_exceeded`), never text of the call; None if it has none."""


type ReadFailure = Callable[[int, Headers, bytes], GatewayFailure | None]
"""Return whose failure a reply is, by its status, headers and the decoded start of its body; None if it is none."""

PROVIDER_ERROR = GatewayFailure("provider_error")


def unsigned(status: int, headers: Headers, body_start: bytes) -> GatewayFailure | None:
    """The failures of a gateway without known signatures: all are the provider's, as far as anybody can tell."""
    return PROVIDER_ERROR if status >= 400 else None


def json_body(body_start: bytes) -> Mapping[str, Any]:
    """Return the body's JSON object; empty if it is none, or not whole."""
    if len(body_start) > BODY_START:
        return {}
    try:
        found = json.loads(body_start)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def inner(body: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the object at `path` in a body; empty if there is none."""
    for key in path:
        found = body.get(key)
        if not isinstance(found, dict):
            return {}
        body = found
    return body


def word(value: object) -> str | None:
    """Return a value as a short word, if it is one: an error's code or type, no sentence of a call's text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and 0 < len(value) <= 64 and value.isascii() and value.isprintable() and " " not in value:
        return value
    return None
