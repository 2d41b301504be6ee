"""Regular expressions of the user's, searched for in time that is linear in the text.

Python's own engine goes back and forth: `error.*timeout.*retry` takes minutes over 64 KB, and holds everything up
meanwhile. This is RE2, which walks through the text once. What it cannot do (looking ahead or behind, references to
groups) is refused with a sentence, and so is what would be large: an expression's worst time is its size times the
text's length. `MAX_SIZE` bounds one expression, and a `Meter` what several slow ones take together.

Rules search calls for them on the proxy's loop, redaction searches bodies in the recorder. The rule that must hold
here: no expression and no text keeps either for longer than these bounds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import re2

MAX_SIZE = 1_500
"""Instructions of one compiled expression: at worst about 1 ms each for 64 KiB of text. `.` is nine of them."""
MAX_LENGTH = 4_000
"""Characters of one expression as written."""
_MEMORY = 1 << 20
"""Bytes that an expression may use while it is searched for: it remembers the places that it has tried."""

SLOW = 0.005
"""Seconds of CPU time from which on a search counts as slow."""
SLOW_SHARE = 0.25
"""Seconds that slow searches may take in each second."""
CHEAP = 400_000
"""Instructions times bytes up to which a search cannot be slow: it is never held back."""
REDACTION_SHARE = (5.0, 10.0)
"""The same for redaction, in whose process nobody waits: a share, and the period that it is of."""


class RegexError(ValueError):
    """An expression that cannot be used: `what` is wrong with it, and what to write instead."""

    def __init__(self, what: str, expected: str = "a regular expression in the syntax of RE2") -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected


class TooSlow(Exception):
    """Slow searches have used up their share of this second."""


class Match(Protocol):
    """A match of bytes; group 0 is all of it."""

    def start(self, group: int = 0) -> int: ...
    def end(self, group: int = 0) -> int: ...
    def group(self, group: int = 0) -> bytes | None: ...


@dataclass
class Meter:
    """The time of slow searches: they may take `share` of each `period`, both in seconds."""

    share: float = SLOW_SHARE
    period: float = 1.0
    _spent: float = 0.0
    _since: float = 0.0

    def exhausted(self) -> bool:
        """True if the share of this period is used up."""
        if self._spent < self.share:
            return False
        if time.monotonic() - self._since > self.period:
            self._spent = 0.0
            return False
        return True

    def add(self, seconds: float) -> None:
        """Count a search that took this long."""
        if seconds < SLOW:
            return
        now = time.monotonic()
        if now - self._since > self.period:
            self._spent, self._since = 0.0, now
        self._spent += seconds


ON_THE_LOOP = Meter()
"""Of all expressions that rules look for in calls."""


class Regex:
    """Searches for an expression in text. Lone surrogates of the text count as `?`."""

    __slots__ = ("_compiled", "_meter", "groups", "size")

    def __init__(self, source: str, *, ignore_case: bool = False, meter: Meter = ON_THE_LOOP) -> None:
        """Raises RegexError."""
        self._compiled = _compile(source, case_sensitive=not ignore_case)
        names: Mapping[bytes, int] = self._compiled.groupindex
        self.groups = {name.decode(): number for name, number in names.items()}
        self.size: int = self._compiled.programsize
        self._meter = meter

    def search(self, text: str) -> Mapping[str, str] | None:
        """The named groups that took part in the first match; None if there is no match. Raises TooSlow."""
        data = text.encode("utf-8", "replace")
        if len(data) * self.size <= CHEAP:
            match = self._compiled.search(data)
        elif self._meter.exhausted():
            raise TooSlow("regular expressions took too long in the second before")
        else:
            before = time.thread_time()
            match = self._compiled.search(data)
            self._meter.add(time.thread_time() - before)
        if match is None or not self.groups:
            return None if match is None else {}
        return {
            name: got.decode("utf-8", "replace")
            for name, number in self.groups.items()
            if (got := match.group(number)) is not None
        }


    def replaced(self, text: str, by: str) -> str:
        """The text with `by` in the place of each match that is not empty."""
        data, told = text.encode("utf-8", "replace"), by.encode()
        replaced: bytes = self._compiled.sub(lambda match: told if match.group() else b"", data)
        return text if replaced == data else replaced.decode("utf-8", "replace")


class BytesRegex:
    """Finds an expression in bytes of any encoding: each byte is a character."""

    __slots__ = ("_compiled", "_meter", "groups", "size")

    def __init__(self, source: str, *, meter: Meter | None = None) -> None:
        """Raises RegexError."""
        self._compiled = _compile(source, in_bytes=True, captures=True)
        self.groups: int = self._compiled.groups
        self.size: int = self._compiled.programsize
        self._meter = meter or Meter(*REDACTION_SHARE)

    def finditer(self, data: bytes, start: int, end: int) -> Iterator[Match]:
        """Every match between `start` and `end`. If looking for them takes too long, all that is left is the last."""
        took, is_slow = 0.0, (end - start) * self.size > CHEAP
        is_measured = is_slow
        while start <= end:
            if is_slow and self._meter.exhausted():
                yield Rest(start, end, data)
                return
            before = time.thread_time() if is_measured else 0.0
            match = self._compiled.search(data, start, end)
            if is_measured:
                took += time.thread_time() - before
            is_measured = True  # one of these is quick; many are slow together
            if took > SLOW:
                self._meter.add(took)
                took, is_slow = 0.0, True
            if match is None:
                return
            yield match
            start = max(match.end(), start + 1)


@dataclass(frozen=True, slots=True)
class Rest:
    """The text that could not be searched in time, as a match."""

    first: int
    last: int
    data: bytes

    def start(self, group: int = 0) -> int:
        return self.first

    def end(self, group: int = 0) -> int:
        return self.last

    def group(self, group: int = 0) -> bytes | None:
        return self.data[self.first : self.last]


def _compile(source: str, *, case_sensitive: bool = True, in_bytes: bool = False, captures: bool | None = None) -> Any:
    """Raises RegexError."""
    if len(source) > MAX_LENGTH:
        raise RegexError(f"it has {len(source):,} characters", f"at most {MAX_LENGTH:,}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = case_sensitive
    options.never_capture = not (("(?P<" in source or "(?<" in source) if captures is None else captures)
    if in_bytes:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        data = source.encode()
    except UnicodeEncodeError:
        raise RegexError("it holds half a character (a lone surrogate)") from None
    try:
        compiled = re2.compile(data, options)
    except re2.error as error:
        raise _why(error, source) from None
    if compiled.programsize > MAX_SIZE:
        raise _too_large()
    named = re.findall(r"\(\?P?<(\w+)>", source)
    if len(named) > len(set(named)):  # RE2 takes the first and leaves out the others
        raise RegexError("two of its groups have one name", "another name for each group")
    return compiled


def _too_large() -> RegexError:
    expected = "smaller repetitions (.* for .{0,500}), fewer alternatives"
    return RegexError("it would be too large to be searched for quickly", expected)


_REFUSED: tuple[tuple[str, str, str], ...] = (
    # what stands in the expression, what that is, what to write
    (r"\(\?<?[=!]", "looking ahead or behind is not available", "an expression without (?=, (?!, (?<= or (?<!"),
    (r"\\[1-9]|\(\?P=", "references to a group are not available", "an expression without them"),
    (r"\(\?>|[*+?}]\+", "atomic groups and possessive repetitions are not available", "plain ones: nothing goes back"),
    (r"\\Z", r"\Z is not available", r"\z for the end of the text"),
    (r"\\[uUN]", r"\u, \U and \N are not available", r"the character itself, or \x{HEX}"),
    (r"\(\?[#xaL]|\(\?[imsU-]*[xaLu]", "comments and the flags a, L, u and x are not available", "(?i), (?m) or (?s)"),
    (r"\(\?\(", "conditions are not available", "alternatives: a|b"),
)


def _why(error: Exception, source: str) -> RegexError:
    """RE2's words, in ours if the cause is known."""
    problem = error.args[0] if error.args else ""
    problem = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
    if "too large" in problem or "repetition size" in problem:
        return _too_large()
    if "nests too deeply" in problem:
        return RegexError("its brackets are nested too deeply")
    for sign, what, expected in _REFUSED:
        if re.search(sign, source):
            return RegexError(what, expected)
    return RegexError(problem if len(problem) <= 80 else problem[:77] + "...")
