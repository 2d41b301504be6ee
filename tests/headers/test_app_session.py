"""The session that the app itself declares."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers
from sessiontap.headers.app_session import AppSession, app_session

ID = "run-12345678"


def declared(host: str | None = None, /, **sent: str) -> AppSession | None:
    """Keyword `x__a_b` stands for the header `x-a_b`."""
    return app_session(Headers((name.replace("__", "-"), value) for name, value in sent.items()), host)


@pytest.mark.parametrize(
    ("header", "dialect"),
    [
        ("Helicone-Session-Id", "helicone"),
        ("helicone-session-id", "helicone"),
        ("X-TraceForge-Session-ID", "traceforge"),
        ("x-litellm-session-id", "litellm"),
        ("langfuse_session_id", "langfuse"),
    ],
)
def test_session_headers(header: str, dialect: str) -> None:
    assert app_session(Headers([(header, ID)])) == AppSession(ID, None, None, dialect)


@pytest.mark.parametrize(
    "header",
    ["x-litellm-trace-id", "x-portkey-trace-id", "traceparent", "x-request-id", "x-client-request-id", "session-id"],
)
def test_headers_that_are_no_sessions(header: str) -> None:
    assert app_session(Headers([(header, ID)])) is None


@pytest.mark.parametrize(
    ("value", "id"),
    [
        pytest.param("langfuse_session_id=run-12345678", ID, id="langfuse"),
        pytest.param("a=b, session.id = run-12345678 ;p=1,c=d", ID, id="among others, with a property"),
        pytest.param("session.id=run%2012", "run 12", id="percent-encoded"),
        pytest.param("session.id=x-otel,langfuse_session_id=x-langfuse", "x-langfuse", id="the more certain one"),
        pytest.param("session.id=", None, id="empty"),
        pytest.param("session.idx=1,session", None, id="other keys"),
        pytest.param("session.id=a%0Ab", None, id="a control character"),
    ],
)
def test_baggage(value: str, id: str | None) -> None:
    found = app_session(Headers([("baggage", value)]))
    assert (found.id if found else None) == id


@pytest.mark.parametrize(
    ("host", "also", "id"),
    [
        pytest.param("openrouter.ai", {}, ID, id="OpenRouter reads it"),
        pytest.param("api.openai.com", {}, None, id="elsewhere it may mean anything"),
        pytest.param(None, {}, None, id="host unknown"),
        pytest.param("openrouter.ai", {"x__session__affinity": ID}, None, id="opencode sends it to everyone"),
    ],
)
def test_x_session_id(host: str | None, also: dict[str, str], id: str | None) -> None:
    found = declared(host, x__session__id=ID, **also)
    assert (found.id if found else None) == id


def test_id_name_and_path_of_helicone() -> None:
    found = declared(Helicone__Session__Id=ID, Helicone__Session__Name="Plan", Helicone__Session__Path="/a/b")
    assert found == AppSession(ID, "Plan", "/a/b", "helicone")


def test_a_name_without_an_id() -> None:
    assert declared(Helicone__Session__Name="Plan") == AppSession(None, "Plan", None, "helicone")


def test_the_dialects_in_their_order() -> None:
    found = declared(langfuse_session_id="langfuse-1", x__litellm__session__id="litellm-1")
    assert found == AppSession("litellm-1", None, None, "litellm")


def test_what_is_no_id_leaves_the_next_its_turn() -> None:
    found = declared(Helicone__Session__Id="x" * 257, x__litellm__session__id=ID)
    assert found == AppSession(ID, None, None, "litellm")


@pytest.mark.parametrize("value", ["", " ", "a\x00b", "x" * 257], ids=["empty", "blank", "control", "too long"])
def test_no_ids(value: str) -> None:
    assert declared(Helicone__Session__Id=value) is None


def test_utf8_bytes_of_a_name_are_text() -> None:
    found = declared(Helicone__Session__Name="Übersicht".encode().decode("latin-1"))
    assert found is not None
    assert found.name == "Übersicht"


def test_latin1_bytes_of_a_name_are_text_too() -> None:
    found = declared(Helicone__Session__Name="Übersicht")
    assert found is not None
    assert found.name == "Übersicht"
