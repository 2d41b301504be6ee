"""A streamed body as its parts, which can be changed, put into another order and written down again."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.llm.llm_frames import chunk, event

from sessiontap.llm import eventstream


@dataclass(frozen=True, slots=True)
class Part:
    """An event, line or frame; `value` is None where it holds no JSON."""

    raw: bytes
    value: Any = None
    name: str | None = None
    """Of a server-sent event or a frame."""
    is_chunk: bool = False
    """A frame with a model's own chunk in base64."""

    def holding(self, value: Any, written: bytes | None = None) -> Part:
        """The same with another value; `written` is how that is written down."""
        data = json.dumps(value).encode() if written is None else written
        if self.is_chunk:
            raw = chunk(data)
        elif self.name is not None and not self.raw.startswith((b"event:", b"data:")):
            raw = event(self.name, data)
        elif self.raw.startswith((b"event:", b"data:")):
            head = f"event: {self.name}\n".encode() if self.name is not None else b""
            raw = head + b"data: " + data + b"\n\n"
        else:
            raw = data + b"\n"
        return replace(self, raw=raw, value=value)


def parts_of(kind: str, body: bytes) -> list[Part]:
    """The parts of a body of a `streaming.BodyKind`; of one that is no stream, itself."""
    match kind:
        case "sse":
            return [_event(block + b"\n\n") for block in body.replace(b"\r\n", b"\n").split(b"\n\n") if block.strip()]
        case "ndjson":
            return [Part(line + b"\n", _parsed(line)) for line in body.split(b"\n") if line.strip()]
        case "eventstream":
            return _frames(body)
    return [Part(body, _parsed(body))]


def joined(parts: list[Part]) -> bytes:
    return b"".join(part.raw for part in parts)


def rewritten(chance: Random, kind: str, parts: list[Part]) -> bytes:
    """The same parts written down in another way: line ends, comments, fields without meaning, blank lines."""
    if kind not in ("sse", "ndjson"):
        return joined(parts)
    if kind == "ndjson":
        blank = chance.choice((b"", b"\n", b" \n"))
        return blank + b"".join(part.raw.rstrip(b"\n") + chance.choice((b"\n", b"\r\n", b"\n\n")) for part in parts)
    found = []
    for part in parts:
        raw = part.raw
        if chance.random() < 0.3:
            raw = chance.choice((b": ping\n\n", b": x\n", b"id: 7\n", b"retry: 10\n", b":\n\n")) + raw
        if chance.random() < 0.2:
            raw = raw.replace(b"data: ", b"data:")
        found.append(raw)
    body = b"".join(found)
    end = chance.choice((b"\n", b"\r\n", b"\r"))
    return body.replace(b"\n", end) if chance.random() < 0.6 and b"\r" not in body else body


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _event(raw: bytes) -> Part:
    data, name = [], None
    for line in raw.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif line.startswith(b"event:"):
            name = line[6:].strip().decode("utf-8", "replace")
    return Part(raw, _parsed(b"\n".join(data)) if data else None, name)


def _frames(body: bytes) -> list[Part]:
    found, at = [], 0
    for one in eventstream.frames(body):
        raw, at = body[at : one.end], one.end
        kind = one.headers.get(":event-type")
        value = _parsed(one.payload) if isinstance(kind, str) else None
        if kind == "chunk" and isinstance(value, dict) and isinstance(value.get("bytes"), str):
            found.append(Part(raw, _parsed(base64.b64decode(value["bytes"])), "chunk", True))
        else:
            found.append(Part(raw, value, kind if isinstance(kind, str) else None))
    return found
