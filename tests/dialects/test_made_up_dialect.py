"""A dialect is a file and a line: what plans, recognises, offers, checks and describes it reads the list."""

from __future__ import annotations

from pathlib import Path

from tests.support.extended import run_extended

ACME = """
    from sessiontap.dialects.dialect import AppHeaders, Dialect, OwnKey, ProposedHeader
    from sessiontap.header_edit import Edit


    def request_headers(info):
        yield ProposedHeader("Acme-Run", info.id, "session.id")
        yield ProposedHeader("Acme-Step", str(info.step), "session.id")


    def reply_headers(request_edits, headers, step, call_id):
        if any(edit.header == "Acme-Run" for edit in request_edits):
            yield Edit("set", "Acme-Call", None, call_id, "reply")


    def key(host, sent, proxy_env, why_no_key):
        if host != "llm.acme.example" or sent is not None:
            return None
        return Edit("withhold" if why_no_key else "set", "Acme-Key", None, proxy_env.get("ACME_KEY"), why_no_key)


    ACME = Dialect(
        "acme",
        request_headers,
        prefixes=("acme-",),
        hosts=("llm.acme.example",),
        signs=("acme-app",),
        reply_headers=reply_headers,
        trace_id="Acme-Trace",
        app=AppHeaders(id="acme-run"),
        own_key=OwnKey("Acme-Key", "Acme", key),
    )
"""
LINES = {
    "dialects/__init__.py": (
        ("from sessiontap.exchange import Headers", "from sessiontap.dialects import acme"),
        ("    traceforge.DIALECT,", "    acme.ACME,"),
    )
}

PLANNED = """
    from sessiontap.exchange import Headers
    from sessiontap.headers import OutgoingCall, app_session, apply, plan, reply_plan, trace_id
    from sessiontap.redaction import Redactor
    from sessiontap.rules import default_rules
    from sessiontap.rules.decision import Decision, FilledSettings
    from sessiontap.sessions import Link, Session

    session = Session("run-12345678", "Course", 3, "process")
    for send in (("acme",), "auto"):
        decision = Decision(wants_session=True, name="Course", send=send)
        for sent, told in (([], "run-12345678"), ([("acme-run", "its-own-id")], "its-own-id")):
            call = OutgoingCall(Headers(sent), "llm.acme.example", proxy_env={"ACME_KEY": "k"}, why_no_key=None)
            edits = plan(decision, FilledSettings(), session, Link(), call)
            written = {name.lower(): value for name, value in apply(edits, sent)}
            assert written == {"acme-run": told, "acme-step": "3", "acme-key": "k"}, written
    (reply,) = reply_plan(edits, Headers(), session=session, call_id="c1")
    assert (reply.header, reply.new) == ("Acme-Call", "c1")
    assert trace_id(Headers([("acme-trace", "t1")])) == "t1"
    redactor = Redactor(b"k" * 32, default_rules().secret_headers)
    assert "a-word" not in redactor.header("Acme-Key", "a-word"), redactor.header("Acme-Key", "a-word")
    declared = app_session(Headers([("Acme-Run", "run-12345678")]))
    assert (declared.id, declared.dialect) == ("run-12345678", "acme")
"""

OFFERED = """
    from sessiontap.rules import RulesError, json_schema, lint, load_text

    rule = "rules: [{match: {host: %s}, session: {name: x}, send: acme}]"
    assert lint(load_text(rule % "llm.acme.example")) == []
    (warning,) = lint(load_text(rule % "api.openai.com"))
    assert "acme session headers" in warning, warning
    assert "acme" in str(json_schema()["properties"]["send"])
    try:
        load_text("send: acmee")
    except RulesError as error:
        assert "did you mean 'acme'" in str(error), error
    else:
        raise AssertionError
"""


def test_a_dialect_of_ones_own_is_written_and_recognised(tmp_path: Path) -> None:
    run_extended(tmp_path, PLANNED, {"dialects/acme.py": ACME}, LINES)


def test_the_rules_offer_and_check_it(tmp_path: Path) -> None:
    run_extended(tmp_path, OFFERED, {"dialects/acme.py": ACME}, LINES)
