"""A push target: a reader of sessions that recorded calls are sent to.

`Target` is the descriptor, a line in the list of `push/__init__.py`. Its module has a function
`open_sender(settings: TargetSettings) -> Sender`, which is imported when the target is used. A sender makes `Item`s of
calls and of complete turns, and sends several of them as one request. It decides nothing about retries, batches or what
has been sent: `delivery.py` does, by the sender's `TargetAnswer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sessiontap.exchange import Headers

if TYPE_CHECKING:
    from sessiontap.export.exported_call import ExportedCall
    from sessiontap.part import CallParts

BATCH_BYTES = 4 << 20
"""Of a request: many collectors stop at 16 MiB, some at 10."""


@dataclass(frozen=True, slots=True)
class PushedCall:
    """A recorded call, and its place among the others."""

    call: ExportedCall
    """Its record, its row of `calls --json` (tokens, cost, step, ...) and its bodies. Redacted."""
    turn: str
    """The id of the call with which its user turn begins: a user's message and all that follows until the reply
    that calls no tool; an agent's sub-agents are in it. Equal to the call's own id: it is that call."""
    number: int | None
    """The turn's place in its session, from 0; None: not known."""
    parts: CallParts | None
    """The request and the reply, in parts; None if content is not sent, or cannot be read."""
    first_new: int
    """`parts.request[:first_new]` was sent before, by the call that this one goes on from."""
    title: str | None
    """The session's title; None without one, and if content is not sent."""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """A complete user turn: its calls have ended and the last reply asked for no tool, or its session is over."""

    id: str
    """The id of its first call."""
    calls: tuple[PushedCall, ...]
    """By the time at which they began. Of a very long turn those in the middle have no parts."""

    @property
    def first(self) -> PushedCall:
        return self.calls[0]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is sent: a span, a log entry."""

    call: str
    """The id of the call that it tells of; of a turn's root, the turn's id."""
    data: Any
    """As the sender's `send` takes it."""
    size: int
    """Bytes that it adds to a request."""


AnswerKind = Literal["accepted", "later", "too_much", "refused", "misconfigured"]


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """How a target answered a request."""

    kind: AnswerKind
    """`accepted`; `later`: it is down or busy, the same request may be sent again; `too_much`: the request is too large
    (413); `refused`: something in it is wrong (400), so it is split until that stands alone; `misconfigured`: no
    request would be taken: the credentials or the address are wrong (401, 403, 404)."""
    reason: str = ""
    """In words, for people; never a credential. Of an accepted request: some items were not taken, and the target does
    not say which. Else empty if accepted."""
    after: float | None = None
    """Seconds to wait at least before the next request, as the target asked (Retry-After)."""
    rejected: Mapping[int, str] = field(default_factory=dict)
    """Of an accepted request: the positions of items that were not taken, and why."""


@dataclass(frozen=True, slots=True)
class PushedScore:
    """A score, a star or a note of a session or call, as it counts now."""

    id: str
    """A UUID, derived from what it is of and its name: whatever stands for it later has the same."""
    of: Literal["session", "call"]
    session: str | None
    """The id of the session, also of a call's."""
    call: str | None
    """The id of the call; None: it is of the session."""
    turn: str
    """The id of the call that its call's turn begins with; of a session's score, its first turn."""
    record: Mapping[str, Any]
    """The call's record; of a session's score, that of its first call."""
    name: str | None
    """None: a note alone."""
    value: bool | int | float | str | None
    note: str | None
    """None without one, and if content is not sent."""
    time: int
    """Unix nanoseconds."""
    by: str | None
    is_persons: bool
    """Somebody gave it by hand, not a program."""
    is_withdrawn: bool = False
    """It was taken away: only what it is of and its name are known."""


class BatchSender(Protocol):
    """Sends several items as one request."""

    max_bytes: int
    """Of one request's items together, at most."""
    max_items: int

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        """Send the items as one request, and wait for its answer. A connection that fails is `later`."""
        ...


