"""The one HTTP client of push targets.

It keeps connections open, follows no redirect and repeats nothing: `delivery.py` decides what is sent again. It trusts
the system's certificate authorities and certifi's, or those of SSL_CERT_FILE alone. No text of it holds a credential.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from sessiontap import __version__
from sessiontap.exchange import Headers
from sessiontap.push.target import AnswerKind, HttpReply, NotReached, TargetAnswer, holds_credential

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
MOST_READ = 64 << 10
"""Bytes of a reply that are read: a connection with more to come is closed."""
SHORTEST_CREDENTIAL = 6
"""Characters: a shorter one would take words out of a reply."""


class HttpClient:
    """The real client behind `HttpTransport`: a pool of connections for each host."""

    def __init__(
        self,
        proxy: str | None = None,
        proxy_auth: str | None = None,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """`proxy`: the URL of a proxy that the target is reached through; `proxy_auth`: `user:password` for it."""
        settings: dict[str, Any] = {
            "ssl_context": _tls(),
            "timeout": urllib3.Timeout(connect=connect_seconds, read=read_seconds),
            "retries": False,
            "maxsize": 2,
        }
        self._pools: urllib3.PoolManager
        if proxy is None:
            self._pools = urllib3.PoolManager(**settings)
        else:
            headers = urllib3.make_headers(proxy_basic_auth=proxy_auth) if proxy_auth else None
            self._pools = urllib3.ProxyManager(proxy, proxy_headers=headers, **settings)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a request and wait for its reply. Follows no redirect. Raises NotReached."""
        return self._request("POST", url, body, headers)

    def delete(self, url: str, headers: Mapping[str, str]) -> HttpReply:
        """The same without a body, of the method DELETE."""
        return self._request("DELETE", url, None, headers)

    def _request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> HttpReply:
        try:
            reply = self._pools.request(
                method,
                url,
                body=body,
                headers={"User-Agent": f"sessiontap/{__version__}", **headers},
                redirect=False,
                preload_content=False,
            )
            try:
                data = reply.read(MOST_READ, decode_content=True)
                whole = not reply.read(1)
            finally:
                reply.release_conn()
            if not whole:
                reply.close()
        except (HTTPError, OSError, ValueError) as error:
            raise NotReached(f"{_place(url)} {_why(error)}") from None
        return HttpReply(reply.status, Headers(list(reply.headers.items())), _without_credentials(data, headers))

    def close(self) -> None:
        """Close all connections."""
        self._pools.clear()


def _without_credentials(reply: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a reply's body without the credentials of its request: some servers quote the key that they refuse."""
    for name, value in headers.items():
        if not holds_credential(name, value):
            continue
        scheme, _, rest = value.rpartition(" ")
        found = [rest]
        if scheme.lower() == "basic":
            with suppress(ValueError):
                found += base64.b64decode(rest).decode().split(":", 1)
        for one in found:
            if len(one) >= SHORTEST_CREDENTIAL:
                reply = reply.replace(one.encode(), b"[redacted]")
    return reply


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def _place(url: str) -> str:
    """The host and port of a URL: what else is in it may be a credential."""
    try:
        at = urlsplit(url)
        return f"{at.hostname}:{at.port}" if at.port is not None else str(at.hostname)
    except ValueError:
        return "the endpoint"


def _why(error: Exception) -> str:
    """The reason in words. An exception's own text may hold the URL or the proxy's credentials."""
    if isinstance(error, ProxyError):
        return "could not be reached through the proxy of HTTPS_PROXY"
    if isinstance(error, NameResolutionError):
        return "could not be found: its name is not known"
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return "could not be reached in time"
    if isinstance(error, ReadTimeoutError):
        return "did not answer in time"
    if isinstance(error, SSLError | ssl.SSLError):
        inner = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error
        problem = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "TLS failed"
        return f"could not be trusted: {problem}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"could not be reached: {cause.strerror}"
        within = next((one for one in cause.args if isinstance(one, BaseException)), None)
        cause = cause.__cause__ or cause.__context__ or within
    return "could not be reached" if isinstance(error, NewConnectionError) else f"broke off ({type(error).__name__})"


_KINDS: Mapping[int, AnswerKind] = {
    400: "refused",
    401: "misconfigured",
    403: "misconfigured",
    404: "misconfigured",
    405: "misconfigured",
    408: "later",
    413: "too_much",
    422: "refused",
    425: "later",
    429: "later",
}


def answer_kind(status: int) -> AnswerKind:
    """Return what a status means for the request that it answers."""
    if 200 <= status < 300:
        return "accepted"
    if status >= 500:
        return "later"
    return _KINDS.get(status, "misconfigured" if status < 400 else "refused")


def answer_of(reply: HttpReply) -> TargetAnswer:
    """Return the answer that a reply's status and Retry-After give; its text is the reason."""
    kind = answer_kind(reply.status)
    if kind == "accepted":
        return TargetAnswer(kind)
    text = " ".join(reply.body[:500].decode("utf-8", "replace").split())
    return TargetAnswer(kind, f"{reply.status} {text}".strip(), retry_after(reply.headers))


def retry_after(headers: Headers, now: datetime | None = None) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3), a number or a date; None for what is neither."""
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max((at - (now or datetime.now(UTC))).total_seconds(), 0.0)
