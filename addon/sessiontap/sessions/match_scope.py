"""The scope in which two calls are compared: what they must share before their messages are looked at.

Two calls must share the wire family, since histories are only comparable within one, and one of two things:

- the **process**: identical prompts in two processes are two conversations. If the process is not known, the client
  stands for it, as the connection shows it, together with the session's name: rules may tell apart by name what
  processes cannot. For a known process the name does not count, because a rule that names a session after a tool's
  result would cut conversations in two;
- a **session that the app or its agent named**, over all its processes: an agent that is resumed is another process.
  A match in the same process comes first.

A client's address, a proxy user, a session's name and a given id are the user's own. Only keyed digests of them are
compared and written to the log (`MatchScope.pseudonymized`).
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from functools import lru_cache

from sessiontap.callers.caller import Caller
from sessiontap.llm.message_pieces import digest
from sessiontap.sessions.id_sources import ClientConnection, connection_evidence
from sessiontap.value_classes import dataclass


@dataclass(frozen=True, slots=True)
class MatchScope:
    """The scope that calls of one conversation share. `session` is an id that the app or its agent sent."""

    process: str
    family: str
    name: str = ""
    session: str | None = None
    given_session: str | None = field(default=None, compare=False)
    """The session id in clear; it stays in memory."""

    def pseudonymized(self, key: bytes) -> MatchScope:
        """Return the scope with keyed digests in place of process, name and session; digests are digested again."""
        return MatchScope(
            process=keyed_digest(self.process, key),
            family=self.family,
            name=keyed_digest(self.name, key) if self.name else "",
            session=keyed_digest(self.session, key) if self.session is not None else None,
            given_session=self.given_session if self.given_session is not None else self.session,
        )

    @property
    def is_pseudonymized(self) -> bool:
        """False for a scope in clear, as older logs hold: `process p-1`, `client 10.0.0.9`, `connection c-1`."""
        return " " not in self.process

    @property
    def key_prefix(self) -> bytes:
        """The start of every index key that stands for messages: process, name and family must be equal."""
        return _key_prefix(self.process, self.name, self.family)

    @property
    def key_prefixes(self) -> tuple[bytes, ...]:
        """The prefix of the process, then that of the session, if one was given."""
        return _key_prefixes(self.process, self.name, self.family, self.session)

    @property
    def origin(self) -> tuple[str, str]:
        """Process and name, for any family: a sub-agent may use another one than its parent."""
        return self.process, self.name

    @property
    def origins(self) -> tuple[tuple[str, str], ...]:
        """The origin, then the session, if one was given; for any family."""
        return (self.origin,) if self.session is None else (self.origin, ("", self.session))

    def shares_ids_with(self, other: MatchScope) -> bool:
        """Return True if an id that a server issued in the other scope is valid in this one."""
        return self.origin == other.origin or (self.session is not None and self.session == other.session)


@lru_cache(maxsize=4096)
def keyed_digest(text: str, key: bytes) -> str:
    """Return a digest of 20 hexadecimal digits. Without the key nobody can test guesses against it."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10, key=key[:64]).hexdigest()


@lru_cache(maxsize=4096)
def _key_prefixes(process: str, name: str, family: str, session: str | None) -> tuple[bytes, ...]:
    own = _key_prefix(process, name, family)
    return (own,) if session is None else (own, _key_prefix("", session, "session", family))


@lru_cache(maxsize=4096)
def _key_prefix(*parts: str) -> bytes:
    return digest("\0".join(parts).encode("utf-8", "surrogatepass"))[:8]


def match_scope_of(
    family: str, caller: Caller | None, connection: ClientConnection, name: str, session: str | None = None
) -> MatchScope:
    """Return a call's scope. `name` is the session's name by the rules, `session` an id from the app or its agent."""
    if caller is not None:
        return MatchScope(f"process {caller.id}", family, session=session)
    return MatchScope(connection_evidence(connection).value, family, name, session)
