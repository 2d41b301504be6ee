"""Dialects that a rules file defines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap import span_ids
from sessiontap.dialects import SessionInfo
from sessiontap.exchange import Headers
from sessiontap.headers import OutgoingCall, plan
from sessiontap.rules import Rules, lint, load_file, load_text
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions import Link, Session

CALL, TURN = "019a0000-0000-7000-8000-000000000002", "019a0000-0000-7000-8000-000000000001"
INFO = SessionInfo(
    "0b7c9b3e-run", "Course Plan", 3, "/outline", "ann", {"mode": "nightly"}, tags=("a", "b"), call=CALL, turn=TURN
)
ACME = """
dialects:
  acme:
    X-Acme-Session: "${session.id}"
    X-Acme-Path: "${session.path}"
    X-Acme-User: "${user:-nobody}"
send: [acme]
rules: [{session: {name: Course}}]
"""


def written(template: str, info: SessionInfo = INFO) -> list[tuple[str | None, str | None]]:
    rules = load_text(f"dialects: {{acme: {{X-Acme: '{template}'}}}}")
    make = rules.dialects["acme"].request_headers
    assert make is not None
    return [(one.value, one.reason) for one in make(info)]


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${session.id}", "0b7c9b3e-run"),
        ("${session.name}", "Course Plan"),
        ("${session.path}", "/outline"),
        ("${session.step}", "3"),
        ("${user}", "ann"),
        ("${tags}", "a,b"),
        ("${properties.mode}", "nightly"),
        ("${call.id}", CALL),
        ("${trace.id}-${span.id}", f"{span_ids.trace_id(TURN)}-{span_ids.span_id(CALL)}"),
        ("name=${session.name}; step=${session.step}", "name=Course Plan; step=3"),
        ("${properties.no:-${session.path}}", "/outline"),
        ("plain $$", "plain $"),
    ],
)
def test_variables(template: str, value: str) -> None:
    assert written(template) == [(value, None)]


@pytest.mark.parametrize(
    "template", ["${user}", "u=${user}", "${tags}", "${properties.mode}", "${call.id}", "${span.id}"]
)
def test_a_header_without_its_value_is_not_written(template: str) -> None:
    assert written(template, SessionInfo("0b7c9b3e-run", "Course", 0, "/")) == []


def test_a_value_is_ascii_and_cut() -> None:
    assert written("${session.name}", INFO._replace(name="Größe\r\nX: 1")) == [("Grosse X: 1", None)]
    assert written("${session.name}", INFO._replace(name="n" * 1025)) == [
        ("n" * 1024, "cut to 1,024 of 1,025 characters")
    ]


def planned(
    rules: Rules, decision: Decision, *sent: tuple[str, str], **more: str | None
) -> dict[str, tuple[str, str | None]]:
    call = OutgoingCall(Headers(sent), "llm.acme.example", dialects=rules.dialects, **more)  # type: ignore[arg-type]
    session = Session("0b7c9b3e-run", "Course", 3, "process")
    edits = plan(decision, FilledSettings(path="/outline"), session, Link(), call)
    return {edit.header: (edit.action, edit.new) for edit in edits}


def test_a_file_may_send_it_to_every_host(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(ACME, encoding="utf-8")
    rules = load_file(path)
    assert rules.send == ("acme",)
    assert planned(rules, Decision(wants_session=True, send=rules.send)) == {
        "X-Acme-Session": ("set", "0b7c9b3e-run"),
        "X-Acme-Path": ("set", "/outline"),
        "X-Acme-User": ("set", "nobody"),
    }


def test_auto_sends_it_to_the_hosts_of_its_name() -> None:
    rules = load_text(ACME)
    auto = Decision(wants_session=True, send="auto")
    assert set(planned(rules, auto, provider="acme")) == {"X-Acme-Session", "X-Acme-Path", "X-Acme-User"}
    assert planned(rules, auto, provider="openai") == {}


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Decision(wants_session=True, send=("acme",)), ("keep", "0b7c9b3e-run")),
        (Decision(wants_session=True, send=("acme",), existing="replace"), ("keep", "0b7c9b3e-run")),
        (
            Decision(wants_session=True, send=("acme",), existing="replace", set_by={"session.id": "r"}),
            ("set", "0b7c9b3e-run"),
        ),
    ],
    ids=["keep", "replace, but the id is a default", "replace"],
)
def test_what_the_app_sent_itself(decision: Decision, expected: tuple[str, str]) -> None:
    assert planned(load_text(ACME), decision, ("x-acme-session", "mine"))["X-Acme-Session"] == expected


def test_it_may_have_a_name_that_cannot_be_written_yet() -> None:
    rules = load_text("dialects: {braintrust: {x-bt-parent: 'project_name:${session.name}'}}\nsend: braintrust")
    assert rules.send == ("braintrust",)


@pytest.mark.parametrize(
    ("host", "hosts", "warnings"),
    [
        ("llm.acme.example", "[{host: '*.acme.example', provider: acme}]", 0),
        ("llm.acme.example", "[{host: '*.acme.example', provider: vllm}]", 1),
        ("api.openai.com", "[{host: '*.acme.example', provider: acme}]", 1),
    ],
)
def test_the_linter_knows_the_hosts_that_read_it(host: str, hosts: str, warnings: int) -> None:
    text = f"dialects: {{acme: {{X-A: '${{session.id}}'}}}}\nhosts: {hosts}\n"
    rules = load_text(text + f"rules: [{{match: {{host: {host}}}, session: {{name: x}}, send: acme}}]")
    assert len(lint(rules)) == warnings


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_the_session_says_a_header_can_hold_it(name: str, user: str) -> None:
    for value, _ in written("${session.name} ${user:-x}", INFO._replace(name=name or "x", user=user)):
        assert value is not None
        assert value.isascii()
        assert value.isprintable()
