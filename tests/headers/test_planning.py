"""Who is told what: whole plans from plain values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.dialects import reads
from sessiontap.dialects.header_text import is_token
from sessiontap.exchange import Headers
from sessiontap.headers import Edit, OutgoingCall, apply, plan, reply_plan
from sessiontap.headers.planning import MOST_BYTES
from sessiontap.rules.decision import Decision, FilledSettings, Withheld
from sessiontap.sessions import Link, Session
from sessiontap.span_ids import span_id, trace_id

ID = "0b7c9b3e-2f5e-5a63-9d55-6a9d2f0b1c11"
SESSION = Session(ID, "Course Plan", 3, "process")
HELICONE = Decision(wants_session=True, name="Course Plan", send=("helicone",), set_by={"session.name": "course"})
TRACEFORGE = replace(HELICONE, send=("traceforge",))
SETTINGS = FilledSettings(path="/outline")
AUTH = "Bearer sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg"
KEY = {"HELICONE_API_KEY": AUTH.removeprefix("Bearer ")}
SIGNED = (
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=content-type;helicone-session-name;host;x-team, Signature=ab12",
)


def planned(
    decision: Decision = HELICONE,
    filled: FilledSettings = SETTINGS,
    sent: list[tuple[str, str]] | None = None,
    *,
    session: Session = SESSION,
    link: Link | None = None,
    host: str = "api.openai.com",
    **more: Any,
) -> tuple[Edit, ...]:
    given: dict[str, Any] = {"proxy_env": {}, "why_no_key": None, **more}
    return plan(decision, filled, session, link or Link(), OutgoingCall(Headers(sent or []), host, **given))


def forwarded(edits: tuple[Edit, ...], sent: list[tuple[str, str]] | None = None) -> dict[str, str]:
    return dict(apply(edits, sent or []))


def only(edits: tuple[Edit, ...], action: str) -> dict[str, str | None]:
    return {edit.header: edit.rule for edit in edits if edit.action == action}


W3C = replace(HELICONE, send=("traceparent", "baggage"), set_by={"session.name": "course", "send": "course"})
CALL = {"id": "019a0000-0000-7000-8000-000000000002", "turn": "019a0000-0000-7000-8000-000000000001"}
OURS = f"00-{trace_id(CALL['turn'])}-{span_id(CALL['id'])}-01"
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


# What is sent where ------------------------------------------------------------------------------------------------


def test_helicone_is_told_id_path_name_user_and_properties() -> None:
    properties = {"mode": "context mode", "tool.name": "Suche für Alle"}
    filled = FilledSettings(path="/outline", user="u-1", properties=properties)
    assert forwarded(planned(filled=filled)) == {
        "Helicone-Session-Id": ID,
        "Helicone-Session-Path": "/outline",
        "Helicone-Session-Name": "Course Plan",
        "Helicone-User-Id": "u-1",
        "Helicone-Property-mode": "context mode",
        "Helicone-Property-tool-name": "Suche fur Alle",
    }


def test_traceforge_is_told_id_and_step() -> None:
    assert forwarded(planned(TRACEFORGE)) == {"X-TraceForge-Session-ID": ID, "X-TraceForge-Step-Index": "3"}


def test_traceforge_is_told_the_parent_where_it_is_certain() -> None:
    link = Link(parent="call-1", evidence="exact", parent_trace="trace-1")
    assert forwarded(planned(TRACEFORGE, link=link))["X-TraceForge-Parent-Trace-ID"] == "trace-1"
    assert "X-TraceForge-Parent-Trace-ID" not in forwarded(planned(TRACEFORGE, link=Link("conv", "call-1", "weak")))


def test_traceforge_is_told_the_state_as_ascii_json() -> None:
    state = {"step": 1, "topic": "Größe\r\n\x7f", "deep": {"a": [None, True]}}
    value = forwarded(planned(TRACEFORGE, FilledSettings(state=state)))["X-TraceForge-State"]
    assert json.loads(value) == state
    assert value.isascii()
    assert value.isprintable()


@pytest.mark.parametrize(
    "state",
    [{"text": "x" * 10_240}, {"text": "ü" * 2000}, {"number": float("nan")}, {"value": object()}],
    ids=["too long", "too long in ASCII", "not a number", "no JSON"],
)
def test_a_state_that_cannot_be_sent_is_withheld_and_the_rest_is_sent(state: dict[str, Any]) -> None:
    edits = planned(TRACEFORGE, FilledSettings(state=state))
    assert set(only(edits, "withhold")) == {"X-TraceForge-State"}
    assert set(only(edits, "set")) == {"X-TraceForge-Session-ID", "X-TraceForge-Step-Index"}


def test_a_state_of_just_the_limit_is_sent() -> None:
    state = {"text": "x" * (10_240 - len('{"text":""}'))}
    assert len(forwarded(planned(TRACEFORGE, FilledSettings(state=state)))["X-TraceForge-State"]) == 10_240


@pytest.mark.parametrize(
    ("decision", "host", "sent", "told"),
    [
        pytest.param(replace(HELICONE, wants_session=False), "oai.helicone.ai", [], set(), id="no rule set a session"),
        pytest.param(replace(HELICONE, send=()), "oai.helicone.ai", [], set(), id="send: none"),
        pytest.param(replace(HELICONE, send="auto"), "api.openai.com", [], set(), id="auto, nobody reads"),
        pytest.param(replace(HELICONE, send="auto"), "oai.helicone.ai", [], {"Helicone"}, id="auto, Helicone"),
        pytest.param(replace(HELICONE, send="auto"), "OAI.Helicone.AI", [], {"Helicone"}, id="auto, case"),
        pytest.param(replace(HELICONE, send="auto"), "helicone.ai.evil.com", [], set(), id="auto, another's host"),
        pytest.param(
            replace(HELICONE, send="auto"),
            "localhost",
            [("x-traceforge-service-id", "s")],
            {"X-TraceForge"},
            id="auto, the app talks TraceForge",
        ),
        pytest.param(
            replace(HELICONE, send="auto"),
            "helicone.corp.example",
            [("Helicone-Auth", "Bearer k")],
            {"Helicone"},
            id="auto, the app talks to a Helicone of its own",
        ),
        pytest.param(
            replace(HELICONE, send=("helicone", "traceforge")),
            "api.openai.com",
            [],
            {"Helicone", "X-TraceForge"},
            id="both, as the rules say",
        ),
    ],
)
def test_dialects(decision: Decision, host: str, sent: list[tuple[str, str]], told: set[str]) -> None:
    edits = planned(decision, host=host, sent=sent)
    assert {edit.header.partition("-Session")[0] for edit in edits if "Session-" in edit.header} == told


@pytest.mark.parametrize(
    ("host", "provider", "dialects"),
    [
        ("gateway.helicone.ai", None, {"helicone"}),
        ("api.openai.com", "openai", set()),
        ("llm.corp.example", "helicone", {"helicone"}),
        ("llm.corp.example", "traceforge", {"traceforge"}),
        ("helicone.ai", None, set()),
    ],
)
def test_reads(host: str, provider: str | None, dialects: set[str]) -> None:
    assert reads(host, provider=provider) == dialects


# What the app sent -------------------------------------------------------------------------------------------------

SENT = [("helicone-session-id", "its-own-id"), ("Helicone-Session-Name", "Its own")]
REPLACE = replace(HELICONE, existing="replace")


def test_what_the_app_sent_stays_and_what_is_missing_is_added() -> None:
    edits = planned(sent=SENT)
    assert forwarded(edits, SENT) == {
        "helicone-session-id": "its-own-id",
        "Helicone-Session-Name": "Its own",
        "Helicone-Session-Path": "/outline",
    }
    assert Edit("keep", "Helicone-Session-Name", "Its own", "Course Plan", "course") in edits


def test_a_rules_value_replaces_where_it_says_so_and_a_default_does_not() -> None:
    edits = planned(REPLACE, sent=SENT)
    assert forwarded(edits, SENT)["Helicone-Session-Name"] == "Course Plan"
    assert forwarded(edits, SENT)["helicone-session-id"] == "its-own-id"
    assert Edit("set", "Helicone-Session-Name", "Its own", "Course Plan", "course") in edits


def test_a_replaced_id_replaces_the_step_too() -> None:
    sent = [("X-TraceForge-Session-ID", "its-own-id"), ("X-TraceForge-Step-Index", "41")]
    by_rule = replace(TRACEFORGE, existing="replace", set_by={"session.id": "course"})
    assert dict(apply(planned(by_rule, sent=sent), sent)) == {
        "X-TraceForge-Session-ID": ID,
        "X-TraceForge-Step-Index": "3",
    }
    assert apply(planned(TRACEFORGE, sent=sent), sent) == sent


def test_an_empty_header_is_none() -> None:
    sent = [("Helicone-Session-Name", "")]
    assert forwarded(planned(sent=sent), sent)["Helicone-Session-Name"] == "Course Plan"


def test_the_app_keeps_its_other_headers() -> None:
    sent = [("Authorization", "Bearer sk-app"), ("X-B", "1"), ("x-b", "2"), ("user-agent", "app")]
    assert apply(planned(sent=sent), sent)[: len(sent)] == sent


# headers.set and headers.remove ------------------------------------------------------------------------------------


def test_rules_set_and_remove_headers() -> None:
    filled = FilledSettings(
        headers_set={"X-Team": "Größe\r\nX-Evil: 1", "Helicone-Cache-Enabled": "true"},
        headers_remove=("x-secret-*",),
        set_by={"headers.set.X-Team": "team", "headers.remove": "tidy"},
    )
    sent = [("X-Secret-A", "1"), ("x-team", "old"), ("X-Other", "2")]
    edits = planned(Decision(), filled, sent)
    assert apply(edits, sent) == [
        ("x-team", "Grosse X-Evil: 1"),
        ("X-Other", "2"),
        ("Helicone-Cache-Enabled", "true"),
    ]
    assert Edit("set", "X-Team", "old", "Grosse X-Evil: 1", "team") in edits
    assert Edit("remove", "X-Secret-A", "1", None, "tidy") in edits


def test_a_header_that_a_rule_sets_stands_above_the_dialects() -> None:
    filled = FilledSettings(headers_set={"helicone-session-name": "Mine"})
    edits = planned(filled=filled)
    assert [edit.new for edit in edits if edit.header.lower() == "helicone-session-name"] == ["Mine"]


def test_a_rule_that_removes_what_the_app_sent_lets_ours_be_written() -> None:
    filled = replace(SETTINGS, headers_remove=("helicone-*",))
    sent = [("helicone-session-name", "Its own"), ("helicone-cache-enabled", "true")]
    assert apply(planned(filled=filled, sent=sent), sent) == [
        ("helicone-session-name", "Course Plan"),
        ("Helicone-Session-Id", ID),
        ("Helicone-Session-Path", "/outline"),
    ]


@pytest.mark.parametrize(
    ("globs", "gone"),
    [
        (("x-a",), {"X-A"}),
        (("X-?",), {"X-A", "X-B"}),
        (("x-*",), {"X-A", "X-B", "X-Long"}),
        (("x-[ab]",), set()),
        (("a", "x-b"), {"X-B"}),
        ((), set()),
    ],
)
def test_globs_of_remove(globs: tuple[str, ...], gone: set[str]) -> None:
    sent = [("X-A", "1"), ("X-B", "1"), ("X-Long", "1"), ("Accept", "1")]
    assert set(only(planned(Decision(), FilledSettings(headers_remove=globs), sent), "remove")) == gone


@pytest.mark.parametrize(
    "header",
    ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Content-Encoding", "Upgrade", "Expect"],
)
def test_headers_that_frame_the_message_are_never_touched(header: str) -> None:
    sent = [(header, "as it was")]
    for filled in (FilledSettings(headers_set={header: "x"}), FilledSettings(headers_remove=("*",))):
        edits = planned(Decision(), filled, sent)
        assert apply(edits, sent) == sent
        assert only(edits, "withhold") == {header: "it belongs to the connection or frames the message"}


@pytest.mark.parametrize("header", [":authority", "X Team", "X-Team:", "", "X-Té", "a\r\nb"])
def test_what_is_no_name_is_withheld(header: str) -> None:
    edits = planned(Decision(), FilledSettings(headers_set={header: "x"}))
    assert only(edits, "withhold") == {header: "not a header's name"}
    assert apply(edits, []) == []


@pytest.mark.parametrize(
    ("properties", "sent", "withheld"),
    [
        pytest.param({"計画": "x"}, set(), {"Helicone-Property-計画"}, id="nothing of the name fits"),
        pytest.param(
            {"a b": "1", "A-B": "2"}, {"Helicone-Property-a-b"}, {"Helicone-Property-A-B"}, id="two of one name"
        ),
        pytest.param({"a": ""}, set(), {"Helicone-Property-a"}, id="empty"),
    ],
)
def test_properties_that_cannot_be_sent(properties: dict[str, str], sent: set[str], withheld: set[str]) -> None:
    edits = planned(filled=FilledSettings(properties=properties))
    assert {header for header in only(edits, "set") if "Property" in header} == sent
    assert set(only(edits, "withhold")) == withheld


# What must not break -----------------------------------------------------------------------------------------------


def test_what_aws_signed_is_not_touched_and_the_rest_is_sent() -> None:
    sent = [SIGNED, ("Host", "bedrock"), ("Content-Type", "application/json"), ("x-team", "a"), ("X-Other", "b")]
    removed = ("content-*", "authorization", "x-other")
    filled = FilledSettings(path="/x", headers_set={"X-Team": "b"}, headers_remove=removed)
    edits = planned(filled=filled, sent=sent)
    after = apply(edits, sent)
    assert after[:4] == sent[:4]
    assert dict(after[4:]) == {"Helicone-Session-Id": ID, "Helicone-Session-Path": "/x"}
    assert {header for header, why in only(edits, "withhold").items() if why == "AWS signed it"} == {
        "Helicone-Session-Name",
        "X-Team",
        "Authorization",
        "Content-Type",
    }


def test_a_presigned_query_signs_too() -> None:
    filled = FilledSettings(headers_set={"X-Team": "b"})
    edits = planned(Decision(), filled, target="/ws?X-Amz-SignedHeaders=host%3Bx-team")
    assert only(edits, "withhold") == {"X-Team": "AWS signed it"}


def test_headers_do_not_grow_beyond_what_servers_take() -> None:
    sent = [("X-Big", "x" * (MOST_BYTES - 200))]
    edits = planned(filled=FilledSettings(path="/outline", properties={f"p{n}": "v" * 50 for n in range(9)}), sent=sent)
    after = apply(edits, sent)
    assert sum(len(name) + len(value) + 4 for name, value in after) <= MOST_BYTES
    assert dict(after)["Helicone-Session-Id"] == ID
    assert only(edits, "withhold")


def test_a_request_that_is_too_large_by_itself_is_left_alone() -> None:
    sent = [("X-Big", "x" * (MOST_BYTES + 1))]
    assert apply(planned(sent=sent), sent) == sent


TEXT = st.text(st.characters(), max_size=20) | st.text(st.sampled_from("a/ \r\n\0é計\x7f\udcff"), max_size=12)
NAME = TEXT | st.sampled_from(
    ["Host", "X-A", "x-a", "Helicone-Session-Id", "X-TraceForge-State", "Helicone-Property-a"]
)
FIELD_NAME = st.sampled_from(
    ["X-A", "x-a", "Accept", "Host", "Helicone-Session-Id", "helicone-session-name", "X-TraceForge-Step-Index"]
)
FIELDS = st.lists(st.tuples(FIELD_NAME, st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=9)))


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    fields = ["session.id", "session.name", "session.path", "user"]
    return Decision(
        wants_session=draw(st.booleans()),
        send=draw(st.sampled_from([("helicone", "traceforge"), ("helicone",), "auto"])),
        existing=draw(st.sampled_from(["keep", "replace"])),
        set_by=dict.fromkeys(draw(st.lists(st.sampled_from(fields))), "r"),
    )


LABELLED = st.builds(
    FilledSettings,
    path=TEXT,
    user=st.none() | TEXT,
    properties=st.dictionaries(NAME, TEXT, max_size=3),
    state=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    headers_set=st.dictionaries(NAME, TEXT, max_size=3),
    headers_remove=st.lists(st.sampled_from(["*", "x-*", "helicone-*", "accept"]), max_size=2).map(tuple),
)


@given(decisions(), LABELLED, TEXT, FIELDS)
def test_whatever_the_rules_say_what_is_written_is_safe(
    decision: Decision, filled: FilledSettings, name: str, sent: list[tuple[str, str]]
) -> None:
    link = Link(parent_trace=name or None)
    for edit in planned(decision, filled, sent, session=replace(SESSION, name=name), link=link):
        if edit.action == "set":
            assert edit.new is not None
            assert edit.new.isascii()
            assert edit.new == "" or edit.new.isprintable()
            assert is_token(edit.header)
            assert edit.header.lower() not in ("host", "content-length")
        if edit.action == "remove":
            assert edit.header.lower() != "host"


@given(decisions(), LABELLED, TEXT, FIELDS)
def test_planning_what_was_planned_changes_nothing(
    decision: Decision, filled: FilledSettings, name: str, sent: list[tuple[str, str]]
) -> None:
    if decision.send == "auto":  # there the app's headers say who reads, and ours would pass for them
        decision = replace(decision, send=("traceforge",))
    session = replace(SESSION, name=name)
    once = apply(planned(decision, filled, sent, session=session, host="oai.helicone.ai", proxy_env=KEY), sent)
    assert apply(planned(decision, filled, once, session=session, host="oai.helicone.ai", proxy_env=KEY), once) == once


# Helicone's key ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "auth"),
    [
        pytest.param({"host": "oai.helicone.ai"}, AUTH, id="Helicone's gateway"),
        pytest.param({"host": "api.openai.com"}, None, id="the provider"),
        pytest.param({"host": "oai.helicone.ai.evil.com"}, None, id="another's host"),
        pytest.param({"host": "evilhelicone.ai"}, None, id="another's host, too"),
        pytest.param({"host": "ai-gateway.helicone.ai"}, None, id="where the app's own key is Helicone's"),
        pytest.param({"host": "oai.helicone.ai", "why_no_key": "in the clear"}, None, id="this call may not carry it"),
        pytest.param({"host": "oai.helicone.ai", "proxy_env": {}}, None, id="no key"),
        pytest.param({"host": "oai.helicone.ai", "proxy_env": {"HELICONE_API_KEY": "a\nb"}}, None, id="no header"),
        pytest.param({"host": "corp.example", "provider": "helicone"}, None, id="a Helicone of somebody's own"),
    ],
)
def test_helicones_key_goes_to_its_gateways_alone(given: dict[str, Any], auth: str | None) -> None:
    assert forwarded(planned(**{"proxy_env": KEY, **given})).get("Helicone-Auth") == auth


@pytest.mark.parametrize(
    "decision",
    [replace(HELICONE, wants_session=False), TRACEFORGE, replace(HELICONE, send=())],
    ids=["no rule set a session", "another dialect", "nothing to send"],
)
def test_without_the_dialect_there_is_no_key(decision: Decision) -> None:
    assert "Helicone-Auth" not in forwarded(planned(decision, host="oai.helicone.ai", proxy_env=KEY))


def test_the_apps_own_key_stays() -> None:
    sent = [("helicone-auth", "Bearer its-own")]
    assert dict(apply(planned(sent=sent, host="oai.helicone.ai", proxy_env=KEY), sent))["helicone-auth"] == sent[0][1]


def why_withheld(edits: tuple[Edit, ...]) -> dict[str, str | None]:
    return {edit.header: edit.rule for edit in edits if edit.action == "withhold"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"proxy_env": {}}, "HELICONE_API_KEY is not set where the proxy runs", id="no key"),
        pytest.param({"proxy_env": KEY, "why_no_key": "in the clear"}, "in the clear", id="it may not"),
    ],
)
def test_why_the_key_is_not_sent_is_said(given: dict[str, Any], reason: str) -> None:
    assert why_withheld(planned(host="oai.helicone.ai", **given)) == {"Helicone-Auth": reason}


def test_what_the_rules_withheld_is_among_the_edits() -> None:
    decision = replace(HELICONE, withheld=(Withheld("session.name", "a", "why not"),))
    filled = replace(SETTINGS, withheld=(Withheld("headers.set.X-Key", "b", "in clear"), Withheld("user", "b", "so")))
    assert why_withheld(planned(decision, filled)) == {
        "session.name": "a: why not",
        "X-Key": "b: in clear",
        "user": "b: so",
    }


# A gateway ---------------------------------------------------------------------------------------------------------

NEEDED = (
    Edit("set", "Helicone-Auth", None, AUTH, "HELICONE_API_KEY"),
    Edit("set", "Helicone-Target-URL", None, "https://llm.corp.example", "helicone"),
)


def test_what_a_gateway_needs_is_written_once() -> None:
    edits = planned(host="gateway.helicone.ai", proxy_env=KEY, gateway=NEEDED)
    assert [edit.header for edit in edits if edit.action == "set"] == [
        "Helicone-Session-Id",
        "Helicone-Session-Path",
        "Helicone-Session-Name",
        "Helicone-Auth",
        "Helicone-Target-URL",
    ]


def test_what_a_gateway_needs_is_written_where_no_rule_set_a_session() -> None:
    assert planned(Decision(), FilledSettings(), host="gateway.helicone.ai", gateway=NEEDED) == NEEDED


def test_a_gateway_of_ones_own_reads_helicones_headers() -> None:
    edits = planned(replace(HELICONE, send="auto"), host="127.0.0.1", gateway=NEEDED)
    assert "Helicone-Session-Id" in forwarded(edits)


def test_what_a_gateway_needs_is_not_removed() -> None:
    sent = [("helicone-target-url", "https://elsewhere")]
    after = apply(planned(filled=FilledSettings(headers_remove=("*",)), sent=sent, gateway=NEEDED), sent)
    assert after[0] == ("helicone-target-url", "https://llm.corp.example")


def test_a_rule_may_give_a_gateway_another_key() -> None:
    edits = planned(filled=FilledSettings(headers_set={"helicone-auth": "Bearer other"}), gateway=NEEDED, proxy_env=KEY)
    assert [edit.new for edit in edits if edit.header.lower() == "helicone-auth"] == ["Bearer other"]


# The reply ---------------------------------------------------------------------------------------------------------


def told(edits: tuple[Edit, ...], *reply: tuple[str, str]) -> dict[str, str]:
    return dict(apply(reply_plan(edits, Headers(reply), session=SESSION, call_id="call-9"), reply))


def test_a_traceforge_client_is_told_session_trace_and_next_step() -> None:
    assert told(planned(TRACEFORGE)) == {
        "X-TraceForge-Session-ID": ID,
        "X-TraceForge-Trace-ID": "call-9",
        "X-TraceForge-Next-Step": "4",
    }


def test_what_the_server_said_stays() -> None:
    reply = [("x-traceforge-session-id", "s"), ("x-traceforge-trace-id", "t"), ("x-traceforge-next-step", "9")]
    assert told(planned(TRACEFORGE), *reply) == dict(reply)


def test_the_client_hears_of_the_session_that_it_sent_itself() -> None:
    sent = [("x-traceforge-session-id", "short"), ("x-traceforge-step-index", "41")]
    reply = told(planned(TRACEFORGE, sent=sent))
    assert (reply["X-TraceForge-Session-ID"], reply["X-TraceForge-Next-Step"]) == ("short", "42")


def test_an_unreadable_step_has_no_next() -> None:
    sent = [("x-traceforge-step-index", "NaN")]
    assert "X-TraceForge-Next-Step" not in told(planned(TRACEFORGE, sent=sent))


def test_other_clients_are_told_nothing() -> None:
    assert told(planned(HELICONE)) == {}
    assert told(()) == {}


# An app's own trace, baggage and metadata --------------------------------------------------------------------------


def test_traceparent_and_baggage_are_sent_together() -> None:
    members = f"session.id={ID},session.name=Course%20Plan,session.path=/outline"
    assert forwarded(planned(W3C, **CALL)) == {"traceparent": OURS, "baggage": members}


@pytest.mark.parametrize(
    ("decision", "action", "value"),
    [
        pytest.param(W3C, "keep", THEIRS, id="keep"),
        pytest.param(replace(W3C, existing="replace"), "set", OURS, id="replace"),
        pytest.param(
            replace(W3C, existing="replace", set_by={"session.name": "course"}),
            "keep",
            THEIRS,
            id="replace, and the file's default says what is sent",
        ),
    ],
)
def test_an_apps_own_trace_goes_on_unless_a_rule_replaces_it(decision: Decision, action: str, value: str) -> None:
    sent = [("traceparent", THEIRS)]
    edits = planned(replace(decision, send=("traceparent",)), sent=sent, **CALL)
    assert [(edit.action, edit.old, edit.new) for edit in edits] == [(action, THEIRS, OURS)]
    assert forwarded(edits, sent) == {"traceparent": value}


@pytest.mark.parametrize(
    ("existing", "members"),
    [
        ("keep", "session.id=mine,a=1;p,session.name=Course%20Plan,session.path=/outline"),
        ("replace", "session.id=mine,a=1;p,session.name=Course%20Plan,session.path=/outline"),
    ],
)
def test_an_apps_own_member_stays_unless_a_rule_set_that_field(existing: Any, members: str) -> None:
    sent = [("Baggage", "session.id=mine, a=1;p")]
    decision = replace(W3C, send=("baggage",), existing=existing)
    assert forwarded(planned(decision, sent=sent), sent) == {"Baggage": members}


def test_a_rules_id_replaces_the_member_of_the_app() -> None:
    sent = [("baggage", "session.id=mine,a=1")]
    decision = replace(W3C, send=("baggage",), existing="replace", set_by={"session.id": "course"})
    assert forwarded(planned(decision, sent=sent), sent)["baggage"].startswith(f"session.id={ID},a=1,")


def test_several_fields_of_baggage_become_one() -> None:
    sent = [("baggage", "a=1"), ("accept", "*/*"), ("baggage", "b=2")]
    result = apply(planned(replace(W3C, send=("baggage",)), sent=sent), sent)
    assert [value.partition(",session.id")[0] for name, value in result if name == "baggage"] == ["a=1,b=2"]


def test_a_rule_that_removes_the_apps_baggage_lets_ours_be_written() -> None:
    sent = [("baggage", "a=1")]
    edits = planned(replace(W3C, send=("baggage",)), FilledSettings(path="/", headers_remove=("baggage",)), sent)
    assert forwarded(edits, sent)["baggage"].startswith(f"session.id={ID}")


def test_metadata_that_cannot_be_read_stays_and_the_reason_is_recorded() -> None:
    sent = [("x-portkey-metadata", "team=a")]
    edits = planned(replace(HELICONE, send=("portkey",)), sent=sent, **CALL)
    assert forwarded(edits, sent)["x-portkey-metadata"] == "team=a"
    assert only(edits, "keep") == {"x-portkey-metadata": "course; the app's own is no JSON object"}


def test_the_reason_of_a_cut_stands_behind_the_rule() -> None:
    edits = planned(session=replace(SESSION, name="n" * 1025))
    assert only(edits, "set")["Helicone-Session-Name"] == "course; cut to 1,024 of 1,025 characters"


def test_members_that_find_no_room_are_recorded() -> None:
    filled = FilledSettings(path="/outline", properties={"a": "1", "b": "2", "c": "3"}, set_by={"properties.a": "more"})
    edits = planned(replace(HELICONE, send=("cloudflare",)), filled)
    assert only(edits, "set") == {"cf-aig-metadata": "default; c left out: 5 members at most"}


@pytest.mark.parametrize(
    ("host", "provider", "sent", "told"),
    [
        pytest.param("openrouter.ai", "openrouter", [], {"x-session-id"}, id="OpenRouter"),
        pytest.param("gateway.ai.cloudflare.com", None, [], {"cf-aig-metadata"}, id="Cloudflare"),
        pytest.param(
            "api.portkey.ai",
            None,
            [],
            {"x-portkey-trace-id", "x-portkey-span-name", "x-portkey-metadata"},
            id="Portkey",
        ),
        pytest.param(
            "localhost",
            None,
            [("x-litellm-timeout", "9")],
            {"x-litellm-session-id", "x-litellm-spend-logs-metadata"},
            id="an app that talks LiteLLM",
        ),
        pytest.param(
            "localhost",
            "litellm",
            [],
            {"x-litellm-session-id", "x-litellm-spend-logs-metadata"},
            id="a host that the rules call LiteLLM",
        ),
        pytest.param(
            "api.openai.com", "openai", [("traceparent", THEIRS), ("baggage", "a=1")], set(), id="a traced app"
        ),
        pytest.param("evil-openrouter.ai", None, [], set(), id="another's host"),
    ],
)
def test_auto_sends_what_the_destination_is_known_to_read(
    host: str, provider: str | None, sent: list[tuple[str, str]], told: set[str]
) -> None:
    edits = planned(replace(HELICONE, send="auto"), sent=sent, host=host, provider=provider)
    assert {edit.header for edit in edits} == told
