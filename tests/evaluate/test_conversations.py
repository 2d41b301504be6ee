"""The grouping of recorded exchanges reaches its goals; the measuring itself measures right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from scripts.evaluate.conversations import CORPUS, Exchange, Tally, evaluate, interleaved, load, main, report

from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Reply
from sessiontap.llm.history import fingerprint_of, history
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of

needs_corpus = pytest.mark.skipif(not any(CORPUS.glob("*.gz")), reason=f"no recorded exchanges in {CORPUS}")
SEEDS = range(100, 106)


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    return load()


@pytest.fixture(scope="module")
def tally(exchanges: list[Exchange]) -> Tally:
    found = Tally()
    for seed in SEEDS:
        found.add(evaluate(exchanges, seed))
    return found


@needs_corpus
def test_continuations_are_linked_to_the_right_parent(tally: Tally) -> None:
    right, of = tally.linked
    assert of > 90 * len(SEEDS)
    assert right >= 0.95 * of


@needs_corpus
@pytest.mark.parametrize(("tiers", "share"), [(("exact", "strong"), 0.99), (("weak",), 0.9)], ids=["certain", "weak"])
def test_links_are_as_good_as_their_evidence(tally: Tally, tiers: tuple[str, ...], share: float) -> None:
    right, of = tally.share(tiers)
    assert of > 0
    assert right >= share * of


@needs_corpus
def test_first_turns_are_hardly_ever_joined_to_another_conversation(tally: Tally) -> None:
    assert tally.first.total() > 900 * len(SEEDS)
    assert tally.first["false"] < 0.005 * tally.first.total()


@needs_corpus
def test_nothing_is_joined_across_processes(exchanges: list[Exchange]) -> None:
    for seed in SEEDS:
        found = evaluate(exchanges, seed, own_processes=True)
        assert found.first["false"] == 0
        assert not [failure for failure in found.failures if failure[0] == "wrong"]


def exchange(file: str, index: int, *said: str, reply: str, parent: int | None = None) -> Exchange:
    roles = ("user", "assistant")
    messages = ", ".join(f'{{"role": "{roles[n % 2]}", "content": "{text}"}}' for n, text in enumerate(said))
    body = f'{{"model": "m", "messages": [{messages}]}}'.encode()
    request = Request("POST", "h", "/v1/chat/completions", Headers([("content-type", "application/json")]), body)
    call = read_request(request, endpoint_of("POST", "h", request.path, None))
    asked = history(call)
    ending = fingerprint_of(asked, Reply(text=reply), 200)
    return Exchange(f"{file}#{index}", file, index, request, call, asked, ending, parent)


CHAIN = [
    exchange("a", 0, "Hello", reply="Hi."),
    exchange("a", 1, "Hello", "Hi.", "And?", reply="So.", parent=0),
    exchange("b", 0, "Bye", reply="Bye."),
]


@pytest.mark.parametrize("seed", range(5))
def test_every_files_order_is_kept(seed: int) -> None:
    events = [(what, one.id) for what, one in interleaved(CHAIN, seed)]
    assert [event for event in events if event[1][0] == "a"] == [
        ("ask", "a#0"),
        ("reply", "a#0"),
        ("ask", "a#1"),
        ("reply", "a#1"),
    ]
    assert len(events) == 6


def test_a_right_link_and_two_first_turns() -> None:
    found = evaluate(CHAIN, 0)
    assert found.continuations == Counter({("strong", "right"): 1})
    assert found.first == Counter({"new": 2})


def test_what_is_wrong_is_counted_so() -> None:
    mislabelled = [
        CHAIN[0],
        exchange("a", 1, "Something", "else", "altogether", reply="x", parent=0),
        exchange("b", 0, "Hello", "Hi.", "And?", reply="y"),
    ]
    outcomes = [evaluate(mislabelled, seed) for seed in range(20)]
    assert all(found.continuations == Counter({("new", "unlinked"): 1}) for found in outcomes)
    assert {found.first["false"] for found in outcomes} == {0, 1}  # as the order will have it


@pytest.mark.parametrize(("across", "met"), [(0, True), (1, False)])
def test_one_first_turn_across_processes_is_one_too_many(across: int, met: bool) -> None:
    lines, reached = report(evaluate(CHAIN, 0), 1, across)
    assert reached is met
    assert any("MISSED" in line for line in lines) is not met


def test_without_a_corpus_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
