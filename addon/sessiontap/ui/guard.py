"""Which requests are answered: those of a browser of this user, at this machine, for this page.

A page of the web may make a browser ask servers of this machine. Its name may even lead here (DNS rebinding), and then
its scripts could read the answers. So the Host must be a name of this machine, a request that another origin caused is
refused, and the first request brings a token that the terminal printed, once; from then on a cookie stands for it,
which no other site's requests carry. At a Unix socket the file's permissions do that.

A request that changes something is a POST to an address that takes one. No other site can make a browser send it: it is
JSON by its Content-Type, which a form cannot say, or a form with the token that our own pages hold; and where a browser
says who caused it (Origin, Referer, Sec-Fetch-Site), that must be this page.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sessiontap.ui.errors import PageError

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
METHODS = ("GET", "HEAD")
"""Those of an address at which nothing can be changed."""
WRITING = (*METHODS, "POST")
TOKEN = "token"
"""The parameter of the address that the terminal prints."""
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""They go with every answer."""


class Refused(PageError):
    """The request is not answered."""

    def __init__(self, message: str, hint: str, status: int = 403) -> None:
        super().__init__(message, hint)
        self.status = status


def check_origin(method: str, headers: Mapping[str, str], methods: tuple[str, ...] = METHODS) -> None:
    """Refuse a method that the address does not take, a foreign Host and a foreign Origin. Raises Refused."""
    if method not in methods:
        raise Refused(f"{method} is not answered here", f"This address takes {' and '.join(methods)}.", 405)
    host = headers.get("Host", "")
    if not is_local(host):
        raise Refused(
            f"the request is for the host {host!r}, which is not this machine",
            "Open the page as 127.0.0.1 or localhost; through SSH forward a port: ssh -L PORT:127.0.0.1:PORT.",
            421,
        )
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        raise Refused(f"another site ({origin}) asks for this page", "Open it from the terminal's line.")
    site, mode = headers.get("Sec-Fetch-Site", "none"), headers.get("Sec-Fetch-Mode")
    if site not in ("none", "same-origin") and (mode != "navigate" or method not in METHODS):
        raise Refused("another site asks for this page", "Open it from the terminal's line.")


def check_write(headers: Mapping[str, str]) -> Literal["form", "json"]:
    """Return what a POST brings. Raises Refused: it is neither, or a browser may send it for another site.

    The token of a form is the caller's to check.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, JSON):
        raise Refused(
            f"the Content-Type {kind!r} is not understood",
            "Send JSON, and the header Content-Type: application/json.",
            415,
        )
    own = f"http://{headers.get('Host', '')}"
    caused_by = headers.get("Origin") or headers.get("Referer")
    if caused_by is None and kind == FORM:
        raise Refused("the form does not say which page it is of", "Send it from a page of this address, or send JSON.")
    if caused_by is not None and caused_by != own and not caused_by.startswith(f"{own}/"):
        raise Refused(f"another site ({caused_by}) sends this", "Open the page from the terminal's line.")
    return "form" if kind == FORM else "json"


def is_local(host: str) -> bool:
    """Return True if a Host header names this machine, with any port: the page may be behind a forwarded one."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, ""
    return name.lower() in LOCAL_NAMES and (port.isdecimal() and port.isascii() if colon else True)


@dataclass(slots=True)
class Access:
    """The tokens that open the page, each once, and the cookie that stands for one from then on."""

    cookie_name: str
    _cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _unused: set[str] = field(default_factory=set)

    def token(self) -> str:
        """A new token."""
        made = secrets.token_urlsafe(24)
        self._unused.add(made)
        return made

    def cookie_for(self, token: str, cookie: str | None) -> str | None:
        """The value of the cookie that this token gives, which is then used; None if it opens nothing.

        A browser that has the cookie may use its token again.
        """
        if token in self._unused:
            self._unused.discard(token)
            return self._cookie
        return self._cookie if self.is_open(cookie) else None

    def is_open(self, cookie: str | None) -> bool:
        """Return True if this is the cookie."""
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._cookie.encode())
