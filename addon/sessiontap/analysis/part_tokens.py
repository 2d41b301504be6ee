"""The tokens of each part of a request, estimated so that they add up to the provider's own count of the whole.

Of a request that continues another one whose count is known, only the new parts are estimated: the provider's two
counts say how many tokens they have together. Within that, parts share by weight, which is the number of tokens that
a tokenizer would make of their text, guessed from its words, numbers, signs and blanks (docs/reading.md has the error).

Media have no text. Their tokens are what is left of the count when the text has its weight, else a usual image's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from sessiontap.trace.index.shared_list import SharedList

if TYPE_CHECKING:
    from sessiontap.part import Part
    from sessiontap.trace.index.turns import Turn

Tokens = Sequence[SharedList[float] | None]
"""Of each turn the tokens of each part of its request; None of a turn of which they are not known."""

_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d{1,3}| (?=\d)|[^\S\n]*\n\s*|[^\S\n]{2,}|[^\w\s]+|_+|[^\x00-\x7f]+")
"""The pieces by which tokenizers go: words (and each hump of a camelCase one), numbers, line ends with the indentation
behind them, runs of signs."""
_WORD, _REST = 8, 5
"""Letters of a word that are one token, and those of each further one."""
_LETTER, _SIGN = 0.4, 0.75
"""Tokens of a Greek, Cyrillic, Arabic, ... letter; of a Chinese sign, an accented letter, a dash."""
_FRAME = 3
"""Tokens around a part: the role, the borders of a message or a definition."""
_SAMPLED, _SLICES = 60_000, 6
"""Of a longer text only slices are weighed, a sixth of so many characters each."""
MEDIA = 1_300
"""Tokens of an image if nothing says more: Anthropic's of a megapixel, between OpenAI's of low and of high detail."""
_LEAST_MEDIA, _MOST_MEDIA = 50, 60_000
"""Tokens that one image or document may have."""
_MANY = 4_000
"""Pieces whose weight is remembered: few make up most of a text."""
_TEXTS = 1 << 17
"""Places for texts whose weight is remembered: the next page of a session weighs what is new alone."""
_OPAQUE = 5
"""Bytes per token of what has no text and is no media, such as encrypted reasoning."""


_entry = Struct("qd")
_weights = bytearray(_entry.size * _TEXTS)
"""At each place the hash of a text, and its weight: a block of 2 MB. Thousands of objects that outlive an answer would
keep the memory from the system among which they came to stand."""


def weight(text: str) -> float:
    """Return roughly the number of tokens of a text."""
    known = hash(text)
    place = known % _TEXTS * _entry.size
    remembered, found = _entry.unpack_from(_weights, place)
    if remembered != known:
        found = _weight_of(text)
        _entry.pack_into(_weights, place, known, found)
    return float(found)


def _weight_of(text: str) -> float:
    if len(text) <= _SAMPLED:
        return _weight(text)
    size, step = _SAMPLED // _SLICES, len(text) // _SLICES
    sampled = sum(_weight(text[at : at + size]) for at in range(0, step * _SLICES, step))
    return sampled * len(text) / _SAMPLED


def _weight(text: str) -> float:
    return sum(map(_piece_weight, _PIECE.findall(text)), 0.0)


@lru_cache(_MANY)
def _piece_weight(piece: str) -> float:
    first, size = piece[0], len(piece)
    if first > "\x7f":
        return (_LETTER if "\u0370" <= first < "\u2e80" else _SIGN) * size
    if piece[-1].islower():
        return 1 if size <= _WORD else 1 + (size - _WORD) / _REST
    if first == "_":
        return 0.5
    if first.isdigit() or first.isspace():
        return 1
    return -(-size // 3)


def estimate(turns: Sequence[Turn]) -> list[SharedList[float] | None]:
    """Return, for each turn, the tokens of each part of its request, which add up to the provider's count.

    None for a turn of which the provider stated no count.
    """
    weights: dict[int, float] = {}
    totals: dict[str, int] = {}
    found: dict[str, SharedList[float] | None] = {}
    requests = {turn.call["id"]: turn.request for turn in turns}
    for turn in turns:
        total = (turn.call["usage"] or {}).get("input")
        if not total or not turn.request:  # 0 is what servers state that do not count
            found[turn.call["id"]] = None
            continue
        totals[turn.call["id"]] = total
        before, request = found.get(turn.based_on or ""), requests.get(turn.based_on or "", ())
        if before and turn.first_new >= len(request):
            added = _split_new(total - totals[turn.based_on or ""], turn.request[len(request) :], weights)
            if added is not None:
                found[turn.call["id"]] = before.followed_by(added)
                continue
        found[turn.call["id"]] = SharedList(_split(total, _known(turn, request, before or ()), turn.request, weights))
    return [found[turn.call["id"]] for turn in turns]


def _known(turn: Turn, request: Sequence[Part], tokens: Sequence[float]) -> list[float | None]:
    """The tokens of each part of a turn as they were in the request that it continues; None of a new part."""
    if not tokens:
        return [None] * len(turn.request)
    common = min(turn.first_new, len(request))
    known: list[float | None] = [*tokens[:common]]
    if common == len(request):
        return known + [None] * (len(turn.request) - common)
    moved: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
    for part, number in zip(request[common:], tokens[common:], strict=True):
        moved[part.kind, part.role, part.id, part.text, part.bytes].append(number)
    for part in turn.request[common:]:
        numbers = moved[part.kind, part.role, part.id, part.text, part.bytes]
        known.append(numbers.pop() if numbers else None)
    return known


def _split(
    total: int, known: Sequence[float | None], request: Sequence[Part], weights: dict[int, float]
) -> list[float]:
    """The tokens of each part of a request; `known` are those of parts that were there before."""
    new = [part for part, number in zip(request, known, strict=True) if number is None]
    added = _split_new(total - sum(number for number in known if number is not None), new, weights)
    if added is not None:
        numbers = iter(added)
        return [next(numbers) if number is None else number for number in known]
    # The parts that were there before have not the tokens that they had: the provider left some out.
    found = [_guess(part, weights) if number is None else number for part, number in zip(request, known, strict=True)]
    factor = total / sum(found)
    return [number * factor for number in found]


def _split_new(total: float, new: Sequence[Part], weights: dict[int, float]) -> list[float] | None:
    """The tokens of each of the parts `new`, which have `total` together; None if it is too much or too little."""
    found = [_guess(part, weights) for part in new]
    guessed = sum(found)
    media = [at for at, part in enumerate(new) if part.kind == "media"]
    text = guessed - MEDIA * len(media)
    if media and _LEAST_MEDIA <= (total - text) / len(media) <= _MOST_MEDIA:
        for at in media:
            found[at] = (total - text) / len(media)
        return found
    if new and 0.5 * guessed - 20 <= total <= 2 * guessed + 100 and total > 0:
        return [number * total / guessed for number in found]
    return None


def _guess(part: Part, weights: dict[int, float]) -> float:
    known = weights.get(id(part))
    if known is None:
        if part.text is not None:
            known = _FRAME + weight(part.text) + (weight(part.name) if part.name else 0)
        else:
            known = MEDIA if part.kind == "media" else _FRAME + part.bytes / _OPAQUE
        weights[id(part)] = known
    return known
