from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.build import CALLER, call, facts, load, outcome

from sessiontap.rules import Rule, coverage, lint, load_text

ADVICE = "set gateway: helicone, send: auto or send: none"

CASES = {
    "a host that does not read them": (
        "[{match: {host: api.groq.com}, session: {name: x}}]",
        [f"rule #1 sends helicone session headers to api.groq.com, which does not read them; {ADVICE}"],
    ),
    "several dialects": (
        "[{match: {host: openrouter.ai}, session: {name: x}, send: [portkey, openrouter, litellm, cloudflare]}]",
        [
            "rule #1 sends cloudflare, litellm and portkey session headers to openrouter.ai, which does not read them; "
            "send: auto or send: none"
        ],
    ),
    "the standards of the W3C": ("[{session: {name: x}, send: [traceparent, baggage]}]", []),
    "a host that does": ("[{match: {host: oai.helicone.ai}, session: {name: x}}]", []),
    "a glob of hosts that do": ("[{match: {host: '*.helicone.ai'}, session: {name: x}}]", []),
    "any host": (
        "[{rule: all, session: {name: x}}]",
        [f"rule 'all' sends helicone session headers to any LLM host, whether it reads them or not; {ADVICE}"],
    ),
    "a large expression": (
        "[{match: {message: 're:error.{0,100}timeout'}, user: x}]",
        [
            "rule #1 has 're:error.{0,100}timeout', which is large: a text made for it takes up to a second; "
            "smaller repetitions (.* for .{0,100}) make it quick"
        ],
    ),
    "letters beyond ASCII": (
        "[{match: {message: 're:\\bдеплой\\b'}, user: x}]",
        [
            "rule #1 has 're:\\bдеплой\\b', which has letters beyond ASCII, but \\b, \\d, \\s and \\w know "
            "only those of ASCII"
        ],
    ),
    "an expression for everything": (
        "[{match: {model: 're:x*'}, user: x}]",
        ["rule #1 has 're:x*', which every text matches, the empty one too"],
    ),
    "an expression": ("[{match: {message: 're:ticket (?P<id>[0-9]+)'}, user: x}]", []),
    "a later rule says where to send": (
        "[{match: {process: a}, session: {name: x}}, {send: auto}]",
        [],
    ),
    "a later rule says that nothing is sent": (
        "[{match: {process: a}, session: {name: x}}, {match: {process: [a, b]}, send: none}]",
        [],
    ),
    "a later rule of some of its calls says so": (
        "[{match: {process: a}, session: {name: x}}, {match: {process: a, model: m}, send: none}]",
        [f"rule #1 sends helicone session headers to any LLM host, whether it reads them or not; {ADVICE}"],
    ),
    "a final rule keeps the later one away": (
        "[{match: {process: a}, session: {name: x}, final: true}, {send: none}]",
        [f"rule #1 sends helicone session headers to any LLM host, whether it reads them or not; {ADVICE}"],
    ),
    "a later rule sets the gateway": (
        "[{match: {process: a}, session: {name: x}}, {match: {process: a*}, gateway: helicone}]",
        [],
    ),
    "no session": ("[{match: {host: api.groq.com}, user: x}]", []),
    "nothing is sent": ("[{session: {name: x}, send: none}]", []),
    "only where it is read": ("[{session: {name: x}, send: auto}]", []),
    "to a gateway": ("[{session: {name: x}, gateway: helicone}]", []),
    "to the gateway of all": ("[{session: {name: x}, match: {model: x}}, {gateway: helicone}]", []),
    "to a gateway that reads something else": (
        "[{session: {name: x}, gateway: helicone, send: [traceforge]}]",
        ["rule #1 sends traceforge session headers to a gateway that does not read them"],
    ),
    "never reached": (
        "[{final: true}, {user: x}]",
        ["rule #2 is never reached: rule #1 in line 1 matches every call and ends the reading"],
    ),
    "never reached by what it matches": (
        "[{match: {process: [a, b]}, final: true}, {match: {process: a, model: x}, user: x}]",
        ["rule #2 is never reached: rule #1 in line 1 matches every call that it matches and ends the reading"],
    ),
    "never reached behind an ignored program": (
        "[{match: {process: a*}, ignore: true}, {match: {process: ab}, user: x}]",
        ["rule #2 is never reached: rule #1 in line 1 matches every call that it matches and ends the reading"],
    ),
    "reached by what the final rule does not match": (
        "[{match: {process: a}, final: true}, {match: {process: [a, b]}, user: x}]",
        [],
    ),
    "protects if the final rule's process is unknown": (
        "[{match: {process: a}, final: true}, {match: {process: a}, ignore: true}]",
        [],
    ),
    "sets nothing": ("[{match: {model: x}}]", ["rule #1 sets nothing"]),
    "same name": (
        "[{rule: a, match: {model: x}, user: x}, {rule: a, match: {model: y}, user: y}]",
        ["rule 'a' has the name of an earlier rule, so explain and the trace cannot tell them apart"],
    ),
    "a prompt without a star": (
        "[{match: {prompt: deploy}, user: x}]",
        ["rule #1 matches only if the whole prompt is 'deploy'; *deploy* finds it inside"],
    ),
}

