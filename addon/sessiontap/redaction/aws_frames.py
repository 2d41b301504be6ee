"""AWS event-stream bodies taken apart into the texts in them, and put together again around changed ones.

The format is that of `llm/eventstream.py`: length, length of headers, checksum | headers | payload | checksum. A text
is a payload, what its `bytes` member holds in base64 if it has one (Bedrock's invoke stream), or a header's string
(error messages). The rest behind the last whole frame is a text as it stands.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

_PRELUDE = struct.Struct(">III")
_AROUND = _PRELUDE.size + 4
_BYTES = re.compile(rb'"bytes"\s?:\s?"([A-Za-z0-9+/]*={0,2})"?')
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of header values, by their type; types 6 and 7 (bytes, string) say theirs."""
_STRING = 7


@dataclass(slots=True)
class _EventFrame:
    headers: bytes
    payload: bytes
    whole: bool
    """Has lengths and checksums around it."""
    inner: tuple[int, int] | None = None
    """The position of base64 in the payload."""
    strings: list[tuple[int, int]] = field(default_factory=list)
    """The positions of strings in the headers."""


class EventStreamBody:
    """An event-stream body. `texts` are all payloads in order, then all strings of headers."""

    def __init__(self, frames: Sequence[_EventFrame]) -> None:
        self._frames = frames
        self.texts = [_text(frame) for frame in frames]
        self.texts += [frame.headers[start:end] for frame in frames for start, end in frame.strings]

    def put_together(self, texts: Sequence[bytes]) -> bytes:
        """The body with `texts` in the place of its own."""
        strings = iter(zip(texts[len(self._frames) :], self.texts[len(self._frames) :], strict=True))
        made = []
        for frame, text, before in zip(self._frames, texts, self.texts, strict=False):
            headers = frame.headers
            changes = [(start, end, next(strings)) for start, end in frame.strings]
            for start, end, (new, old) in reversed(changes):
                if new != old:
                    headers = headers[: start - 2] + len(new).to_bytes(2) + new + headers[end:]
            payload = frame.payload if text == before else _payload(frame, text)
            made.append(_encoded(headers, payload) if frame.whole else payload)
        return b"".join(made)


def take_apart(body: bytes) -> EventStreamBody | None:
    """None: the body is none of these."""
    if body[:1] != b"\0" or _length(body, 0) is None:
        return None
    frames = []
    at = 0
    while (length := _length(body, at)) is not None:
        total, headers_length = length
        end, start = at + total, at + _PRELUDE.size
        if end > len(body) or zlib.crc32(body[at : end - 4]) != int.from_bytes(body[end - 4 : end]):
            break
        headers = body[start : start + headers_length]
        frames.append(_frame(headers, body[start + headers_length : end - 4], whole=True))
        at = end
    if at < len(body):
        frames.append(_frame(b"", body[at:], whole=False))
    return EventStreamBody(frames)


def _length(body: bytes, at: int) -> tuple[int, int] | None:
    """Those of the frame and of its headers; None if none begins."""
    if len(body) - at < _PRELUDE.size:
        return None
    total, headers, crc = _PRELUDE.unpack_from(body, at)
    return (total, headers) if zlib.crc32(body[at : at + 8]) == crc and total >= _AROUND + headers else None


def _frame(headers: bytes, payload: bytes, whole: bool) -> _EventFrame:
    frame = _EventFrame(headers, payload, whole, strings=_strings(headers))
    if match := _BYTES.search(payload):
        start, end = match.span(1)
        frame.inner = start, end if whole else end - (end - start) % 4
    return frame


def _strings(headers: bytes) -> list[tuple[int, int]]:
    found = []
    at = 0
    while at < len(headers):
        at += 1 + headers[at]
        kind = headers[at] if at < len(headers) else -1
        at += 1
        if kind in (6, _STRING):
            size = int.from_bytes(headers[at : at + 2])
            at += 2
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            return []
        if kind == _STRING:
            found.append((at, at + size))
        at += size
    return found if at == len(headers) else []


def _text(frame: _EventFrame) -> bytes:
    if frame.inner is not None:
        try:
            return base64.b64decode(frame.payload[slice(*frame.inner)], validate=True)
        except binascii.Error:
            frame.inner = None
    return frame.payload


def _payload(frame: _EventFrame, text: bytes) -> bytes:
    if frame.inner is None:
        return text
    start, end = frame.inner
    return frame.payload[:start] + base64.b64encode(text) + frame.payload[end:]


def _encoded(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", _AROUND + len(headers) + len(payload), len(headers))
    head = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return head + zlib.crc32(head).to_bytes(4)
