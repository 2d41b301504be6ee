"""What each dialect writes: whole sets of headers from plain values, and their readers' limits."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap import span_ids
from sessiontap.dialects import WRITTEN, SessionInfo
from sessiontap.dialects.header_text import is_token
from sessiontap.dialects.members import MOST_BYTES

ID = "0b7c9b3e-2f5e-5a63-9d55-6a9d2f0b1c11"
CALL = "019a0000-0000-7000-8000-000000000002"
TURN = "019a0000-0000-7000-8000-000000000001"
TRACE, SPAN = span_ids.trace_id(TURN), span_ids.span_id(CALL)
INFO = SessionInfo(
    ID, "Course Plan", 3, "/outline", "ann", {"mode": "nightly"}, tags=("a", "b c"), call=CALL, turn=TURN
)
BARE = SessionInfo(ID, "Course Plan", 3, "/outline")


def written(dialect: str, info: SessionInfo) -> dict[str, tuple[str | None, str | None]]:
    """Header -> its value and the reason, if the app sent none of them."""
    make = WRITTEN[dialect].request_headers
    assert make is not None
    found: dict[str, tuple[str | None, str | None]] = {}
    for one in make(info):
        assert one.header not in found
        found[one.header] = one.members.value(None, lambda _: False) if one.members else (one.value, one.reason)
    return found


def values(dialect: str, info: SessionInfo) -> dict[str, str | None]:
    return {header: value for header, (value, _) in written(dialect, info).items()}


@pytest.mark.parametrize(
    ("dialect", "info", "expected"),
    [
        pytest.param(
            "litellm",
            INFO,
            {
                "x-litellm-session-id": ID,
                "x-litellm-end-user-id": "ann",
                "x-litellm-tags": "a,b c",
                "x-litellm-spend-logs-metadata": '{"session_name":"Course Plan","session_path":"/outline",'
                '"session_step":"3","mode":"nightly"}',
            },
            id="litellm",
        ),
        pytest.param(
            "litellm",
            BARE,
            {
                "x-litellm-session-id": ID,
                "x-litellm-spend-logs-metadata": '{"session_name":"Course Plan","session_path":"/outline",'
                '"session_step":"3"}',
            },
            id="litellm, session alone",
        ),
        pytest.param(
            "portkey",
            INFO,
            {
                "x-portkey-trace-id": ID,
                "x-portkey-span-id": SPAN,
                "x-portkey-span-name": "/outline",
                "x-portkey-metadata": '{"_user":"ann","session_name":"Course Plan","mode":"nightly"}',
            },
            id="portkey",
        ),
        pytest.param("openrouter", INFO, {"x-session-id": ID}, id="openrouter"),
        pytest.param(
            "cloudflare",
            INFO,
            {
                "cf-aig-metadata": f'{{"session_id":"{ID}","user_id":"ann","session_path":"/outline",'
                '"session_name":"Course Plan","mode":"nightly"}',
                "cf-aig-otel-trace-id": TRACE,
                "cf-aig-otel-parent-span-id": SPAN,
            },
            id="cloudflare",
        ),
        pytest.param("traceparent", INFO, {"traceparent": f"00-{TRACE}-{SPAN}-01"}, id="traceparent"),
        pytest.param("traceparent", BARE, {}, id="traceparent of no call"),
        pytest.param(
            "baggage",
            INFO,
            {
                "baggage": f"session.id={ID},user.id=ann,session.name=Course%20Plan,session.path=/outline,mode=nightly",
            },
            id="baggage",
        ),
    ],
)
def test_headers(dialect: str, info: SessionInfo, expected: dict[str, str]) -> None:
    assert values(dialect, info) == expected


def test_a_call_without_a_known_turn_begins_its_own_trace() -> None:
    own = f"00-{span_ids.trace_id(CALL)}-{SPAN}-01"
    assert values("traceparent", INFO._replace(turn="")) == {"traceparent": own}


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("dialect", "info", "header", "value", "reason"),
    [
        pytest.param("openrouter", BARE._replace(id="i" * 128), "x-session-id", "i" * 128, None, id="OpenRouter, 128"),
        pytest.param(
            "openrouter",
            BARE._replace(id="i" * 129),
            "x-session-id",
            None,
            "an id has at most 128 characters there",
            id="OpenRouter, 129",
        ),
        pytest.param(
            "portkey",
            BARE._replace(name="n" * 128),
            "x-portkey-metadata",
            f'{{"session_name":"{"n" * 128}"}}',
            None,
            id="Portkey, 128",
        ),
        pytest.param(
            "portkey",
            BARE._replace(name="é" * 129),
            "x-portkey-metadata",
            f'{{"session_name":"{"\\u00e9" * 128}"}}',
            "session_name cut to 128 of 129 characters",
            id="Portkey, 129",
        ),
        pytest.param(
            "cloudflare",
            BARE._replace(properties={"a": "1", "b": "2"}),
            "cf-aig-metadata",
            f'{{"session_id":"{ID}","session_path":"/outline","session_name":"Course Plan","a":"1","b":"2"}}',
            None,
            id="Cloudflare, five",
        ),
        pytest.param(
            "cloudflare",
            BARE._replace(properties={"a": "1", "b": "2", "c": "3", "d": "4"}),
            "cf-aig-metadata",
            f'{{"session_id":"{ID}","session_path":"/outline","session_name":"Course Plan","a":"1","b":"2"}}',
            "c, d left out: 5 members at most",
            id="Cloudflare, seven",
        ),
        pytest.param(
            "cloudflare",
            BARE._replace(properties={"session_id": "mine"}),
            "cf-aig-metadata",
            f'{{"session_id":"{ID}","session_path":"/outline","session_name":"Course Plan"}}',
            "session_id left out: another has its name",
            id="a property with the session's name",
        ),
        pytest.param(
            "litellm", BARE._replace(user="u" * 1024), "x-litellm-end-user-id", "u" * 1024, None, id="a text, 1,024"
        ),
        pytest.param(
            "litellm",
            BARE._replace(user="u" * 1025),
            "x-litellm-end-user-id",
            "u" * 1024,
            "cut to 1,024 of 1,025 characters",
            id="a text, 1,025",
        ),
        pytest.param(
            "litellm",
            BARE._replace(tags=("ok", "a,b", " ", "Größe")),
            "x-litellm-tags",
            "ok,Grosse",
            "'a,b' left out: a tag has no comma; ' ' left out: it is empty",
            id="tags that cannot be written",
        ),
        pytest.param(
            "baggage",
            BARE._replace(name='a,b;c\\d"e é%+'),
            "baggage",
            f"session.id={ID},session.name=a%2Cb%3Bc%5Cd%22e%20%C3%A9%25%2B,session.path=/outline",
            None,
            id="baggage, signs that are encoded",
        ),
        pytest.param(
            "baggage",
            BARE._replace(name="n" * 1024),
            "baggage",
            f"session.id={ID},session.name={'n' * 1024},session.path=/outline",
            None,
            id="baggage, a value of 1,024",
        ),
        pytest.param(
            "baggage",
            BARE._replace(name="計" * 114),
            "baggage",
            f"session.id={ID},session.name={'%E8%A8%88' * 113},session.path=/outline",
            "session.name cut to 1,024 bytes",
            id="baggage, a value beyond, not cut within a letter",
        ),
        pytest.param(
            "helicone",
            BARE._replace(name=LONG),
            "Helicone-Session-Name",
            "x" * 1024,
            "cut to 1,024 of 5,000 characters",
            id="Helicone, a name",
        ),
        pytest.param(
            "helicone",
            BARE._replace(properties={"mode": LONG}),
            "Helicone-Property-mode",
            "x" * 1024,
            "cut to 1,024 of 5,000 characters",
            id="Helicone, a property",
        ),
    ],
)
def test_limits(dialect: str, info: SessionInfo, header: str, value: str | None, reason: str | None) -> None:
    assert written(dialect, info)[header] == (value, reason)


def test_baggage_has_at_most_180_members() -> None:
    value, reason = written("baggage", BARE._replace(properties={f"p{n}": "" for n in range(178)}))["baggage"]
    assert value is not None
    assert (value.count(",") + 1, reason) == (180, "p177 left out: 180 members at most")


def test_a_reason_names_five() -> None:
    _, reason = written("cloudflare", BARE._replace(properties={f"p{n}": "x" for n in range(9)}))["cf-aig-metadata"]
    assert reason == "p2, p3, p4, p5, p6 and 2 more left out: 5 members at most"


TEXT = st.text(max_size=40) | st.text(st.characters(), min_size=100, max_size=1500)
KEY = st.text(st.sampled_from("abcdefghijkXYZ0189-._~!"), min_size=1, max_size=30)
INFOS = st.builds(
    SessionInfo,
    id=st.from_regex(r"[A-Za-z0-9_-]{8,128}", fullmatch=True),
    name=TEXT,
    step=st.integers(0, 10**9),
    path=TEXT,
    user=st.none() | TEXT,
    properties=st.dictionaries(KEY, TEXT, max_size=12),
    tags=st.lists(TEXT, max_size=6).map(tuple),
    call=st.just(CALL),
    turn=st.just(TURN),
    state=st.none(),
    parent_trace=st.none() | TEXT,
)


@given(INFOS)
def test_whatever_a_session_says_is_within_every_dialects_limits(info: SessionInfo) -> None:
    for name in WRITTEN:
        for header, value in values(name, info).items():
            assert is_token(header)
            if value is None:
                continue
            assert value
            assert value.isascii()
            assert value.isprintable()
            assert value == value.strip()
            assert len(value) <= (10_240 if header == "X-TraceForge-State" else MOST_BYTES)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", values("traceparent", info)["traceparent"] or "")


@given(INFOS)
def test_members_are_what_their_readers_read(info: SessionInfo) -> None:
    kept = json.loads(values("cloudflare", info)["cf-aig-metadata"] or "")
    assert kept["session_id"] == info.id
    assert len(kept) <= 5
    portkey = json.loads(values("portkey", info)["x-portkey-metadata"] or "")
    assert all(isinstance(value, str) and len(value) <= 128 for value in portkey.values())
    metadata = json.loads(values("litellm", info)["x-litellm-spend-logs-metadata"] or "")
    assert metadata["session_step"] == str(info.step)
    members = dict(member.split("=", 1) for member in (values("baggage", info)["baggage"] or "").split(","))
    assert members["session.id"] == info.id
    assert len(members) <= 180
    assert all(re.fullmatch(r"[!-+\--:<-\[\]-~]*", value) for value in members.values())
    if len(info.name) <= 100:
        assert unquote(members["session.name"]) == info.name.encode("utf-8", "replace").decode()
