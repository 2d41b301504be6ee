"""Steps of a rule: they do what rules before it would do that repeat its `match`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.build import CALLER, NOTHING_KNOWN, SESSION, call, facts, load, outcome

from sessiontap.rules import (
    ConnectionView,
    Decision,
    Facts,
    FilledSettings,
    Protection,
    Rules,
    RulesError,
    explain,
    lint,
    load_text,
)
from sessiontap.rules.conditions import Leaf
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.language import MATCH, STEP
from sessiontap.rules.match_patterns import Captures

COURSE = """
version: 1
rules:
  - rule: course
    match: {process: bot.py}
    session: {name: Course, path: "/plan/${model}"}
    properties: {app: course, tool: none}
    steps:
      - {prompt: "You plan courses*", path: +/syllabus, properties: {tool: syllabus}}
      - {step: search, tool_result: web_search, path: +/search, user: "${tool_result}"}
      - {step: deploy, message: "re:ticket (?P<ticket>[0-9]+)", path: "/deploy/${ticket}", user: deployer}
  - properties: {by: "${provider}"}
"""


def asked(**asked: Any) -> Facts:
    """A call of `bot.py` that asks nothing but this."""
    nothing: dict[str, Any] = {"tools_offered": (), "tool_results": (), "message": "hello", "prompt": None}
    return facts(call=call(**{**nothing, **asked}))


def by_another(found: Facts) -> Facts:
    """The same call of another program."""
    return replace(found, caller=replace(CALLER, name="x", names=("x",)))


@pytest.mark.parametrize(
    ("found", "path", "user", "tool", "rules"),
    [
        pytest.param(asked(), "/plan/openai-gpt-4o", None, "none", ("course", "#2"), id="no step"),
        pytest.param(asked(prompt="You plan courses."), "/plan/openai-gpt-4o/syllabus", None, "syllabus",
                     ("course/#1", "course", "#2"), id="a step without a label"),
        pytest.param(asked(tool_results=("web_search",)), "/plan/openai-gpt-4o/search", "web_search", "none",
                     ("course/search", "course", "#2"), id="a step with a label, and what its own match captured"),
        pytest.param(asked(message="ticket 42"), "/deploy/42", "deployer", "none",
                     ("course/deploy", "course", "#2"), id="a path of its own"),
        pytest.param(asked(message="ticket 42", prompt="You plan courses."), "/plan/openai-gpt-4o/syllabus", "deployer",
                     "syllabus", ("course/#1", "course/deploy", "course", "#2"), id="two steps: the first that sets"),
        pytest.param(by_another(asked(prompt="You plan courses.")),
                     "/main/general-purpose", None, None, ("#2",), id="not its rule's call"),
    ],
)  # fmt: skip
def test_a_step_sets_what_no_step_before_it_set_and_its_rule_the_rest(
    found: Facts, path: str, user: str | None, tool: str | None, rules: tuple[str, ...]
) -> None:
    decision, filled = outcome(load(COURSE), found)
    assert (filled.path, filled.user, filled.properties.get("tool")) == (path, user, tool)
    assert {*decision.rules, *filled.rules} == set(rules)
    assert filled.properties["by"] == "openai"


@pytest.mark.parametrize(
    ("rule", "found", "expected"),
    [
        pytest.param("match: {process: bot.py}, user: rule, steps: [{model: '*gpt*', final: true}]", facts(), None,
                     id="final: its rule is not read either"),
        pytest.param("match: {process: bot.py}, user: rule, steps: [{model: 'x*', final: true}]", facts(), "rule",
                     id="final, of another call"),
        pytest.param("match: {process: bot.py}, steps: [{match: [{model: x}, {model: '*gpt*'}], user: step}]",
                     facts(), "step", id="alternatives"),
        pytest.param("match: {process: bot.py}, user: rule, "
                     "steps: [{model: '*gpt*', match: [{model: x}, {prompt: y}], user: step}]",
                     facts(), "rule", id="alternatives beside keys of its own"),
        pytest.param("match: [{process: x}, {model: '*gpt*'}], user: rule, steps: [{offers: web_search, user: step}]",
                     facts(), "step", id="alternatives of its rule"),
        pytest.param("match: [{process: x}, {model: y}], user: rule, steps: [{offers: web_search, user: step}]",
                     facts(), None, id="no alternative of its rule holds"),
        pytest.param("user: rule, steps: [{not: {process: bot.py}, user: step}]", facts(), "rule", id="not"),
        pytest.param("user: rule, steps: [{not: {process: x}, user: step}]", facts(), "step", id="not, of another"),
        pytest.param("user: rule, steps: [{user: step}]", facts(), "step", id="a step for all calls of its rule"),
        pytest.param("steps: [{model: '*gpt*', user: step}]", facts(), "step", id="a rule of nothing but steps"),
        pytest.param("match: {model: 're:(?P<team>gpt)'}, steps: [{process: bot.py, user: 'of ${team}'}]", facts(),
                     "of gpt", id="what its rule's match captured"),
    ],
)  # fmt: skip
def test_when_a_step_matches(rule: str, found: Facts, expected: str | None) -> None:
    assert outcome(load(f"rules: [{{{rule}}}]"), found)[1].user == expected


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        pytest.param("session: {path: '/a/${operation}'}, steps: [{path: '+/b/${tool_result}'}]", "/a/chat/b/read_file",
                     id="variables in both"),
        pytest.param("session: {path: '/a'}, steps: [{session: {path: +/b}}]", "/a/b", id="under session"),
        pytest.param("session: {path: '/a/'}, steps: [{path: +/b/}]", "/a/b", id="slashes at the ends"),
        pytest.param("session: {path: '/a/${env.NO}'}, steps: [{path: +/b}]", "/main/general-purpose",
                     id="no value for the rule's"),
        pytest.param("session: {path: '/a/${env.NO:-x}'}, steps: [{path: +/b}]", "/a/x/b", id="a default"),
    ],
)  # fmt: skip
def test_a_path_goes_on_from_its_rules(rule: str, path: str) -> None:
    assert outcome(load(f"rules: [{{{rule}}}]"), facts())[1].path == path


@pytest.mark.parametrize(
    ("rule", "problems"),
    [
        pytest.param("{session: {path: +/x}}",
                     ["1:26: rules[0].session.path: '+/x' goes on from the path of a rule, and this is no step of one; "
                      "expected a path such as /search; or this in an item of steps"], id="+ outside of steps"),
        pytest.param("{user: x, steps: [{path: +/x}]}",
                     ["1:34: rules[0].steps[0].path: there is no path from which '+/x' could go on: its rule sets "
                      "none; expected a whole path, or session: {path: ...} in the rule"], id="nothing to go on from"),
        pytest.param("{session: {path: /a}, steps: [{path: +x}]}",
                     ["1:46: rules[0].steps[0].path: '+x' is no path; expected a path such as /search or +/search"],
                     id="+ without a slash"),
        pytest.param("{session: {path: /a}, steps: [{path: +/}]}",
                     ["1:46: rules[0].steps[0].path: '+/' is no path; expected a path such as /search or +/search"],
                     id="+ without a level"),
        pytest.param("{session: {path: /a}, steps: [{path: /b, session: {path: /c}}]}",
                     ["1:66: rules[0].steps[0].session.path: the step has a path already: its key 'path' is the same"],
                     id="two paths"),
        pytest.param("{steps: [{model: x, steps: [{user: x}]}]}",
                     ["1:29: rules[0].steps[0].steps: a step has no steps of its own"], id="steps in a step"),
        pytest.param("{steps: [{rule: x, user: x}]}",
                     ["1:19: rules[0].steps[0].rule: the label of a step is its key 'step'"], id="rule in a step"),
        pytest.param("{steps: [{idle: 1h}]}", ["did you mean 'session.idle'?"], id="a key of the session"),
        pytest.param("{steps: [{tool_results: x, user: y}]}", ["did you mean 'tool_result'?"], id="a slip"),
        pytest.param("{prompt: x*, user: y}", ["did you mean 'match.prompt'?"], id="a key of match in a rule"),
        pytest.param("{steps: {user: x}}", ["1:17: rules[0].steps: a map stands here; expected a list"], id="a map"),
        pytest.param("{steps: []}", ["1:17: rules[0].steps: the list is empty; expected at least one item"], id="none"),
        pytest.param("{ignore: true, steps: [{user: x}]}",
                     ["1:31: rules[0].steps: a rule with ignore: true leaves the call alone and has no steps"],
                     id="an ignored rule"),
        pytest.param("{session: {path: /a}, steps: [{ignore: true, path: +/x}]}",
                     ["1:60: rules[0].steps[0].path: a step with ignore: true leaves the call alone and cannot set "
                      "anything"], id="an ignored step"),
        pytest.param("{steps: [{gateway: nosuch}]}", ["1:28: rules[0].steps[0].gateway: there is no gateway 'nosuch'"],
                     id="a gateway"),
        pytest.param("{session: {path: '/${nosuch}'}, steps: [{path: +/x}]}",
                     ["1:26: rules[0].session.path: unknown variable 'nosuch'"], id="a problem of the rule's, once"),
        pytest.param("{session: {path: /a}, steps: [{path: '+/${nosuch}'}]}",
                     ["1:46: rules[0].steps[0].path: unknown variable 'nosuch'"], id="a variable"),
        pytest.param("{steps: [{session: {name: '${session.id}'}}]}",
                     ["1:35: rules[0].steps[0].session.name: 'session.id' is known only once the session is"],
                     id="a variable too early"),
        pytest.param("{steps: [{headers: {set: {X: '${proxy_env.K}'}}}]}",
                     ["1:38: rules[0].steps[0].headers.set.X: '${proxy_env.K}' would take a value of the proxy's own "
                      "environment to any host"], id="a secret"),
        pytest.param("{gateway: helicone, steps: [{headers: {set: {X: '${proxy_env.K}'}}}]}",
                     ["would take a value of the proxy's own environment to any host"],
                     id="a secret for the gateway of its rule"),
    ],
)  # fmt: skip
def test_problems_name_their_place(rule: str, problems: list[str]) -> None:
    with pytest.raises(RulesError) as refused:
        load_text(f"rules: [{rule}]", "r.yaml")
    lines = str(refused.value).splitlines()
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        assert problem in line
        assert not problem[0].isdigit() or line.startswith(f"r.yaml:{problem}")


def test_no_key_of_a_step_has_two_meanings() -> None:
    names = [key.name for key in STEP.fields]
    assert len(names) == len(set(names))
    assert {key.name for key in MATCH.fields} <= set(names)


PLACED = """\
rules:
  - rule: course
    match: {process: bot.py}
    session: {path: /a, name: A}
    send: none
    steps:
