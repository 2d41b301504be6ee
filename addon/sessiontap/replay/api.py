"""The API that a request asks, and its address: without credentials, and without what differs from run to run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote_plus

from sessiontap.exchange import Request
from sessiontap.replay.volatile import stable_text

CREDENTIALS = frozenset((
    "key", "api_key", "apikey", "api-key", "access_token", "token", "sig", "signature", "x-amz-signature",
    "x-amz-security-token", "x-amz-credential", "x-amz-date", "auth", "code",
))  # fmt: skip
"""Query parameters, in lower case, that hold a credential: the log has it replaced, and a replay needs none."""
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
"""This machine's own names."""


@dataclass(frozen=True, slots=True)
class Api:
    """The part of an API that a request asks: no call answers a request to another one."""

    method: str
    """`WS` for a turn of a WebSocket."""
    host: str
    """With its port, but for this machine's own names, of which the port changes from run to run."""
    path: str
    """Without ids and dates in it."""
    query: tuple[tuple[str, str], ...]
    """In order of names, without credentials, ids and dates."""

    def __str__(self) -> str:
        verb = "a turn on" if self.method == "WS" else self.method
        asked = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{verb} {self.host}{self.path}{f'?{asked}' if asked else ''}"


def api_of(request: Request, *, is_turn: bool) -> Api:
    """Return the API of a request."""
    usual = {"https": 443, "http": 80}.get(request.scheme)
    host = request.host.lower()
    port = "" if host in LOOPBACK or request.port == usual else f":{request.port}"
    query = sorted((name, stable_text(value, [])) for name, value in request.query if name.lower() not in CREDENTIALS)
    method = "WS" if is_turn else request.method.upper()
    return Api(method, f"{host}{port}", stable_text(request.path, []), tuple(query))


def url_of(request: Request) -> str:
    """Return the address of a request without credentials."""
    query = "&".join(
        f"{quote_plus(name)}={quote_plus(value)}" for name, value in request.query if name.lower() not in CREDENTIALS
    )
    return replace(request, target=f"{request.path}{'?' if query else ''}{query}").url


def address_of(request: Request, *, is_turn: bool) -> str:
    """Return the method and the whole address of a request, without credentials: a part of an exact match."""
    return f"{'WS' if is_turn else request.method.upper()} {url_of(request)}"
