"""The session that an app itself declares in a header, in any dialect.

A header counts where its name says that it is a session. Not read: trace ids (`x-litellm-trace-id`,
`x-portkey-trace-id`, `traceparent`), which many apps make anew for every call and which would end the session that the
rules describe each time; and the known clients' own headers, which are the source `native`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from sessiontap.exchange import Headers
from sessiontap.sessions.id_sources import is_id


@dataclass(frozen=True, slots=True)
class AppSession:
    """What the app sent, as text; None where it did not, or where it is no id."""

    id: str | None
    name: str | None
    path: str | None
    dialect: str
    """Of the id, else of the name or path."""


_IDS = (
    ("helicone-session-id", "helicone"),
    ("x-traceforge-session-id", "traceforge"),
    ("x-litellm-session-id", "litellm"),
    ("langfuse_session_id", "langfuse"),
)
_NAME, _PATH = "helicone-session-name", "helicone-session-path"
_BAGGAGE = (("langfuse_session_id", "langfuse"), ("session.id", "w3c"))
"""Keys of W3C baggage, with the dialect that they are."""
_OPENROUTER = ("openrouter.ai", "openrouter.helicone.ai")
"""Elsewhere anybody's `x-session-id` may mean anything."""
_OPENCODE = ("x-opencode-session-id", "x-opencode-session", "x-session-affinity")
"""opencode sends `x-session-id` to everyone; a sub-agent's is its own."""

_WANTED = frozenset([name for name, _ in _IDS] + [_NAME, _PATH, "baggage", "x-session-id", *_OPENCODE])


def app_session(headers: Headers, host: str | None = None) -> AppSession | None:
    """The session that the request's own headers declare; None where none does."""
    sent: dict[str, str] = {}
    for header, value in headers:
        key = header.lower()
        if key in _WANTED and key not in sent and value:
            sent[key] = _text(value)
    if not sent:
        return None
    id, dialect = _id(sent, host)
    name, path = sent.get(_NAME) or None, sent.get(_PATH) or None
    if not (id or name or path):
        return None
    return AppSession(id, name, path, dialect or "helicone")


def _id(sent: dict[str, str], host: str | None) -> tuple[str, str] | tuple[None, None]:
    for name, dialect in _IDS:
        if (id := sent.get(name)) and is_id(id):
            return id, dialect
    openrouter = (host or "").lower() in _OPENROUTER and sent.keys().isdisjoint(_OPENCODE)
    if openrouter and (id := sent.get("x-session-id")) and is_id(id):
        return id, "openrouter"
    if "baggage" in sent:
        members = _baggage(sent["baggage"])
        for key, dialect in _BAGGAGE:
            if (id := members.get(key)) and is_id(id):
                return id, dialect
    return None, None


def _baggage(value: str) -> dict[str, str]:
    """The members of a baggage header (https://www.w3.org/TR/baggage/), their properties left out."""
    members: dict[str, str] = {}
    for member in value[:8192].split(","):
        key, equals, rest = member.partition("=")
        if equals:
            members.setdefault(key.strip(), unquote(rest.partition(";")[0].strip()))
    return members


def _text(value: str) -> str:
    """A field's bytes, here as Latin-1, are UTF-8 where they can be."""
    value = value.strip(" \t")
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return value
