"""Regular expressions of the user's: never slow, and what they cannot be is said."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap import linear_regex
from sessiontap.linear_regex import MAX_LENGTH, BytesRegex, Meter, Regex, RegexError, Rest, TooSlow


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        pytest.param("b", "abc", {}, id="found inside"),
        pytest.param("^b", "abc", None, id="not at the start"),
        pytest.param("ticket (?P<id>[0-9]+)(?P<rest>!)?", "see ticket 42", {"id": "42"}, id="groups that took part"),
        pytest.param("(?i)DEPLOY", "please deploy", {}, id="case that does not count"),
        pytest.param("(?i)É", "é", {}, id="case of other alphabets"),
        pytest.param("a.b", "a\nb", None, id="a point is no line's end"),
        pytest.param("a.b", "a\ud800b", {}, id="half a character is a character"),
        pytest.param("(?P<x>.)$", "é", {"x": "é"}, id="a group of two bytes"),
        pytest.param("a\0b", "a\0b", {}, id="a zero"),
    ],
)
def test_search(source: str, text: str, expected: dict[str, str] | None) -> None:
    assert Regex(source).search(text) == expected


@pytest.mark.parametrize(
    ("source", "what"),
    [
        pytest.param("(", "missing )", id="open bracket"),
        pytest.param("(?=a)", "looking ahead", id="looking ahead"),
        pytest.param("(?<!a)b", "looking ahead or behind", id="looking behind"),
        pytest.param(r"(a)\1", "references to a group", id="reference by number"),
        pytest.param("(?P<n>a)(?P=n)", "references to a group", id="reference by name"),
        pytest.param("a++", "possessive", id="possessive"),
        pytest.param("(?>a)", "atomic", id="atomic"),
        pytest.param(r"a\Z", r"\Z is not available", id="end of the text as Python writes it"),
        pytest.param(r"\u00e9", r"\u, \U and \N", id="character by number as Python writes it"),
        pytest.param("(?x) a", "flags", id="verbose"),
        pytest.param("(a{1000}){1000}", "too large", id="repetitions of repetitions"),
        pytest.param("(a?){900}(a?){900}", "too large", id="many repetitions"),
        pytest.param(r"\pL{300}", "too large", id="repetitions of many characters"),
        pytest.param("a" * (MAX_LENGTH + 1), "characters", id="long"),
        pytest.param("(?P<a>x)(?P<a>y)", "two of its groups have one name", id="a name twice"),
        pytest.param("\ud800", "half a character", id="half a character"),
    ],
)
def test_what_is_refused(source: str, what: str) -> None:
    started = time.process_time()
    with pytest.raises(RegexError, match=re.escape(what)) as caught:
        Regex(source)
    assert len(caught.value.what) < 200
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("error.*timeout.*retry", "error timeout " * 4681, id="two stars"),
        pytest.param("(a+)+b", "a" * 65_536, id="a repetition of a repetition"),
        pytest.param("(a|aa)+$", "a" * 65_535 + "b", id="alternatives that overlap"),
        pytest.param("(.*)*x", "y" * 65_536, id="anything of anything"),
        pytest.param(r"\s+$", " " * 65_535 + "x", id="blanks"),
    ],
)
def test_clumsy_expressions_are_not_slow(source: str, text: str) -> None:
    regex, finder = Regex(source), BytesRegex(source)
    started = time.process_time()
    assert regex.search(text) is None
    assert list(finder.finditer(text.encode(), 0, len(text))) == []
    assert time.process_time() - started < 2  # going back and forth would take from minutes to the end of the world


def test_slow_searches_take_a_bounded_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst that a pattern of allowed size can do, asked again and again."""
    clock = 0.0
    monkeypatch.setattr(linear_regex.time, "monotonic", lambda: clock)
    meter = Meter(share=0.02)
    regex = Regex("a.{100}b.{50}c", meter=meter)
    long = "abc" * 10_000
    meter.add(0.03)
    with pytest.raises(TooSlow):
        regex.search(long)
    assert regex.search("abc") is None, "a short text cannot be slow"
    clock = 1.5
    assert regex.search(long) is None


@pytest.mark.parametrize("source", ["(?s)(a.*z)|a", "a.{0,150}z", "[ab]*a[ab]{900}c"])
def test_no_pattern_to_redact_keeps_the_recorder_from_its_work(source: str) -> None:
    """Many searches that are quick, but each through all that is left, and few that are slow."""
    data = b"ab" * 500_000
    finder = BytesRegex(source, meter=Meter(0.1, 1_000))
    started = time.process_time()
    for start in range(0, len(data), 1 << 14):
        for match in finder.finditer(data, start, min(start + (1 << 15), len(data))):
            assert match.end() > match.start()
    assert time.process_time() - started < 5


def test_quick_searches_are_never_held_back() -> None:
    meter = Meter()
    for _ in range(100_000):
        meter.add(linear_regex.SLOW / 2)
    assert not meter.exhausted()


def test_what_cannot_be_searched_in_time_is_one_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nothing of it is kept."""
    monkeypatch.setattr(linear_regex.time, "monotonic", lambda: 0.0)
    meter = Meter(share=0.02)
    data = b"xabxabx" * 100_000
    found = BytesRegex("ab", meter=meter).finditer(data, 0, len(data))
    assert next(found).start() == 1
    meter.add(0.03)
    (rest,) = found
    assert rest == Rest(3, len(data), data)
    assert (rest.start(), rest.end(), rest.group(1)) == (3, len(data), data[3:])
    assert len(list(BytesRegex("ab", meter=meter).finditer(b"xabxabx", 0, 7))) == 2, "a short text cannot be slow"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", ".", "a*", "b+", "(a|b)", "(ab)?", "[^a]", "a{2,3}", "^", "|"]), max_size=7),
    st.text("abc", max_size=12),
)
def test_expressions_mean_what_they_mean_in_python(parts: list[str], text: str) -> None:
    source = "".join(parts)
    expected = re.search(source, text)
    assert (Regex(source).search(text) is not None) is (expected is not None)
    data = text.encode()
    if re.search(source, "") is None:
        found = [(match.start(), match.end()) for match in BytesRegex(source).finditer(data, 0, len(data))]
        assert found == [match.span() for match in re.finditer(source, text)]
