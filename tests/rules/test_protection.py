"""Rules that keep calls out of the log, if it is not known whether they match: then they may, and that counts."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from tests.rules.build import CALLER, NOTHING_KNOWN, SESSION, call, facts, load, one_rule, request
from tests.rules.test_conditions import HOLDING, TABLE, as_match

from sessiontap.exchange import Headers
from sessiontap.llm.call import Endpoint
from sessiontap.rules import Decision, Facts, Protection, decide, explain, load_text
from sessiontap.rules.conditions import AllOf, AnyOf, MatchCondition, Not
from sessiontap.rules.facts import KnownFacts

HERE = facts(caller=None)
"""A program on this machine that was not found."""
ELSEWHERE = facts(caller=None, is_remote=True)
UNREAD = facts(request=replace(request(), body=None), call=replace(call(model=None), json=None))
"""A request whose body streams past."""


def decided(rules: str, given: Facts) -> Decision:
    return decide(load(f"rules: {rules}"), given, {})[0]


def outcome(rules: str, given: Facts) -> str:
    decision = decided(rules, given)
    return "ignore" if decision.ignore else decision.capture


# -- conditions -------------------------------------------------------------------------------------------------------

T, F, U = True, False, None


class Fixed:
    """A condition that holds, fails, or is on an unknown fact."""

    key, expected, cost = "fixed", "fixed", 1

    def __init__(self, truth: bool | None) -> None:
        self.truth = truth

    def may(self, asked: KnownFacts, hold: bool) -> bool | None:
        return self.truth is None or self.truth is hold


def truth(condition: MatchCondition) -> bool | None:
    """True or false for certain, else None."""
    asked = KnownFacts(NOTHING_KNOWN)
    can, cannot = condition.may(asked, True), condition.may(asked, False)
    assert can or cannot
    return None if can and cannot else can


def fixed(*truths: bool | None) -> Any:
    return tuple(Fixed(one) for one in truths)


@pytest.mark.parametrize(
    ("truths", "both", "either"),
    [((T, T), T, T), ((T, F), F, T), ((F, F), F, F), ((T, U), U, T), ((F, U), F, U), ((U, U), U, U), ((), T, F)],
)
def test_all_and_any_of_three_values(truths: Any, both: bool | None, either: bool | None) -> None:
    assert truth(AllOf(fixed(*truths))) is both
    assert truth(AnyOf(fixed(*truths))) is either


@pytest.mark.parametrize(("inner", "outer"), [(T, F), (F, T), (U, U)])
def test_not_of_three_values(inner: bool | None, outer: bool | None) -> None:
    assert truth(Not(fixed(inner)[0])) is outer


def conditions(match: Any) -> AllOf:
    rules = one_rule(match=match, user="x")
    return AllOf(rules.rules[0].conditions)


@pytest.mark.parametrize(("key", "value", "expected"), TABLE, ids=[f"{key}: {value}" for key, value, _ in TABLE])
def test_what_is_known_is_certain(key: str, value: Any, expected: bool) -> None:
    condition, asked = conditions(as_match(key, value)), KnownFacts(facts())
    assert (condition.may(asked, True), condition.may(asked, False)) == (expected, not expected)


ABSENT = {"proxy_user", "header", "query"}
"""Keys whose facts are absent, not unknown, if the call is known."""


@pytest.mark.parametrize("key", HOLDING)
def test_what_is_unknown_may_hold_and_may_fail(key: str) -> None:
    """Of the request nothing is known but that there is one."""
    given = replace(NOTHING_KNOWN, request=replace(request("GET", "/"), headers=Headers([]), body=None))
    condition, asked = conditions(as_match(key, HOLDING[key])), KnownFacts(given)
    known = key in ABSENT or key == "route"
    assert (condition.may(asked, True), condition.may(asked, False)) == ((False, True) if known else (True, True))


@pytest.mark.parametrize("key", sorted(key for key in HOLDING if key.startswith("process")))
def test_a_client_elsewhere_has_no_process(key: str) -> None:
    condition, asked = conditions(as_match(key, HOLDING[key])), KnownFacts(ELSEWHERE)
    assert (condition.may(asked, True), condition.may(asked, False)) == (False, True)


@pytest.mark.parametrize(
    ("match", "given"),
    [
        pytest.param({"process": {"exe": "/usr/**"}}, facts(caller=replace(CALLER, exe=None)), id="an executable"),
        pytest.param({"process": {"cwd": "/x/**"}}, facts(caller=replace(CALLER, cwd=None)), id="a folder"),
        pytest.param({"process": {"user": "bob"}}, facts(caller=replace(CALLER, user=None)), id="a user"),
        pytest.param({"process": "x"}, facts(caller=replace(CALLER, name=None, names=())), id="names"),
        pytest.param({"process": {"env": {"PRIVATE": "1"}}}, facts(caller=replace(CALLER, env_unread=True)), id="env"),
        pytest.param({"client": "10.0.0.0/8"}, facts(client_ip=None), id="an address"),
        pytest.param({"model": "x"}, UNREAD, id="a model"),
        pytest.param({"offers": "shell"}, UNREAD, id="tools"),
        pytest.param({"body": {"user.name": "x"}}, UNREAD, id="a body's field"),
        pytest.param({"model": "x"}, facts(call=replace(call(model=None), misread=True)), id="a body that was misread"),
        pytest.param({"model": "x"}, facts(call=replace(call(model=None), partial=True)), id="a body read in part"),
        pytest.param({"message": "x"}, facts(call=replace(call(), partial=True)), id="a message, read in part"),
        pytest.param(
            {"tool_result": "secrets"}, facts(call=call(results=(("call-1", None),))), id="a result without a name"
        ),
        pytest.param({"message": "re:secret"}, facts(call=call(message="x" * 70_000)), id="a text beyond the search"),
    ],
)
def test_what_could_not_be_read_may_hold(match: Any, given: Facts) -> None:
    condition, asked = conditions(match), KnownFacts(given)
    assert (condition.may(asked, True), condition.may(asked, False)) == (True, True)


OPAQUE = facts(
    call=replace(
        call(model=None, message=None, prompt=None, stream=None, tools_offered=(), tool_results=()),
        endpoint=Endpoint("openai", "other", "moderation", "/v1/moderations"),
        json={"input": "A patient of the clinic"},
    )
)
"""A body whose messages nobody reads: a moderation, a batch, a thread."""


@pytest.mark.parametrize(
    ("match", "may"),
    [
        ({"message": "*patient*"}, True),
        ({"prompt": "*clinic*"}, True),
        ({"model": "clinic-*"}, True),
        ({"offers": "files"}, True),
        ({"tool_result": "files"}, True),
        ({"result": {"files": "*"}}, True),
        ({"body": {"input": "*x-ray*"}}, False),
        ({"agent": "codex"}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_body_says_that_nobody_reads_may_be_what_is_to_stay_out(match: Any, may: bool) -> None:
    condition, asked = conditions(match), KnownFacts(OPAQUE)
    assert (condition.may(asked, True), condition.may(asked, False)) == (may, True)


def test_a_body_that_is_no_map_may_say_anything() -> None:
    given = facts(call=replace(call(model=None), json=[{"model": "clinic-1"}]))
    assert outcome("[{match: {model: 'clinic-*'}, capture: none}]", given) == "none"


@pytest.mark.parametrize(
    ("match", "given"),
    [
        pytest.param({"process": {"env": {"PRIVATE": "1"}}}, facts(), id="a variable that it does not have"),
        pytest.param({"proxy_user": "x"}, facts(proxy_user=None), id="a proxy user"),
        pytest.param({"model": "x"}, facts(call=call(model=None)), id="a model that a body does not name"),
        pytest.param(
            {"model": "x"},
            facts(request=replace(request("GET"), body=b""), call=replace(call(model=None), json=None)),
            id="a model where there is no body",
        ),
        pytest.param({"model": "x"}, facts(call=replace(call(), partial=True)), id="another model, read in part"),
        pytest.param({"message": "x"}, facts(call=call(problems=("too long",))), id="in a long conversation"),
        pytest.param({"agent": "codex"}, facts(call=replace(call(), agent=None)), id="an agent"),
    ],
)
def test_what_is_known_to_be_absent_fails(match: Any, given: Facts) -> None:
    condition, asked = conditions(match), KnownFacts(given)
    assert (condition.may(asked, True), condition.may(asked, False)) == (False, True)


def test_a_condition_of_the_request_is_open_before_it_comes() -> None:
    asked = KnownFacts(facts(request=None, call=None))
    for match in ({"model": "x"}, {"header": {"x-team": "blue"}}, {"not": {"route": "/x"}}):
        assert conditions(match).may(asked, True) is None


# -- rules ------------------------------------------------------------------------------------------------------------

PRIVATE = "{rule: private, match: {process: secret.py}, capture: none}"
NOT_X = "{match: {not: {process: x}},"
BY_MODEL = "{rule: private, match: {model: secret}, capture: metadata}"


@pytest.mark.parametrize(
    ("rules", "given", "expected"),
    [
        pytest.param(f"[{PRIVATE}]", facts(), "full", id="another process"),
        pytest.param(f"[{PRIVATE}]", HERE, "none", id="an unknown process"),
        pytest.param(f"[{PRIVATE}]", ELSEWHERE, "full", id="a client elsewhere"),
        pytest.param(f"[{BY_MODEL}]", facts(), "full", id="another model"),
        pytest.param(f"[{BY_MODEL}]", UNREAD, "metadata", id="an unknown model"),
        pytest.param("[{match: {process: x}, ignore: true}]", HERE, "ignore", id="ignore"),
        pytest.param("[{match: {not: {process: x}}, ignore: true}]", HERE, "ignore", id="ignore by not"),
        pytest.param("[{match: {process: x, host: y}, ignore: true}]", HERE, "full", id="what is known rules it out"),
        pytest.param("[{match: {process: x, host: '*.openai.com'}, ignore: true}]", HERE, "ignore", id="or does not"),
        pytest.param("[{match: [{host: y}, {process: x}], ignore: true}]", HERE, "ignore", id="one of several"),
        pytest.param(f"[{{capture: metadata}}, {PRIVATE}]", HERE, "metadata", id="settled by an earlier rule"),
        pytest.param(f"[{{match: {{process: y}}, capture: full}}, {PRIVATE}]", HERE, "none", id="perhaps settled"),
        pytest.param(
            f"[{{match: {{not: {{process: secret.py}}}}, capture: full}}, {PRIVATE}]", HERE, "none", id="by not"
        ),
        pytest.param(f"[{{match: {{process: y}}, final: true}}, {PRIVATE}]", HERE, "none", id="behind perhaps final"),
        pytest.param(
            f"[{{match: {{not: {{process: secret.py}}}}, final: true}}, {PRIVATE}]", HERE, "none", id="behind not"
        ),
        pytest.param(f"[{{final: true}}, {PRIVATE}]", HERE, "full", id="behind final"),
        pytest.param(f"[{NOT_X} final: true}}, {{ignore: true}}]", HERE, "ignore", id="certain, behind not, final"),
        pytest.param(f"[{NOT_X} capture: full}}, {{capture: none}}]", HERE, "none", id="certain, behind not, full"),
        pytest.param(f"[{NOT_X} capture: metadata}}, {{capture: none}}]", HERE, "none", id="the stricter, behind not"),
        pytest.param(f"[{BY_MODEL}, {PRIVATE}]", replace(UNREAD, caller=None), "none", id="the strictest of two"),
        pytest.param("[{match: {process: x}, capture: full}, {capture: none}]", HERE, "none", id="full protects not"),
        pytest.param("[{match: {process: x}, session: {name: X}}]", HERE, "full", id="labels protect nothing"),
        pytest.param(f"[{{match: {{process: x}}, ignore: true}}, {PRIVATE}]", facts(), "full", id="all is known"),
    ],
)
def test_protection(rules: str, given: Facts, expected: str) -> None:
    assert outcome(rules, given) == expected


@pytest.mark.parametrize(
    ("rules", "given", "protection"),
    [
        pytest.param(f"[{PRIVATE}]", HERE, Protection("none", "private", ("process.name",)), id="a process"),
        pytest.param(f"[{BY_MODEL}]", UNREAD, Protection("metadata", "private", ("model",)), id="a model"),
        pytest.param(
            "[{match: {process: {name: x, env: {K: v}}}, ignore: true}]",
            HERE,
            Protection("ignore", "#1", ("process.name", "process.env.K")),
            id="several facts",
        ),
        pytest.param(
            f"[{NOT_X} final: true}}, {{rule: all, ignore: true}}]",
            HERE,
            Protection("ignore", "all", ("process.name",)),
            id="of a rule before it",
        ),
        pytest.param(
            "[{match: {process: y}, capture: full}, {match: {model: no}, capture: none}]", HERE, None, id="full alone"
        ),
        pytest.param("[{ignore: true}]", HERE, None, id="for certain"),
        pytest.param(f"[{PRIVATE}, {{capture: none}}]", HERE, None, id="by another rule for certain"),
        pytest.param(f"[{PRIVATE}]", facts(), None, id="not at all"),
    ],
)
def test_it_is_said_which_rule_and_what_is_unknown(rules: str, given: Facts, protection: Protection | None) -> None:
    assert decided(rules, given).protected == protection


def test_labels_go_by_what_is_certain() -> None:
    rules = """[
        {match: {process: x}, session: {name: Positive}},
        {match: {not: {process: x}}, session: {name: Negative}},
        {rule: private, match: {process: x}, capture: none, session: {name: Private}}]"""
    decision = decided(rules, HERE)
    assert (decision.name, decision.capture, decision.set_by["capture"]) == ("Negative", "none", "private")
    assert decision.rules == ("#2", "private")


def test_a_rule_that_cannot_be_evaluated_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = load("rules: [{rule: private, match: {message: '*x*'}, capture: none}]")

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("sessiontap.rules.conditions.Leaf.holds", broken)
    decision, _ = decide(rules, facts(), {})
    assert decision.protected == Protection("none", "private", ("RuntimeError: broken",))


@pytest.mark.parametrize("number", [1, 40])
def test_rules_that_the_index_leads_to_protect_too(number: int) -> None:
    """A word of the rule stands in the index, and no call that lacks the fact has that word."""
    rules = ", ".join(f"{{match: {{process: p{at}, model: m{at}}}, capture: none}}" for at in range(number))
    assert outcome(f"[{rules}]", replace(UNREAD, caller=None)) == "none"
    assert outcome(f"[{rules}]", facts()) == "full"


# -- explain ----------------------------------------------------------------------------------------------------------


def test_explain_says_that_a_rule_may_match() -> None:
    rules = load(f"rules: [{PRIVATE}, {{match: {{process: y}}, user: x}}]")
    private, label = explain(rules, HERE, SESSION).rules
    assert (private.outcome, label.outcome) == ("may match", "not matched")
    assert [(check.key, check.actual, check.holds, check.unknown) for check in private.checks] == [
        ("process.name", None, False, True)
    ]


def test_explain_ends_where_a_call_may_be_ignored() -> None:
    rules = load("rules: [{user: x}, {match: {process: x}, ignore: true}, {user: y}]")
    explanation = explain(rules, HERE, SESSION)
    assert explanation.decision.ignore
    assert [one.outcome for one in explanation.rules] == ["matched", "may match", "not reached"]


# -- whatever the process turns out to be ------------------------------------------------------------------------------

MATCHES: list[Any] = [
    {},
    {"process": "x"},
    {"not": {"process": "x"}},
    {"process": ["x", "y"]},
    {"not": {"process": "y", "host": "*.openai.com"}},
    [{"process": "y"}, {"host": "other.example"}],
    {"process": "x", "model": "no"},
]
ACTIONS: list[dict[str, Any]] = [
    {"ignore": True},
    {"capture": "none"},
    {"capture": "metadata"},
    {"capture": "full"},
    {"final": True},
    {"capture": "metadata", "final": True},
]
STRICTNESS = ("full", "metadata", "none", "ignore")


def test_an_unknown_process_is_protected_as_whichever_it_is_would_be() -> None:
    """Sound for any rules: never less than for the process that it turns out to be; and exact if all is known."""
    chance = random.Random(20)
    worlds = [facts(caller=replace(CALLER, name=name, names=(name,))) for name in ("x", "y", "z")]
    for _ in range(600):
        rules = load_text(
            json.dumps({"rules": [{"match": chance.choice(MATCHES), **chance.choice(ACTIONS)} for _ in range(3)]}), "r"
        )
        found = [decide(rules, given, {})[0] for given in (HERE, *worlds)]
        effects = [STRICTNESS.index("ignore" if one.ignore else one.capture) for one in found]
        assert effects[0] >= max(effects[1:]), rules
        assert all(one.protected is None for one in found[1:])
        connection = [
            rules.connection(replace(given, request=None, call=None)).ignore for given in (HERE, *worlds)
        ]
        assert connection[0] >= max(connection[1:]), rules
