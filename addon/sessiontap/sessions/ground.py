"""Where a conversation may be found again: what two calls must share before their messages are compared at all.

The process, because identical prompts in two processes are two conversations; where it is not known, the client as the
connection tells it, and then the session's name, which rules may have told apart by what processes cannot be. Of a
known process the name is left out: a rule that names a session after a tool's result would cut conversations in two.
And the wire family, because histories are only comparable within one.

A session that the app or its agent named is a second such place, over all its processes: an agent that is resumed is
another process. What is found in the own process comes first.

A client's address, a proxy user, a session's name and a given id are the user's: what is compared, and what the log
keeps, are digests of them with the user's key (`Ground.sealed`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sessiontap.callers.caller import Caller
from sessiontap.llm.canonical import digest
from sessiontap.sessions.ladder import Peer, of_peer


@dataclass(frozen=True, slots=True)
class Ground:
    """What calls of one conversation share. `session` is a session id that somebody gave, known before the messages
    are looked at."""

    process: str
    family: str
    name: str = ""
    session: str | None = None
    told: str | None = field(default=None, compare=False)
    """The given session id as it was told, in memory alone."""

    def sealed(self, key: bytes) -> Ground:
        """The same with keyed digests in place of process, name and session. One that is sealed is sealed anew."""
        return replace(
            self,
            process=sealed(self.process, key),
            name=sealed(self.name, key) if self.name else "",
            session=sealed(self.session, key) if self.session is not None else None,
            told=self.told if self.told is not None else self.session,
        )

    @property
    def is_sealed(self) -> bool:
        """False for what an older version kept: `process p-1`, `client 10.0.0.9`, `connection c-1`."""
        return " " not in self.process

    @property
    def seed(self) -> bytes:
        """What must be equal for messages to be compared: the start of every key that stands for messages."""
        return _seed(self.process, self.name, self.family)

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """The process's, then the session's, where one is given."""
        return _seeds(self)

    @property
    def place(self) -> tuple[str, str]:
        """As `seed`, for whatever family: a sub-agent may speak another one."""
        return self.process, self.name

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """As `seeds`, for whatever family."""
        return (self.place,) if self.session is None else (self.place, ("", self.session))

    def akin(self, other: Ground) -> bool:
        """Whether an id that was issued there means something here."""
        return self.place == other.place or (self.session is not None and self.session == other.session)


@lru_cache(maxsize=4096)
def sealed(text: str, key: bytes) -> str:
    """A digest of 20 hexadecimal digits, from which nobody without the key can try guesses."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10, key=key[:64]).hexdigest()


@lru_cache(maxsize=4096)
def _seeds(ground: Ground) -> tuple[bytes, ...]:
    own = ground.seed
    return (own,) if ground.session is None else (own, _seed("", ground.session, "session", ground.family))


@lru_cache(maxsize=4096)
def _seed(*parts: str) -> bytes:
    return digest("\0".join(parts).encode("utf-8", "surrogatepass"))[:8]


def ground_of(family: str, caller: Caller | None, peer: Peer, name: str, session: str | None = None) -> Ground:
    """`name` is the session's name as the rules gave it, `session` an id that the app or its agent sent."""
    if caller is not None:
        return Ground(f"process {caller.id}", family, session=session)
    return Ground(of_peer(peer).value, family, name, session)
