"""A streamed reply as JSON values, one an event or line, with what was wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sessiontap.exchange import Response
from sessiontap.llm import ndjson, sse
from sessiontap.llm.pick import dig, flag, parse
from sessiontap.llm.sniff import reply_kind

_SAID = 3
"""Damaged events that are told one by one; a count for the rest."""


class StreamEvent(NamedTuple):
    value: dict[str, Any]
    name: str | None
    """The SSE event's name."""
    end: int
    """Offset in the body just behind it."""


def streams(response: Response) -> bool:
    """The body is SSE or JSON lines."""
    return reply_kind(response) in ("sse", "ndjson")


def asked_for(body: Any) -> bool | None:
    """Whether a request asks for a stream where the default is none; None where its body is not known."""
    return flag(body, "stream") if dig(body, "stream") is not None or not isinstance(body, dict) else False


def pieces(response: Response, problems: list[str]) -> Iterator[StreamEvent]:
    """The JSON objects of a stream, in order; `[DONE]` is left out, what cannot be read goes into `problems`.

    A last event without its end is taken if it is whole JSON all the same, else it counts only against a body that
    claims to be complete.
    """
    damaged = 0
    for data, name, end, complete in _raw(response):
        value, problem = parse(data)
        if isinstance(value, dict):
            yield StreamEvent(value, name, end)
        elif problem is None or data.strip() in (b"[DONE]", b""):
            continue
        elif complete:
            damaged += 1
            if damaged <= _SAID:
                problems.append(f"the event that ends at byte {end} is {problem}")
        elif response.complete:
            problems.append("the stream ends in the middle of an event")
    if damaged > _SAID:
        problems.append(f"{damaged - _SAID} more events are no JSON")


def _raw(response: Response) -> Iterator[tuple[bytes, str | None, int, bool]]:
    if reply_kind(response) == "ndjson":
        for line in ndjson.lines(response.body):
            yield line.data, None, line.end, line.complete
    else:
        for event in sse.events(response.body):
            yield event.data, event.name, event.end, event.complete
