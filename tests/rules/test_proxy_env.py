"""A value of the proxy's own environment goes to hosts that its rule names, or to its gateway, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.rules.build import facts, outcome

from sessiontap.rules import RulesError, load_text

SECRET = "${proxy_env.KEY}"
ENV = {"KEY": "sk-secret"}
SET = {"headers": {"set": {"X-Key": SECRET}}}
LOCAL = {"host": "llm.corp.example", "client_ip": "127.0.0.1", "caller": None}


def load_rule(**rule: Any) -> Any:
    return load_text(json.dumps({"rules": [rule]}))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        pytest.param(SET, "headers.set.X-Key", id="any host"),
        pytest.param({"match": {"process": "x"}, **SET}, "headers.set.X-Key", id="only a process is named"),
        pytest.param({"match": {"host": "*"}, **SET}, "headers.set.X-Key", id="every host"),
        pytest.param({"match": {"host": "*.com"}, **SET}, "headers.set.X-Key", id="a whole top-level domain"),
        pytest.param({"match": {"host": "api.*"}, **SET}, "headers.set.X-Key", id="any domain"),
        pytest.param({"match": {"host": "*corp.example"}, **SET}, "headers.set.X-Key", id="any name that ends so"),
        pytest.param({"match": {"host": "re:corp"}, **SET}, "headers.set.X-Key", id="a regular expression"),
        pytest.param({"match": {"host": ["a.example", "*"]}, **SET}, "headers.set.X-Key", id="one host of a list"),
        pytest.param({"match": {"not": {"host": "a.example"}}, **SET}, "headers.set.X-Key", id="all hosts but one"),
        pytest.param(
            {"match": [{"host": "a.example"}, {"process": "x"}], **SET}, "headers.set.X-Key", id="or another match"
        ),
        pytest.param({"user": f"x {SECRET}"}, "user", id="user"),
        pytest.param({"properties": {"p": f"${{host:-{SECRET}}}"}}, "properties.p", id="in a default"),
        pytest.param({"tags": ["t", SECRET]}, "tags[1]", id="tag"),
        pytest.param({"state": {"a": {"b": [SECRET]}}}, "state.a.b[0]", id="state"),
        pytest.param(
            {"session": {"name": SECRET}, "gateway": "helicone"}, "session.name", id="a name, though to a gateway"
        ),
    ],
)
def test_refused_at_load(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(RulesError, match="would take a value of the proxy's own environment to any host") as caught:
        load_rule(**rule)
    assert [problem.path for problem in caught.value.problems] == [f"rules[0].{field}"]


@pytest.mark.parametrize(
    "host",
    ["llm.corp.example", "*.corp.example", "llm-*.corp.example", "localhost", "127.0.0.1", ["a.x.com", "*.b.com"]],
)
def test_hosts_that_are_named(host: Any) -> None:
    load_rule(match={"host": host}, **SET)


def test_it_goes_to_a_host_that_the_rule_names() -> None:
    rules = load_rule(match={"host": "*.corp.example"}, **SET)
    _, labels = outcome(rules, facts(**LOCAL), ENV)
    assert labels.headers_set == {"X-Key": "sk-secret"}
    assert labels.at_gateway is None


def test_a_missing_variable_sets_nothing() -> None:
    rules = load_rule(match={"host": "*.corp.example"}, **SET)
    assert outcome(rules, facts(**LOCAL), {})[1].headers_set == {}


@pytest.mark.parametrize(
    ("client", "caller", "match", "goes"),
    [
        pytest.param("127.0.0.1", False, {}, True, id="loopback"),
        pytest.param("::1", False, {}, True, id="loopback, IPv6"),
        pytest.param("::ffff:127.0.0.1", False, {}, True, id="loopback, IPv4 in IPv6"),
        pytest.param("192.168.1.5", True, {}, True, id="own address, process found here"),
        pytest.param("192.168.1.5", False, {}, False, id="another machine"),
        pytest.param(None, False, {}, False, id="unknown"),
        pytest.param(
            "192.168.1.5", False, {"client": "192.168.0.0/16"}, True, id="another machine that the rule names"
        ),
    ],
)
def test_only_clients_on_this_machine(client: str | None, caller: bool, match: dict[str, Any], goes: bool) -> None:
    rules = load_rule(match={"host": "*.corp.example", **match}, **SET)
    given = facts(host="llm.corp.example", client_ip=client, **({} if caller else {"caller": None}))
    _, labels = outcome(rules, given, ENV)
    assert labels.headers_set == ({"X-Key": "sk-secret"} if goes else {})
    assert bool(labels.problems) is not goes
    assert "sk-secret" not in str(labels.problems)


def test_what_is_withheld_a_later_rule_may_fill() -> None:
    rules = load_text(
        json.dumps(
            {
                "rules": [
                    {"match": {"host": "*.corp.example"}, "session": {"name": SECRET}},
                    {"session": {"name": "plain"}},
                ]
            }
        )
    )
    decision, _ = outcome(rules, facts(host="a.corp.example", client_ip="10.0.0.1", caller=None), ENV)
    assert decision.name == "plain"
    assert decision.problems == (
        "#1: session.name is withheld: 10.0.0.1 is not known to be on this machine, and the rule has no match.client",
    )


GATEWAY_ONLY = {
    "gateway": "helicone",
    "headers": {"set": {"X-Key": SECRET, "X-Plain": "1"}},
    "user": SECRET,
    "properties": {"p": SECRET, "q": "2"},
    "tags": [SECRET, "t"],
    "state": {"s": SECRET},
}


def test_for_the_gateway_only() -> None:
    _, labels = outcome(load_rule(**GATEWAY_ONLY), facts(), ENV)
    assert "sk-secret" not in str(
        labels.__class__(**{f: getattr(labels, f) for f in labels.__slots__ if f != "at_gateway"})
    )
    assert labels.headers_set == {"X-Plain": "1"}
    assert labels.properties == {"q": "2"}
    assert (labels.user, labels.tags, labels.state) == (None, ("t",), None)
    there = labels.at_gateway
    assert there is not None
    assert there.headers_set == {"X-Key": "sk-secret", "X-Plain": "1"}
    assert there.properties == {"p": "sk-secret", "q": "2"}
    assert (there.user, there.tags, there.state) == ("sk-secret", ("sk-secret", "t"), {"s": "sk-secret"})


def test_not_to_another_rule_s_gateway() -> None:
    text = json.dumps({"gateways": {"mine": {"kind": "helicone"}}, "rules": [{"gateway": "mine"}, GATEWAY_ONLY]})
    _, labels = outcome(load_text(text), facts(), ENV)
    assert labels.at_gateway is None
    assert "sk-secret" not in str(labels)


def test_a_gateway_s_key_is_the_proxy_s_own() -> None:
    with pytest.raises(RulesError, match=r"cannot depend on 'header\.x'; expected text or"):
        load_text("gateways: {mine: {kind: helicone, key: '${header.x}'}}")
