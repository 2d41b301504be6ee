"""`sessiontap rules`: check, explain, schema."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.cli import recorded
from tests.cli.command import Run, runner

from sessiontap import trace as log
from sessiontap.cli import local_proxies
from sessiontap.cli.commands.start import starter_rules
from sessiontap.cli.local_proxies import Listener, RunningProxy

RULES = """\
version: 1
send: none
rules:
  - rule: course
    match: {process: node, tool_result: web_search}
    session: {path: /search}
  - rule: node
    match: {process: node}
    session: {name: Node, path: "/all/${model}"}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch)


def test_rules_check(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    status, out, err = run("rules", "check")
    assert (status, out) == (0, "rules.yaml: 2 rules, valid\n")
    assert err == f"sessiontap: no proxy runs here; one that is started in {own_place} takes this file\n"


@pytest.mark.parametrize("how", ["argument", "--rules", "SESSIONTAP_RULES"])
def test_rules_check_of_a_named_file(run: Run, own_place: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    (own_place / "mine.yaml").write_text(RULES)
    if how == "SESSIONTAP_RULES":
        monkeypatch.setenv(how, "mine.yaml")
    arguments = {"argument": ["mine.yaml"], "--rules": ["--rules", "mine.yaml"]}.get(how, [])
    assert run("rules", "check", *arguments)[1] == "mine.yaml: 2 rules, valid\n"


def test_rules_check_says_what_is_wrong_and_where(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text("version: 1\nrules:\n  - sesion: {name: x}\n")
    status, out, err = run("rules", "check")
    assert (status, out) == (2, "")
    assert "rules.yaml:3:5: " in err
    assert "did you mean 'session'?" in err
    status, out, _ = run("rules", "check", "--json")
    report = json.loads(out)
    assert (status, report["valid"]) == (2, False)
    assert [(one["line"], one["column"], one["guess"]) for one in report["problems"]] == [(3, 5, "session")]


def test_rules_check_warns(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES + "  - rule: node\n    user: ada\n")
    status, _, err = run("rules", "check")
    assert status == 0
    assert err.startswith("sessiontap: warning: rules.yaml:10:5: rule 'node' has the name of an earlier rule")


@pytest.mark.parametrize("arguments", [["rules", "check"], ["rules", "check", "nosuch.yaml"]])
def test_rules_check_without_a_file(run: Run, arguments: list[str]) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert err.startswith("sessiontap: there is no rules")


@pytest.fixture
def trace(own_place: Path) -> Path:
    return recorded.write(own_place / ".sessiontap" / "trace", recorded.calls()[:1])


def test_rules_explain(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    status, out, err = run("rules", "explain", "@1")
    assert status == 0
    assert out == (
        f"call {recorded.call_id(1)} by rules.yaml\n"
        "\n"
        "not matched course (line 4)\n"
        "  yes  process.name: node   was agent.mjs, node\n"
        "  no   tool_result: web_search   was nothing\n"
        "\n"
        "matched     node (line 7)\n"
        "  yes  process.name: node   was agent.mjs, node\n"
        "  =    session.name Node\n"
        "  =    session.path /all/gpt-4o-mini\n"
        "\n"
        "result\n"
        "  session.name         Node   by node\n"
        "  session.id           auto\n"
        "  session.path         /all/gpt-4o-mini   by node\n"
        "  send                 none\n"
        "  capture              full\n"
    )
    assert err == (
        "sessiontap: when it was recorded, other rules set something: course generator\n"
        f"sessiontap: no proxy runs here; one that is started in {own_place} takes this file\n"
    )


def test_rules_explain_names_the_headers(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(
        "rules: [{session: {name: X}, properties: {a: '1', b: '2', c: '3'}, send: [cloudflare, traceparent, acme]}]\n"
        "dialects: {acme: {User-Agent: '${session.id}', X-Acme: '${user}'}}"
    )
    out = run("rules", "explain", "@1")[1]
    assert (
        "  headers              cf-aig-metadata, cf-aig-otel-trace-id, cf-aig-otel-parent-span-id, traceparent\n"
        "  header cf-aig-metadata: c left out: 5 members at most\n"
        "  header User-Agent: the app's own stays (default)\n"
    ) in out
    explained = json.loads(run("rules", "explain", "@1", "--json")[1])
    assert explained["headers"][-1] == {"action": "keep", "header": "User-Agent", "rule": "default"}


@pytest.mark.parametrize(
    ("rule", "match", "result"),
    [
        pytest.param(
            "ignore: true",
            "may match   private (line 1, ignore)\n  may  process.name: x   was unknown\n",
            "  the call is left alone: private may match (process.name not known)\n",
            id="ignored",
        ),
        pytest.param(
            "capture: none",
            "may match   private (line 1)\n  may  process.name: x   was unknown\n",
            "  protected: private may match (process.name not known)\n",
            id="not recorded",
        ),
    ],
)
def test_rules_explain_says_which_rule_may_match(
    run: Run, own_place: Path, trace: Path, monkeypatch: pytest.MonkeyPatch, rule: str, match: str, result: str
) -> None:
    (own_place / "rules.yaml").write_text(f"rules: [{{rule: private, match: {{process: x}}, {rule}}}]")
    assert "may match" not in run("rules", "explain", "@1")[1]
    monkeypatch.setattr("sessiontap.cli.explained_call.caller_of", lambda call: None)
    status, out, _ = run("rules", "explain", "@1")
    assert status == 0
    assert match in out
    assert out.endswith(result)


def test_rules_explain_json(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    explained: dict[str, Any] = json.loads(run("rules", "explain", "@1", "--json")[1])
    assert [(rule["rule"], rule["outcome"]) for rule in explained["rules"]] == [
        ("course", "not matched"),
        ("node", "matched"),
    ]
    assert explained["decision"]["name"] == "Node"
    assert explained["labels"]["path"] == "/all/gpt-4o-mini"


def test_rules_explain_shows_the_way_through_a_gateway(run: Run, own_place: Path, trace: Path) -> None:
    item = "{kind: litellm, url: 'http://127.0.0.1:4000', key: '${proxy_env.LITELLM_API_KEY}'}"
    (own_place / "rules.yaml").write_text(f"gateways: {{mine: {item}}}\nrules: [{{gateway: mine}}]")
    out = run("rules", "explain", "@1")[1]
    assert "  way                  http://127.0.0.1:4000/v1/" in out
    assert "                       x-litellm-api-key: Bearer ${proxy_env.LITELLM_API_KEY}\n" in out
    (own_place / "rules.yaml").write_text("rules: [{gateway: openrouter}]")
    assert "  way                  its own host: OpenRouter names models" in run("rules", "explain", "@1")[1]


@pytest.mark.parametrize("key", ["corp-key-0123456789", None], ids=["set in this shell", "not set in this shell"])
def test_rules_explain_takes_a_key_of_the_proxys_as_set(
    run: Run, own_place: Path, trace: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key is not None:
        monkeypatch.setenv("CORP_KEY", key)
    host = next(iter(log.open(trace).calls())).record["host"]
    (own_place / "rules.yaml").write_text(
        f"rules: [{{match: {{host: {host}}}, headers: {{set: {{X-Key: '${{proxy_env.CORP_KEY}}'}}}}}}]"
    )
    out = run("rules", "explain", "@1")[1]
    assert "  =    headers.set.X-Key ${proxy_env.CORP_KEY}\n" in out
    assert "  headers.set.X-Key    ${proxy_env.CORP_KEY}   by #1\n" in out
    assert out.endswith(
        "  assumed: CORP_KEY is set in the proxy's environment: no proxy runs here that could be asked\n"
        "  assumed: the server's certificate is verified (no ssl_insecure)\n"
    )
    explained = run("rules", "explain", "@1", "--json")[1]
    assert json.loads(explained)["proxy_env"] == {"CORP_KEY": None}
    assert json.loads(explained)["assumed"][0].startswith("CORP_KEY is set in the proxy's environment")
    assert "corp-key" not in out + explained


@pytest.mark.parametrize(
    ("name", "expected"),
    [("PATH", "PATH is set"), ("NO_SUCH_KEY", "NO_SUCH_KEY is not set, so what uses it is left out")],
)
def test_rules_explain_asks_the_running_proxy_which_keys_it_has(
    run: Run, own_place: Path, trace: Path, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = next(iter(log.open(trace).calls())).record["host"]
    file = own_place / "elsewhere.yaml"
    file.write_text(
        f"rules: [{{match: {{host: {host}}}, headers: {{set: {{X-Key: '${{proxy_env.{name}}}'}}}}}}]"
    )
    listener = Listener("regular", "127.0.0.1", 8080)
    proxy = RunningProxy(os.getpid(), 0.0, None, None, (listener,), own_place, trace, file)
    monkeypatch.setattr(local_proxies, "usable", lambda: iter([proxy]))
    _, out, err = run("rules", "explain", "@1")
    assert f"  proxy: {expected}\n" in out
    assert os.environ["PATH"] not in out
    assert f"sessiontap: the proxy that runs (pid {os.getpid()}) uses this file" in err


def test_rules_explain_shows_values_in_plain_words(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(
        "rules: [{session: {id: ['${env.NO}', native, process, run-1], idle: 30m}, state: {retries: 0, note: null},"
        "tags: [a, b], send: none, headers: {remove: [X-*]}, gateway: helicone}]"
    )
    out = run("rules", "explain", "@1")[1]
    for line in (
        "  =    session.id native, process, run-1",
        "  =    state.retries 0",
        "  =    state.note null",
        "  =    send none",
        "  session.id           native, process, run-1   by #1",
        "  session.idle         1800 s   by #1",
        "  tags                 a, b   by #1",
        "  headers.remove       X-*   by #1",
        "  assumed: the proxy can use the gateway helicone: it has its key",
    ):
        assert f"{line}\n" in out
    assert not re.search(r"\w+\(", out), "the name of a class"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_rules_schema_accepts_the_starter(run: Run, options: list[str]) -> None:
    schema = json.loads(run("rules", "schema", *options)[1])
    jsonschema.validate(yaml.safe_load(starter_rules()), schema)
