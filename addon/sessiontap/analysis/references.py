"""Is a tool's result referred to later? Judged by its own words.

The words of a result are the names, numbers and other words that stand nowhere before it in the conversation, not in
the call's arguments either. If the assistant writes one of its names later, or two of the other words, in text,
reasoning or a tool's arguments, the result is referred to. One other word is not enough: `support` or `42` may stand
anywhere. A result with few words of its own cannot be judged, nor can one behind which nothing was said.

A result may help without being quoted: tests that passed end a search. So a result without reference is no proof of
waste, and what was found is told along with the verdict.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

_WORD = re.compile(r"[^\W_](?:[\w.\-/]*[^\W_])?")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
"""A piece of a name: of `test_weekNumber/v2.py` these are test, week, Number, v, 2 and py."""
LEAST_LETTERS = 4
"""Characters of a word that counts."""
LEAST_DIGITS = 2
"""Digits of a number that counts."""
LONG_NUMBER = 4
"""Digits of a number that is as good as a name: a shorter one may be a line's or a count."""
LEAST_WORDS = 5
"""Words of its own by which a result can be judged."""
ENOUGH = 2
"""Words in a later reply that are a reference, if none of them is a name."""
EXAMPLES = 5
_COMMON_WORDS = """
    about after also another based because been before being below both cannot could does done each either every
    find first following from given gives have having here however into itself just like made make many more most much
    must need needs none only other over please same see set should since some such sure take than that their them
    then there these they this those through under until used uses using very want were what when where which while
    will with within without would your
"""
COMMON = frozenset(_COMMON_WORDS.split())
"""English words that refer to nothing."""
_Pieces = tuple[tuple[str, bool], ...]
"""Words, each with whether it is a name or a piece of one."""


@dataclass(slots=True)
class Reference:
    """The findings about one result, at its first place."""

    turn: int
    """The turn that first brought it, by its position."""
    place: int
    part: Part
    words: int
    """Words of its own."""
    replies: int = 0
    """Later replies of its conversation."""
    named: bool = False
    """A later reply has one of its names."""
    found: list[str] = field(default_factory=list)
    """The words that a later reply has, a few of them."""
    examples: list[str] = field(default_factory=list)
    """A few of its words."""

    @property
    def referred(self) -> bool | None:
        """None if it cannot be judged."""
        if self.named or len(self.found) >= ENOUGH:
            return True
        return None if self.words < LEAST_WORDS or not self.replies else False


@dataclass(slots=True)
class _Conversation:
    pieces: dict[str, _Pieces]
    """Words that any conversation has, with the words that each is."""
    seen: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    """The words of its texts as they stand there: what they are is in `seen`. Most of a text has been read before."""
    reply_words: set[str] = field(default_factory=set)
    """Those of its replies: no result waits for what they are."""
    waiting: defaultdict[str, list[tuple[Reference, bool]]] = field(default_factory=lambda: defaultdict(list))
    """A word -> the results that have brought it, and whether it stood in a name there."""
    replies: int = 0
    """The number of those so far."""


def references(turns: Sequence[Turn]) -> list[Reference]:
    """Return every result that a request brought, in order, and whether later replies refer to it."""
    pieces: dict[str, _Pieces] = {}
    conversations: defaultdict[str | None, _Conversation] = defaultdict(lambda: _Conversation(pieces))
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
                own.seen.update(word for word, _ in _unread(part.text, own.read, own.pieces))
        if turn.reply:
            _read_reply(turn.reply, own)
    for one in found:
        one.replies = conversations[turns[one.turn].call["conversation"]].replies - one.replies
    return found


def _take(part: Part, at: int, place: int, own: _Conversation) -> Reference:
    words = _unread(part.text or "", own.read, own.pieces)
    new_words = {word: is_name for word, is_name in words if word not in own.seen}
    own.seen.update(new_words)
    reference = Reference(at, place, part, len(new_words), own.replies, examples=sorted(new_words, key=len)[-EXAMPLES:])
    for word, is_name in new_words.items():
        own.waiting[word].append((reference, is_name))
    return reference


def _read_reply(reply: Sequence[Part], own: _Conversation) -> None:
    own.replies += 1
    for part in reply:
        for word, is_name in _unread(part.text or "", own.reply_words, own.pieces):
            own.seen.add(word)
            for reference, was_name in own.waiting.pop(word, ()):
                reference.named = reference.named or (is_name and was_name)
                if len(reference.found) < EXAMPLES:
                    reference.found.append(word)


def _unread(text: str, read: set[str], pieces: dict[str, _Pieces]) -> list[tuple[str, bool]]:
    """Return the words of a text without case, also the pieces of paths and names, each with whether it is a name or a
    piece of one; but not those that are in `read`, to which they are added as they stand there."""
    new = [word for word in dict.fromkeys(_WORD.findall(text)) if word not in read]
    read.update(new)
    found: list[tuple[str, bool]] = []
    for word in new:
        known = pieces.get(word)
        if known is None:
            known = pieces[word] = _pieces(word)
        found += known
    return found


def _pieces(word: str) -> _Pieces:
    """The words that a word is."""
    is_name, pieces = _is_name(word), _PIECE.findall(word)
    found = []
    for piece in (word, *pieces) if len(pieces) > 1 else (word,):
        lowered = piece.lower()
        if len(piece) >= (LEAST_DIGITS if piece.isdecimal() else LEAST_LETTERS) and lowered not in COMMON:
            found.append((lowered, is_name and not (piece.isdecimal() and len(piece) < LONG_NUMBER)))
    return tuple(found)


def _is_name(word: str) -> bool:
    """A number, or a word with digits, the signs of a path, or with capitals and small letters behind its first one."""
    rest = word[1:]
    return any(sign.isdecimal() or sign in "_./" for sign in word) or not (rest.islower() or rest.isupper())