ELSEWHERE = (
    "rule #1 protects only programs on this machine: the process of a client on another one cannot be known; "
    "match those by client or proxy_user, or say client: 127.0.0.1 if this is meant"
)
CASES |= {
    "ignored by process, among clients": (
        "[{match: {process: x}, ignore: true}, {match: {client: 10.0.0.0/8}, user: y}]",
        [ELSEWHERE],
    ),
    "not captured by process and model, among proxy users": (
        "[{match: {process: x, model: y}, capture: none}, {match: {not: {proxy_user: z}}, user: y}]",
        [ELSEWHERE],
    ),
    "ignored by process, where all is local": ("[{match: {process: x}, ignore: true}]", []),
    "by process on this machine": ("[{match: {process: x, client: 127.0.0.1}, capture: none}]", []),
    "by process or proxy user": ("[{match: [{process: x}, {proxy_user: y}], ignore: true}]", []),
    "by what is not a process": ("[{match: {not: {process: x}}, ignore: true}, {match: {proxy_user: y}, user: y}]", []),
    "labelled by process": ("[{match: {process: x}, user: y}, {match: {proxy_user: y}, user: y}]", []),
}


def warned(text: str) -> list[str]:
    """The warnings about a file of one line, without their place in it."""
    return [re.sub(r"^rules\.yaml:1:[0-9]+: ", "", warning) for warning in lint(load(text))]


@pytest.mark.parametrize("name", CASES)
def test_warnings(name: str) -> None:
    rules, expected = CASES[name]
    assert warned(f"rules: {rules}") == expected


