"""Two calls whose prompts have 1 MB: their comparison is a page of few elements, whatever they say."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.cli.recorded import COURSE, NODE, call_id, chat, write
from tests.ui.served import Client, served
from tests.ui.test_hostile import Elements

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

MOST = 2_000
"""Elements of a page."""
SIZE = 1_000_000
_CHANCE = random.Random(4)
WORDS = [f"word{n}" for n in range(3_000)]
LINES = [" ".join(_CHANCE.choices(WORDS, k=12)) for _ in range(SIZE // 100)]
CODE = _CHANCE.choices(("        }", "        return value", "", "    } else {"), k=SIZE // 15)


def other_words(line: str) -> str:
    """Every second word is another."""
    return " ".join(word if at % 2 else f"{word}x" for at, word in enumerate(line.split()))


PROMPTS: dict[str, tuple[list[str], list[str]]] = {
    "a line of fifty": (["\n".join(LINES)], ["\n".join(one if n % 50 else f"{one}." for n, one in enumerate(LINES))]),
    "every second word": (["\n".join(LINES)], ["\n".join(map(other_words, LINES))]),
    "the same lines again and again": (["\n".join(CODE)], ["\n".join(_CHANCE.choices(CODE, k=len(CODE)))]),
    "one long line": ([" ".join(LINES)], [" ".join(map(other_words, LINES))]),
    "a thousand messages": (["Go on."], [f"{line} {n}" for n, line in enumerate(LINES[:1_000])]),
    "a thousand messages, each changed": (LINES[:1_000], [other_words(line) for line in LINES[:1_000]]),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made = [
        chat(2 * number + at, session=(COURSE, "Large", "/", 2 * number + at), caller=NODE,
             messages=[{"role": "user", "content": text} for text in texts])
        for number, pair in enumerate(PROMPTS.values())
        for at, texts in enumerate(pair)
    ]  # fmt: skip
    folder = write(tmp_path_factory.mktemp("large") / "trace", made)
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


@pytest.mark.parametrize("number", range(len(PROMPTS)), ids=PROMPTS.keys())
def test_large_prompts_are_compared_on_a_page_of_few_elements(site: Client, number: int) -> None:
    pair = f"a={call_id(2 * number)}&b={call_id(2 * number + 1)}"
    answer = site.get(f"/compare?{pair}")
    assert answer.status == 200
    assert len(Elements(answer.text).found) < MOST
    assert len(answer.text) < SIZE // 2
    found = site.get(f"/compare.json?{pair}").json()["calls"]
    assert any(one["change"] != "same" for one in found["difference"]["messages"])
    assert found["left"] or found["not_aligned"] or found["changes_left"]
