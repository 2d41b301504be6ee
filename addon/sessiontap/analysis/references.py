"""Is a tool's result referred to later? Judged by its own words.

The words of a result are the ones that stand nowhere before it in the conversation, not in the call's arguments
either: names, numbers, paths. If the assistant writes one of them later, in text, reasoning or a tool's arguments, the
result is referred to. A result with few words of its own cannot be judged, nor can one behind which nothing was said.

A result may help without being quoted: tests that passed end a search. So a result without reference is no proof of
waste, and what was found is told along with the verdict.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

_WORD = re.compile(r"[^\W_][\w.\-/]*[^\W_]")
LEAST_LETTERS = 4
"""Characters of a word that counts."""
LEAST_WORDS = 5
"""Words of its own by which a result can be judged."""
EXAMPLES = 5


@dataclass(slots=True)
class Reference:
    """What was found about one result, at its first place."""

    turn: int
    """The turn that first brought it, by its position."""
    place: int
    part: Part
    words: int
    """Words of its own."""
    replies: int = 0
    """Later replies of its conversation."""
    first: int | None = None
    """The turn whose reply first has one of its words."""
    found: list[str] = field(default_factory=list)
    """The words that a later reply has, a few of them."""
    examples: list[str] = field(default_factory=list)
    """A few of its words."""

    @property
    def referred(self) -> bool | None:
        """None if it cannot be judged."""
        if self.found:
            return True
        return None if self.words < LEAST_WORDS or not self.replies else False


@dataclass(slots=True)
class _Conversation:
    seen: set[str] = field(default_factory=set)
    waiting: defaultdict[str, list[Reference]] = field(default_factory=lambda: defaultdict(list))
    """A word -> the results that have brought it."""
    results: list[Reference] = field(default_factory=list)


def references(turns: Sequence[Turn]) -> list[Reference]:
    """Return every result that a request brought, in order, and whether later replies refer to it."""
    conversations: defaultdict[str | None, _Conversation] = defaultdict(_Conversation)
    known: set[tuple[str | None, str | None, str | None]] = set()
    found: list[Reference] = []
    for at, turn in enumerate(turns):
        own = conversations[turn.call["conversation"]]
        for place in range(turn.first_new, len(turn.request)):
            part = turn.request[place]
            key = (turn.call["conversation"], part.id, part.text)
            if part.kind == "tool_result" and part.text and key not in known:
                known.add(key)
                found.append(_take(part, at, place, own))
            elif part.text and part.kind != "tool_result":
                own.seen.update(words(part.text))
        if turn.reply:
            _hear(at, turn.reply, own)
    return found


def _take(part: Part, at: int, place: int, own: _Conversation) -> Reference:
    told = dict.fromkeys(word for word in words(part.text or "") if word not in own.seen)
    own.seen.update(told)
    reference = Reference(at, place, part, len(told), examples=sorted(told, key=len)[-EXAMPLES:])
    for word in told:
        own.waiting[word].append(reference)
    own.results.append(reference)
    return reference


def _hear(at: int, reply: Sequence[Part], own: _Conversation) -> None:
    for reference in own.results:
        reference.replies += 1
    for part in reply:
        for word in words(part.text or ""):
            own.seen.add(word)
            for reference in own.waiting.pop(word, ()):
                if reference.first is None:
                    reference.first = at
                if len(reference.found) < EXAMPLES:
                    reference.found.append(word)


def words(text: str) -> Iterator[str]:
    """Yield the words of a text without case, and the words within a path or a dotted name."""
    for found in _WORD.finditer(text):
        word = found[0].lower()
        if len(word) >= LEAST_LETTERS:
            yield word
        for part in re.split(r"[./\-]", word) if not word.isalnum() else ():
            if len(part) >= LEAST_LETTERS:
                yield part