NEVER_WINS = "rule #2 can never win: rule #1 in line 1 matches every call that it matches, and sets its keys first"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param("user: x", "user: y", id="every call, every call"),
        pytest.param("user: x", "match: {model: m}, user: y", id="every call, a model"),
        pytest.param("match: {model: m}, user: x", "match: {model: m}, user: y", id="the same match"),
        pytest.param("match: {model: m}, user: x", "match: {process: p, model: m}, user: y", id="one more key"),
        pytest.param("match: {model: [m, n]}, user: x", "match: {model: n}, user: y", id="one of a list"),
        pytest.param("match: {model: gpt-*}, user: x", "match: {model: gpt-4o}, user: y", id="a glob, a word"),
        pytest.param("match: {model: gpt-*}, user: x", "match: {model: gpt-4*}, user: y", id="a glob, a narrower glob"),
        pytest.param("match: {model: 're:^gpt'}, user: x", "match: {model: gpt-4o}, user: y", id="a regex, a word"),
        pytest.param("match: {host: A.example}, user: x", "match: {host: a.example}, user: y", id="hosts in any case"),
        pytest.param("match: {process: {cwd: /src/**}}, user: x",
                     "match: {process: {cwd: /src/app}}, user: y", id="a folder, one in it"),
        pytest.param("match: {client: 10.0.0.0/8}, user: x", "match: {client: 10.1.2.3}, user: y", id="a network"),
        pytest.param("match: {route: POST /v1/**}, user: x", "match: {route: POST /v1/chat/*}, user: y", id="a route"),
        pytest.param("match: [{model: m}, {model: n}], user: x", "match: {model: n}, user: y", id="an alternative"),
        pytest.param("match: {model: [m, n]}, user: x", "match: [{model: m}, {model: n}], user: y", id="alternatives"),
        pytest.param("match: {not: {model: gpt-4}}, user: x", "match: {not: {model: gpt-*}}, user: y", id="not"),
        pytest.param("user: x, tags: [a]", "user: y", id="more keys"),
        pytest.param("properties: {A: x}", "properties: {a: y}", id="a property in another case"),
        pytest.param("user: '${env.NO:-x}'", "user: y", id="a template with a default"),
        pytest.param("session: {id: ['${env.NO}', process]}, send: none", "session: {id: native}", id="id sources"),
    ],
)  # fmt: skip
def test_a_rule_that_can_never_win(earlier: str, later: str) -> None:
    assert warned(f"rules: [{{{earlier}}}, {{{later}}}]") == [NEVER_WINS]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param("match: {model: m}, user: x", "user: y", id="it matches more calls"),
        pytest.param("match: {model: m, process: p}, user: x", "match: {model: m}, user: y", id="one key less"),
        pytest.param("match: {model: m}, user: x", "match: {model: [m, n]}, user: y", id="one more of a list"),
        pytest.param("match: {model: gpt-4*}, user: x", "match: {model: gpt-*}, user: y", id="a wider glob"),
        pytest.param("match: {model: 'gpt-?'}, user: x", "match: {model: 'gpt-*'}, user: y", id="one character, any"),
        pytest.param("match: {model: gpt}, user: x", "match: {header: {model: gpt}}, user: y", id="another key"),
        pytest.param("match: {process: {cwd: '/*'}}, user: x", "match: {process: {cwd: '/**'}}, user: y", id="levels"),
        pytest.param("match: {route: 'POST /{a}'}, user: x", "match: {route: 'POST /*'}, user: y", id="a segment"),
        pytest.param("match: {model: 're:^gpt'}, user: x", "match: {model: 're:^gpt-4'}, user: y", id="expressions"),
        pytest.param("match: {not: {model: gpt-*}}, user: x", "match: {not: {model: gpt-4}}, user: y", id="not"),
        pytest.param("match: {model: m}, user: x", "match: {not: {model: m}}, user: y", id="the opposite"),
        pytest.param("user: x", "properties: {a: y}", id="another key is set"),
        pytest.param("user: x", "user: y, properties: {a: y}", id="one more key is set"),
        pytest.param("properties: {a: x}", "properties: {b: y}", id="another property"),
        pytest.param("user: '${env.RUN}'", "user: y", id="a fallback for a variable without a value"),
        pytest.param("user: '${env.RUN:-${model}}'", "user: y", id="a fallback for a default without a value"),
        pytest.param("session: {id: '${env.RUN}'}, send: none", "session: {id: process}", id="a fallback for an id"),
        pytest.param("match: {host: a.example}, user: '${proxy_env.K}'", "match: {host: a.example}, user: y",
                     id="a fallback for a secret that may be withheld"),
        pytest.param("tags: [a]", "tags: [b]", id="additions add up"),
        pytest.param("user: x", "match: {model: m}, user: y, final: true", id="it ends the reading"),
        pytest.param("match: {process: p}, capture: full", "match: {process: p}, capture: none",
                     id="it protects if the process is unknown"),
    ],
)  # fmt: skip
def test_a_rule_that_can_win(earlier: str, later: str) -> None:
    assert lint(load(f"rules: [{{{earlier}}}, {{{later}}}]")) == []


@pytest.mark.parametrize(
    ("item", "warned"),
    [
        ("{kind: helicone-selfhosted, url: 'http://127.0.0.1:8585'}", True),
        ("{kind: helicone-selfhosted, url: 'http://127.0.0.1:8585', key: k}", False),
        ("{kind: litellm, url: 'http://127.0.0.1:4000'}", False),
        ("{kind: openrouter}", False),
    ],
    ids=["without", "with one", "a kind that needs none", "a kind's own address, which has a variable"],
)
def test_a_gateway_without_the_key_that_it_needs(item: str, warned: bool) -> None:
    said = lint(load_text(f"gateways: {{mine: {item}}}"))
    assert said == ["rules.yaml: the gateway 'mine' has no key, so its calls go to their own hosts"] * warned


