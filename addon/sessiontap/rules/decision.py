"""The decision of the rules for one call: plain values, in the two stages in which they become known.

The session's id is needed before templates such as `${session.step}` or `${pick(a,b)}` can be filled in, so a
`Decision` comes first (who, which id, how to send), then, with the session known, the `FilledSettings`.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, NamedTuple

from sessiontap.value_classes import dataclass

CaptureEffect = Literal["full", "metadata", "none", "ignore"]
"""The effect of a rule on the record of a call; `ignore`: to the call itself."""

IdSourceKind = Literal[
    "app", "join", "native", "template", "literal", "conversation", "process", "process-tree", "connection"
]


@dataclass(frozen=True, slots=True)
class IdSource:
    """A source of a session's id. `value` is the rendered template or the literal, None for the other kinds.

    `join` comes before the sources that rules list. Its value ties calls; None if no template gave one: then the call
    may still go on in the session that its conversation was joined to.
    """

    kind: IdSourceKind | Literal["auto"]
    value: str | None = None
    rank: int = 0
    """Of `join`: the place of the template that gave the value, from 0; without a value behind all of them."""

    @property
    def text(self) -> str:
        """As people know it: the id itself, else the kind."""
        if self.kind == "join":
            return "join" if self.value is None else f"join ({self.value})"
        return self.value or self.kind


NO_VALUE = IdSource("join", None, rank=1_000_000)
"""A rule has `join`, and none of its templates gives a value."""


class Withheld(NamedTuple):
    """A setting with a secret of the proxy's that may not go to the call's host or gateway."""

    field: str
    rule: str
    """Its rule's label."""
    reason: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.field} is withheld: {self.reason}"


@dataclass(frozen=True, slots=True)
class Protection:
    """A rule that protects, and what it does to a call that it may match."""

    effect: CaptureEffect
    rule: str
    """Its label."""
    unknown: tuple[str, ...] = ()
    """The keys of its `match` whose facts are not known; empty: it matches for certain."""
    behind: tuple[str, ...] = ()
    """The same of earlier rules, which may end the reading or set the value first."""

    @property
    def as_unknown(self) -> Protection:
        """The same with all that is unknown: a rule that matches for certain may still not be reached."""
        return Protection(self.effect, self.rule, self.unknown or self.behind)


@dataclass(frozen=True, slots=True)
class Decision:
    """All that does not depend on the session. `rules`: labels (or `#n`, from 1) of the rules that set something."""

    ignore: bool = False
    wants_session: bool = False
    """A rule set a `session` key: session headers are to be sent."""
    name: str = ""
    """The session name; filled by the default if no rule set it."""
    id_sources: tuple[IdSource, ...] = (IdSource("auto"),)
    """In the order in which they are tried; the first that yields an id is used."""
    idle: float | None = None
    """Seconds."""
    max_calls: int | None = None
    send: tuple[str, ...] | Literal["auto"] = ()
    """Dialects; `none` is the empty tuple."""
    existing: Literal["keep", "replace"] = "keep"
    gateway: str | None = None
    capture: Literal["full", "metadata", "none"] = "full"
    protected: Protection | None = None
    """The rule by which the call is ignored or recorded in part because facts are unknown; None if they are known."""
    rules: tuple[str, ...] = ()
    set_by: dict[str, str] = field(default_factory=dict)
    """Field (`session.name`, `properties.mode`, ...) -> label of the rule that set it."""
    problems: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    """The values of set keys that have no field here, by the key's name."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The facts of the session that templates may use: `${session.id}`, `${session.name}`, `${session.step}`."""

    id: str
    name: str
    step: int


@dataclass(frozen=True, slots=True)
class FilledSettings:
    """The settings that are filled in once the session is known."""

    path: str = "/"
    user: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    state: dict[str, Any] | None = None
    headers_set: dict[str, str] = field(default_factory=dict)
    headers_remove: tuple[str, ...] = ()
    """Globs of header names."""
    rules: tuple[str, ...] = ()
    set_by: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    """The values of set keys that have no field here, by the key's name."""
    at_gateway: FilledSettings | None = None
    """The settings to use if the call goes to its gateway; None if they are the same. They differ in values of the
    proxy's own environment: some may only go to the gateway, some only to the call's own host."""
