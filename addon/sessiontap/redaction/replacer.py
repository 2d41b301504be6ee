"""Credentials found in bytes and texts, and the tokens that stand in their place.

A credential becomes `[redacted:KIND:DIGEST]`. Found are known shapes (shape_search.py), values of a credential's name
(assigned.py), options that take a password (command_line.py), the rules' own patterns, the call's own credentials
(by_name.py), and those that a reply says in pieces (fragments.py) or in AWS's frames (aws_frames.py). Bodies are
searched in windows, and what a window held is remembered by its hash.
"""

from __future__ import annotations

import copy
import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from sessiontap.linear_regex import BytesRegex
from sessiontap.redaction import assigned, aws_frames, command_line, fragments, shape_search
from sessiontap.redaction.by_name import Needle, find_needles
from sessiontap.redaction.memory_in_use import HIT, PLACE, Used, told, untold
from sessiontap.redaction.shape_search import LOOK_BACK, SHORTEST, CredentialHit

WINDOW = 1 << 14
"""Bodies are searched in pieces of at most so many bytes."""
_OBJECT = b'{"'
"""The beginning of a JSON object: of a message, of a tool."""
REACH = 1 << 14
"""Bytes behind a window up to which a credential that begins in it may run."""
_NEAR = 1 << 11
"""The same of nearly all: what was found in a window is then still known if something changed soon behind it."""
_WINDOWS_REMEMBERED = 8192
_HITS_REMEMBERED = 200_000
"""In all windows that are remembered: about 30 MB."""
MOST_HITS = 50_000
"""Credentials of one body. A body with more is made to cost time and memory: what follows goes as a whole."""
_COPIES_OF_FRAMES = 3
"""Of a body of AWS's frames: their payloads, the texts in them, and these in one."""
_PAUSE_AFTER = 16
"""Windows searched in one go."""
_PAUSE = 1e-5
"""A sleep of no time at all would take the GIL back before a waiting thread wakes up."""


