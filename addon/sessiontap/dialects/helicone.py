"""Helicone: https://docs.helicone.ai/features/sessions

It copies ids, paths and names unchecked, groups sessions by id and name, and hides what a path without a leading slash
names. `Helicone-Request-Id` is never sent: it must be a UUID of version 1 to 5, and calls have version 7.
Its key goes to its gateways only, over verified TLS, and never on behalf of a client that may not use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sessiontap.dialects.dialect import AppHeaders, Dialect, OwnKey, ProposedHeader, SessionInfo
from sessiontap.dialects.header_text import header_text, name_part, path_text
from sessiontap.header_edit import Edit

NAME = "helicone"
KEY_HEADER = "Helicone-Auth"
KEY_VARIABLE = "HELICONE_API_KEY"
KEY_SHAPE = re.compile(r"[sp]k(-helicone)?(-eu)?(-cp)?-\w{7}-\w{7}-\w{7}-\w{7}\Z", re.ASCII)

DOMAIN = "helicone.ai"
_OWN_KEYS = frozenset({"ai-gateway.helicone.ai", "api.helicone.ai"})
"""They take a Helicone key as the call's own Authorization."""


def is_helicone(host: str) -> bool:
    """True if `host` is of Helicone's cloud."""
    return host.lower().rstrip(".").endswith(f".{DOMAIN}")


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """Session-Id, -Path, -Name, User-Id and one Property-* for each property."""
    yield ProposedHeader("Helicone-Session-Id", info.id, "session.id")
    path, cut = path_text(info.path)
    yield ProposedHeader("Helicone-Session-Path", path, "session.path", cut)
    name, cut = header_text(info.name)
    if name:
        yield ProposedHeader("Helicone-Session-Name", name, "session.name", cut)
    if info.user:
        user, cut = header_text(info.user)
        if user:
            yield ProposedHeader("Helicone-User-Id", user, "user", cut)
    written: set[str] = set()
    for key, value in info.properties.items():
        suffix = name_part(key)
        header, field = f"Helicone-Property-{suffix or key}", f"properties.{key}"
        if not suffix:
            yield ProposedHeader(header, None, field, "no letter or digit of its name fits a header's name")
        elif suffix.lower() in written:
            yield ProposedHeader(header, None, field, "another property has this header's name")
        else:
            text, cut = header_text(value)
            if text:
                written.add(suffix.lower())
                yield ProposedHeader(header, text, field, cut)
            else:
                yield ProposedHeader(header, None, field, "an empty value is none")


def bearer(proxy_env: Mapping[str, str]) -> str | None:
    """The value of Helicone-Auth; None if the proxy's environment has no key that a header can hold."""
    key = proxy_env.get(KEY_VARIABLE, "").strip().removeprefix("Bearer ").strip()
    return f"Bearer {key}" if key and key.isascii() and key.isprintable() and " " not in key else None


def auth(host: str, sent: str | None, proxy_env: Mapping[str, str], why_no_key: str | None) -> Edit | None:
    """Helicone-Auth for a call that goes to Helicone; None for others, and if the app has `sent` it.

    `why_no_key`: why this call may not carry the proxy's key, None if it may.
    """
    if not is_helicone(host) or host.lower() in _OWN_KEYS or sent is not None:
        return None
    value = bearer(proxy_env)
    if value is None:
        return Edit("withhold", KEY_HEADER, rule=f"{KEY_VARIABLE} is not set where the proxy runs")
    if why_no_key is not None:
        return Edit("withhold", KEY_HEADER, rule=why_no_key)
    return Edit("set", KEY_HEADER, None, value, KEY_VARIABLE)


DIALECT = Dialect(
    NAME,
    request_headers,
    prefixes=("helicone-session-", "helicone-user-id", "helicone-property-"),
    hosts=(f"*.{DOMAIN}",),
    signs=("helicone-auth",),
    app=AppHeaders("helicone-session-id", "helicone-session-name", "helicone-session-path"),
    own_key=OwnKey(KEY_HEADER, "Helicone", auth),
)
