"""Makes a proxy connect to this machine instead of the hosts that a table names, and to no other host at all.

Loaded beside the addon (`mitmdump -s addon/main.py -s addon/sessiontap/demo/redirect.py`), with the table in the
environment: `SESSIONTAP_DEMO_REDIRECT="api.openai.com=44301 *.helicone.ai=44301 plain.example:80=44302"`.
So unmodified programs use the real host names, and nothing leaves the machine.

It wraps `asyncio.open_connection`, below mitmproxy, which sees a connection to the real host. Rewriting the address
in a `server_connect` hook would defeat the reuse of connections (one per request, and a stall at the sixth). No
mitmproxy is imported here.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "SESSIONTAP_DEMO_REDIRECT"


class Redirect(NamedTuple):  # a dataclass cannot be made in a mitmproxy script
    """`host` (a glob) at `port` (None: any) goes to 127.0.0.1:`to`."""

    host: str
    port: int | None
    to: int


def format_table(redirects: Sequence[Redirect]) -> str:
    """Return the variable's value for these redirects, of which the first that fits is used."""
    return " ".join(f"{r.host}{'' if r.port is None else f':{r.port}'}={r.to}" for r in redirects)


def parse_table(text: str) -> list[Redirect]:
    """Return the redirects of `HOST[:PORT]=PORT` words.

    :raises ValueError: a word is none.
    """
    return [_parse_word(word) for word in text.split()]


def _parse_word(word: str) -> Redirect:
    destination, equals, to = word.partition("=")
    host, _, port = destination.partition(":")
    if not (host and equals and to.isdecimal() and (port.isdecimal() or not port)):
        raise ValueError(f"{word!r} is no redirect; expected HOST=PORT or HOST:PORT=PORT")
    return Redirect(host.lower(), int(port) if port else None, int(to))


def destination(host: str, port: int, redirects: Sequence[Redirect]) -> tuple[str, int]:
    """Return the address that a connection to `host`:`port` goes to.

    :raises ConnectionRefusedError: the table has no place for it, and it is not on this machine.
    """
    for redirect in redirects:
        if fnmatch.fnmatchcase(host.lower(), redirect.host) and redirect.port in (None, port):
            return "127.0.0.1", redirect.to
    if _is_loopback(host):
        return host, port
    raise ConnectionRefusedError(f"{host}:{port} is not in the table of local redirects")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def install(redirects: Sequence[Redirect]) -> None:
    """Make every TCP connection that this process opens through asyncio obey the table."""
    connect = asyncio.open_connection

    async def open_connection(
        host: str, port: int, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await connect(*destination(host, port, redirects), **options)

    asyncio.open_connection = open_connection  # type: ignore[assignment]


def _install_from(environment: Mapping[str, str]) -> None:
    if VARIABLE not in environment:
        raise SystemExit(f"{Path(__file__).name}: {VARIABLE} is not set, so there is nothing to redirect")
    install(parse_table(environment[VARIABLE]))


if __name__.startswith("__mitmproxy_script__"):
    here = str(Path(__file__).parent)
    if sys.path and sys.path[0] == here:  # put there by mitmproxy; no module of ours may shadow a standard one
        del sys.path[0]
    _install_from(os.environ)
