"""The messages of a WebSocket's turn. The log keeps them as its bodies, one a line, and when the server's came."""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.export.call import ExportedCall


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a WebSocket. Binary ones and audio are there by their size alone (docs/trace-format.md)."""

    time: int
    """Unix nanoseconds. Of the client's, and of the server's where that is not known: when the turn began."""
    from_client: bool
    data: bytes
    """Text in UTF-8, its line ends as spaces."""


def messages(call: ExportedCall) -> list[Message]:
    """The client's messages, then the server's, each in their order."""
    began = int(call.record.get("time") or 0)
    asked = [Message(began, True, line.rstrip(b"\n")) for line in _lines(call.request_body.data)]
    told = _lines(call.response_body.data)
    times = _times([len(line) for line in told], _arrivals(call))
    return asked + [Message(began + time, False, line.rstrip(b"\n")) for time, line in zip(times, told, strict=True)]


def _lines(body: bytes | None) -> list[bytes]:
    """With their ends, of which the last may have none: it was cut."""
    *whole, rest = (body or b"").split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _arrivals(call: ExportedCall) -> list[tuple[int, int]]:
    """(nanoseconds since the call's start, bytes)."""
    from sessiontap.trace.chunks import unpack_chunks

    return unpack_chunks((call.response or {}).get("chunks") or ())


def _times(sizes: list[int], arrivals: list[tuple[int, int]]) -> list[int]:
    """When each line came, since the start: by number where there is one arrival for each, else by the bytes that came
    before it (the log puts neighbours together), else, where redaction changed their sizes, 0."""
    if len(sizes) == len(arrivals):
        return [time for time, _ in arrivals]
    if sum(sizes) != sum(size for _, size in arrivals):
        return [0] * len(sizes)
    times = []
    begins = came = at = 0
    for size in sizes:
        while at < len(arrivals) - 1 and came + arrivals[at][1] <= begins:
            came += arrivals[at][1]
            at += 1
        times.append(arrivals[at][0])
        begins += size
    return times
