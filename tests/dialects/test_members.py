"""Headers with members: ours are added to the app's own, within the reader's limits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.dialects.members import BAGGAGE, MOST_BYTES, TAGS, Member, MemberForm, MemberSet, json_object

JSON = json_object()
FIVE = json_object(most=5)


def value(
    form: MemberForm, ours: dict[str, str], sent: str | None, *, replaced: tuple[str, ...] = ()
) -> tuple[str | None, str | None]:
    members = tuple(Member(key, text, key) for key, text in ours.items())
    return MemberSet(form, members).value(sent, lambda field: field in replaced)


@pytest.mark.parametrize(
    ("form", "ours", "sent", "expected"),
    [
        pytest.param(BAGGAGE, {"a": "1"}, None, "a=1", id="baggage, none sent"),
        pytest.param(BAGGAGE, {"a": "1"}, "b=2", "b=2,a=1", id="baggage, behind the app's"),
        pytest.param(BAGGAGE, {"a": "1"}, "b = 2;p=q , c=3", "b = 2;p=q,c=3,a=1", id="baggage with properties"),
        pytest.param(BAGGAGE, {"a": "1", "b": "x"}, "b=2", "b=2,a=1", id="baggage, one is there"),
        pytest.param(BAGGAGE, {"a": "1"}, "a =2", None, id="baggage, all are there"),
        pytest.param(BAGGAGE, {"a": "1"}, "nonsense,,", "nonsense,a=1", id="baggage, nonsense stays"),
        pytest.param(JSON, {"a": "1"}, None, '{"a":"1"}', id="JSON, none sent"),
        pytest.param(JSON, {"a": "1"}, '{"b": [1, 2.5, null]}', '{"b":[1,2.5,null],"a":"1"}', id="JSON"),
        pytest.param(JSON, {"a": "1"}, "{}", '{"a":"1"}', id="JSON, an empty object"),
        pytest.param(JSON, {"a": 'ü"\x7f\n'}, None, '{"a":"\\u00fc\\"\\u007f\\n"}', id="JSON in ASCII"),
        pytest.param(JSON, {"a": "1"}, '{"a": true}', None, id="JSON, all are there"),
        pytest.param(TAGS, {"x": "x"}, "a, b ,,", "a,b,x", id="tags"),
        pytest.param(TAGS, {"x": "x"}, "a,x", None, id="tags, it is there"),
    ],
)
def test_the_apps_own_stay_and_ours_are_added(
    form: MemberForm, ours: dict[str, str], sent: str | None, expected: str | None
) -> None:
    assert value(form, ours, sent) == (expected, None)


@pytest.mark.parametrize(
    ("form", "sent", "expected"),
    [
        pytest.param(BAGGAGE, "a=2;p,b=3", "a=1,b=3", id="baggage"),
        pytest.param(JSON, '{"a": 2, "b": 3}', '{"a":"1","b":3}', id="JSON"),
    ],
)
def test_a_member_that_a_rule_replaces_keeps_its_place(form: MemberForm, sent: str, expected: str) -> None:
    assert value(form, {"a": "1"}, sent, replaced=("a",)) == (expected, None)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("no JSON", "the app's own is no JSON object"),
        ("[1]", "the app's own is no JSON object"),
        ('{"a": NaN}', "the app's own is no JSON object"),
        ('{"a": 1}, {"b": 2}', "the app's own is no JSON object"),
        ("[" * 100_000, "the app's own is no JSON object"),
    ],
    ids=["text", "a list", "not a number", "two fields", "nested too deep"],
)
def test_what_cannot_be_read_stays(sent: str, reason: str) -> None:
    assert value(JSON, {"a": "1"}, sent) == (None, reason)


@pytest.mark.parametrize(
    ("form", "sent", "rest"),
    [
        pytest.param(BAGGAGE, "a={}", ",m=1", id="baggage"),
        pytest.param(JSON, '{{"a":"{}"}}', ',"m":"1"', id="JSON"),
        pytest.param(TAGS, "{}", ",m", id="tags"),
    ],
)
@pytest.mark.parametrize("more", [0, 1], ids=["8,192 bytes", "8,193 bytes"])
def test_a_header_of_8192_bytes_is_full(form: MemberForm, sent: str, rest: str, more: int) -> None:
    full = sent.format("x" * (MOST_BYTES - len(sent.format("")) - len(rest) + more))
    got, reason = value(form, {"m": "1" if form is not TAGS else "m"}, full)
    if more:
        assert (got, reason) == (None, "m left out: 8,192 bytes at most")
    else:
        assert got is not None
        assert (len(got), reason) == (MOST_BYTES, None)


@pytest.mark.parametrize(
    ("form", "sent", "expected", "reason"),
    [
        pytest.param(
            FIVE,
            '{"a":1,"b":2,"c":3,"d":4}',
            '{"a":1,"b":2,"c":3,"d":4,"m":"1"}',
            "n left out: 5 members at most",
            id="5",
        ),
        pytest.param(FIVE, '{"a":1,"b":2,"c":3,"d":4,"e":5}', None, "m, n left out: 5 members at most", id="none left"),
        pytest.param(
            BAGGAGE,
            ",".join(f"k{n}=v" for n in range(180)),
            None,
            "m, n left out: 180 members at most",
            id="baggage, 180",
        ),
    ],
)
def test_the_apps_own_count(form: MemberForm, sent: str, expected: str | None, reason: str) -> None:
    assert value(form, {"m": "1", "n": "2"}, sent) == (expected, reason)


def test_a_name_that_is_no_token_is_no_key_of_baggage() -> None:
    assert value(BAGGAGE, {"a b": "1"}, None) == (None, "'a b' left out: no name that baggage may have")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=8), st.dictionaries(st.text(max_size=8), st.text()))
def test_nothing_that_an_app_sent_in_json_is_lost(sent: dict[str, object], ours: dict[str, str]) -> None:
    got, _ = value(JSON, ours, json.dumps(sent))
    found = json.loads(got) if got is not None else sent
    assert {key: found[key] for key in sent} == sent


@given(st.text(st.sampled_from("ab=;, \té%"), max_size=40), st.dictionaries(st.sampled_from("abcd"), st.text()))
def test_nothing_that_an_app_sent_as_baggage_is_lost(sent: str, ours: dict[str, str]) -> None:
    got, _ = value(BAGGAGE, ours, sent)
    if got is not None:
        own = [member.strip(" \t") for member in sent.split(",") if member.strip(" \t")]
        assert got.split(",")[: len(own)] == own
