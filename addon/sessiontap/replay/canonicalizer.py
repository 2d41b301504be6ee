"""Brings requests into their canonical form (`canonical`): what differs from run to run and means nothing is left out.

A request is read as its fields, and its messages one by one (`llm.families` knows the fields that hold messages, in
any wire family). Each message, prompt and list of tools is brought into its canonical form (`volatile` is the table of
what is left out) and hashed; agents send their whole history again with every turn, so that of each different message
this is done once. Keys stand in order, and 1.0 is 1.

What is no JSON is text without what the table names, or bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sessiontap.llm.families import MESSAGES, PROMPT_NOISE, WRAPPERS, messages_of
from sessiontap.llm.message_pieces import CallPiece, ResultPiece, TextPiece, digest, json_bytes, spoken
from sessiontap.llm.pick import parse, text
from sessiontap.replay.canonical import CanonicalEntry, CanonicalItem, CanonicalRequest, ToolEvent
from sessiontap.replay.volatile import (
    DATA,
    DROPPED_ANYWHERE,
    DROPPED_FIELDS,
    LINK_IDS,
    NAMES,
    OF_MODELS,
    is_epoch,
    stable_text,
)

_TOOL_OUTPUTS = "tool_outputs"
"""The field of results of tools without their calls (OpenAI's Assistants)."""
_MESSAGES = frozenset((*MESSAGES, "item", _TOOL_OUTPUTS))
"""Fields that hold messages; `item` is that of a realtime frame."""
_ORDER = {name: number for number, name in enumerate(MESSAGES)}
"""Of such fields if there are several, whatever their order in the JSON: Cohere's history stands before its message."""
_OF_MODELS = frozenset((*_MESSAGES, *WRAPPERS, "model"))
"""A request with one of these fields asks a model."""
_AROUND = frozenset(("role", "content", "parts", "id", "type", "status"))
"""Keys of a message that is nothing but its content."""
_DEEPEST = 40
_MOST_KNOWN = 50_000
"""Messages whose canonical form is remembered."""
_TEXT_TYPES = ("text", "input_text", "output_text")

Found = list[tuple[str, str]]


class Canonicalizer:
    """Makes canonical forms, and remembers those of messages. For one thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes, bool], CanonicalItem | None] = {}
        self._replies: dict[str, bytes] = {}

    def note_reply(self, id: str, form: CanonicalRequest) -> None:
        """Take in the id of a recorded reply. A request that names it is then the same as one that names the reply to
        an equal request: so two sub-agents may each be given the other's first reply."""
        self._replies.setdefault(id, form.key)

    def read(self, body: bytes | None) -> CanonicalRequest:
        """Return the canonical form of a request's body. Raises nothing."""
        entries = self.entries(body)
        if entries is None:
            item = _bytes_item(body or b"")
            return CanonicalRequest(digest(b"bytes", item.digest), {"body": item})
        fields = {one.name: one.item for one in entries if not one.is_message and one.item is not None}
        messages = tuple(one.item for one in entries if one.is_message and one.item is not None)
        previous = tuple(id for one in entries if one.key in _PREVIOUS and (id := _previous_id(one.raw)))
        return CanonicalRequest(_key(fields, messages), fields, messages, previous)

    def entries(self, body: bytes | None) -> list[CanonicalEntry] | None:
        """Return the messages and the other fields of a request's body, in order; None if it is no JSON object."""
        found: list[CanonicalEntry] = []
        for number, one in enumerate(_objects(body) if body else ()):
            if one is None:
                return None
            self._add_all(f"{number}." if number else "", one, found)
        return found

    def _add_all(self, place: str, fields: Mapping[str, bytes], found: list[CanonicalEntry]) -> None:
        asks_model = not fields.keys().isdisjoint(_OF_MODELS)
        for key in sorted(fields, key=lambda key: _ORDER.get(key, -1)):
            if key in DROPPED_FIELDS and (asks_model or key not in OF_MODELS):
                kinds = frozenset((DROPPED_FIELDS[key].kind,))
                item = CanonicalItem(b"", digest(fields[key]), kinds)
                found.append(CanonicalEntry(f"{place}{key}", key, fields[key], item))
            else:
                self._add(place, key, fields[key], found)

    def _add(self, place: str, key: str, raw: bytes, found: list[CanonicalEntry]) -> None:
        name = f"{place}{key}"
        if key in WRAPPERS and raw[:1] == b"{" and (inner := _decoded(_FIELDS, raw)) is not None:
            self._add_all(f"{name}.", {key: bytes(value) for key, value in inner.items()}, found)
        elif key in _MESSAGES:
            parts = _decoded(_LIST, raw) if raw[:1] == b"[" else None
            for one in [raw] if parts is None else map(bytes, parts):
                item = self._item(key, one, listed=parts is not None)
                found.append(CanonicalEntry(name, key, one, item, is_message=True))
        elif key in _PREVIOUS_REPLY and (known := self._replies.get(_previous_id(raw) or "")) is not None:
            found.append(CanonicalEntry(name, key, raw, CanonicalItem(digest(b"reply", known), b"")))
        else:
            found.append(CanonicalEntry(name, key, raw, self._item(key, raw)))

    def _item(self, name: str, raw: bytes, listed: bool = False) -> CanonicalItem | None:
        """The canonical form of a message or of a field's value; None if nothing of it counts."""
        key = (name, raw, listed)
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        item = self._known[key] = _item(name, raw, listed)
        return item


def shown(entry: CanonicalEntry) -> Any:
    """Return the canonical form of a message or of a field's value as JSON, for people to compare."""
    value, problem = parse(entry.raw)
    if problem is not None or entry.key in NAMES:
        return value
    form = _Form(is_message=entry.is_message).value(value)
    return "" if form is _NOTHING else form


_PREVIOUS_REPLY = ("previous_response_id", "previous_interaction_id")
_PREVIOUS = (*_PREVIOUS_REPLY, "diagnostics")


def _previous_id(raw: bytes) -> str | None:
    value, _ = parse(raw)
    return value if isinstance(value, str) else text(value, "previous_message_id")


def _key(fields: dict[str, CanonicalItem], messages: Sequence[CanonicalItem]) -> bytes:
    order: dict[str, int] = {}
    ids = [order.setdefault(id, len(order)) for one in messages for id in one.ids]
    named = (
        name.encode("utf-8", "surrogatepass") + b"\0" + fields[name].digest
        for name in sorted(fields)
        if fields[name].digest
    )
    return digest(b"json", *named, b"\0\0", *(one.digest for one in messages), repr(ids).encode())


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def _decoded(decoder: Any, raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _objects(body: bytes) -> Iterator[dict[str, bytes] | None]:
    """The JSON objects of a body with their values as written: one, or one a line (the frames of a WebSocket). None
    instead if it is nothing of these."""
    one = _decoded(_FIELDS, body)
    if one is None and (value := parse(body)[0]) is not None:
        yield (
            {name: json_bytes(inner) for name, inner in value.items()}
            if isinstance(value, dict)
            else {"": json_bytes(value)}
        )
        return
    if one is not None:
        yield {name: bytes(raw) for name, raw in one.items()}
        return
    lines = [_decoded(_FIELDS, line) for line in body.splitlines() if line.strip()]
    if not lines or any(line is None for line in lines):
        yield None
        return
    for line in lines:
        yield {name: bytes(raw) for name, raw in line.items()}


def _item(name: str, raw: bytes, listed: bool) -> CanonicalItem | None:
    value, problem = parse(raw)
    if problem is not None:
        return _bytes_item(raw)
    if name in NAMES and not isinstance(value, dict | list):
        return CanonicalItem(digest(raw), b"")
    is_message = name in _MESSAGES
    form = _Form(is_message)
    counted = form.value(value)
    if counted is _NOTHING or (is_message and isinstance(counted, dict) and _says_nothing(counted)):
        if form.found:
            return None  # all that it said holds for one request
        counted = None if counted is _NOTHING else counted
    events, role, words = _events(name, [value] if listed else value) if is_message else ((), "", "")
    left = "\0".join(f"{kind} {one}" for kind, one in form.found)
    return CanonicalItem(
        digest=digest(json_bytes(counted)),
        variant=digest(left.encode("utf-8", "surrogatepass")) if left else b"",
        kinds=frozenset(kind if kind.endswith("s") else f"{kind}s" for kind, _ in form.found),
        ids=tuple(form.ids),
        events=events,
        role=role,
        spoken=spoken_digest(words) if role == "assistant" and words else None,
    )


def _says_nothing(message: dict[str, Any]) -> bool:
    return any(message.get(key) in ("", []) for key in ("content", "parts")) and message.keys() <= _AROUND


def spoken_digest(text: str) -> bytes:
    """Return the digest of an assistant's text, in which blanks do not count."""
    return digest(spoken(text).encode("utf-8", "surrogatepass"))


def _events(name: str, value: Any) -> tuple[tuple[ToolEvent, ...], str, str]:
    """The events of a message, its role, and its text."""
    if name == _TOOL_OUTPUTS:
        given = value if isinstance(value, list) else ()
        return tuple(ToolEvent("result", text(one, "tool_call_id")) for one in given), "tool", ""
    texts: list[str] = []
    events: list[ToolEvent] = []
    role = ""
    try:
        for role, pieces in messages_of({name: value}):
            has_user = False
            for piece in pieces:
                match piece:
                    case CallPiece(called, given, id):
                        form = _Form(is_message=True)
                        meant = form.value(given if not isinstance(given, str) else parse(given)[0] or given, data=True)
                        asked = called.encode("utf-8", "surrogatepass")
                        events.append(ToolEvent("call", id, digest(asked, b"\0", json_bytes(meant))))
                    case ResultPiece(id):
                        events.append(ToolEvent("result", id))
                    case TextPiece(words):
                        texts.append(words)
                        if role == "user" and not has_user:
                            events.append(ToolEvent("user"))
                            has_user = True
    except Exception:  # a shape that no family has: the ladder goes without its tools
        return (), "", ""
    return tuple(events), role, "".join(texts)


_BOUNDARY = re.compile(rb"\A--([^\r\n]{1,200})\r?\n")


def _bytes_item(body: bytes) -> CanonicalItem:
    """A body that is no JSON: text without what the table names, or bytes. The boundary of a form is drawn anew."""
    if found := _BOUNDARY.match(body):
        body = body.replace(found[1], b"boundary")
    try:
        decoded = body.decode()
    except UnicodeDecodeError:
        return CanonicalItem(digest(body), b"")
    left: Found = []
    plain = stable_text(decoded, left)
    kinds = frozenset(f"{kind}s" for kind, _ in left)
    return CanonicalItem(digest(plain.encode()), digest(repr(left).encode()) if left else b"", kinds)


_NOTHING: Any = object()


class _Form:
    """Brings one value into its canonical form; collects ids and what it left out."""

    def __init__(self, is_message: bool) -> None:
        self.is_message = is_message
        self.ids: list[str] = []
        self.found: Found = []

    def value(self, value: Any, data: bool = False, depth: int = 0) -> Any:
        """Return the form of a value, `_NOTHING` if nothing of it counts. `data`: keys are a tool's own."""
        if isinstance(value, str):
            return self._text(value, data)
        if depth > _DEEPEST or value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return self._map(value, data, depth)
        if isinstance(value, list):
            return self._list(value, data, depth)
        if is_epoch(value):
            self.found.append(("time", str(value)))
            return "<time>"
        return value

    def _text(self, words: str, data: bool) -> Any:
        plain = stable_text(words, self.found)
        if not data:
            plain = plain.strip()
        return _NOTHING if words.strip() and not plain else plain

    def _map(self, value: dict[str, Any], data: bool, depth: int) -> Any:
        kept: dict[str, Any] = {}
        for key, inner in sorted(value.items()):  # ids count in this order
            if not data and key in DROPPED_ANYWHERE:
                self.found.append((DROPPED_ANYWHERE[key].kind, ""))
                continue
            if self.is_message and not data and key in LINK_IDS and isinstance(inner, str):
                self.ids.append(inner)
                kept[key] = "<id>"
                continue
            if not data and key in NAMES and isinstance(inner, str):
                kept[key] = inner
                continue
            is_data = data or (self.is_message and key in DATA)
            if is_data and isinstance(inner, str) and inner[:1] in ("{", "[") and (read := parse(inner)[0]) is not None:
                inner = read
            form = self.value(inner, is_data, depth + 1)
            if form is _NOTHING:
                if "text" in value:
                    return _NOTHING
                form = ""
            kept[key] = form
        return kept if kept or not value else _NOTHING

    def _list(self, value: list[Any], data: bool, depth: int) -> Any:
        kept: list[Any] = []
        for one in value:
            words = one.get("text") if isinstance(one, dict) else one
            if not data and isinstance(words, str) and words.startswith(PROMPT_NOISE):
                self.found.append(("ids", words))
                continue
            form = self.value(one, data, depth + 1)
            if form is not _NOTHING:
                kept.append(form)
        if not data and len(kept) == 1 and isinstance(only := kept[0], dict) and only.keys() == {"type", "text"}:
            return only["text"] if only["type"] in _TEXT_TYPES else kept
        return kept