class Replacer:
    """Finds what looks like a credential and puts a token in its place.

    `key`: the secret behind the digests, at most 64 bytes. `patterns`: more shapes; if one has a group, that is the
    credential. Bodies are for one thread at a time, the rest for any.
    """

    def __init__(self, key: bytes, patterns: Iterable[BytesRegex | re.Pattern[bytes]] = ()) -> None:
        self._key = key[:64]
        self._patterns = tuple(patterns)
        self._needles: tuple[Needle, ...] = ()
        self._needle_texts: tuple[str, ...] = ()
        """The ways to write them."""
        self._windows = _Windows()

    def with_credentials(self, known: tuple[Needle, ...]) -> Replacer:
        """Return a replacer that finds these, too."""
        other = copy.copy(self)
        other._needles = known
        other._needle_texts = tuple(needle.text.decode("utf-8", "surrogatepass") for needle in known)
        return other

    def token(self, kind: str, secret: bytes) -> str:
        """Return the token that stands for `secret`."""
        return f"[redacted:{kind}:{hashlib.blake2b(secret, digest_size=5, key=self._key).hexdigest()}]"

    def body(self, data: bytes, used: Used = untold) -> bytes:
        """Return a body without its credentials; JSON stays JSON, frames of an AWS event stream stay such frames.

        Goes through the body in windows, lets other threads run in between, and remembers what it found in each by
        its hash: agents send their whole history again with every call. `used` is told of the memory that it takes
        beside three times the body.
        """
        if len(data) < SHORTEST and not self._patterns:
            return data
        if apart := aws_frames.take_apart(data):
            used(_COPIES_OF_FRAMES * len(data) + 2 * PLACE * len(apart.texts))
            return self._frames(apart, data, used)
        return self._replaced(data, self._hits(data, used))

    def text(self, text: str) -> str:
        """Return a text without what looks like a credential."""
        if len(text) < SHORTEST and not self._patterns:
            return text
        data = text.encode("utf-8", "surrogatepass")
        return self._replaced(data, self._find(data)).decode("utf-8", "surrogatepass")

    def holds_call_secret(self, text: str) -> bool:
        """Return True if a text holds one of the call's own credentials."""
        return any(map(text.__contains__, self._needle_texts))

    def without_call_secrets(self, text: str) -> str:
        """Return a text without the call's own credentials."""
        if not self.holds_call_secret(text):
            return text
        data = text.encode("utf-8", "surrogatepass")
        hits = list(find_needles(data, self._needles, 0, len(data)))
        return self._replaced(data, hits).decode("utf-8", "surrogatepass") if hits else text

    def _frames(self, apart: aws_frames.EventStreamBody, data: bytes, used: Used) -> bytes:
        """An event stream: searched as if it were a JSON value a line."""
        flat = b"\n".join(apart.texts)
        hits = self._hits(flat, used, is_stream=True)
        used(HIT * len(hits))  # they are taken apart by their texts
        if not hits:
            return data
        texts, start, left = [], 0, _by_place(hits)
        left.reverse()
        for text in apart.texts:
            end = start + len(text)
            inside, rests = [], []
            while left and left[-1].start < end:
                hit = left.pop()
                hit = replace(hit, start=max(hit.start, start), secret=hit.secret or flat[hit.start : hit.end])
                inside.append(replace(hit, start=hit.start - start, end=min(hit.end, end) - start))
                if hit.end > end + 1:
                    rests.append(replace(hit, start=end + 1))
            left += reversed(rests)
            texts.append(self._replaced(text, inside))
            start = end + 1
        return apart.put_together(texts)

    def _hits(self, data: bytes, used: Used, is_stream: bool | None = None) -> list[CredentialHit]:
        def find(joined: bytes) -> list[CredentialHit]:
            return list(told(self._find(joined), HIT, used))

        hits = list(told(fragments.in_stream(data, find, is_stream=is_stream, used=used), HIT, used))
        hits += told(fragments.in_logprobs(data, find, used), HIT, used)
        if len(data) <= WINDOW:
            return hits + find(data)
        searched = end = 0
        while end < len(data):
            start, end = end, _window_end(data, end)
            key = self._window_key(data, start, end, _NEAR)
            found = self._windows.get(key)
            if found is _FAR:
                found = self._windows.get(self._window_key(data, start, end, REACH))
            if found is None:
                found = self._search(data, start, end, key)
                searched += 1
                if searched % _PAUSE_AFTER == 0:
                    time.sleep(_PAUSE)
            hits += told((_moved(hit, start) for hit in found), HIT, used)
            if len(hits) > MOST_HITS:
                hits.append(CredentialHit(end, len(data), "too-many", b"too many"))
                break
        return hits

    def _search(self, data: bytes, start: int, end: int, key: tuple[object, ...]) -> tuple[CredentialHit, ...]:
        """The hits that begin in a window, as they are remembered: places are from the window's start on."""
        found, far = self._find_in(data, start, end, min(end + _NEAR, len(data)))
        if far or self._patterns or any(hit.end >= end + _NEAR for hit in found):
            found, _ = self._find_in(data, start, end, min(end + REACH, len(data)))
            self._windows.put(key, _FAR)
            key = self._window_key(data, start, end, REACH)
        moved = tuple(_moved(hit, -start) for hit in found)
        self._windows.put(key, moved)
        return moved

    def _window_key(self, data: bytes, start: int, end: int, reach: int) -> tuple[object, ...]:
        """All that decides what is found in a window."""
        piece = data[max(0, start - LOOK_BACK) : end + reach]
        # Keyed at random in each process; a digest would take five times as long.
        return self._needles, start == 0, end - start, reach, len(piece), hash(piece)

    def _find(self, data: bytes) -> list[CredentialHit]:
        """All credentials in a text."""
        return self._find_in(data, 0, len(data), len(data))[0]

    def _find_in(self, data: bytes, start: int, end: int, reach: int) -> tuple[list[CredentialHit], bool]:
        """Credentials that begin in data[start:end] and end before `reach`; whether one may end behind it."""
        hits, may_run_on = _find_by_place(data, start, end, reach)
        hits += shape_search.find_in_urls(data, start, end)
        if self._needles:
            hits += find_needles(data, self._needles, start, end)
        for pattern in self._patterns:
            for match in pattern.finditer(data, start, reach):
                if match.start() < end and match.end() > match.start():
                    group = 1 if pattern.groups and match.group(1) else 0
                    hits.append(CredentialHit(match.start(group), match.end(group), "custom"))
        return hits, may_run_on

    def _replaced(self, data: bytes, hits: list[CredentialHit]) -> bytes:
        """`data` with a token for each hit; of two that overlap the first and longer one names the whole stretch."""
        if not hits:
            return data
        pieces: list[bytes] = []
        done = 0
        for hit in _by_place(hits):
            if hit.start < done:
                if hit.end > done:
                    done = hit.end
                continue
            secret = data[hit.start : hit.end] if hit.secret is None else hit.secret
            pieces.append(data[done : hit.start])
            pieces.append(self.token(hit.kind, secret).encode() if hit.kind else hit.instead)
            done = hit.end
        return b"".join(chain(pieces, (data[done:],)))


