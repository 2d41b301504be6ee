"""The one HTTP client of push targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sessiontap.exchange import Headers
from sessiontap.push.target import Answer, AnswerKind


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A target's reply to one request."""

    status: int
    headers: Headers
    body: bytes
    """Its first 64 KiB at most."""


class NotReached(Exception):
    """The target could not be reached, or did not answer in time. The text says why, without credentials."""


class Http(Protocol):
    """The seam: tests put a function of theirs in its place."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a request and wait for its reply. Follows no redirect. Raises NotReached."""
        ...


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


def answer_of(reply: HttpReply) -> Answer:
    """Return the answer that a reply's status and Retry-After give; its text is the reason."""
    kind = answer_kind(reply.status)
    if kind == "accepted":
        return Answer(kind)
    text = " ".join(reply.body[:500].decode("utf-8", "replace").split())
    return Answer(kind, f"{reply.status} {text}".strip(), retry_after(reply.headers))


def retry_after(headers: Headers) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3); None without one, and if it is no number."""
    value = (headers.get("retry-after") or "").strip()
    return float(value) if value.isascii() and value.isdigit() else None
