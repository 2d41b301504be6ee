"""Estimated tokens against a tokenizer's true counts (make_token_counts.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest
from tests.analysis.made_turns import Session, user

from sessiontap.analysis.part_tokens import estimate, weight

TEXTS = json.loads(Path(__file__).with_name("token_counts.json").read_text("utf-8"))
LATIN = [text for text in TEXTS if text["name"] not in ("Chinese", "Russian")]
"""The others have far more tokens in the older vocabulary than in the newer one."""


def errors(texts: list[dict[str, str | int]], vocabulary: str) -> dict[str, float]:
    """The error of each text's share of a request that holds them all, whose count is the true one."""
    session = Session()
    total = sum(int(text[vocabulary]) for text in texts)
    session.ask(*(user(str(text["text"]), number) for number, text in enumerate(texts)), input=total)
    (found,) = estimate(session.turns)
    assert found is not None
    return {
        str(text["name"]): number / int(text[vocabulary]) - 1 for text, number in zip(texts, found, strict=True)
    }


def test_the_weight_of_a_text_is_near_its_tokens() -> None:
    off = {text["name"]: weight(text["text"]) / text["o200k_base"] - 1 for text in TEXTS}
    assert max(map(abs, off.values())) < 0.3, off
    assert mean(map(abs, off.values())) < 0.1


@pytest.mark.parametrize("vocabulary", ["o200k_base", "cl100k_base"])
def test_the_split_of_a_request_is_near_the_true_one(
    vocabulary: str, record_property: Callable[[str, str], None]
) -> None:
    off = errors(LATIN, vocabulary)
    average, worst = mean(map(abs, off.values())), max(off, key=lambda name: abs(off[name]))
    record_property("figure", f"{vocabulary}: {average:.1%} off on average, {off[worst]:+.1%} at most ({worst})")
    assert average < 0.1
    assert abs(off[worst]) < 0.3


def test_it_is_nearer_than_bytes_in_proportion() -> None:
    size = sum(len(text["text"].encode()) for text in LATIN)
    total = sum(text["o200k_base"] for text in LATIN)
    by_bytes = [len(text["text"].encode()) * total / size / text["o200k_base"] - 1 for text in LATIN]
    assert mean(map(abs, by_bytes)) > 3 * mean(map(abs, errors(LATIN, "o200k_base").values()))
