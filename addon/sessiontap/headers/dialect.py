"""What a dialect is: the headers in which one observability system is told about sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sessiontap.exchange import Headers
from sessiontap.rules.decision import Labels
from sessiontap.sessions.session import Link, Session


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to tell of a call."""

    session: Session
    link: Link
    labels: Labels


class Wish(NamedTuple):
    """A header that a dialect would write; `value` None: it cannot be, for `reason`."""

    header: str
    value: str | None
    field: str
    """The rules' field that it comes from, as in `Decision.set_by` and `Labels.set_by`."""
    reason: str | None = None


class Dialect(Protocol):
    """A module of this room with these names; `planning.DIALECTS` lists them."""

    @property
    def NAME(self) -> str: ...

    @property
    def PREFIXES(self) -> tuple[str, ...]:
        """What its session headers begin with, in lower case: `existing` decides on those."""

    def reads(self, host: str, headers: Headers, provider: str | None) -> bool:
        """Whether the destination is known to read it."""

    def wishes(self, told: Told) -> Iterable[Wish]:
        """The request headers, the most needed first."""
