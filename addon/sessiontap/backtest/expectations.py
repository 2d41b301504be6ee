"""A file of expectations: which calls are meant, and what should come of them by the rules that are tested.

    version: 1
    expectations:
      - match: {process: course_agent.py}
        expect: {session: {name: Course Generator, path: "/course/**"}, calls: 6, sessions: 1}

It is read as a rules file is: every problem with its place. An expectation that means no call fails, unless it
expects none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from sessiontap.backtest.outcome import NOT_RECORDED, Change, Outcome
from sessiontap.backtest.redecide import Redecided
from sessiontap.rules import RulesError
from sessiontap.rules.compile_match import conditions_of
from sessiontap.rules.conditions import MatchCondition
from sessiontap.rules.decision import IdSourceKind
from sessiontap.rules.kinds import GLOB, WORD, Choice, Integer, Key, KeyMap, ListOf, MapOf, Ref, TextOf
from sessiontap.rules.language import DEFINITIONS
from sessiontap.rules.load import compose, read_source
from sessiontap.rules.match_patterns import path_pattern
from sessiontap.rules.node_reader import INVALID, ReadingEnds, RulesReader
from sessiontap.rules.problems import BadValue

_SESSION = KeyMap((
    Key("name", GLOB, "The session's name."),
    Key("path", ListOf(TextOf(path_pattern), lone=True), "The path in it; * stops at /, ** does not."),
    Key("id", GLOB, "Its id."),
    Key("source", Choice(get_args(IdSourceKind)), "The source of its id."),
))  # fmt: skip
_EXPECT = KeyMap((
    Key("session", _SESSION, "The session of each of these calls."),
    Key("user", GLOB, "Their user."),
    Key("properties", MapOf(GLOB, noun="property"), "Properties that each has."),
    Key("tags", ListOf(WORD, lone=True), "Tags that each has."),
    Key("gateway", GLOB, "The gateway that they go through."),
    Key("capture", Choice(("full", "metadata", "none")), "How much of them is recorded; none: nothing."),
    Key("calls", Integer(0), "How many they are."),
    Key("sessions", Integer(0), "How many sessions they are in."),
))  # fmt: skip
_ITEM = KeyMap((
    Key("expectation", WORD, "A label."),
    Key("match", Ref("match"), "The calls that are meant, as in rules. Without match, call and session: all."),
    Key("call", WORD, "The call that is meant: its id, or the beginning of it."),
    Key("session", WORD, "Its calls as they were recorded are meant: its id, or the beginning of it."),
    Key("expect", _EXPECT, "What should come of each call, and of all.", True),
))  # fmt: skip
_FILE = KeyMap((
    Key("version", Integer(1, only=1), "The version of this language: 1."),
    Key("expectations", ListOf(_ITEM), "The expectations.", True),
))  # fmt: skip

MOST_FAILURES = 1_000
"""Of all expectations together; the others are counted."""
_COUNTS = ("calls", "sessions")


@dataclass(frozen=True, slots=True)
class UnmetExpectation:
    """A field of a call, or a number of calls, that is not as expected."""

    expectation: str
    line: int
    call: str | None
    """None: it is about all calls that are meant."""
    field: str
    expected: str
    got: str | None
    rule: str | None = None
    """The rule that set it."""

    def __str__(self) -> str:
        where = f"call {self.call}: " if self.call is not None else ""
        by = f" (by {self.rule})" if self.rule is not None else ""
        return f"{where}{self.field}: expected {self.expected}, got {self.got if self.got is not None else 'none'}{by}"


@dataclass(slots=True)
class Expectation:
    """One item of the file, and the calls that it meant so far."""

    label: str
    line: int
    conditions: tuple[MatchCondition, ...]
    call: str | None
    session: str | None
    expect: Mapping[str, Any]
    calls: int = 0
    sessions: set[str] = field(default_factory=set)
    holds: bool = True
    """False once a call was not as expected."""

    def means(self, found: Redecided) -> bool:
        """True if a call is meant."""
        if self.call is not None and not found.call.id.startswith(self.call):
            return False
        if self.session is not None and not (found.call.session_id or "").startswith(self.session):
            return False
        known = found.known
        return not self.conditions or (
            known is not None and all(condition.holds(known) is not None for condition in self.conditions)
        )

    def check(self, found: Redecided, outcome: Outcome) -> Iterator[UnmetExpectation]:
        """Yield what is not as expected of a call."""
        self.calls += 1
        if outcome.session is not None:
            self.sessions.add(outcome.session)
        for name, expected, got in (*_unmet_patterns(self.expect, outcome), *_unmet_words(self.expect, outcome)):
            yield UnmetExpectation(self.label, self.line, found.call.id, name, expected, got, outcome.set_by.get(name))

    def check_all(self) -> Iterator[UnmetExpectation]:
        """Yield what is not as expected of all calls that were meant."""
        for name, got in (("calls", self.calls), ("sessions", len(self.sessions))):
            expected = self.expect.get(name)
            if expected is not None and expected != got:
                yield UnmetExpectation(self.label, self.line, None, name, str(expected), str(got))
        if not self.calls and not any(name in self.expect for name in _COUNTS):
            yield UnmetExpectation(self.label, self.line, None, "calls", "some", "none that is meant")


@dataclass(slots=True)
class Expectations:
    """All expectations of a file, checked as the calls come."""

    filename: str
    items: list[Expectation]
    failures: list[UnmetExpectation] = field(default_factory=list)
    failed: int = 0

    def add(self, found: Redecided, outcome: Outcome, changes: tuple[Change, ...] | None) -> None:
        """Check a call that was compared (`report.ComparedCall`)."""
        for item in self.items:
            if item.means(found):
                self._fail(item, item.check(found, outcome))

    def as_json(self) -> dict[str, Any]:
        """Return what came of it in plain values."""
        return {
            "file": self.filename,
            "failed": self.failed,
            "expectations": [
                {"expectation": one.label, "line": one.line, "calls": one.calls, "sessions": len(one.sessions)}
                for one in self.items
            ],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def finish(self) -> None:
        """Check what is expected of all calls together."""
        for item in self.items:
            self._fail(item, item.check_all())

    def _fail(self, item: Expectation, failures: Iterable[UnmetExpectation]) -> None:
        for failure in failures:
            item.holds = False
            self.failed += 1
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(failure)


def load_expectations(path: Path, address: Callable[[str, str], str] = lambda kind, text: text) -> Expectations:
    """Read a file. `address(kind, text)` gives the id of a `call` or `session` by what stands for it, such as @1.

    Raises RulesError with all problems of the file.
    """
    name = str(path)
    reader = RulesReader(name, DEFINITIONS)
    items: list[Expectation] = []
    root = compose(read_source(name).removeprefix("\ufeff"), name, "expectations")
    with suppress(ReadingEnds):
        values = reader.read_file(_FILE, root)
        given = values.get("expectations", ()) if values is not INVALID else ()
        items = [_item(number, one, reader, address) for number, one in enumerate(given)]
    if reader.problems:
        raise RulesError(reader.problems)
    return Expectations(name, items)


def _item(
    number: int, given: Mapping[str, Any], reader: RulesReader, address: Callable[[str, str], str]
) -> Expectation:
    path = f"expectations[{number}]"
    expect = given.get("expect", {})
    is_told = any(problem.path.startswith(f"{path}.expect") for problem in reader.problems)
    if "expect" in given and not expect and not is_told:
        reader.problem(f"{path}.expect", BadValue("nothing is expected", "session, user, calls, ..."))
    named: dict[str, str | None] = {}
    for kind in ("call", "session"):
        text = given.get(kind)
        try:
            named[kind] = address(kind, text) if text is not None else None
        except BadValue as bad:
            reader.problem(f"{path}.{kind}", bad, text)
    conditions = conditions_of(given["match"]) if given.get("match") else ()
    label = given.get("expectation") or f"#{number + 1}"
    line = reader.places[path][0]
    return Expectation(label, line, conditions, named.get("call"), named.get("session"), expect)


Unmet = Iterator[tuple[str, str, str | None]]
"""A field, what is expected, and what came of it."""


def _unmet_patterns(expect: Mapping[str, Any], outcome: Outcome) -> Unmet:
    """Yield the fields of a call that do not fit the patterns that are expected."""
    session, properties = expect.get("session", {}), expect.get("properties", {})
    asked = [
        ("session.name", session.get("name"), outcome.name),
        ("session.path", session.get("path"), outcome.path),
        ("session.id", session.get("id"), outcome.session),
        ("user", expect.get("user"), outcome.user),
        ("gateway", expect.get("gateway"), outcome.gateway),
        *((f"properties.{key}", patterns, outcome.properties.get(key)) for key, patterns in properties.items()),
    ]
    for name, patterns, got in asked:
        if patterns is not None and (got is None or not any(pattern.find(got) is not None for pattern in patterns)):
            yield name, " or ".join(pattern.text for pattern in patterns), got


def _unmet_words(expect: Mapping[str, Any], outcome: Outcome) -> Unmet:
    """Yield the fields of a call that are other words than those that are expected."""
    source = expect.get("session", {}).get("source")
    if source is not None and source != outcome.source:
        yield "session.source", source, outcome.source
    capture = expect.get("capture")
    got = "none" if outcome.capture == NOT_RECORDED else outcome.capture
    if capture is not None and capture != got:
        yield "capture", capture, got
    missing = [tag for tag in expect.get("tags", ()) if tag not in outcome.tags]
    if missing:
        yield "tags", ", ".join(missing), ", ".join(outcome.tags) or None
