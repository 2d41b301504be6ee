"""A loaded file besides its decisions: hosts, gateways, redaction, the view of a connection, the index."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.build import CALLER, call, facts, load, request

from sessiontap.callers import Caller
from sessiontap.rules import ConnectionView, Facts, Protection, RulesError, decide, default_rules, load_text
from sessiontap.rules.conditions import RuleIndex
from sessiontap.rules.facts import KnownFacts

ONLY_CONNECTION = Facts(host="api.openai.com", caller=CALLER, client_ip="127.0.0.1", proxy_user="ci", provider="openai")

IGNORED, PASSED = ConnectionView(ignore=True, may_reroute=False), ConnectionView(ignore=False, may_reroute=False)
REROUTED = ConnectionView(ignore=False, may_reroute=True)


@pytest.mark.parametrize(
    ("rules", "view"),
    [
        pytest.param("[]", PASSED, id="no rules"),
        pytest.param("[{ignore: true}]", IGNORED, id="ignore everything"),
        pytest.param("[{match: {process: bot.py}, ignore: true}]", IGNORED, id="ignore by process"),
        pytest.param("[{match: {process: node}, ignore: true}]", PASSED, id="ignore another process"),
        pytest.param("[{match: {process: bot.py, model: x}, ignore: true}]", PASSED, id="ignore by request: undecided"),
        pytest.param("[{match: {not: {model: x}}, ignore: true}]", PASSED, id="ignore by what is not asked: undecided"),
        pytest.param("[{match: {not: {process: node}}, ignore: true}]", IGNORED, id="ignore what is not a process"),
        pytest.param(
            "[{match: [{model: x}, {process: bot.py}], ignore: true}]", IGNORED, id="one of several decides already"
        ),
        pytest.param(
            "[{match: {process: [node, {name: bot.py, user: ann}]}, ignore: true}]", IGNORED, id="process in a list"
        ),
        pytest.param("[{user: x}, {host: x}, {ignore: true}]".replace("{host: x}, ", ""), IGNORED, id="others before"),
        pytest.param("[{final: true}, {ignore: true}]", PASSED, id="final before ignore"),
        pytest.param("[{match: {model: x}, final: true}, {ignore: true}]", PASSED, id="perhaps final before ignore"),
        pytest.param("[{match: {process: node}, final: true}, {ignore: true}]", IGNORED, id="final of others"),
        pytest.param("[{match: {model: x}, ignore: true}, {ignore: true}]", IGNORED, id="ignored either way"),
        pytest.param("[{gateway: helicone}]", REROUTED, id="gateway for all"),
        pytest.param("[{match: {model: x}, gateway: helicone}]", REROUTED, id="gateway perhaps"),
        pytest.param("[{match: {process: node}, gateway: helicone}]", PASSED, id="gateway of others"),
        pytest.param("[{final: true}, {gateway: helicone}]", PASSED, id="gateway behind final"),
        pytest.param(
            "[{match: {model: x}, final: true}, {gateway: helicone}]", REROUTED, id="gateway behind perhaps final"
        ),
        pytest.param("[{match: {model: x}, final: true, gateway: helicone}]", REROUTED, id="gateway in perhaps final"),
        pytest.param("[{ignore: true}, {gateway: helicone}]", IGNORED, id="gateway behind ignore"),
        pytest.param("[{gateway: helicone}, {ignore: true}]", IGNORED, id="gateway before ignore"),
    ],
)
def test_connection(rules: str, view: ConnectionView) -> None:
    assert load(f"rules: {rules}").connection(ONLY_CONNECTION) == view


def ignored_unknown(*keys: str) -> ConnectionView:
    return ConnectionView(ignore=True, may_reroute=False, protected=Protection("ignore", "#1", keys))


@pytest.mark.parametrize(
    ("rules", "view"),
    [
        pytest.param("[{match: {process: bot.py}, ignore: true}]", ignored_unknown("process.name"), id="by process"),
        pytest.param(
            "[{match: {process: bot.py, host: x.example}, ignore: true}]", PASSED, id="by process, at another host"
        ),
        pytest.param(
            "[{match: {not: {process: bot.py}}, ignore: true}]", ignored_unknown("process.name"), id="by not process"
        ),
        pytest.param("[{match: {process: bot.py, model: x}, ignore: true}]", PASSED, id="by request too: undecided"),
        pytest.param(
            "[{match: [{process: bot.py}, {model: x}], ignore: true}]", ignored_unknown("process.name"), id="or request"
        ),
        pytest.param(
            "[{match: {not: {process: x, model: x}}, ignore: true}]", ignored_unknown("process.name"), id="not both"
        ),
        pytest.param(
            "[{match: {not: [{process: x}, {model: x}]}, ignore: true}]", PASSED, id="neither: the request decides"
        ),
        pytest.param(
            "[{match: {process: x}, final: true}, {ignore: true}]",
            ConnectionView(True, False, Protection("ignore", "#2", ("process.name",))),
            id="behind an unknown final",
        ),
        pytest.param("[{ignore: true}, {match: {process: x}, ignore: true}]", IGNORED, id="behind a certain one"),
        pytest.param("[{match: {process: x}, gateway: helicone}]", REROUTED, id="a gateway perhaps"),
        pytest.param("[{match: {process: x}, session: {name: X}}]", PASSED, id="a label"),
    ],
)
def test_a_connection_of_an_unknown_process(rules: str, view: ConnectionView) -> None:
    assert load(f"rules: {rules}").connection(replace(ONLY_CONNECTION, caller=None)) == view


def test_a_client_elsewhere_has_no_process_to_be_ignored_by() -> None:
    rules = load("rules: [{match: {process: bot.py}, ignore: true}]")
    assert rules.connection(replace(ONLY_CONNECTION, caller=None, is_remote=True)) == PASSED


def test_hosts() -> None:
    rules = load("""
        hosts:
          - {host: llm.corp.example, provider: vllm}
          - {host: "*.Qdrant.io", provider: qdrant, operation: vector_search}
          - {host: "localhost:8000", provider: local}
    """)
    assert [(entry.host, entry.provider, entry.operation) for entry in rules.hosts] == [
        ("llm.corp.example", "vllm", None),
        ("*.qdrant.io", "qdrant", "vector_search"),
        ("localhost:8000", "local", None),
    ]
    assert rules.host_entry("LLM.corp.example.") is rules.hosts[0]
    assert rules.host_entry("a.qdrant.io", 6333) is rules.hosts[1]
    assert rules.host_entry("localhost", 8000) is rules.hosts[2]
    assert rules.host_entry("localhost", 9000) is None
    assert rules.host_entry("other.example") is None


def test_hosts_that_rules_name() -> None:
    rules = load("""
        rules:
          - match: {host: [API.One.example, "*.two.example", "llm-*.three.example", "re:four"]}
          - match: {not: {host: not.example}}
          - match: [{host: five.example}, {process: x}]
          - match: {host: ignored.example}
            ignore: true
    """)
    named = [pattern.text.lower() for pattern in rules.host_patterns]
    assert named == ["api.one.example", "llm-*.three.example", "five.example"]
    assert rules.names_host("api.ONE.example")
    assert rules.names_host("llm-7.three.example")
    assert not rules.names_host("a.two.example")
    assert not rules.names_host("ignored.example")


def test_environment_variables_that_rules_name() -> None:
    rules = load("""
        rules:
          - match: {process: {env: {A: x}}, not: {process: [{env: {B: x}}, y]}}
            session: {id: ["${env.C}", process], name: "${host:-${env.D}}"}
            state: {deep: [{er: "${env.E}"}]}
            headers: {set: {X: "${header.Y}"}}
    """)
    assert rules.env_names == {"A", "B", "C", "D", "E"}


def test_gateways() -> None:
    rules = load("""
        gateways:
          mine: {kind: helicone, url: "http://127.0.0.1:8585", key: "Bearer ${proxy_env.KEY}"}
        rules:
          - gateway: mine
    """)
    mine = rules.gateways["mine"]
    assert (mine.name, mine.kind, mine.url) == ("mine", "helicone", "http://127.0.0.1:8585")
    assert mine.key_from({"KEY": "sk-1"}) == "Bearer sk-1"
    assert mine.key_from({}) is None


def test_redaction() -> None:
    rules = load("redact: {headers: [X-Token, X-Secret], patterns: ['re:cust-[0-9]{8}', a.b]}")
    assert rules.redact_headers == ("x-token", "x-secret")
    assert rules.redact_patterns == ("re:cust-[0-9]{8}", "a.b")


@pytest.mark.parametrize("pattern", ["re:.*", "re:x*", "re:^", "re:a|"])
def test_redaction_of_everything_is_refused(pattern: str) -> None:
    with pytest.raises(RulesError, match="would redact everything"):
        load(f"redact: {{patterns: ['{pattern}']}}")


def test_rules_do_not_change() -> None:
    rules = load("rules: [{user: x}]")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rules.rules = ()  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        rules.rules[0].final = True  # type: ignore[misc]


def test_the_digest_is_that_of_the_text() -> None:
    assert load_text("version: 1\n").digest == load_text("version: 1\n", "other.yaml").digest
    assert load_text("version: 1\n").digest != load_text("version: 1 \n").digest


def test_the_built_in_rules_send_nothing() -> None:
    decision, _ = decide(default_rules(), facts(), {})
    assert decision.name == "claude-code"
    assert [source.kind for source in decision.id_sources] == ["auto"]
    assert not decision.wants_session
    assert decision.send == ()


# The index may only leave out rules that do not match: decisions with it and without it are the same.

WORDS = st.sampled_from(["node", "bot.py", "n*", "*.py", "*o*", "b?t.py", "re:^b", "make"])
HOSTS = st.sampled_from(["api.openai.com", "*.openai.com", "api.*", "other.example", "*"])
FOLDERS = st.sampled_from(["/srv/**", "/srv/bots", "/srv/*", "/srv/bots/**", "**/bots", "/opt/**", "/srv/bots**"])
ROUTES = st.sampled_from(
    ["/v1/**", "POST /v1/chat/*", "GET /**", "/**/completions", "/{a}/chat/completions", "re:chat"]
)
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "process": WORDS
        | st.lists(WORDS, min_size=1, max_size=3)
        | st.fixed_dictionaries({"name": WORDS, "cwd": FOLDERS}),
        "host": HOSTS | st.lists(HOSTS, min_size=1, max_size=2),
        "route": ROUTES,
        "tool_result": st.sampled_from(["web_search", "web_*", "*", "other"]),
        "header": st.fixed_dictionaries({"X-Team": st.sampled_from(["Blue", "G*", "red", "*"])}),
        "body": st.fixed_dictionaries({"stop": st.sampled_from(["END", "*P", "x"])}),
        "not": st.fixed_dictionaries({"process": WORDS}),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MATCH, min_size=1, max_size=6), st.sampled_from(["bot.py", "node", "nod"]), st.booleans())
def test_the_index_changes_nothing(matches: list[dict[str, Any]], name: str, known: bool) -> None:
    rules = load_text(json.dumps({"rules": [{"match": match, "tags": [str(n)]} for n, match in enumerate(matches)]}))
    caller: Caller | None = replace(CALLER, name=name, names=(name,)) if known else None
    given_facts = facts(caller=caller, request=request(), call=call())
    with_index = decide(rules, given_facts, {})[1]
    everything = replace(rules, index=RuleIndex((), (1 << len(rules.rules)) - 1))
    without = decide(everything, given_facts, {})[1]
    assert [rule.number for rule, _ in with_index.rules] == [rule.number for rule, _ in without.rules]


def test_the_index_leaves_out_what_cannot_match() -> None:
    rules = load_text("rules:\n" + "".join(f"  - match: {{process: app{n}, host: '*.x.com'}}\n" for n in range(200)))
    caller = replace(CALLER, name="app77", names=("app77",))
    assert [rule.number for rule in rules.candidates(KnownFacts(facts(caller=caller)))] == [78]
