"""A value of the proxy's own environment goes to hosts that its rule names, or to its gateway, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.rules.build import facts, outcome

from sessiontap.rules import Facts, RulesError, load_text

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
        pytest.param({"match": {"host": "*.0.1"}, **SET}, "headers.set.X-Key", id="any address that ends so"),
        pytest.param({"match": {"host": "*::1"}, **SET}, "headers.set.X-Key", id="any address that ends so, IPv6"),
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
    [
        *("llm.corp.example", "*.corp.example", "llm-*.corp.example", "localhost", "127.0.0.1", "::1", "[::1]"),
        ["a.x.com", "*.b.com"],
    ],
)
def test_hosts_that_are_named(host: Any) -> None:
    load_rule(match={"host": host}, **SET)


def test_it_goes_to_a_host_that_the_rule_names() -> None:
    rules = load_rule(match={"host": "*.corp.example"}, **SET)
    _, filled = outcome(rules, facts(**LOCAL), ENV)
    assert filled.headers_set == {"X-Key": "sk-secret"}
    assert filled.at_gateway is None


def test_a_missing_variable_sets_nothing() -> None:
    rules = load_rule(match={"host": "*.corp.example"}, **SET)
    assert outcome(rules, facts(**LOCAL), {})[1].headers_set == {}


REMOTE = {"host": "llm.corp.example", "client_ip": "192.168.1.5", "caller": None, "client_is_local": False}
NOT_LOCAL = "the client is not known to be on this machine, and the rule has no match.client"


@pytest.mark.parametrize(
    ("given", "match", "reason"),
    [
        pytest.param(LOCAL, {}, None, id="a client of this machine"),
        pytest.param(REMOTE, {}, NOT_LOCAL, id="another machine"),
        pytest.param({**REMOTE, "client_ip": None}, {}, NOT_LOCAL, id="unknown"),
        pytest.param(REMOTE, {"client": "192.168.0.0/16"}, None, id="another machine that the rule names"),
        pytest.param({**LOCAL, "exposed": "in clear"}, {}, "in clear", id="a way that anybody sees"),
        pytest.param(
            {**REMOTE, "exposed": "in clear"}, {"client": "192.168.0.0/16"}, "in clear", id="the same, for a named one"
        ),
    ],
)
def test_who_and_how(given: dict[str, Any], match: dict[str, Any], reason: str | None) -> None:
    rules = load_rule(match={"host": "*.corp.example", **match}, **SET)
    _, filled = outcome(rules, facts(**given), ENV)
    assert filled.headers_set == ({} if reason else {"X-Key": "sk-secret"})
    assert [tuple(one) for one in filled.withheld] == ([("headers.set.X-Key", "#1", reason)] if reason else [])
    assert filled.problems == tuple(map(str, filled.withheld))


def test_nothing_leaves_where_nobody_said_that_it_may() -> None:
    rules = load_rule(match={"host": "*.corp.example"}, **SET)
    _, filled = outcome(rules, Facts(host="llm.corp.example", client_ip="127.0.0.1"), ENV)
    assert filled.headers_set == {}


def test_another_rule_that_names_the_client_changes_nothing() -> None:
    rules = [{"match": {"client": "192.168.0.0/16"}, "tags": ["t"]}, {"match": {"host": "*.corp.example"}, **SET}]
    _, filled = outcome(load_text(json.dumps({"rules": rules})), facts(**REMOTE), ENV)
    assert (filled.tags, filled.headers_set) == (("t",), {})


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
    decision, _ = outcome(rules, facts(**REMOTE), ENV)
    assert decision.name == "plain"
    assert decision.problems == (f"#1: session.name is withheld: {NOT_LOCAL}",)


GATEWAY_ONLY = {
    "gateway": "helicone",
    "headers": {"set": {"X-Key": SECRET, "X-Plain": "1"}},
    "user": SECRET,
    "properties": {"p": SECRET, "q": "2"},
    "tags": [SECRET, "t"],
    "state": {"s": SECRET},
}


def test_for_the_gateway_only() -> None:
    _, filled = outcome(load_rule(**GATEWAY_ONLY), facts(), ENV)
    assert "sk-secret" not in str(
        filled.__class__(**{f: getattr(filled, f) for f in filled.__slots__ if f != "at_gateway"})
    )
    assert filled.headers_set == {"X-Plain": "1"}
    assert filled.properties == {"q": "2"}
    assert (filled.user, filled.tags, filled.state) == (None, ("t",), None)
    assert {one.field for one in filled.withheld} == {"headers.set.X-Key", "user", "properties.p", "tags", "state.s"}
    assert {one.reason for one in filled.withheld} == {
        "it is for the gateway helicone, and the call goes to its own host"
    }
    there = filled.at_gateway
    assert there is not None
    assert there.withheld == ()
    assert there.headers_set == {"X-Key": "sk-secret", "X-Plain": "1"}
    assert there.properties == {"p": "sk-secret", "q": "2"}
    assert (there.user, there.tags, there.state) == ("sk-secret", ("sk-secret", "t"), {"s": "sk-secret"})


def test_not_to_another_rule_s_gateway() -> None:
    text = json.dumps({"gateways": {"mine": {"kind": "helicone"}}, "rules": [{"gateway": "mine"}, GATEWAY_ONLY]})
    _, filled = outcome(load_text(text), facts(), ENV)
    assert filled.at_gateway is None
    assert "sk-secret" not in str(filled)


HOST_ONLY = {
    "match": {"host": "*.corp.example"},
    "session": {"name": f"n {SECRET}", "path": f"/p/{SECRET}"},
    "headers": {"set": {"X-Key": SECRET, "X-Plain": "1"}},
    "user": SECRET,
}


def test_for_the_hosts_only_though_another_rule_sets_a_gateway() -> None:
    text = json.dumps({"rules": [HOST_ONLY, {"session": {"name": "plain"}, "gateway": "helicone"}]})
    decision, filled = outcome(load_text(text), facts(**LOCAL), ENV)
    assert "sk-secret" not in decision.name  # a session has one name, wherever its calls go
    assert filled.headers_set == {"X-Key": "sk-secret", "X-Plain": "1"}
    there = filled.at_gateway
    assert there is not None
    assert "sk-secret" not in str(there)
    assert there.headers_set == {"X-Plain": "1"}
    reason = "the call goes to the gateway helicone, and the rule does not set that"
    fields = ("session.path", "user", "headers.set.X-Key")
    assert {tuple(one) for one in there.withheld} == {(field, "#1", reason) for field in fields}
    assert [tuple(one) for one in decision.withheld] == [("session.name", "#1", reason)]


def test_for_the_hosts_and_the_gateway_of_one_rule() -> None:
    decision, filled = outcome(load_rule(**HOST_ONLY, gateway="helicone"), facts(**LOCAL), ENV)
    assert decision.name == "n sk-secret"
    assert (filled.user, filled.at_gateway) == ("sk-secret", None)


def test_for_the_gateway_where_the_host_is_out_of_bounds() -> None:
    rules = load_rule(**{**HOST_ONLY, "session": {}}, gateway="helicone")
    _, filled = outcome(rules, facts(**LOCAL, exposed="in clear"), ENV)
    assert filled.user is None
    assert filled.at_gateway is not None
    assert filled.at_gateway.user == "sk-secret"


@pytest.mark.parametrize("url", ["http://helicone.corp.example", "http://10.0.0.5:8585", "http://host.docker.internal"])
def test_a_gateway_that_would_show_the_apps_keys_is_refused(url: str) -> None:
    with pytest.raises(RulesError, match="would carry the apps' own keys and prompts over the network in clear") as at:
        load_text(f"gateways: {{mine: {{kind: helicone, url: '{url}'}}}}")
    assert [problem.path for problem in at.value.problems] == ["gateways.mine.url"]


@pytest.mark.parametrize(
    "url", ["https://10.0.0.5", "http://127.0.0.1:8585", "http://localhost", "http://[::1]:8585", "http://127.1.2.3/"]
)
def test_gateways_that_are_not(url: str) -> None:
    assert load_text(f"gateways: {{mine: {{kind: helicone, url: '{url}'}}}}").gateways["mine"].url == url


def test_a_gateway_s_key_is_the_proxy_s_own() -> None:
    with pytest.raises(RulesError, match=r"cannot depend on 'header\.x'; expected text or"):
        load_text("gateways: {mine: {kind: helicone, key: '${header.x}'}}")


def test_the_keys_that_the_rules_send_are_known_for_redaction() -> None:
    rules = load_text(
        """
        gateways:
          mine: {kind: helicone, url: "http://127.0.0.1:1", key: "Bearer ${proxy_env.OWN}"}
          other: {kind: helicone, key: as-it-stands}
        rules:
          - {match: {host: a.example}, state: {deep: ["${proxy_env.KEY}", "${host:-${proxy_env.INNER}}"]}}
        """
    )
    env = {"KEY": "sk-secret", "OWN": "own", "INNER": "", "NOT_NAMED": "x"}
    assert set(rules.keys(env)) == {"sk-secret", "own", "as-it-stands"}
