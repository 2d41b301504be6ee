"""A replay's question and its answer: a live request, and the recorded reply that stands for its server's, or a miss.

How sure an answer is, is its **rung**. The surest that a recorded call reaches is taken:

    exact       the same method, address and body, byte for byte
    canonical   the same but for what differs from run to run and means nothing: cache marks, ids, dates, reminders
    tools       the same tool calls, by their ids, in the same order
    place       the next call of the same conversation, in the order of the recording
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from sessiontap.exchange import Headers, Request

Rung = Literal["exact", "canonical", "tools", "place"]
RUNGS: tuple[Rung, ...] = get_args(Rung)
"""The surest first."""

Ending = Literal["whole", "cut", "unanswered"]
"""A reply that came to its end; one that broke off; none at all: the connection was closed or could not be opened."""

HOP_BY_HOP = frozenset((
    "connection", "content-encoding", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
))  # fmt: skip
"""Headers, in lower case, that are about the recorded connection, or about a body that is decoded by now."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """A request of the program that is being run again, as it asked for it."""

    request: Request
    """Its body is decoded. The body of a WebSocket's turn is its frames, one JSON value a line, as the log has them."""
    caller: str | None = None
    """The id of its process; None if it is unknown."""
    socket: str | None = None
    """The identity of its WebSocket; None if it is a plain call."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply's body that came at once."""

    delay: int
    """Nanoseconds since the piece before, at first since the reply's headers."""
    data: bytes


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """A reply as it was recorded. Its body is decoded, so it has no content-encoding and no content-length."""

    call: str
    """The recorded call's id."""
    status: int
    headers: Headers
    pieces: tuple[Piece, ...]
    ending: Ending = "whole"
    first_byte: int = 0
    """Nanoseconds from the request to the reply's headers; 0 if it is not known."""
    trailers: Headers = field(default_factory=Headers)
    asked_lines: int = 0
    """Of a WebSocket's turn: the lines of its request, up to the frame that asks."""
    order: tuple[tuple[int, int], ...] = ()
    """Of a WebSocket's turn, in runs of its frames: before so many of them came so many lines of the request and frames
    of the client's behind it. Frames that it does not name came behind the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The recorded reply that answers a live request."""

    rung: Rung
    reply: RecordedReply
    difference: tuple[str, ...] = ()
    """How the request differs from the recorded one, in sentences; empty if it does not."""


@dataclass(frozen=True, slots=True)
class Miss:
    """No recorded call answers a live request."""

    reason: str
    """A sentence: nothing like it was recorded, its rung is below the lowest allowed, its body was redacted, ..."""
    nearest: str | None = None
    """The id of the recorded call that is most like it."""
    difference: tuple[str, ...] = ()
    """How the request differs from that one, in sentences."""


class Replayer(Protocol):
    """Gives each recorded call once, to the request that it answers best. For one thread."""

    def answer(self, live: LiveRequest) -> Answer | Miss:
        """Return the recorded reply to a live request, or why there is none. Raises nothing."""
        ...

    def expected(self, live: LiveRequest, begun: str | None) -> RecordedReply | None:
        """Return the reply of the recorded turn that the frames of a WebSocket so far lead to; None if there is none.

        The body of `live` is these frames. `begun`: the call of which frames were sent already. It uses no call up.
        Raises nothing.
        """
        ...
