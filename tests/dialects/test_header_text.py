"""What may stand in a header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.dialects.header_text import LONGEST_TEXT, ascii_text, header_text, is_token, name_part, path_text

ANY_TEXT = st.text(st.characters(), max_size=60) | st.text(
    st.sampled_from("a/ %\r\n\t\0\x7f\x85é計\udcff½"), max_size=40
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Course outline", "Course outline", id="plain"),
        pytest.param("  a ", "a", id="space at the ends"),
        pytest.param("", "", id="empty"),
        pytest.param("a\r\nX-Evil: 1", "a X-Evil: 1", id="line break"),
        pytest.param("a\t \n b", "a b", id="tab"),
        pytest.param("a\x00b\x7fc\x85d\u2028e", "abc d e", id="control characters"),
        pytest.param("x\u200dy\ufeff", "xy", id="invisible characters"),
        pytest.param("Übersicht für Ägypten", "Ubersicht fur Agypten", id="letters with marks"),
        pytest.param("u\u0308ber", "uber", id="marks apart from their letter"),
        pytest.param("Straße, Łódź, Ærø", "Strasse, Lodz, AEro", id="letters without decomposition"),
        pytest.param("“plan” – ‘a’…", "\"plan\" - 'a'...", id="typographic signs"),
        pytest.param("１２ ﬁ", "12 fi", id="compatibility forms"),
        pytest.param("計画", "%E8%A8%88%E7%94%BB", id="another script"),
        pytest.param("ゴ", "%E3%82%B4", id="a mark that is part of the letter"),
        pytest.param("🚀 go", "%F0%9F%9A%80 go", id="emoji"),
        pytest.param("100%", "100%", id="a percent sign of its own"),
        pytest.param("\udcff", "%FF", id="a byte that is no UTF-8"),
    ],
)
def test_text_in_ascii(text: str, expected: str) -> None:
    assert ascii_text(text) == expected


@given(ANY_TEXT)
def test_a_value_is_always_printable_ascii_on_one_line(text: str) -> None:
    for value in (ascii_text(text), header_text(text)[0], path_text(text)[0]):
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()


@given(ANY_TEXT)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert ascii_text(ascii_text(text)) == ascii_text(text)
    path, _ = path_text(text)
    assert path_text(path) == (path, None)


@pytest.mark.parametrize("text", ["x" * 5000, "計" * 5000, "x" + "計" * 5000, "xx" + "計" * 5000])
def test_long_text_is_cut_but_not_within_an_escape(text: str) -> None:
    value, reason = header_text(text)
    assert reason == f"cut to 1,024 of {len(ascii_text(text)):,} characters"
    assert LONGEST_TEXT - 3 < len(value) <= LONGEST_TEXT
    assert ascii_text(text).startswith(value)
    assert "%" not in value[-2:]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/main/general-purpose", "/main/general-purpose", id="as it should be"),
        pytest.param("main", "/main", id="no leading slash"),
        pytest.param("/main/", "/main", id="a trailing slash"),
        pytest.param("//a///b//", "/a/b", id="empty levels"),
        pytest.param("", "/", id="empty"),
        pytest.param("/", "/", id="root"),
        pytest.param("/ \t/a", "/a", id="a blank level"),
        pytest.param("/Übersicht/計", "/Ubersicht/%E8%A8%88", id="not ASCII"),
        pytest.param("/½ cup/℀", "/1-2 cup/a-c", id="a sign that is written with a slash is no level"),
        pytest.param("/" + "a" * 1022 + "/b", "/" + "a" * 1022, id="cut at a slash"),
    ],
)
def test_a_path_begins_with_a_slash_and_ends_without(path: str, expected: str) -> None:
    assert path_text(path)[0] == expected


@given(ANY_TEXT)
def test_every_path_is_one(path: str) -> None:
    value, _ = path_text(path)
    assert value.startswith("/")
    assert "//" not in value
    assert value == "/" or not value.endswith("/")


@pytest.mark.parametrize(
    ("name", "token"),
    [
        pytest.param("X-Team", True, id="plain"),
        pytest.param("langfuse_session_id", True, id="underscores"),
        pytest.param("a!#$%&'*+-.^_`|~9", True, id="every sign"),
        pytest.param("", False, id="empty"),
        pytest.param("X Team", False, id="space"),
        pytest.param("X-Team:", False, id="colon"),
        pytest.param(":authority", False, id="pseudo header"),
        pytest.param("X-Team\r\n", False, id="line break"),
        pytest.param("X-Téam", False, id="not ASCII"),
    ],
)
def test_names_are_tokens(name: str, token: bool) -> None:
    assert is_token(name) is token


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mode", "mode"),
        ("run mode", "run-mode"),
        ("a.b/c:d", "a-b-c-d"),
        ("Größe", "Grosse"),
        ("_x_", "_x_"),
        ("計画", ""),
        ("-", ""),
        ("k" * 500, "k" * 128),
    ],
)
def test_the_last_part_of_a_name(key: str, expected: str) -> None:
    assert name_part(key) == expected


@given(ANY_TEXT)
def test_a_part_of_a_name_is_empty_or_a_token(key: str) -> None:
    part = name_part(key)
    assert part == "" or is_token(part)