_PLACES = shape_search.linear_search(b"|".join((shape_search.BEGINNINGS, assigned.NAMES, command_line.OPTIONS)))
"""All places at which a credential may begin: one search for all."""
_LONGEST_PLACE = 128


def _find_by_place(data: bytes, start: int, end: int, reach: int) -> tuple[list[CredentialHit], bool]:
    until = min(reach, end + _LONGEST_PLACE)
    place = _PLACES.search(data, start, until)
    if place is None:
        return [], False
    shapes = shape_search.ShapeFinder(data, reach)
    values = assigned.AssignedFinder(data, reach)
    options = command_line.OptionFinder(data, reach)
    while place is not None and (at := place.start()) < end:
        shapes.try_at(at)
        values.try_at(at)
        options.try_at(at)
        place = _PLACES.search(data, at + 1, until)
    return shapes.hits() + values.hits + options.hits, shapes.may_run_on


class _Windows:
    """The hits in windows of bodies. Bounded in windows and in hits; the oldest goes first."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], tuple[CredentialHit, ...]] = {}
        self.hits = 0
        """In all of them."""

    def get(self, key: tuple[object, ...]) -> tuple[CredentialHit, ...] | None:
        return self._found.get(key)

    def put(self, key: tuple[object, ...], found: tuple[CredentialHit, ...]) -> None:
        self.hits += len(found) - len(self._found.pop(key, ()))
        while self._found and (len(self._found) >= _WINDOWS_REMEMBERED or self.hits > _HITS_REMEMBERED):
            self.hits -= len(self._found.pop(next(iter(self._found))))
        self._found[key] = found


_FAR: tuple[CredentialHit, ...] = (CredentialHit(0, 0, ""),)
"""Remembered of a window in which something may run on further than `_NEAR`."""


def _window_end(data: bytes, start: int) -> int:
    """The end of the window that begins at `start`: before a message or tool if one begins in its second half.

    Agents change a few bytes in the middle of a history that they send again. Windows that begin with an object hold
    the same bytes after such a change, so what was found in them is still known.
    """
    end = data.find(_OBJECT, start + WINDOW // 2, start + WINDOW)
    return end if end >= 0 else min(start + WINDOW, len(data))


def _by_place(hits: list[CredentialHit]) -> list[CredentialHit]:
    """By their start; of those that start together the longest first."""
    return sorted(hits, key=lambda hit: (hit.start, -hit.end))


def _moved(hit: CredentialHit, by: int) -> CredentialHit:
    return CredentialHit(hit.start + by, hit.end + by, hit.kind, hit.secret, hit.instead)
