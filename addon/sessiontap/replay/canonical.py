"""The canonical form of a request in digests: all that counts in it, message by message, and what a replay's ladder
goes by. `canonicalizer` makes it.

Equal keys mean that two requests ask for the same. Ids count by the position at which they stand first, and what was
left out (`volatile`) tells apart, by its digests, what is the same but for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple

from sessiontap.llm.families import PROMPTS
from sessiontap.llm.message_pieces import digest

_SETTINGS = frozenset(("tools", "functions", *PROMPTS))
_PROMPT_ROLES = ("system", "developer")


class ToolEvent(NamedTuple):
    """A call of a tool or its result in the history, or a user's message between them."""

    kind: Literal["call", "result", "user"]
    id: str | None = None
    asked: bytes = b""
    """Of a call: the digest of the tool's name and arguments."""


class CanonicalItem(NamedTuple):
    """A message, or the value of a field, in its canonical form."""

    digest: bytes
    """Without the ids in it."""
    variant: bytes
    """Digest of what was left out of it."""
    kinds: frozenset[str] = frozenset()
    """The kinds of what was left out, in words: `dates`."""
    ids: tuple[str, ...] = ()
    events: tuple[ToolEvent, ...] = ()
    role: str = ""
    """Of a message, the last one if it stands for several."""
    spoken: bytes | None = None
    """Of an assistant's message: the digest of its text; None if it has none."""


class CanonicalEntry(NamedTuple):
    """A message of a request, or another field of it."""

    name: str
    """Of the field, with the wrapper that it stands in: `request.contents`."""
    key: str
    """The last part of the name."""
    raw: bytes
    """JSON, as it was written."""
    item: CanonicalItem | None
    """None if nothing of it counts."""
    is_message: bool = False


@dataclass(frozen=True, slots=True)
class CanonicalRequest:
    """A request's canonical form, in digests."""

    key: bytes
    """Stands for all that counts."""
    fields: dict[str, CanonicalItem]
    """By name: system prompt, tools, parameters."""
    messages: tuple[CanonicalItem, ...] = ()
    previous: tuple[str, ...] = ()
    """Ids of earlier replies that the request names outright."""

    @property
    def is_redacted(self) -> bool:
        """A credential in it was replaced when it was recorded."""
        return any("credentials" in one.kinds for one in (*self.messages, *self.fields.values()))

    @property
    def setting(self) -> bytes | None:
        """Stands for its prompts and tools, which calls of one agent share; None if it has none."""
        found = [self.fields[name].digest for name in sorted(self.fields) if name.rpartition(".")[2] in _SETTINGS]
        found += [one.digest for one in takewhile(lambda one: one.role in _PROMPT_ROLES, self.messages)]
        return digest(*found) if found else None

    def prefixes(self) -> list[bytes]:
        """The rolling digest over its messages: `prefixes()[i]` stands for the first i of them."""
        chain = [b""]
        for one in self.messages:
            chain.append(digest(chain[-1], one.digest))
        return chain

    def likeness(self, other: CanonicalRequest) -> int:
        """The number of messages and fields in which also what was left out is the same."""
        same = sum(a.variant == b.variant for a, b in zip(self.messages, other.messages, strict=False))
        return same + sum(
            one.variant == other.fields[name].variant for name, one in self.fields.items() if name in other.fields
        )

    def begins_with(self, other: CanonicalRequest) -> bool:
        """Return True if all that the other asks stands here as well, its messages first."""
        asked = {name: one.digest for name, one in self.fields.items()}
        same = all(asked.get(name) == one.digest for name, one in other.fields.items())
        return same and other.prefixes()[-1] in self.prefixes()

    def left_out(self, other: CanonicalRequest) -> list[str]:
        """The kinds of what was left out in both and is not the same, by name."""
        pairs = [*zip(self.messages, other.messages, strict=False)]
        pairs += [(one, other.fields[name]) for name, one in self.fields.items() if name in other.fields]
        kinds = {kind for a, b in pairs if a.variant != b.variant for kind in a.kinds | b.kinds}
        if [one.ids for one in self.messages] != [one.ids for one in other.messages]:
            kinds.add("ids")
        return sorted(kinds)

    def names_any(self, ids: frozenset[str]) -> bool:
        """Return True if a tool call in the history, or a result, has one of these ids."""
        return any(event.id in ids for one in self.messages for event in one.events)

    def tool_chain(self, known_ids: frozenset[str] = frozenset()) -> bytes | None:
        """Stand for the calls of tools in the history and their results, in order; None if there are none.

        A call goes by its id if that is one of `known_ids`, which recorded replies gave; else the program made it
        itself, and the call goes by its name and arguments. A result whose call is not in the history goes by its own
        id. Results that stand together have no order. User's messages
        between them count by their number.
        """
        names: dict[str, bytes] = {}
        parts: list[bytes] = []
        results: list[bytes] = []
        for one in self.messages:
            for event in one.events:
                if event.kind == "result":
                    own = (event.id or "?").encode("utf-8", "surrogatepass")
                    results.append(b"result " + (own if event.id in known_ids else names.get(event.id or "", own)))
                    continue
                parts += sorted(results)
                results = []
                if event.kind == "user":
                    parts.append(b"user")
                    continue
                own = event.id.encode("utf-8", "surrogatepass") if event.id in known_ids and event.id else event.asked
                names[event.id or ""] = own
                parts.append(b"call " + own)
        parts += sorted(results)
        if all(part == b"user" for part in parts):
            return None
        return digest(*(b"%d " % len(part) + part for part in parts))
