"""Which earlier body a request is taken to repeat."""

import pytest

from sessiontap.trace import pack
from sessiontap.trace.pack import Bases, begins_alike, common_prefix


def call(number: int, **more):
    return {"id": f"c{number}", "session": {"id": "s", "path": "/"}, "host": "h", "route": "/chat"} | more


def body(*turns: str) -> bytes:
    return "".join(f"[{turn * 400}]" for turn in turns).encode()


OTHER = {"session": {"id": "other", "path": "/"}}
CASES = {
    "the last of the session": ([(call(1), "a"), (call(2), "ab")], call(3), "abc", "c2"),
    "of two threads the one that goes on": ([(call(1), "ab"), (call(2), "ax")], call(3), "abc", "c1"),
    "the parent, of another session too": (
        [(call(1, **OTHER, route="/x"), "abc")], call(2, parent="c1"), "abcd", "c1"
    ),
    "a branch from an earlier turn": ([(call(1), "abcd"), (call(2), "x")], call(3), "abz", "c1"),
    "another session's same instructions": ([(call(1, **OTHER), "ab")], call(2), "ax", "c1"),
    "the conversation": (
        [(call(1, **OTHER, conversation="k", route="/x"), "ab")], call(2, conversation="k"), "abc", "c1"
    ),
    "nothing in common": ([(call(1), "a")], call(2), "b", None),
    "another endpoint": ([(call(1, **OTHER, route="/x"), "a")], call(2), "ab", None),
    "no session, the same endpoint": ([(call(1, session=None), "a")], call(2, session=None), "ab", "c1"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "now", "text", "expected"), CASES.values(), ids=CASES)
def test_the_base_is_the_body_that_shares_the_longest_beginning(before, now, text, expected):
    known = Bases()
    for offset, (one, turns) in enumerate(before):
        known.remember(one, body(*turns), offset, None)

    chosen = known.choose(now, body(*text))

    assert (chosen.call if chosen else None) == expected


def test_a_body_that_was_continued_gives_its_place_to_the_one_that_does():
    known = Bases()
    first = body("a")
    known.remember(call(1), first, 0, None)
    base = known.choose(call(2), body("a", "b"))
    known.remember(call(2), body("a", "b"), 100, base)

    assert base.data is first
    assert known.choose(call(3, parent="c1"), body("a", "x")).call == "c2"


def test_a_reply_leans_on_the_latest_of_the_same_kind():
    replies = Bases(replies=True)
    for number, session in enumerate(("s", "other", "s", "other")):
        base = replies.choose(call(number, session={"id": session}), body("xyz"[number % 3]))
        replies.remember(call(number, session={"id": session}), body("xyz"[number % 3]), number, base)

    assert replies.choose(call(9, session={"id": "new"}), body("z")).call == "c3"


def test_memory_is_bounded_and_the_oldest_go_first():
    known = Bases(max_bytes=3000)
    for number, letter in enumerate("abcdefgh"):
        known.remember(call(number), body(letter) * 2, number, None)

    held = [letter for letter in "abcdefgh" if known.choose(call(9), body(letter))]

    assert held == ["f", "g", "h"]


def test_a_chain_ends_before_it_takes_too_long_to_read(monkeypatch):
    monkeypatch.setattr(pack, "MAX_REACH", 10 * pack.STEP)
    known = Bases()
    steps, whole = 0, []
    for number in range(30):
        data = body("a") + b"x" * number
        base = known.choose(call(number), data)
        known.remember(call(number), data, number, base)
        whole += [number] if base is None else []
        steps = 0 if base is None else steps + 1
        assert steps < 10

    assert whole == [0, 9, 18, 27]


def test_a_new_segment_knows_nothing_of_the_last():
    known = Bases()
    known.remember(call(1), body("a"), 0, None)
    known.clear()

    assert known.choose(call(2, parent="c1"), body("a", "b")) is None


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("more", [b"", b"y"])
def test_common_prefix(size, more):
    assert common_prefix(b"x" * size + more, b"x" * size + b"zz") == size


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4096, 200_000])
def test_two_bodies_begin_alike_up_to_the_byte_in_which_they_differ(size):
    one, other = b"x" * size + b"y" * 10, b"x" * size + b"z" * 10

    assert begins_alike(one, other, size)
    assert not begins_alike(one, other, size + 1)
    assert not begins_alike(one, one[:-1], size + 10)
