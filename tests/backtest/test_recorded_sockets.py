"""Which socket a recorded turn was on, also among many that are open."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.backtest import recorded_sockets
from sessiontap.backtest.recorded_sockets import Sockets
from sessiontap.sessions.declared import conversation_id
from sessiontap.sessions.session import call_id

START = 1_763_701_200 * 10**9
MS = 10**6
UPGRADES = [call_id(START + number * MS) for number in range(6)]


def record(number: int, on: str | None = None, *, by: str = "app", named: str | None = None) -> dict[str, Any]:
    """A call; if it is `on` a socket, its first conversation is named after that one."""
    name = conversation_id(f"openai socket {on}") if on is not None else None
    return {
        "id": UPGRADES[number] if number < len(UPGRADES) else call_id(START + number * MS),
        "time": START + number * MS,
        "flags": ["websocket"],
        "caller": by,
        "request": {"url": "wss://api.openai.com/v1/responses"},
        "llm": {"provider": "openai"},
        "conversation": named or name,
        "link": {"declared": name} if name is not None else None,
    }


def opened(openers: list[str]) -> Sockets:
    """One socket for each of these."""
    found = Sockets()
    for number, by in enumerate(openers):
        found.opened(record(number, by=by), None)  # type: ignore[arg-type]  # nothing here asks for a plan
    return found


def place(found: Sockets, record: dict[str, Any]) -> tuple[int | None, bool]:
    """The number of the socket that a turn is on, and whether it belongs to the conversation of that."""
    place = found.place(record)
    return (UPGRADES.index(place.upgrade) if place.upgrade else None), place.conversation is not None


@pytest.mark.parametrize(
    ("openers", "turn", "expected"),
    [
        pytest.param(["app", "app"], record(1, UPGRADES[1]), (1, True), id="the first turn has its upgrade's id"),
        pytest.param(["app", "app", "app"], record(9, UPGRADES[1]), (1, True), id="by the name of its conversation"),
        pytest.param(["app", "other"], record(9, UPGRADES[1]), (0, False), id="not on a socket of another program"),
        pytest.param(["app"], record(9), (0, False), id="without a name: the only one of its program"),
        pytest.param(["app", "app"], record(9), (None, False), id="without a name: one of several"),
        pytest.param([], record(9, UPGRADES[0]), (None, False), id="its socket is not in the log"),
        pytest.param(
            ["app", "app"],
            record(9, UPGRADES[1], named=conversation_id(f"openai socket {UPGRADES[0]}")),
            (1, True),
            id="it goes on from a turn of another socket",
        ),
    ],
)
def test_the_socket_of_a_turn(openers: list[str], turn: dict[str, Any], expected: tuple[int | None, bool]) -> None:
    assert place(opened(openers), turn) == expected


def test_a_socket_that_made_room_for_others_is_no_turns_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_sockets, "MOST_SOCKETS", 2)
    found = opened(["app", "other", "app"])
    assert place(found, record(9, UPGRADES[0])) == (2, False)  # the only one that is left of its program
    assert place(found, record(9, UPGRADES[1], by="other")) == (1, True)
