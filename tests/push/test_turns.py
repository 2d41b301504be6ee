"""When a turn is complete, call by call."""

from __future__ import annotations

from sessiontap.push.turns import GRACE, CallLink, Turns

SECOND = 1_000_000_000


def call(id: str, at: int, parent: str | None = None) -> CallLink:
    """A call of one conversation that ends at once, and whose reply asks for nothing."""
    kind = "new" if parent is None else "continue"
    return CallLink(id, at, at, "s", at, "c", parent, kind, "c", False, False, False, None)


def test_two_messages_in_quick_succession_are_two_turns() -> None:
    """The first turn waits for nothing, and then the second one closes it."""
    turns = Turns(lambda id: None)
    turns.add(call("first", 0))
    turns.add(call("second", 1, "first"))
    assert [one.id for one in turns.complete(GRACE * SECOND + 1)] == ["first", "second"]
    assert len(turns) == 0
