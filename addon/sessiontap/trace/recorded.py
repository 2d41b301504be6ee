"""A recorded call and a session of calls, as the log gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessiontap.trace.labels import Labels

Record = dict[str, Any]


class RecordedCall:
    """A call in the log; its bodies are unpacked and checked when they are asked for.

    `record` is its map with the keys of docs/trace-format.md: times in Unix nanoseconds, durations in nanoseconds,
    unknown None. Its session, properties and tags are as labels have them; `recorded` is the map as it was written.
    """

    __slots__ = ("_decode", "caller", "record", "recorded", "writer")

    def __init__(
        self,
        recorded: Record,
        caller: Record | None,
        decode: Callable[[str, Record], bytes | None],
        labels: Labels | None = None,
        writer: Record | None = None,
    ) -> None:
        """`decode(side, body)` gives the bytes of a stored body: it knows where deltas find their base."""
        self.recorded = recorded
        self.record = labels.labelled(recorded) if labels else recorded
        self._decode = decode
        self.caller = caller
        """The caller's map; None if it is unknown."""
        self.writer = writer
        """The proxy that wrote it, as its segment's header has it: `host`, `machine`, `pid`. None if it is unknown."""

    @property
    def id(self) -> str:
        """A UUIDv7."""
        return str(self.record.get("id"))

    @property
    def session_id(self) -> str | None:
        """None if no rule gave it a session."""
        session = self.record.get("session")
        return session.get("id") if isinstance(session, dict) else None

    @property
    def machine(self) -> str | None:
        """The host name of the machine whose proxy recorded it; None if it is unknown."""
        return self.writer.get("host") if self.writer is not None else None

    def request_body(self) -> bytes | None:
        """The request's body, decoded; None if there was or is none. Raises BodyError."""
        return self.body("request")

    def response_body(self) -> bytes | None:
        """The response's body as far as it came, decoded. Raises BodyError."""
        return self.body("response")

    def body(self, side: str) -> bytes | None:
        """The body of the `request` or `response`. Raises BodyError."""
        message = self.record.get(side)
        stored = message.get("body") if isinstance(message, dict) else None
        if not isinstance(stored, dict):
            return None
        return self._decode(side, stored)


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """The calls of one session, oldest first."""

    id: str
    calls: list[RecordedCall]