"""


@pytest.mark.parametrize(
    ("steps", "warnings"),
    [
        pytest.param(["{model: x, path: +/x}", "{model: y, path: +/y}"], [], id="clean"),
        pytest.param(["{model: x*, path: +/x}", "{model: xy, path: +/y}"],
                     ["8:9: step 'course/#2' can never win: step 'course/#1' in line 7 matches every call that it "
                      "matches, and sets its keys first"], id="shadowed by a step"),
        pytest.param(["{path: +/x, session: {name: B}, send: auto}"],
                     ["2:5: rule 'course' can never win: step 'course/#1' in line 7 matches every call that it "
                      "matches, and sets its keys first"], id="a step takes all of its rule"),
        pytest.param(["{step: end, final: true}"],
                     ["2:5: rule 'course' is never reached: step 'course/end' in line 7 matches every call that it "
                      "matches and ends the reading"], id="a step ends the reading for all of its rule"),
        pytest.param(["{model: x, final: true}", "{model: x, tags: [a]}"],
                     ["8:9: step 'course/#2' is never reached: step 'course/#1' in line 7 matches every call that it "
                      "matches and ends the reading"], id="never reached"),
        pytest.param(["{model: x}"], ["7:9: step 'course/#1' sets nothing"], id="sets nothing"),
        pytest.param(["{step: a, model: x, user: x}", "{step: a, model: y, user: y}"],
                     ["8:9: step 'course/a' has the name of an earlier step, so explain and the trace cannot tell them "
                      "apart"], id="a label again"),
        pytest.param(["{prompt: deploy, user: x}"],
                     ["7:9: step 'course/#1' matches only if the whole prompt is 'deploy'; *deploy* finds it inside"],
                     id="a prompt without a star"),
        pytest.param(["{model: x, send: helicone}"],
                     [], id="sends what its rule's session is"),
    ],
)  # fmt: skip
def test_warnings_name_the_step(steps: list[str], warnings: list[str]) -> None:
    found = lint(load_text(PLACED + "".join(f"      - {step}\n" for step in steps), "r.yaml"))
    assert found == [f"r.yaml:{warning}" for warning in warnings]


@pytest.mark.parametrize(
    ("rules", "warnings"),
    [
        pytest.param("[{user: x}, {rule: b, match: {process: p}, steps: [{model: m, user: y}]}]",
                     ["step 'b/#1' can never win: rule #1 in line 1 matches every call that it matches, and sets its "
                      "keys first"], id="a step behind a rule that takes all"),
        pytest.param("[{rule: a, match: {process: p}, tags: [t], steps: [{model: m, user: x}]}, "
                     "{match: {process: p, model: m}, user: y}]",
                     ["rule #2 can never win: step 'a/#1' in line 1 matches every call that it matches, and sets its "
                      "keys first"], id="a rule behind a step"),
        pytest.param("[{rule: a, match: {process: p}, tags: [t], steps: [{model: m, user: x}]}, "
                     "{match: {model: m}, user: y}]", [], id="a rule that matches more than a step"),
        pytest.param("[{match: {prompt: deploy}, tags: [t], steps: [{model: m, user: x}, {model: n, user: x}]}]",
                     ["rule #1 matches only if the whole prompt is 'deploy'; *deploy* finds it inside"],
                     id="what is doubtful in the rule is said of the rule alone"),
        pytest.param("[{rule: a, user: x, steps: [{model: x, user: x}]}, {rule: a, user: x, "
                     "steps: [{model: y, user: y}]}]",
                     ["rule 'a' can never win: rule 'a' in line 1 matches every call that it matches, and sets its "
                      "keys first (also the rules in lines 1)",
                      "rule 'a' has the name of an earlier rule, so explain and the trace cannot tell them apart"],
                     id="two rules of one label"),
    ],
)  # fmt: skip
def test_warnings_about_rules_and_steps(rules: str, warnings: list[str]) -> None:
    assert [warning.split(": ", 1)[1] for warning in lint(load_text(f"rules: {rules}"))] == warnings


def test_session_headers_that_nobody_reads_are_told_of_the_rule_first() -> None:
    (warning,) = lint(load_text(PLACED.replace("    send: none\n", "") + "      - {model: x, path: +/x}\n", "r.yaml"))
    assert warning.startswith("r.yaml:2:5: rule 'course' sends helicone session headers to any LLM host")


def test_explain_shows_what_a_step_adds_to_its_rule() -> None:
    verdicts = explain(load(COURSE), asked(prompt="You plan courses."), SESSION).rules
    assert [(one.rule, one.number, one.step, one.line, one.outcome) for one in verdicts] == [
        ("course/#1", 1, 1, 9, "matched"),
        ("course/search", 1, 2, 10, "not matched"),
        ("course/deploy", 1, 3, 11, "not matched"),
        ("course", 1, 0, 4, "matched"),
        ("#2", 2, 0, 12, "matched"),
    ]
    assert [check.key for check in verdicts[0].checks] == ["prompt"]
    assert [(effect.field, effect.outcome) for effect in verdicts[3].effects] == [
        ("session.name", "set"),
        ("session.path", "taken"),
        ("properties.app", "set"),
        ("properties.tool", "taken"),
    ]


def test_explain_says_of_a_step_that_its_rule_does_not_match() -> None:
    step = explain(load(COURSE), by_another(asked(prompt="You plan courses.")), SESSION).rules[0]
    assert (step.outcome, [(check.key, check.holds) for check in step.checks]) == (
        "not matched",
        [("process.name", False), ("prompt", True)],
    )


PROTECTING = "rules: [{rule: r, match: {process: bot.py}, user: u, steps: [{step: s, model: clinic*, %s}]}]"
UNREAD = replace(facts(), call=None)


@pytest.mark.parametrize(
    ("effect", "found", "capture", "ignored", "by"),
    [
        pytest.param("capture: metadata", facts(call=call(model="clinic-1")), "metadata", False, None, id="it matches"),
        pytest.param("capture: metadata", facts(), "full", False, None, id="another model"),
        pytest.param("capture: metadata", UNREAD, "metadata", False, "r/s", id="the model is unknown"),
        pytest.param("capture: none", NOTHING_KNOWN, "none", False, "r/s", id="nothing is known"),
        pytest.param("ignore: true", facts(call=call(model="clinic-1")), "full", True, None, id="ignored"),
        pytest.param("ignore: true", UNREAD, "full", True, "r/s", id="ignored, the model is unknown"),
        pytest.param("ignore: true", by_another(UNREAD), "full", False, None,
                     id="not its rule's call, the model is unknown"),
    ],
)  # fmt: skip
def test_a_step_protects_as_a_rule_does(effect: str, found: Facts, capture: str, ignored: bool, by: str | None) -> None:
    rules = load(PROTECTING % effect)
    decision, _ = outcome(rules, found)
    assert (decision.capture, decision.ignore) == (capture, ignored)
    assert (decision.protected.rule if decision.protected else None) == by


def test_a_connection_is_left_alone_if_a_step_says_so_by_the_process() -> None:
    rules = load("rules: [{match: {process: [bot.py, x]}, user: u, steps: [{host: '*.openai.com', ignore: true}]}]")
    assert rules.connection(replace(facts(), request=None, call=None)).ignore
    assert not rules.connection(replace(facts(host="api.groq.com"), request=None, call=None)).ignore


def test_hosts_that_a_rule_or_a_step_names_are_captured() -> None:
    rules = load("rules: [{match: {host: a.example}, steps: [{model: m, user: y}, {host: b.example, user: z}]}]")
    assert [rules.names_host(host) for host in ("a.example", "b.example", "c.example")] == [True, True, False]


@pytest.mark.parametrize(
    ("match", "own", "local", "sent"),
    [
        pytest.param("{host: api.openai.com}", "", True, True, id="the rule names the host"),
        pytest.param("{process: bot.py}", "host: api.openai.com, ", True, True, id="the step names the host"),
        pytest.param("{host: api.openai.com}", "", False, False, id="a client on another machine"),
        pytest.param("{host: api.openai.com, client: 127.0.0.1}", "", False, True, id="the rule names the client"),
        pytest.param("{host: api.openai.com}", "client: 127.0.0.1, ", False, True, id="the step names the client"),
    ],
)  # fmt: skip
def test_a_key_of_the_proxy_in_a_step(match: str, own: str, local: bool, sent: bool) -> None:
    step = f"{{{own}headers: {{set: {{X-Key: '${{proxy_env.KEY}}'}}}}}}"
    rules = load(f"rules: [{{match: {match}, steps: [{step}]}}]")
    _, filled = outcome(rules, facts(client_is_local=local), {"KEY": "secret"})
    assert filled.headers_set == ({"X-Key": "secret"} if sent else {})


def test_variables_of_the_environment_that_steps_name_are_read() -> None:
    rules = load("""
        rules:
          - match: {not: {process: {env: {A: x}}}}
            user: u
            steps:
              - {process: {env: {B: x}}, user: "${env.C}"}
              - {match: [{not: {process: {env: {D: x}}}}], headers: {set: {X: "${proxy_env.E}"}}, host: a.example}
    """)
    assert (rules.env_names, rules.proxy_env_names) == ({"A", "B", "C", "D"}, {"E"})


def test_rules_and_steps_are_counted() -> None:
    assert load(COURSE).counted == "2 rules with 3 steps"
    assert load("rules: [{user: x}]").counted == "1 rule"


@pytest.mark.parametrize(
    "rule", ["{model: 're:gpt'}", "[{model: a}, {model: '*gpt*'}]"], ids=["a regular expression", "alternatives"]
)
def test_what_a_rule_asks_is_asked_once_for_all_of_its_steps(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ", ".join(f"{{offers: web*, properties: {{p{number}: x}}, capture: full}}" for number in range(20))
    rules = load(f"rules: [{{match: {rule}, capture: none, steps: [{steps}]}}]")
    asked: list[str] = []
    original = Leaf.holds

    def holds(leaf: Leaf, known: KnownFacts) -> Captures | None:
        asked.append(leaf.key)
        return original(leaf, known)

    monkeypatch.setattr(Leaf, "holds", holds)
    outcome(rules, facts())
    assert 0 < asked.count("model") <= 6


# A file with steps decides as the same rules written by hand, one after the other.

WORDS = st.sampled_from(["a", "b", "a*", "re:(?P<g>a|b)"])
RULE_KEYS, STEP_KEYS = ("process", "message", "offers"), ("model", "prompt", "tool_result")


def conditions(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), WORDS, min_size=1, max_size=2)


def sets(path: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "path": path,
        "user": st.sampled_from(["u", "${tool_result}", "${env.NO}"]),
        "properties": st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(["x", "${model}"]), min_size=1),
        "tags": st.lists(st.sampled_from(["t", "${model}"]), min_size=1, max_size=2),
        "capture": st.sampled_from(["full", "metadata", "none"]),
        "final": st.booleans(),
    }
    return st.fixed_dictionaries({}, optional=optional)


STEPS = st.tuples(
    conditions(STEP_KEYS),
    st.lists(conditions(("model", "prompt")).map(lambda keys: {"not": keys}), max_size=2),
    sets(st.sampled_from(["+/x", "/y", "+/${tool_result}"])) | st.just({"ignore": True}),
)
RULES = st.tuples(
    st.lists(conditions(RULE_KEYS), max_size=2),
    sets(st.just("/rule")),
    st.lists(STEPS, max_size=3),
)


def short(match: list[Any], set_keys: dict[str, Any], steps: list[Any]) -> dict[str, Any]:
    """A rule with steps."""
    rest = {key: value for key, value in set_keys.items() if key != "path"}
    written = [{**keys, **({"match": others} if others else {}), **step_sets} for keys, others, step_sets in steps]
    return {
        "rule": "r",
        **({"match": match} if match else {}),
        "session": {"path": "/rule"},
        **rest,
        **({"steps": written} if written else {}),
    }


def by_hand(match: list[Any], set_keys: dict[str, Any], steps: list[Any]) -> list[dict[str, Any]]:
    """The same rules, one after the other."""
    rules = []
    for number, (keys, others, step_sets) in enumerate(steps, start=1):
        rest = {key: value for key, value in step_sets.items() if key != "path"}
        if "path" in step_sets:
            rest["session"] = {"path": step_sets["path"].replace("+", "/rule")}
        alternatives = [{**one, **keys, **other} for one in match or [{}] for other in others or [{}]]
        rules.append({"rule": f"r/#{number}", "match": alternatives, **rest})
    return [*rules, {key: value for key, value in short(match, set_keys, []).items() if key != "steps"}]


TEXTS = st.sampled_from(["a", "b", "ab", "c"])
CALLS = st.builds(
    lambda process, model, prompt, message, offers, results, known: facts(
        caller=replace(CALLER, name=process, names=(process,)),
        call=call(model=model, prompt=prompt, message=message, tools_offered=(offers,), tool_results=(results,))
        if known
        else None,
    ),
    TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans(),
)  # fmt: skip


def decided(rules: Rules, found: Facts) -> tuple[Decision, FilledSettings, ConnectionView]:
    """All that the rules say; the unknown facts in alphabetical order."""
    decision, filled = outcome(rules, found)
    view = rules.connection(replace(found, request=None, call=None))
    return (
        replace(decision, protected=in_order(decision.protected)),
        filled,
        replace(view, protected=in_order(view.protected)),
    )


def in_order(protected: Protection | None) -> Protection | None:
    return protected and replace(
        protected, unknown=tuple(sorted(protected.unknown)), behind=tuple(sorted(protected.behind))
    )


@given(st.lists(RULES, min_size=1, max_size=2), st.lists(CALLS, min_size=4, max_size=4))
@settings(max_examples=60)
def test_a_file_with_steps_decides_as_the_same_rules_written_by_hand(written: list[Any], calls: list[Facts]) -> None:
    with_steps = load_text(json.dumps({"rules": [short(*rule) for rule in written]}))
    plain = load_text(json.dumps({"rules": [rule for one in written for rule in by_hand(*one)]}))
    for found in calls:
        assert decided(with_steps, found) == decided(plain, found)
