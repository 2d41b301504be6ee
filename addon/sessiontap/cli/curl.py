"""A recorded request as a curl command that sends it again, byte for byte."""

from __future__ import annotations

import shlex

from sessiontap.exchange import Request

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
INLINE = 32 * 1024
"""Bytes of body that go on the command line; more is piped in."""


def command(request: Request, call_id: str) -> str:
    """The command, on lines of their own; a body that no command line can hold is piped from `sessiontap cat`."""
    words = [["curl", request.url]]
    if request.method not in ("GET", "POST") or (request.method == "POST") != bool(request.body):
        words.append(["-X", request.method])
    for name, value in request.headers:
        if name.lower() not in LEFT_OUT and not name.startswith(":"):
            words.append(["-H", f"{name}: {value}" if value else f"{name};"])
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
    """How many headers hold a redacted credential, which the log does not know."""
    return sum("[redacted:" in value for _, value in request.headers)


def _inline(body: bytes) -> str | None:
    if len(body) > INLINE or b"\0" in body:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
