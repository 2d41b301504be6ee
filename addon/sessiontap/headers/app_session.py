"""The session that an app itself declares in a header, in any dialect.

A header counts if its name says that it is a session's: `Dialect.app` says so. The known clients' own headers are not
read here: they are the source `native`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from sessiontap.dialects import DIALECTS
from sessiontap.exchange import Headers
from sessiontap.llm.agents import AGENTS
from sessiontap.sessions.id_sources import is_id


@dataclass(frozen=True, slots=True)
class AppSession:
    """The session as the app sent it, as text; None if it did not, or for what is no id."""

    id: str | None
    name: str | None
    path: str | None
    dialect: str
    """Of the id, else of the name or path."""


_IDS = tuple((one.app.id, one) for one in DIALECTS if one.app.id is not None)
_NAMES = tuple((one.app.name, one.name) for one in DIALECTS if one.app.name is not None)
_PATHS = tuple((one.app.path, one.name) for one in DIALECTS if one.app.path is not None)
_BAGGAGE = tuple((one.app.baggage, one.name) for one in DIALECTS if one.app.baggage is not None)

_AGENTS = frozenset(name for agent in AGENTS for name in agent.beside_session_id)
"""Headers of known agents that show that a session id beside them is the agent's."""
_WANTED = _AGENTS.union(name for name, _ in (*_IDS, *_NAMES, *_PATHS)) | {"baggage"}


def app_session(headers: Headers, host: str | None = None) -> AppSession | None:
    """The session that the request's own headers declare; None if none does."""
    if _WANTED.isdisjoint(headers.first):
        return None
    sent: dict[str, str] = {}
    for header, value in headers:
        key = header.lower()
        if key in _WANTED and key not in sent and value:
            sent[key] = _text(value)
    if not sent:
        return None
    id, dialect = _id(sent, host)
    name, name_dialect = _first(_NAMES, sent)
    path, path_dialect = _first(_PATHS, sent)
    dialect = dialect or name_dialect or path_dialect
    return None if dialect is None else AppSession(id, name, path, dialect)


def _id(sent: dict[str, str], host: str | None) -> tuple[str, str] | tuple[None, None]:
    """The id and its dialect: one in a header of its own comes before one in baggage."""
    for name, dialect in _IDS:
        if (id := sent.get(name)) and is_id(id):
            app = dialect.app
            if (not app.hosts or (host or "").lower() in app.hosts) and (
                not app.sent_by_agents or sent.keys().isdisjoint(_AGENTS)
            ):
                return id, dialect.name
    if "baggage" in sent:
        members = _baggage(sent["baggage"])
        for key, dialect_name in _BAGGAGE:
            if (id := members.get(key)) and is_id(id):
                return id, dialect_name
    return None, None


def _first(wanted: tuple[tuple[str, str], ...], sent: dict[str, str]) -> tuple[str, str] | tuple[None, None]:
    """The value of the first of these headers that was sent, and its dialect."""
    return next(((sent[header], dialect) for header, dialect in wanted if sent.get(header)), (None, None))


def _baggage(value: str) -> dict[str, str]:
    """The members of a baggage header (https://www.w3.org/TR/baggage/), their properties left out."""
    members: dict[str, str] = {}
    for member in value[:8192].split(","):
        key, equals, rest = member.partition("=")
        if equals:
            members.setdefault(key.strip(), unquote(rest.partition(";")[0].strip()))
    return members


def _text(value: str) -> str:
    """A field's bytes, here as Latin-1, are UTF-8 if they can be."""
    value = value.strip(" \t")
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return value
