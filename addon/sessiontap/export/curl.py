"""A recorded request as a curl command that sends it again, byte for byte.

mitmproxy's export (`mitmproxy.addons.export.curl_command`) is not used. As of mitmproxy 12.2.3 it writes `-d`, and
neither `--globoff` nor `--path-as-is`: curl then sends a file's content for the body `@/etc/hostname`, expands `{a,b}`
and `[1-3]` in a URL, takes `..` out of its path, and adds headers of its own. Line ends and control characters of a
body become `$(printf ...)`, which drops line ends at its end; bytes that are no UTF-8 become others.
"""

from __future__ import annotations

import shlex

from sessiontap.exchange import Request
from sessiontap.plain_text import safe

LEFT_OUT = frozenset(
    {
        "host",  # curl's own
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "accept-encoding",  # --compressed
        "content-encoding",  # the body is kept decoded
    }
)
ADDED = ("User-Agent", "Accept", "Content-Type")
"""Headers that curl adds of its own accord, the last one with a body."""
INLINE = 32 * 1024
"""Bytes of body that go on the command line; more is piped in."""


def command(request: Request, call_id: str) -> str:
    """The command, on lines of their own; a body that no command line can hold is piped from `sessiontap cat`."""
    words = [["curl", *_as_it_is(request.target), _as_sent(request.url)]]
    if request.method == "HEAD" and not request.body:
        words.append(["--head"])  # with -X it would wait for a body
    elif request.method not in ("GET", "POST") or (request.method == "POST") != bool(request.body):
        words.append(["-X", request.method])
    for name, value in request.headers:
        if name.lower() not in LEFT_OUT and not name.startswith(":"):
            words.append(["-H", f"{name}: {_as_sent(value)}" if value else f"{name};"])
    added = ADDED if request.body else ADDED[:2]
    words += [["-H", f"{name}:"] for name in added if name not in request.headers]
    if request.headers.get("accept-encoding"):
        words.append(["--compressed"])
    before = ""
    if request.body:
        text = _inline(request.body)
        if text is None:
            before = f"sessiontap cat {call_id} --request | "
            words.append(["--data-binary", "@-"])
        else:
            words.append(["--data-raw", text])
    return before + " \\\n  ".join(shlex.join(part) for part in words) + "\n"


def redactions(request: Request) -> int:
    """The number of headers with a redacted credential, which the log does not know."""
    return sum("[redacted:" in value for _, value in request.headers)


def _as_it_is(target: str) -> list[str]:
    """The options that keep curl from giving a meaning of its own to parts of a URL."""
    options = []
    if any(one in target for one in "[]{}"):
        options.append("--globoff")
    if "/." in target.partition("?")[0]:
        options.append("--path-as-is")
    return options


def _as_sent(text: str) -> str:
    """Text that was decoded a byte a character, as the UTF-8 that it was, if it was."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _inline(body: bytes) -> str | None:
    """A body that stands on a command line: text without what drives a terminal. None for others."""
    if len(body) > INLINE:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if safe(text) == text else None