@pytest.mark.parametrize(
    ("item", "is_warned"),
    [
        pytest.param("{to: otlp, endpoint: 'http://collector:4318', content: true}", True, id="content, elsewhere"),
        pytest.param("{to: otlp, endpoint: 'http://collector:4318'}", False, id="no content"),
        pytest.param("{to: otlp, endpoint: 'https://collector:4318', content: true}", False, id="TLS"),
        pytest.param("{to: otlp, endpoint: 'http://127.0.0.1:4318', content: true}", False, id="this machine"),
        pytest.param("{to: parquet, endpoint: 's3://bucket/calls', content: true}", False, id="an object store"),
    ],
)
def test_a_push_that_carries_prompts_in_clear(item: str, is_warned: bool) -> None:
    warnings = lint(load_text(f"push: [{item}]"))
    assert [" in clear; give https://HOST" in one for one in warnings] == [True] * is_warned


def test_several_rules_can_take_all_that_a_later_one_sets() -> None:
    rules = load("rules: [{rule: a, user: x}, {match: {model: m*}, tags: [t], state: {s: 1}}, "
                 "{match: {model: m}, user: y, state: {s: 2}}]")  # fmt: skip
    assert lint(rules) == [
        "rules.yaml:1:77: rule #3 can never win: rule 'a' in line 1 and rule #2 in line 1 match every call that it "
        "matches, and set its keys first"
    ]


def test_many_rules_are_compared_quickly() -> None:
    each = (f"- {{match: {{process: p, model: m{n}}}, user: x}}\n" for n in range(5_000))
    rules = load_text("rules:\n" + "".join(each))
    compared: list[Rule] = []
    original = coverage._covers

    def covers(rule: Rule, other: Rule) -> bool:
        compared.append(rule)
        return original(rule, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "_covers", covers)
        assert lint(rules) == []
    assert len(compared) < 10_000


def globs(letters: str) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=1, max_size=5)


CONDITIONS = st.recursive(
    st.fixed_dictionaries({"model": globs("ab*?") | st.lists(globs("ab*?"), min_size=1, max_size=2)})
    | st.fixed_dictionaries({"process": st.fixed_dictionaries({"cwd": globs("/a*?").map("/".__add__)})}),
    lambda inner: st.fixed_dictionaries({"not": inner | st.lists(inner, min_size=1, max_size=2)}),
    max_leaves=2,
)
MATCHES = CONDITIONS | st.lists(CONDITIONS, min_size=1, max_size=2)


@given(MATCHES, MATCHES, st.lists(st.tuples(globs("ab"), globs("/a").map("/".__add__)), min_size=20, max_size=20))
@settings(max_examples=300)
def test_what_can_never_win_never_matches_alone(earlier: Any, later: Any, calls: list[tuple[str, str]]) -> None:
    rules = load_text(json.dumps({"rules": [{"match": earlier, "user": "first"}, {"match": later, "user": "second"}]}))
    if not any("can never win" in warning for warning in lint(rules)):
        return
    for model, cwd in calls:
        given = facts(call=call(model=model), caller=replace(CALLER, cwd=cwd))
        assert outcome(rules, given)[1].user != "second"


def test_what_is_said_of_several_rules_is_said_once() -> None:
    rules = load_text("version: 1\nrules:\n- session: {name: x}\n- user: x\n- session: {path: /x}\n", "r.yaml")
    (warning,) = lint(rules)
    assert warning.startswith("r.yaml:3:3: rule #1 sends helicone session headers to any LLM host")
    assert warning.endswith(" (also the rules in lines 5)")


README = Path(__file__).parents[2] / "README.md"


def test_the_first_rule_of_the_readme_is_clean() -> None:
    first = re.search("the smallest useful one is\n\n```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert first is not None
    assert lint(load_text(first[1], "rules.yaml")) == []
