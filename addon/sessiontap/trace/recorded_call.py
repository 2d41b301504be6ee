"""What readers give out: a call, whose bodies are unpacked when they are asked for, and the calls of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sessiontap.trace import body

Record = dict[str, Any]


class RecordedCall:
    """A call in the log; its bodies are unpacked and checked when they are asked for.

    `record` is its map with the keys of docs/trace-format.md: times in Unix nanoseconds, durations in nanoseconds,
    unknown None.
    """

    __slots__ = ("_decode", "caller", "record")

    def __init__(
        self, record: Record, caller: Record | None, decode: Callable[[str, Record], bytes | None] | None = None
    ) -> None:
        """`decode(side, body)` gives the bytes of a stored body: it knows where those that lean on others find them."""
        self.record = record
        self._decode = decode
        self.caller = caller
        """The caller's map, None where it is unknown."""

    @property
    def id(self) -> str:
        """A UUIDv7."""
        return str(self.record.get("id"))

    @property
    def session_id(self) -> str | None:
        """None where no rule gave it a session."""
        session = self.record.get("session")
        return session.get("id") if isinstance(session, dict) else None

    def request_body(self) -> bytes | None:
        """The request's body, decoded; None where there was or is none. Raises BodyError."""
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
        return self._decode(side, stored) if self._decode is not None else body.decode(stored)


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """The calls of one session, oldest first."""

    id: str
    calls: list[RecordedCall]
