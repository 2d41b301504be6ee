"""Headers that hold a set of members: W3C baggage, a JSON object of metadata, a list of tags.

An app may send such a header itself. Ours are then added behind its own, as far as the reader's limits allow; all that
is left out is said. What cannot be read as such a set stays as the app sent it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from sessiontap.dialects.header_text import ascii_text, cut_to, is_token

MOST_BYTES = 8192
"""Of one such header. W3C baggage promises no more, and servers limit all headers together."""
_BAGGAGE_OCTETS = "!#$&'()*-./:<=>?@[]^_`{|}~"
"""The signs that stand for themselves in a value (W3C Baggage, 3.2.1.3); `%` is ours to write. A `+` might, too, but
OpenTelemetry for Python reads it as a space."""
_LONGEST_VALUE = 1024
_MOST_NAMED = 5
"""Members that a reason names."""
_OPTIONAL_SPACE = " \t"


class Member(NamedTuple):
    """One member as we would write it."""

    key: str
    text: str
    field: str
    """The rules' field that it comes from."""


class _Written(NamedTuple):
    """One member as it stands in the header; `text` None: it cannot, for `reason`."""

    text: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MemberForm:
    """The form of a header's members, and its reader's limits."""

    unreadable: str
    """The words for a header of another form."""
    read: Callable[[str], list[tuple[str, str]] | None]
    """Returns the key and the text of each member of a header; None if the header has another form."""
    write: Callable[[str, str], _Written]
    """Takes a member's key and value."""
    ends: tuple[str, str] = ("", "")
    most: int | None = None
    """Members at most."""


@dataclass(frozen=True, slots=True)
class MemberSet:
    """The members that a dialect would write into one header, the most needed first."""

    form: MemberForm
    members: tuple[Member, ...]

    def value(self, sent: str | None, replaces: Callable[[str], bool]) -> tuple[str | None, str | None]:
        """Return the header's value, and why it says less than it might. None: it stays as the app `sent` it.

        `replaces` takes a field, and returns True if its value replaces that of the app's own member.
        """
        form = self.form
        present = form.read(sent) if sent else []
        if present is None:
            return None, f"the app's own is {form.unreadable}"
        texts = [text for _, text in present]
        places: dict[str, int] = {}
        for at, (key, _) in enumerate(present):
            places.setdefault(key, at)
        size = sum(map(len, texts)) + len(texts) - 1 + len(form.ends[0]) + len(form.ends[1])
        ours: set[str] = set()
        reasons: dict[str, list[str]] = {}
        for key, value, field in self.members:
            place = places.get(key)
            if place is not None and not replaces(field):
                continue
            text, reason = form.write(key, value)
            grown = size + len(text or "") + (1 if place is None else -len(texts[place]))
            if key in ours:
                text, reason = None, "left out: another has its name"
            elif text is not None and place is None and form.most is not None and len(texts) >= form.most:
                text, reason = None, f"left out: {form.most} members at most"
            elif text is not None and grown > MOST_BYTES:
                text, reason = None, f"left out: {MOST_BYTES:,} bytes at most"
            if reason is not None:
                reasons.setdefault(reason, []).append(key)
            if text is None:
                continue
            size = grown
            ours.add(key)
            if place is None:
                texts.append(text)
            else:
                texts[place] = text
        whole = ",".join(texts).join(form.ends) if ours else None
        return whole, "; ".join(f"{_named(keys)} {reason}" for reason, keys in reasons.items()) or None


def _named(keys: list[str]) -> str:
    more = len(keys) - _MOST_NAMED
    return ", ".join(key if is_token(key) else repr(key) for key in keys[:_MOST_NAMED]) + (
        f" and {more} more" if more > 0 else ""
    )


def _read_baggage(sent: str) -> list[tuple[str, str]] | None:
    members = [member.strip(_OPTIONAL_SPACE) for member in sent.split(",")]
    return [(member.partition("=")[0].rstrip(_OPTIONAL_SPACE), member) for member in members if member]


def _write_baggage(key: str, value: str) -> _Written:
    if not is_token(key):
        return _Written(None, "left out: no name that baggage may have")
    encoded = quote(value.encode("utf-8", "replace"), _BAGGAGE_OCTETS)
    if len(encoded) <= _LONGEST_VALUE:
        return _Written(f"{key}={encoded}")
    room, kept = _LONGEST_VALUE, []
    for char in value:
        one = quote(char.encode("utf-8", "replace"), _BAGGAGE_OCTETS)
        room -= len(one)
        if room < 0:
            break
        kept.append(one)
    return _Written(f"{key}={''.join(kept)}", f"cut to {_LONGEST_VALUE:,} bytes")


BAGGAGE = MemberForm("no baggage", _read_baggage, _write_baggage, most=180)
"""https://www.w3.org/TR/baggage/: 180 members of a header; each platform passes at least 8,192 bytes on."""


def json_object(longest: int = _LONGEST_VALUE, most: int | None = None) -> MemberForm:
    """Return the form of a JSON object whose texts have at most `longest` characters."""

    def write(key: str, value: str) -> _Written:
        text, reason = cut_to(value, longest)
        return _Written(f"{_json(key)}:{_json(text)}", reason)

    return MemberForm("no JSON object", _read_json, write, ("{", "}"), most)


def _read_json(sent: str) -> list[tuple[str, str]] | None:
    try:
        found = json.loads(sent, parse_constant=_refuse)
        if not isinstance(found, dict):
            return None
        return [(key, f"{_json(key)}:{_json(value)}") for key, value in found.items()]
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")


def _read_tags(sent: str) -> list[tuple[str, str]] | None:
    tags = [tag.strip(_OPTIONAL_SPACE) for tag in sent.split(",")]
    return [(tag, tag) for tag in tags if tag]


def _write_tag(_: str, tag: str) -> _Written:
    text, reason = cut_to(ascii_text(tag), _LONGEST_VALUE)
    if "," in text:
        return _Written(None, "left out: a tag has no comma")
    return _Written(text, reason) if text else _Written(None, "left out: it is empty")


TAGS = MemberForm("no list of tags", _read_tags, _write_tag)
