"""Tokens of parts: they add up to the provider's count, and new parts get what is new in it."""

from __future__ import annotations

import pytest
from tests.analysis.made_turns import Session, part, said, system, tool, user

from sessiontap.analysis import part_tokens
from sessiontap.analysis.part_tokens import MEDIA, estimate, weight

HUNDRED = "word " * 100


def test_the_tokens_of_a_request_add_up_to_the_providers_count() -> None:
    session = Session()
    session.ask(system(HUNDRED), user(HUNDRED * 3), input=1000)
    (found,) = estimate(session.turns)
    assert found is not None
    assert sum(found) == pytest.approx(1000)
    assert found[1] / found[0] == pytest.approx(3, rel=0.05)


def test_new_parts_have_the_difference_of_two_counts() -> None:
    session = Session()
    session.ask(system(HUNDRED), user(HUNDRED), input=240)
    session.ask(system(HUNDRED), user(HUNDRED), said("Yes."), user("Go on, " * 50), input=440)
    first, second = estimate(session.turns)
    assert first is not None
    assert second is not None
    assert second[:2] == first
    assert sum(second[2:]) == pytest.approx(200)


def test_parts_that_the_provider_left_out_shrink_all_others_alike() -> None:
    session = Session()
    session.ask(system(HUNDRED), part("reasoning", HUNDRED, "assistant", 1), input=220)
    session.ask(system(HUNDRED), part("reasoning", HUNDRED, "assistant", 1), user("And?"), input=120)
    found = estimate(session.turns)[1]
    assert found is not None
    assert sum(found) == pytest.approx(120)
    assert found[0] == pytest.approx(found[1], rel=0.01)


def test_an_image_has_what_its_text_leaves_over() -> None:
    session = Session()
    image = part("media", None, "user", 0, bytes=300_000, name="image/png")
    session.ask(user(HUNDRED), image, input=1700)
    (found,) = estimate(session.turns)
    assert found is not None
    assert found[1] == pytest.approx(1600, abs=20)


def test_an_image_has_a_usual_ones_tokens_if_the_count_says_nothing() -> None:
    session = Session()
    image = part("media", None, "user", 0, bytes=300_000, name="image/png")
    session.ask(user(HUNDRED), image, input=90)
    (found,) = estimate(session.turns)
    assert found is not None
    assert sum(found) == pytest.approx(90)
    assert found[1] / found[0] == pytest.approx(MEDIA / (3 + weight(HUNDRED)))


def test_without_a_count_nothing_is_estimated() -> None:
    session = Session()
    session.ask(user("Hello"))
    session.ask(user("Hello"), said("Hi"), user("Bye"), input=20)
    first, second = estimate(session.turns)
    assert first is None
    assert second is not None
    assert sum(second) == pytest.approx(20)


def test_a_long_text_is_weighed_by_slices() -> None:
    text = "The quick brown fox jumps over 13 lazy dogs.\n" * 5000
    assert weight(text) == pytest.approx(weight(text[: len(text) // 5]) * 5, rel=0.02)


def test_a_part_keeps_its_tokens_if_something_is_put_before_it() -> None:
    session = Session()
    session.ask(tool("Read"), system(HUNDRED), user(HUNDRED), input=300)
    session.ask(tool("Read"), tool("Write"), system(HUNDRED), user(HUNDRED), input=330)
    first, second = estimate(session.turns)
    assert first is not None
    assert second is not None
    assert [second[0], *second[2:]] == first
    assert second[1] == pytest.approx(30)


def test_a_text_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of a session, one after the other, estimate the same texts."""
    weighed: list[str] = []

    def weigh(text: str) -> float:
        weighed.append(text)
        return 5.0

    monkeypatch.setattr(part_tokens, "_weight_of", weigh)
    texts = ["a text that no other test has", "another one that none has"]
    assert [weight(text) for text in (*texts, "".join(list(texts[0])), *texts)] == [5.0] * 5
    assert weighed == texts
