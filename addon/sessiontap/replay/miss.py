"""A request that no recorded call answers: the error that the program gets, and the line that a person gets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sessiontap.exchange import Request
from sessiontap.replay.api import url_of
from sessiontap.replay.question import Answer, Miss

MISS_STATUS = 501
"""The status of a miss: of the errors of a server the one that the fewest clients ask again about."""
SHOWN = 10
"""Differences in a miss's text."""
TO_DO = (
    "Record the session again; or allow weaker matches with --strict, or send such requests on with --live-on-miss."
)
"""Behind the text of a miss, unless whoever loads the recording has other words."""


@dataclass(slots=True)
class LiveSocketFrames:
    """The frames of a WebSocket that went on live in the middle."""

    first: int
    """The number, from 1, of the client's frame from which on it was live."""
    retold: int
    """Frames that told its server what was said before."""
    unknown_ids: list[str] = field(default_factory=list)
    """Ids of the recording that the client named later. Its server did not give them, and may not know them."""


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request to the replay, and what became of it."""

    method: str
    url: str
    outcome: Answer | Miss
    went_live: bool = False
    """No recorded call answered it, so it went on to its own server."""
    caller: str | None = None
    """The id of its process."""
    is_other: bool = False
    """It is no call of the recording's kind, such as telemetry to a host of its own: it was refused unasked."""
    live_frames: LiveSocketFrames | None = None
    """If it is a WebSocket that went on live in the middle."""


def miss_text(method: str, url: str, miss: Miss) -> str:
    """Return a miss in sentences, on one line: why, the nearest call, and how the request differs from that."""
    words = [f"no recorded call answers {method} {url}: {miss.reason.rstrip('.')}."]
    if miss.nearest is not None:
        words.append(f"The nearest is call {miss.nearest}.")
    if miss.difference:
        more = len(miss.difference) - SHOWN
        shown = "; ".join(one.rstrip(".") for one in miss.difference[:SHOWN])
        words.append(f"Differences: {shown}{f'; {more} more' if more > 0 else ''}.")
    return " ".join(words)


def miss_body(request: Request, miss: Miss, to_do: str) -> bytes:
    """Return the body of the error, in JSON that the clients of OpenAI, Anthropic and Gemini read."""
    return json.dumps(miss_error(request, miss, to_do), ensure_ascii=False).encode() + b"\n"


def miss_error(request: Request, miss: Miss, to_do: str) -> dict[str, object]:
    """Return the same as a value."""
    message = f"sessiontap replay: {miss_text(request.method, url_of(request), miss)} {to_do}"
    error = {
        "type": "replay_miss",
        "code": MISS_STATUS,
        "status": "UNIMPLEMENTED",
        "param": None,
        "message": message,
    }
    details = {"reason": miss.reason, "nearest": miss.nearest, "difference": list(miss.difference)}
    return {"type": "error", "error": error, "replay": details}