class ScoreSender(BatchSender, Protocol):
    """Made by a target's module of scores (`open_scores`)."""

    takes: str
    """The scores that it has a place for, in a few words for people."""

    def item(self, score: PushedScore) -> Item | None:
        """Return what is sent of a score; None if the target has no place for it."""
        ...


class Sender(BatchSender, Protocol):
    """Made by a target's module (`open_sender`)."""

    def call_items(self, call: PushedCall) -> Iterable[Item]:
        """Return what is sent as soon as a call has ended."""
        ...

    def turn_items(self, turn: UserTurn) -> Iterable[Item]:
        """Return what is sent when a turn is complete."""
        ...


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A target's reply to one request."""

    status: int
    headers: Headers
    body: bytes
    """Its first 64 KiB at most."""


class NotReached(Exception):
    """The target could not be reached, or did not answer in time. The text says why, without credentials."""


class HttpTransport(Protocol):
    """The seam: tests put a function of theirs in its place."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a request and wait for its reply. Follows no redirect. Raises NotReached."""
        ...

    def delete(self, url: str, headers: Mapping[str, str]) -> HttpReply:
        """The same without a body, of the method DELETE."""
        ...


COLLECTORS = frozenset({"x-honeycomb-team", "signoz-ingestion-key", "uptrace-dsn"})
"""Headers of collectors that hold a key, though their names do not say so."""


def holds_credential(name: str, value: str = "") -> bool:
    """Return True if a header holds a credential, by its name or by the shape of its value.

    Such a header is not written where others read: in an option, in rules.yaml.
    """
    from sessiontap.redaction import Redactor  # the proxy has no use for it until a rule names a header

    redactor = Redactor(b"")
    named = name.lower() in COLLECTORS or redactor.names_credential(name.lower())
    return named or redactor.headers([(name, value)]) != [[name, value]]


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """A target as the user wants it."""

    endpoint: str
    """Its address, without a slash at its end; of a target that writes files, the folder."""
    credentials: Mapping[str, str]
    """The values of the target's `variables` that are set."""
    content: bool
    """Prompts, replies, tools' arguments and results are sent, too."""
    http: HttpTransport
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers of each request, as the user gave them."""
    log: str = "0"
    """Names the log among those that are pushed to one place: letters and digits."""


@dataclass(frozen=True, slots=True)
class Target:
    """All that a push target is."""

    name: str
    """As `sessiontap push` and `push` in the rules name it."""
    summary: str
    """A few words for the command's help."""
    module: str
    """With `open_sender`."""
    endpoint: str | None = None
    """Its usual address; None: the user must name one."""
    endpoint_variables: tuple[str, ...] = ()
    """The environment variables that name its address, as the target's own SDKs read them; the first that is set."""
    variables: tuple[str, ...] = ()
    """The environment variables of its credentials."""
    required: tuple[str, ...] = ()
    """Those of them without which it cannot be used."""
    has_turns: bool = True
    """It is told complete turns, too; False: calls alone."""
    is_folder: bool = False
    """Its address is a folder that it writes files into."""
    has_addresses: bool = False
    """The folder may be one of an object store: s3://BUCKET/PATH."""
    needs_bodies: bool = True
    """It is told calls by their bodies, without content, too."""
    batch_bytes: int = BATCH_BYTES
    """Of a request. What is read waits until there are as many,"""
    batch_seconds: float = 0.0
    """or in `follow` for so long. 0: it is sent when nothing else is in the log."""
    scores: str | None = None
    """The module with `open_scores`; None: the target has no place for scores."""
    package: str | None = None
    """The extra that installs what it needs: `sessiontap[otlp]`."""

    def open_sender(self, settings: TargetSettings) -> Sender:
        """Return its sender. Raises ImportError if a package that it needs is not installed."""
        made: Sender = import_module(self.module).open_sender(settings)
        return made

    def open_scores(self, settings: TargetSettings) -> ScoreSender | None:
        """Return its sender of scores; None if it takes none. Raises ImportError as `open_sender` does."""
        if self.scores is None:
            return None
        made: ScoreSender = import_module(self.scores).open_scores(settings)
        return made
