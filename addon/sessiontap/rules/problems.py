"""Problems of a rules file, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class RulesProblem:
    """One fault of a rules file. `line` and `column` count from 1; `path` is empty if the whole file is meant."""

    file: str
    line: int
    column: int
    path: str
    what: str
    """The fault, in words."""
    value: str | None = None
    """The offending value (or key) as it stands in the file."""
    expected: str | None = None
    guess: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        key = f"{shown(self.path, 120)}: " if self.path else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        guess = f"; did you mean '{self.guess}'?" if self.guess else ""
        return f"{place}{key}{self.what}{expected}{guess}"


MOST_PROBLEMS = 100
"""Of one file: then reading ends."""
MOST_SHOWN = 10
"""In a log line or a note."""
LONGEST_VALUE = 200
"""Characters of a value in a problem."""


class RulesError(Exception):
    """A rules file that cannot be used. `problems` are all that were found, by line, at most `MOST_PROBLEMS`."""

    def __init__(self, problems: Iterable[RulesProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column, problem.path)))
        lines = [str(problem) for problem in self.problems]
        if len(lines) >= MOST_PROBLEMS:
            lines.append(f"reading ended here, after {MOST_PROBLEMS} problems")
        super().__init__("\n".join(lines))

    @property
    def short(self) -> str:
        """The first `MOST_SHOWN` problems, and how many more there are."""
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        more = len(self.problems) - len(lines)
        return "\n".join([*lines, f"and {more} more: sessiontap rules check shows them"] if more > 0 else lines)


class BadValue(ValueError):
    """A value that a parser refuses. The caller of the parser knows its place."""

    def __init__(self, what: str, expected: str | None = None, guess: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.guess = guess


def closest(word: str, options: Iterable[str]) -> str | None:
    """The option that `word` was most likely meant to be, or None if none is near."""
    if len(word) > 60:  # no option is that long, and comparing takes the square of the length
        return None
    by_fold = {option.casefold().replace("_", "-"): option for option in options}
    found = get_close_matches(word.casefold().replace("_", "-"), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def quoted(text: str) -> str:
    """`text` in quotes, cut to 60 characters, on one line."""
    return f"'{shown(text, 60)}'"


def shown(text: str, limit: int) -> str:
    """`text` cut to `limit` characters, on one line; what cannot be printed stands as an escape."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
