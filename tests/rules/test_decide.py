"""First rule fills in; final, ignore; id sources, defaults, state, and what never happens: an exception."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from tests.rules.build import CALLER, NOTHING_KNOWN, SESSION, call, facts, load, one_rule, outcome

from sessiontap.llm.call import Agent, Asked, Call, Endpoint
from sessiontap.rules import Facts, IdSource, SessionFacts, decide, finish, load_text
from sessiontap.rules import conditions as conditions_module
from sessiontap.rules.conditions import RuleIndex
from sessiontap.rules.decision import NO_VALUE
from sessiontap.rules.kinds import KeyMap
from sessiontap.rules.language import RULE
from sessiontap.rules.template import Template


def test_the_design_s_own_example() -> None:
    rules = load("""
        rules:
          - rule: web search tool
            match: {process: node, host: api.groq.com, tool_result: web_search}
            session: {path: /context-gather/agent-execution/web-search}
            properties: {tool: web-search}
          - rule: course generator
            match: {process: {name: node, cwd: "~/src/sphere/**"}}
            session:
              name: Context Gathering Session
              id: ["${env.RUN_ID}", native, process]
              path: /context-gather
              idle: 30m
            user: ${env.USER_ID}
            properties: {mode: context mode}
            gateway: helicone
    """)
    caller = replace(CALLER, name="node", names=("node",), cwd=os.path.expanduser("~/src/sphere/agents"), env={})
    given = facts(host="api.groq.com", caller=caller)
    decision, filled = outcome(rules, given)
    assert decision.name == "Context Gathering Session"
    assert decision.id_sources == (IdSource("native"), IdSource("process"))
    assert decision.idle == 1800
    assert decision.gateway == "helicone"
    assert decision.send == ("helicone",)
    assert decision.rules == ("course generator",)
    assert filled.path == "/context-gather/agent-execution/web-search"
    assert filled.properties == {"tool": "web-search", "mode": "context mode"}
    assert filled.user is None
    assert filled.rules == ("web search tool", "course generator")
    assert filled.set_by == {
        "session.path": "web search tool",
        "properties.tool": "web search tool",
        "properties.mode": "course generator",
    }


# Every key that a rule may set: (first rule, second rule, what is read, its value where both match).
FILL_IN: dict[str, tuple[Any, Any, Any, Any]] = {
    "session.name": ({"name": "A"}, {"name": "B"}, lambda d, _: d.name, "A"),
    "session.id": ({"id": "process"}, {"id": "native"}, lambda d, _: d.id_sources, (IdSource("process"),)),
    "session.path": ({"path": "/a"}, {"path": "/b"}, lambda _, filled: filled.path, "/a"),
    "session.idle": ({"idle": "1m"}, {"idle": "2m"}, lambda d, _: d.idle, 60.0),
    "session.max_calls": ({"max_calls": 3}, {"max_calls": 4}, lambda d, _: d.max_calls, 3),
    "join": (["${env.NO}", "${model}"], "x", lambda d, _: d.id_sources[0], IdSource("join", "openai/gpt-4o", 1)),
    "user": ("a", "b", lambda _, filled: filled.user, "a"),
    "properties": (
        {"x": "1", "Y": "2"},
        {"X": "3", "z": "4"},
        lambda _, filled: filled.properties,
        {"x": "1", "Y": "2", "z": "4"},
    ),
    "tags": (["a", "b"], ["b", "c"], lambda _, filled: filled.tags, ("a", "b", "c")),
    "state": (
        {"a": 1},
        {"a": 2, "b": [None, "${model}"]},
        lambda _, filled: filled.state,
        {"a": 1, "b": [None, "openai/gpt-4o"]},
    ),
    "headers.set": (
        {"X-A": "1"},
        {"x-a": "2", "X-B": "3"},
        lambda _, filled: filled.headers_set,
        {"X-A": "1", "X-B": "3"},
    ),
    "headers.remove": (["X-*"], ["Y", "X-*"], lambda _, filled: filled.headers_remove, ("X-*", "Y")),
    "send": ("none", ["traceforge"], lambda d, _: d.send, ()),
    "existing": ("replace", "keep", lambda d, _: d.existing, "replace"),
    "gateway": ("helicone", "mine", lambda d, _: d.gateway, "helicone"),
    "fail": ("closed", "open", lambda d, _: d.more.get("fail"), "closed"),
    "capture": ("none", "full", lambda d, _: d.capture, "none"),
    "limit": (
        {"calls": 3},
        {"calls": 3, "per": "session"},
        lambda d, _: [f"{one.rule} {one.text}" for one in d.more["limit"]],
        ["#1 calls: 3 per process", "#2 calls: 3 per session"],
    ),
    "alert": (
        {"calls": 3},
        [{"calls": 3}, {"cost_usd": 1, "per": "day"}],
        lambda d, _: [f"{one.rule} {one.text}" for one in d.more["alert"]],
        ["#1 calls: 3 per session", "#2 calls: 3 per session", "#2 cost_usd: $1.00 per day"],
    ),
}


def rule_with(key: str, value: Any) -> dict[str, Any]:
    outer, _, inner = key.partition(".")
    if outer == "headers":
        return {"headers": {inner: value}}
    return {outer: value}


@pytest.mark.parametrize("key", FILL_IN)
def test_each_rule_fills_in_what_none_before_it_has_set(key: str) -> None:
    first, second, read, expected = FILL_IN[key]
    rules = [rule_with(key, first), rule_with(key, second), {"session": {"name": "last"}}]
    text = json.dumps({"rules": rules, "gateways": {"mine": {"kind": "helicone"}}})
    assert read(*outcome(load_text(text), facts())) == expected


def test_every_key_that_sets_something_is_tested() -> None:
    elsewhere = {"rule", "match", "steps", "final", "ignore"}
    keys = set()
    for field in RULE.fields:
        if isinstance(field.kind, KeyMap):
            keys |= {f"{field.name}.{inner.name}" for inner in field.kind.fields}
        else:
            keys.add(field.name)
    assert keys - elsewhere == set(FILL_IN)


def test_a_missing_value_leaves_the_field_to_a_later_rule() -> None:
    rules = load("""
        rules:
          - rule: first
            session: {name: "Run ${env.NO}", id: "${env.NO}", path: "/${env.NO}/x"}
            user: "${env.NO}"
            properties: {a: "${env.NO}", b: "1"}
            tags: ["${env.NO}", t]
            state: {a: [{b: "${env.NO}"}], c: 1}
          - rule: second
            session: {name: Second, id: process, path: /second}
            user: second
            properties: {a: second}
            state: {a: second}
    """)
    decision, filled = outcome(rules, facts())
    assert (decision.name, decision.id_sources) == ("Second", (IdSource("process"),))
    assert decision.rules == ("second",)
    assert (filled.path, filled.user, filled.tags) == ("/second", "second", ("t",))
    assert filled.properties == {"b": "1", "a": "second"}
    assert filled.state == {"c": 1, "a": "second"}
    assert filled.set_by["properties.b"] == "first"


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        pytest.param("auto", [IdSource("auto")], id="auto"),
        pytest.param("conversation", [IdSource("conversation")], id="conversation"),
        pytest.param(["native", "process-tree"], [IdSource("native"), IdSource("process-tree")], id="sources"),
        pytest.param("connection", [IdSource("connection")], id="connection"),
        pytest.param("${env.RUN_ID}", [IdSource("template", "run-2025-01")], id="template"),
        pytest.param(["${env.NO}", "process"], [IdSource("process")], id="a missing template is left out"),
        pytest.param("${env.NO}", [IdSource("auto")], id="nothing left: the default"),
        pytest.param("nightly-build", [IdSource("literal", "nightly-build")], id="literal"),
        pytest.param("42", [IdSource("literal", "42")], id="literal number"),
    ],
)
def test_id_sources(given: Any, sources: list[IdSource]) -> None:
    assert outcome(one_rule(session={"id": given}), facts())[0].id_sources == tuple(sources)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        pytest.param(facts(), "claude-code", id="agent"),
        pytest.param(facts(call=None), "bot.py", id="process"),
        pytest.param(facts(call=None, caller=None), "ci", id="proxy user"),
        pytest.param(facts(call=None, caller=None, proxy_user=None), "api.openai.com", id="host"),
        pytest.param(NOTHING_KNOWN, "unnamed", id="nothing"),
        pytest.param(facts(call=None, caller=replace(CALLER, name="a\nb\udcff")), "ab", id="a name that is no header"),
    ],
)
def test_default_names(given: Facts, name: str) -> None:
    assert outcome(load("version: 1"), given)[0].name == name


def test_defaults_are_set_by_no_rule() -> None:
    decision, filled = outcome(load("rules: [{user: x}]"), facts())
    assert decision.set_by == {}
    assert decision.rules == ()
    assert filled.set_by == {"user": "#1"}
    assert filled.path == "/main/general-purpose"


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        pytest.param({"user": "x", "send": ["helicone"]}, False, id="no session key"),
        pytest.param({"session": {}}, False, id="an empty session"),
        pytest.param({"session": {"name": "x"}}, True, id="name"),
        pytest.param({"session": {"idle": "1m"}}, True, id="idle"),
        pytest.param({"session": {"path": "/${session.step}"}}, True, id="a path that the session completes"),
        pytest.param({"session": {"path": "/${env.NO}"}}, False, id="a path that misses something"),
        pytest.param({"session": {"path": "/x"}, "match": {"model": "other"}}, False, id="a rule of other calls"),
    ],
)
def test_a_session_key_is_the_wish_to_send(rule: dict[str, Any], wanted: bool) -> None:
    decision, _ = outcome(one_rule(**rule), facts())
    assert decision.wants_session is wanted
    assert decision.send == (("helicone",) if wanted else ())


@pytest.mark.parametrize(
    ("top", "own", "sent"),
    [
        ("", "", ("helicone",)),
        ("send: [traceforge, helicone]", "", ("traceforge", "helicone")),
        ("send: traceforge", "", ("traceforge",)),
        ("send: none", "", ()),
        ("send: auto", "", "auto"),
        ("send: none", "send: auto", "auto"),
        ("send: auto", "send: []", ()),
    ],
)
def test_send(top: str, own: str, sent: Any) -> None:
    text = f"{top}\nrules:\n  - session: {{name: x}}\n    {own}\n"
    assert outcome(load(text), facts())[0].send == sent


def test_final_ends_the_reading() -> None:
    rules = load("""
        rules:
          - {match: {model: other}, final: true, user: other}
          - {match: {process: bot.py}, final: true, properties: {a: "1"}}
          - {user: late, session: {name: late}}
    """)
    decision, filled = outcome(rules, facts())
    assert filled.properties == {"a": "1"}
    assert filled.user is None
    assert decision.name == "claude-code"


def test_ignore_leaves_the_call_alone() -> None:
    rules = load("""
        rules:
          - {session: {name: first}, headers: {set: {X: "1"}}}
          - {rule: leave it, match: {model: "*"}, ignore: true}
    """)
    given = facts()
    decision, matched = decide(rules, given, {})
    assert decision.ignore
    assert decision.send == ()
    assert decision.rules == ("leave it",)
    assert finish(matched, given, SESSION, {}).headers_set == {}
    assert not decide(rules, facts(call=call(model=None)), {})[0].ignore


def test_what_a_match_captures_its_own_rule_may_say() -> None:
    rules = load("""
        rules:
          - match: {message: "re:ticket (?P<ticket>[0-9]+)", route: "/{version}/**", tool_result: "web_*"}
            session: {name: "Ticket ${ticket}", path: "/${route.version}/${tool_result}"}
    """)
    decision, filled = outcome(rules, facts())
    assert (decision.name, filled.path) == ("Ticket 42", "/v1/web_search")


def test_templates_may_speak_of_the_session_once_it_is_known() -> None:
    rules = load("""
        rules:
          - session: {path: "/step ${session.step}"}
            user: "${session.name}"
            properties: {id: "${session.id}", arm: "${pick(only)}"}
    """)
    _, filled = outcome(rules, facts(), session=SessionFacts("s-1", "Name", 7))
    assert (filled.path, filled.user) == ("/step-7", "Name")
    assert filled.properties == {"id": "s-1", "arm": "only"}


def test_values_are_safe_in_a_header() -> None:
    body = {"evil": "a\r\nX-Evil: 1", "long": "x" * 10_000}
    endpoint = Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions")
    given = facts(call=Call(endpoint, Asked(), json=body))
    rules = load("""
        rules:
          - session: {name: "${body.evil}"}
            headers: {set: {X-One: "${body.evil}", X-Long: "${body.long}"}}
    """)
    decision, filled = outcome(rules, given)
    assert decision.name == "aX-Evil: 1"
    assert filled.headers_set["X-One"] == "aX-Evil: 1"
    assert len(filled.headers_set["X-Long"]) == 4096
    assert filled.problems == ("#1: headers.set.X-Long is cut to 4,096 characters",)


@pytest.mark.parametrize(
    ("length", "kept"), [pytest.param(10_232, True, id="10,240 bytes"), pytest.param(10_233, False, id="one more")]
)
def test_state_has_a_limit(length: int, kept: bool) -> None:
    _, filled = outcome(one_rule(state={"k": "x" * length}), facts())
    assert (filled.state is not None) is kept
    assert bool(filled.problems) is not kept
    assert ("state.k" in filled.set_by) is kept


def test_state_is_measured_as_ascii() -> None:
    _, filled = outcome(one_rule(state={"k": "é" * 2000}), facts())
    assert filled.state is None
    assert filled.problems == ("the state is dropped: it is 12,008 bytes of JSON, and at most 10,240 can be sent",)


def test_state_keeps_its_types() -> None:
    rules = load("""
        rules:
          - state: {n: 3, f: 1.5, yes: yes, t: true, "null": null, s: "3", d: 2025-01-01, e: "", l: [1, {a: ~}]}
    """)
    assert outcome(rules, facts())[1].state == {
        "n": 3,
        "f": 1.5,
        "yes": "yes",
        "t": True,
        "null": None,
        "s": "3",
        "d": "2025-01-01",
        "e": "",
        "l": [1, {"a": None}],
    }


def test_a_fault_in_one_rule_is_told_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = load("""
        rules:
          - {rule: broken, match: {message: "re:x"}, user: broken}
          - {rule: sound, user: sound}
    """)

    def fault(self: object, known: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(conditions_module.Leaf, "holds", fault)
    decision, filled = outcome(rules, facts())
    assert filled.user == "sound"
    assert decision.problems == ("broken: cannot be evaluated (RecursionError: too deep)",)


@pytest.mark.parametrize("given", [NOTHING_KNOWN, facts(call=None), facts(request=None), facts(caller=None), facts()])
def test_any_facts_give_a_decision(given: Facts) -> None:
    rules = load("""
        rules:
          - match: {not: {process: {cwd: "~/x/**", env: {A: b}, ancestor: x}}}
            session: {name: "${process.name}", path: "/${route.x}/${body.a.b}", id: ["${header.x}", auto]}
            user: "${client.ip}"
          - match: {route: "/**", query: {a: "*"}, header: {a: "*"}, body: {a: "*"}, stream: true, offers: "*"}
            tags: [x]
    """)
    decision, filled = outcome(rules, given)
    assert decision.problems == filled.problems == ()
    assert filled.path.startswith("/")


def test_the_same_facts_may_be_given_again() -> None:
    rules, given = load("rules: [{user: '${model}'}]"), facts()
    _, matched = decide(rules, given, {})
    assert finish(matched, facts(call=call(model="later")), SESSION, {}).user == "later"
    assert finish(matched, given, SESSION, {}).user == "openai/gpt-4o"


def test_an_agent_without_a_subagent_is_in_main() -> None:
    known = replace(call(), agent=Agent("codex"))
    assert outcome(load("version: 1"), facts(call=known))[1].path == "/main"


def test_a_fault_before_any_rule_is_passed_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(self: object, known: object) -> int:
        raise ValueError

    monkeypatch.setattr(RuleIndex, "candidates", fault)
    assert outcome(load("rules: [{match: {process: bot.py}, user: x}]"), facts())[1].user == "x"


def test_a_fault_in_a_setting_leaves_it_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(self: object, context: object) -> str:
        raise ValueError("no")

    rules = load("rules: [{rule: a, user: '${model}', tags: [t]}]")
    monkeypatch.setattr(Template, "render", fault)
    _, filled = outcome(rules, facts())
    assert (filled.user, filled.tags) == (None, ())
    assert filled.problems == (
        "a: user cannot be filled in (ValueError: no)",
        "a: tags cannot be filled in (ValueError: no)",
    )


@pytest.mark.parametrize(
    ("rules", "sources", "by"),
    [
        pytest.param("[{rule: a, join: '${env.NO}'}, {rule: b, join: x}]",
                     [IdSource("join", "x", 0), IdSource("auto")], "b", id="a later rule of a value"),
        pytest.param("[{rule: a, join: '${env.NO}'}]", [NO_VALUE, IdSource("auto")], None, id="none has a value"),
        pytest.param("[{rule: a, join: x, session: {id: process}}]",
                     [IdSource("join", "x", 0), IdSource("process")], "a", id="before the sources of the id"),
        pytest.param("[{rule: a, match: {model: x}, join: x}]", [IdSource("auto")], None, id="another call's rule"),
        pytest.param("[{rule: a, join: x, steps: [{step: s, join: y}]}]",
                     [IdSource("join", "y", 0), IdSource("auto")], "a/s", id="a step's"),
    ],
)  # fmt: skip
def test_what_joins_calls_is_the_first_source_of_the_id(rules: str, sources: list[IdSource], by: str | None) -> None:
    decision, _ = outcome(load(f"rules: {rules}"), facts())
    assert (list(decision.id_sources), decision.set_by.get("session.id")) == (sources, by)
    assert decision.send == ("helicone",) * ("session" in rules)
