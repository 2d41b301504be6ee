"""A rule, compiled: its conditions, the settings that they lead to, and what it may do while facts are unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sessiontap.limits import Threshold
from sessiontap.rules.conditions import Leaf, MatchCondition, all_of, any_of, every_leaf
from sessiontap.rules.decision import CaptureEffect
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.set_keys import Constant, Setting


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, or a step of one: `Rules` holds the steps before the rule that they belong to."""

    number: int
    """From 1; a step has that of its rule."""
    label: str
    """Its `rule:`, else `#n`; of a step the rule's label and its own: `course/web search`, `course/#1`."""
    line: int
    column: int = 1
    step: int = 0
    """From 1; 0 if it is no step."""
    conditions: tuple[MatchCondition, ...] = ()
    """All must hold; cheapest first."""
    inherited: tuple[MatchCondition, ...] = ()
    """Those of a step's conditions that are its rule's."""
    early: tuple[Setting, ...] = ()
    """The settings that are filled in before the session is known."""
    late: tuple[Setting, ...] = ()
    final: bool = False
    ignore: bool = False
    gateway: str | None = None
    names_hosts: bool = False
    """It holds only for hosts that it names: `proxy_env` values may go there."""
    names_clients: bool = False

    early_slots: frozenset[str] = field(init=False, repr=False, compare=False)
    """If all of these are filled, the rule sets nothing more. Slots that add up are never filled."""
    late_slots: frozenset[str] = field(init=False, repr=False, compare=False)

    capture: str | None = field(init=False, repr=False, compare=False)
    """Its `capture`; None if it sets none."""

    def __post_init__(self) -> None:
        capture: Any = next((one.content.render(None) for one in self.early if one.field == "capture"), None)  # type: ignore[arg-type]
        object.__setattr__(self, "capture", capture)
        object.__setattr__(self, "early_slots", frozenset(setting.slot for setting in self.early))
        object.__setattr__(self, "late_slots", frozenset(setting.slot for setting in self.late))

    @property
    def settings(self) -> tuple[Setting, ...]:
        return (*self.early, *self.late)

    @property
    def order(self) -> tuple[int, bool, int]:
        """Return its place in the order of reading."""
        return self.number, not self.step, self.step

    @property
    def own(self) -> tuple[MatchCondition, ...]:
        """Return its conditions, without those of the rule that it is a step of."""
        if not self.inherited:
            return self.conditions
        inherited = set(map(id, self.inherited))
        return tuple(condition for condition in self.conditions if id(condition) not in inherited)

    @property
    def sets_session(self) -> bool:
        """True if it has a `session` key: the wish to send."""
        return any(setting.field.startswith("session.") for setting in self.settings)

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Its alerts and limits."""
        values = (one.content.value for one in self.early if isinstance(one.content, Constant))
        return tuple(value for value in values if isinstance(value, Threshold))

    @property
    def effect(self) -> CaptureEffect | None:
        """Its effect on the recording of a call; None: it has none."""
        return "ignore" if self.ignore else self.capture  # type: ignore[return-value]

    @property
    def protects(self) -> bool:
        """It keeps calls, or their content, out of the log."""
        return self.ignore or self.capture in ("metadata", "none")

    def may(self, known: KnownFacts, match: bool) -> bool | None:
        """True if it may match, or may not, whatever the unknown facts are; None: that depends on the request.

        A rule that cannot be evaluated may do both.
        """
        try:
            answers = [condition.may(known, match) for condition in self.conditions]
        except Exception:
            return True
        return all_of(answers) if match else any_of(answers)

    def holds(self, known: KnownFacts) -> bool:
        """Return True if it matches by the facts that settings go by."""
        try:
            return all(condition.holds(known) is not None for condition in self.conditions)
        except Exception:
            return False

    def unknown(self, known: KnownFacts) -> tuple[str, ...]:
        """Return the keys of its `match` whose facts are not known."""
        try:
            return tuple(dict.fromkeys(leaf.key for leaf in every_leaf(self.conditions) if _is_open(leaf, known)))
        except Exception as error:
            return (f"{type(error).__name__}: {error}",)


def _is_open(leaf: Leaf, known: KnownFacts) -> bool:
    return leaf.is_unsure(known) if leaf.holds(known) is None else bool(leaf.may(known, False))
