"""Sessions as sets of calls, before and after: which are as before, split, merged, renamed; which got another id.

Only how many calls each pair of a session before and one after has in common is remembered, with one call of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sessiontap.backtest.outcome import Outcome

SessionChangeKind = Literal["split", "merged", "regrouped", "renamed", "other id", "gone"]


@dataclass(frozen=True, slots=True)
class SessionSide:
    """A session before or after."""

    id: str
    name: str | None
    calls: int
    """Those that it has in common with the other side."""
    example: str
    """One of these calls."""


@dataclass(frozen=True, slots=True)
class SessionChange:
    """Sessions that have calls in common, and are not the same set of calls, or not by the same name or id.

    `gone`: none of its calls would be recorded.
    """

    kind: SessionChangeKind
    before: tuple[SessionSide, ...]
    after: tuple[SessionSide, ...]


@dataclass(slots=True)
class _Common:
    example: str
    calls: int = 0


@dataclass(slots=True)
class SessionComparison:
    """Sessions before and after, call by call."""

    _common: dict[str, dict[str | None, _Common]] = field(default_factory=dict)
    """Session before -> session after, None if not recorded -> the calls in common."""
    _names_before: dict[str, str | None] = field(default_factory=dict)
    _names_after: dict[str, str | None] = field(default_factory=dict)
    _without_id: set[str] = field(default_factory=set)
    """Sessions after whose id rests on a connection, which the log does not name."""

    def add(self, call_id: str, before: Outcome, after: Outcome) -> None:
        """Take in a call."""
        assert before.session is not None
        common = self._common.setdefault(before.session, {}).setdefault(after.session, _Common(call_id))
        common.calls += 1
        self._names_before.setdefault(before.session, before.name)
        if after.session is not None:
            self._names_after.setdefault(after.session, after.name)
            if after.source == "connection":
                self._without_id.add(after.session)

    @property
    def before(self) -> int:
        """Sessions as recorded."""
        return len(self._names_before)

    @property
    def after(self) -> int:
        """Sessions as decided again."""
        return len(self._names_after)

    @property
    def unchanged(self) -> int:
        """Sessions before that stay what they are."""
        changed = {side.id for change in self.changes() for side in change.before}
        return self.before - len(changed)

    def changes(self) -> Iterator[SessionChange]:
        """Yield what would be another, in the order of the calls."""
        of_after: dict[str, list[str]] = defaultdict(list)
        for old, common in self._common.items():
            for new in common:
                if new is not None:
                    of_after[new].append(old)
        seen: set[str] = set()
        for first in self._common:
            if first in seen:
                continue
            olds, news = self._component(first, of_after)
            seen.update(olds)
            kind = self._kind(olds, news)
            if kind is not None:
                before = (_side(old, self._names_before[old], self._common[old].values()) for old in olds)
                after = (
                    _side(new, self._names_after[new], [self._common[old][new] for old in of_after[new]])
                    for new in news
                )
                yield SessionChange(kind, tuple(before), tuple(after))

    def _component(self, first: str, of_after: dict[str, list[str]]) -> tuple[list[str], list[str]]:
        """Return all sessions that hang together with one by calls in common."""
        olds, news, waiting = {first: None}, dict[str, None](), [first]
        while waiting:
            for new in self._common[waiting.pop()]:
                if new is None or new in news:
                    continue
                news[new] = None
                for old in of_after[new]:
                    if old not in olds:
                        olds[old] = None
                        waiting.append(old)
        return list(olds), list(news)

    def _kind(self, olds: list[str], news: list[str]) -> SessionChangeKind | None:
        if not news:
            return "gone"
        if len(olds) == 1 and len(news) == 1:
            old, new = olds[0], news[0]
            if self._names_before[old] != self._names_after[new]:
                return "renamed"
            return "other id" if old != new and new not in self._without_id else None
        if len(olds) == 1:
            return "split"
        return "merged" if len(news) == 1 else "regrouped"


def _side(id: str, name: str | None, common: Collection[_Common]) -> SessionSide:
    return SessionSide(id, name, sum(one.calls for one in common), next(iter(common)).example)
