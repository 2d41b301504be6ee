"""A key of the rules is a line in a table: what reads, checks, decides, explains and describes it reads the table."""

from __future__ import annotations

from pathlib import Path

from tests.support.extended import run_extended

MATCH_KEY = """
    MatchKey("referer", GLOB, "The page that asks.", lambda s: s.headers.get("referer"), "head", 4, selectivity=5,
             holds_prose=True),"""
SET_KEYS = """
    SetKey("session.team", TEMPLATE, "The team's name.", TextLine, late=True),
    SetKey("budget", Integer(1), "The most that a call may cost.", Constant),
    SetKey("notes", MapOf(TEMPLATE), "Notes by name.", TextLine, late=True, each="key"),"""

MATCHED = """
    from sessiontap.exchange import Headers, Request
    from sessiontap.rules import Facts, RulesError, decide, explain, finish, json_schema, lint, load_text

    def facts(referer):
        return Facts("api.openai.com", request=Request("POST", "h", "/v1", Headers([("Referer", referer)]), b""))

    rules = load_text("rules: [{match: {referer: 'https://a.example/*'}, user: hit}]")
    for referer, user in (("https://a.example/x", "hit"), ("https://b.example/", None)):
        decision, matched = decide(rules, facts(referer), {})
        assert finish(matched, facts(referer), None, {}).user == user
    (verdict,) = explain(rules, facts("https://b.example/"), None).rules
    assert [(check.key, check.actual) for check in verdict.checks] == [("referer", ("https://b.example/",))]
    assert len(rules.index.facts) == 1 and rules.index.rest == 0
    (warning,) = lint(load_text("rules: [{match: {referer: x}, user: hit}]"))
    assert "only if the whole referer is 'x'" in warning, warning
    assert json_schema()["definitions"]["conditions"]["properties"]["referer"]["description"] == "The page that asks."
    try:
        load_text("rules: [{match: {refere: x}, user: hit}]")
    except RulesError as error:
        assert "did you mean 'referer'" in str(error), error
    else:
        raise AssertionError
"""

SET = """
    from sessiontap.rules import Facts, RulesError, SessionFacts, decide, explain, finish, json_schema, load_text

    facts, session = Facts("api.openai.com"), SessionFacts("id-of-a-run", "Course", 3)
    rules = load_text(
        "rules: [{session: {team: 'Blue ${session.step}'}, notes: {a: one}}, {budget: 5, notes: {a: two, b: two}},"
        "{budget: 7}]"
    )
    decision, matched = decide(rules, facts, {})
    filled = finish(matched, facts, session, {})
    assert decision.more == {"budget": 5}, decision
    assert filled.more == {"session.team": "Blue 3", "notes": {"a": "one", "b": "two"}}, filled
    assert decision.set_by["budget"] == "#2"
    effects = [(one.field, one.outcome) for rule in explain(rules, facts, session).rules for one in rule.effects]
    assert ("budget", "set") in effects and ("budget", "taken") in effects and ("notes.b", "set") in effects, effects
    rule = json_schema()["properties"]["rules"]["items"]["properties"]
    assert rule["budget"]["minimum"] == 1 and "team" in rule["session"]["properties"]
    for text, message in (
        ("rules: [{budget: 0}]", "expected a whole number from 1"),
        ("rules: [{budgt: 1}]", "did you mean 'budget'"),
        ("rules: [{notes: {a: '${proxy_env.K}'}}]", "would take a value of the proxy's own environment to any host"),
    ):
        try:
            load_text(text)
        except RulesError as error:
            assert message in str(error), error
        else:
            raise AssertionError(text)
"""


def test_a_match_key_of_ones_own_is_read_matched_and_explained(tmp_path: Path) -> None:
    lines = {"rules/match_keys.py": (("MATCH_KEYS: tuple[MatchKey, ...] = (", MATCH_KEY),)}
    run_extended(tmp_path, MATCHED, {}, lines)


def test_a_set_key_of_ones_own_is_read_filled_in_and_explained(tmp_path: Path) -> None:
    lines = {"rules/set_keys.py": (("SET_KEYS: tuple[SetKey, ...] = (", SET_KEYS),)}
    run_extended(tmp_path, SET, {}, lines)
