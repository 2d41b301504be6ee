"""The share of its model's window that a request takes: the provider's count by the window, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_turns import Session, said, user

from sessiontap.analysis.context import context
from sessiontap.analysis.part_costs import InputTerms


def rows(inputs: list[int | None], windows: list[int | None], models: list[str] | None = None) -> list[dict[str, Any]]:
    """The turns of a session with these counts, by models of these windows."""
    session = Session()
    for at, count in enumerate(inputs):
        more: dict[str, Any] = {} if count is None else {"input": count, "read": count // 2, "written": count // 4}
        session.ask(user("Go on."), reply=(said("Yes."),), request_model=(models or ["m"] * len(inputs))[at], **more)
    calls = [turn.call["id"] for turn in session.turns]
    terms = {id: InputTerms(window=window) for id, window in zip(calls, windows, strict=True)}
    return list(context(session.turns, terms)["turns"])


@pytest.mark.parametrize(
    ("count", "window", "share"),
    [
        pytest.param(50_000, 200_000, 0.25, id="tokens read from the cache and written to it are part of the input"),
        pytest.param(1, 1_000_000, 0.000001, id="hardly anything"),
        pytest.param(200_000, 200_000, 1.0, id="full"),
        pytest.param(50_000, None, None, id="the window is not known"),
        pytest.param(None, 200_000, None, id="the provider states no count"),
        pytest.param(0, 200_000, None, id="a server that does not count states 0"),
    ],
)
def test_the_share_of_a_turn(count: int | None, window: int | None, share: float | None) -> None:
    (row,) = rows([count], [window])
    assert (row["window_tokens"], row["window_share"]) == (window, share)


def test_a_model_that_took_more_than_its_window_has_another_one() -> None:
    found = rows([100, 900, 300, 100], [800, 800, 800, 800], ["small", "small", "small", "other"])
    assert [(row["window_tokens"], row["window_share"]) for row in found] == [(None, None)] * 3 + [(800, 0.125)]


def test_the_step_that_is_taken_apart_says_it_too() -> None:
    session = Session()
    session.ask(user("Go on."), input=300)
    detail = context(session.turns, {"call-1": InputTerms(window=400)})["detail"]
    assert (detail["window_tokens"], detail["window_share"]) == (400, 0.75)
