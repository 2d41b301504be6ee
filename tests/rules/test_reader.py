# ruff: noqa: E501 - messages stand here as they are printed
"""The problems of a bad file: line, column, key path, the fault, what was expected, and a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiontap import gateways
from sessiontap.push import TARGETS
from sessiontap.rules import RulesError, load_file, load_text

KINDS = ", ".join(gateways.KINDS)

RULE_KEYS = (
    "rule, match, session, join, user, properties, tags, state, headers, send, existing, gateway, fail, capture, alert, limit, "
    "steps, final, ignore"
)

BAD = {
    "misspelt key": (
        "rules:\n  - rule: a\n    sesion: {name: x}\n",
        [f"3:5: rules[0].sesion: unknown key 'sesion'; expected one of {RULE_KEYS}; did you mean 'session'?"],
    ),
    "key that belongs one level deeper": (
        "rules:\n  - name: x\n",
        [f"2:5: rules[0].name: unknown key 'name'; expected one of {RULE_KEYS}; did you mean 'session.name'?"],
    ),
    "misspelt key of a process": (
        "rules:\n  - match: {process: {nmae: node}}\n",
        [
            "2:23: rules[0].match.process.nmae: unknown key 'nmae'; expected one of name, exe, argv, cwd, user, env, "
            "ancestor; did you mean 'name'?"
        ],
    ),
    "source of an id, nearly": (
        "rules:\n  - session: {id: [native, proces]}\n",
        [
            "2:28: rules[0].session.id[1]: 'proces' is no source of an id, and too near one to be taken as a literal id; "
            "expected one of auto, native, conversation, process, process-tree, connection, a template or a literal id; "
            "did you mean 'process'?"
        ],
    ),
    "source of an id, another spelling": (
        "rules:\n  - session: {id: Process_Tree}\n",
        [
            "2:19: rules[0].session.id: 'Process_Tree' is no source of an id, and too near one to be taken as a literal "
            "id; expected one of auto, native, conversation, process, process-tree, connection, a template or a literal "
            "id; did you mean 'process-tree'?"
        ],
    ),
    "duration": (
        "rules:\n  - session: {idle: 30}\n",
        [
            "2:21: rules[0].session.idle: '30' is no duration; expected a duration such as 90s, 30m, 1h30m or 1d; "
            "did you mean '30s'?"
        ],
    ),
    "number": (
        "rules:\n  - session: {max_calls: many}\n",
        ["2:26: rules[0].session.max_calls: 'many' cannot stand here; expected a whole number from 1"],
    ),
    "flag": (
        "rules:\n  - final: yes\n",
        ["2:12: rules[0].final: 'yes' is neither; expected true or false; did you mean 'true'?"],
    ),
    "choice": (
        "rules:\n  - existing: replaced\n",
        ["2:15: rules[0].existing: 'replaced' is unknown; expected one of keep, replace; did you mean 'replace'?"],
    ),
    "dialect": (
        "send: helicon\n",
        [
            "1:7: send: 'helicon' is unknown; expected one of helicone, traceforge, litellm, openrouter, portkey, "
            "cloudflare, traceparent, baggage, none, auto; did you mean 'helicone'?"
        ],
    ),
    "dialect of the file": (
        "send: [acne, acme]\ndialects: {acme: {X-Acme: '${session.id}'}}\n",
        [
            "1:8: send[0]: 'acne' is unknown; expected one of helicone, traceforge, litellm, openrouter, portkey, "
            "cloudflare, traceparent, baggage, acme, none, auto; did you mean 'acme'?"
        ],
    ),
    "dialect of the file, its name": (
        "dialects: {baggage: {X-Acme: x}, auto: {X-Acme: x}}\n",
        [
            "1:12: dialects.baggage: 'baggage' has a meaning already; expected another name",
            "1:34: dialects.auto: 'auto' has a meaning already; expected another name",
        ],
    ),
    "dialect of the file, its headers": (
        "dialects: {acme: {Host: x, 'X Y': x, X-A: '${proxy_env.KEY}', X-B: '${session.pat}', X-C: '${pick(a,b)}'}}\n",
        [
            "1:19: dialects.acme.Host: 'Host' belongs to the connection, and calls break if it is changed",
            "1:28: dialects.acme.X Y: 'X Y' cannot be a header's name; expected letters, digits and - without spaces",
            "1:43: dialects.acme.X-A: 'proxy_env.KEY' is no variable of a dialect; expected one of session.id, "
            "session.name, session.path, session.step, user, tags, call.id, trace.id, span.id, properties.NAME; set a "
            "property in a rule to say more",
            "1:68: dialects.acme.X-B: 'session.pat' is no variable of a dialect; expected one of session.id, "
            "session.name, session.path, session.step, user, tags, call.id, trace.id, span.id, properties.NAME; set a "
            "property in a rule to say more; did you mean 'session.path'?",
            "1:91: dialects.acme.X-C: 'pick(a,b)' cannot stand in a dialect; expected a property whose value it is",
        ],
    ),
    "word that stands alone": (
        "send: [none]\n",
        ["1:8: send[0]: 'none' stands alone, not in a list; expected it without the brackets"],
    ),
    "operation": (
        "rules:\n  - match: {operation: embedding}\n",
        [
            "2:24: rules[0].match.operation: 'embedding' is no operation; expected one of chat, text_completion, "
            "embeddings, rerank, count_tokens, image, audio, moderation, batch, file, realtime, vector_search, other; "
            "did you mean 'embeddings'?"
        ],
    ),
    "host with more": (
        "rules:\n  - match: {host: 'https://api.x.com/v1'}\n",
        [
            "2:19: rules[0].match.host: 'https://api.x.com/v1' is more than a host; expected a host name without scheme, "
            "port or path; did you mean 'api.x.com'?"
        ],
    ),
    "regular expression": (
        "rules:\n  - match: {message: 're:('}\n",
        [
            "2:22: rules[0].match.message: 're:(' cannot be used: missing ): (; expected a regular expression in the syntax "
            "of RE2"
        ],
    ),
    "template": (
        "rules:\n  - user: '${env.X'\n",
        [
            "2:11: rules[0].user: '${env.X' is no variable; expected ${name}, ${name:-default} or ${pick(a,b)}; a plain "
            "dollar is $$"
        ],
    ),
    "header that a call needs": (
        "rules:\n  - headers: {set: {Content-Length: 3}}\n",
        [
            "2:21: rules[0].headers.set.Content-Length: 'Content-Length' belongs to the connection, and calls break "
            "if it is changed"
        ],
    ),
    "property's name": (
        "rules:\n  - properties: {'my mode': x}\n",
        [
            "2:18: rules[0].properties.my mode: 'my mode' cannot be a header's name; expected letters, digits and - "
            "without spaces"
        ],
    ),
    "headers to remove": (
        "rules:\n  - headers: {remove: ['re:x']}\n",
        [
            "2:24: rules[0].headers.remove[0]: 're:x' cannot be a header's name; expected letters, digits and - without spaces"
        ],
    ),
    "headers to redact": (
        "redact: {headers: X-*}\n",
        ["1:19: redact.headers: 'X-*' is a glob; expected a header's name in full"],
    ),
    "URL of a gateway": (
        "gateways: {g: {kind: helicone, url: 127.0.0.1}}\n",
        [
            "1:37: gateways.g.url: '127.0.0.1' is no URL; expected http://HOST or https://HOST, with a port and a path if needed"
        ],
    ),
    "glob of hosts that is none": (
        "hosts: [{host: 're:x'}]\n",
        ["1:16: hosts[0].host: 're:x' is a regular expression; expected a host glob such as *.corp.example"],
    ),
    "key twice": (
        "rules:\n  - user: a\n    user: b\n",
        ["3:5: rules[0].user: the key 'user' stands here again, first in line 2"],
    ),
    "header twice in another case": (
        "rules:\n  - headers:\n      set:\n        X-A: 1\n        x-a: 2\n",
        ["5:9: rules[0].headers.set.x-a: the key 'x-a' stands here again, first in line 4"],
    ),
    "price without output": ("prices: {m: {input: 1}}\n", ["1:13: prices.m: the key 'output' is missing"]),
    "price with an unknown key": (
        "prices: {m: {input: 1, output: 2, cached: 1}}\n",
        [
            "1:35: prices.m.cached: unknown key 'cached'; expected one of input, output, cache_read, cache_write; "
            "did you mean 'cache_read'?"
        ],
    ),
    "price below nothing": (
        "prices: {m: {input: -1, output: 2}}\n",
        ["1:21: prices.m.input: '-1' is no price; expected US dollars per million tokens, such as 0.15"],
    ),
    "price that is no number": (
        "prices: {m: {input: $1, output: 2}}\n",
        ["1:21: prices.m.input: '$1' is no price; expected US dollars per million tokens, such as 0.15"],
    ),
    "price of no model": ("prices: {'': {input: 1, output: 2}}\n", ["1:10: prices.: nothing stands here; expected a word"]),
    "price for a broken pattern": (
        "prices: {'re:(': {input: 1, output: 2}}\n",
        [
            "1:10: prices.re:(: 're:(' cannot be used: missing ): (; expected a regular expression in the syntax of RE2"
        ],
    ),
    "push to nobody known": (
        "push: [{to: helicon}]\n",
        ["1:13: push[0].to: 'helicon' is unknown; expected one of " + ", ".join(TARGETS) + "; did you mean 'helicone'?"],
    ),
    "push with a password in the address": (
        "push: [{to: helicone, endpoint: 'https://ada:pw@h'}]\n",
        [
            "1:33: push[0].endpoint: the address holds a user or a password; expected the variables of the target, or credentials: FILE"
        ],
    ),
    "push with credentials in clear": (
        "push: [{to: helicone, endpoint: 'http://h.example'}]\n",
        [
            "1:33: push[0].endpoint: 'http://h.example' would carry credentials over the network in clear; expected https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])"
        ],
    ),
    "push with a key among its headers": (
        "push: [{to: helicone, headers: {X-Api-Key: k}}]\n",
        [
            "1:33: push[0].headers.X-Api-Key: 'X-Api-Key' holds a credential; expected the variables of the target, or a private file: credentials: FILE"
        ],
    ),
    "push with a key as a header's value": (
        f"push: [{{to: helicone, headers: {{X-Team: sk-proj-{'Ab1' * 16}}}}}]\n",
        [
            "1:41: push[0].headers.X-Team: its value is a credential; expected the variables of the target, or a private file: credentials: FILE"
        ],
    ),
    "push to an address that is none": (
        "push: [{to: helicone, endpoint: h.example}]\n",
        [
            "1:33: push[0].endpoint: helicone is at an address; expected https://HOST, or http:// on this machine"
        ],
    ),
    "push twice": (
        "push: [{to: helicone}, {to: helicone}]\n",
        ["1:24: push[1]: helicone is there twice, at one address"],
    ),
    "not yet: a dialect": (
        "rules:\n  - send: [langfuse]\n",
        [
            "2:12: rules[0].send[0]: 'langfuse' is not yet available in this version; expected one of helicone, "
            "traceforge, litellm, openrouter, portkey, cloudflare, traceparent, baggage, none, auto"
        ],
    ),
    "not yet: a kind of gateway": (
        "gateways:\n  mine: {kind: braintrust}\n",
        [f"2:16: gateways.mine.kind: 'braintrust' is not yet available in this version; expected one of {KINDS}"],
    ),
    "not yet: a gateway": (
        "rules:\n  - gateway: langfuse\n",
        [
            "2:14: rules[0].gateway: the gateway 'langfuse' is not yet available in this version; "
            f"expected one of {KINDS}"
        ],
    ),
    "a gateway without an address": (
        "rules:\n  - gateway: litellm\n",
        [
            "2:14: rules[0].gateway: a gateway of kind litellm has no address of its own; expected the name of one "
            "under gateways: {NAME: {kind: litellm, url: ...}}"
        ],
    ),
    "an item without an address": (
        "gateways:\n  mine: {kind: cloudflare}\n",
        ["2:9: gateways.mine: a gateway of kind cloudflare needs a url"],
    ),
    "a key where none is taken": (
        "gateways:\n  mine: {kind: traceforge, key: x}\n",
        [
            "2:33: gateways.mine.key: a gateway of kind traceforge takes no key; "
            "expected a header for it, under headers"
        ],
    ),
    "a path of a kind that has its own": (
        "gateways:\n  mine: {kind: portkey, path: /x}\n",
        [
            "2:31: gateways.mine.path: a gateway of kind portkey has paths of its own; "
            "expected no path, or kind: custom"
        ],
    ),
    "a secret in a gateway's path": (
        'gateways:\n  mine: {kind: custom, url: "https://a.example", path: "/${proxy_env.KEY}"}\n',
        [
            "2:56: gateways.mine.path: a gateway's path is no place for a value of the proxy's own environment; "
            "expected a header for it"
        ],
    ),
    "unknown gateway": (
        "rules:\n  - gateway: mien\ngateways:\n  mine: {kind: helicone}\n",
        [f"2:14: rules[0].gateway: there is no gateway 'mien'; expected one of {KINDS}, mine; did you mean 'mine'?"],
    ),
    "missing key": ("hosts:\n  - {provider: x}\n", ["2:5: hosts[0]: the key 'host' is missing"]),
    "version": ("version: 2\n", ["1:10: version: '2' cannot stand here; expected 1"]),
    "nothing behind a key": (
        "rules:\n  - session:\n    user: x\n",
        ["2:13: rules[0].session: nothing stands here; expected a map with name, id, path, idle, max_calls"],
    ),
    "empty list": (
        "rules:\n  - match: {host: []}\n",
        ["2:19: rules[0].match.host: the list is empty; expected at least one item"],
    ),
    "rules is no list": ("rules: 5\n", ["1:8: rules: the value '5' stands here; expected a list"]),
    "rules is a map": ("rules: {match: {}}\n", ["1:8: rules: a map stands here; expected a list"]),
    "text where a map is meant": (
        "rules:\n  - session: x\n",
        ["2:14: rules[0].session: the value 'x' stands here; expected a map with name, id, path, idle, max_calls"],
    ),
    "list where text is meant": ("rules:\n  - user: [x]\n", ["2:11: rules[0].user: a list stands here; expected text"]),
    "no map": ("- x\n", ["1:1: a list stands here; expected a map with version, send, rules, hosts, gateways, dialects, redact, prices, push, alerts"]),
    "empty": ("", ["1:1: the file is empty; expected a map with the key rules"]),
    "only a comment": ("# rules:\n", ["1:1: the file is empty; expected a map with the key rules"]),
    "a tag": ("rules: !include x\n", ["1:8: rules: the tag !include means nothing here; expected a plain value"]),
    "a key that is a list": ("? [a]\n: x\n", ["1:3: a list stands as a key; expected a word"]),
    "tab": (
        "rules:\n\t- user: x\n",
        [
            "2:1: no YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent "
            "with spaces, tabs are not allowed"
        ],
    ),
    "braces without quotes": (
        "rules:\n  - {user: ${env.X}}\n",
        [
            "2:13: no YAML: while parsing a flow mapping, expected ',' or '}', but got '{'; inside {...} or [...] a value "
            "with braces needs quotes"
        ],
    ),
    "star without quotes": (
        "rules:\n  - match: {host: *.x.com}\n",
        [
            "2:20: no YAML: while scanning an alias, expected alphabetic or numeric character, but found '.'; a value "
            "that starts with * & ! % @ > | or ` needs quotes"
        ],
    ),
    "colon without quotes": (
        "rules:\n  - user: a: b\n",
        [
            "2:12: no YAML: mapping values are not allowed here; a value with a colon and a space in it needs quotes, and "
            "keys of one map the same indentation"
        ],
    ),
    "two documents": (
        "version: 1\n---\nversion: 1\n",
        [
            "2:1: no YAML: expected a single document in the stream, but found another document; leave out the --- "
            "between the two"
        ],
    ),
    "control character": ("rules: \x01\n", ["1:8: no YAML: the character U+0001 cannot stand here"]),
    "all at once, by line": (
        "rules:\n  - user: '${modell}'\n    x: 1\n  - match: {modle: x}\nversion: x\n",
        ["2:11", "3:5", "4:13", "5:10"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name: str) -> None:
    text, expected = BAD[name]
    with pytest.raises(RulesError) as caught:
        load_text(text, "rules.yaml")
    messages = [str(problem) for problem in caught.value.problems]
    if name.startswith("all at once"):
        messages = [message.removeprefix("rules.yaml:").partition(": ")[0] for message in messages]
        assert messages == expected
    else:
        assert messages == [f"rules.yaml:{message}" for message in expected]
        assert str(caught.value) == "\n".join(messages)


def test_a_problem_in_its_parts() -> None:
    with pytest.raises(RulesError) as caught:
        load_text("rules:\n  - capture: al\n", "my.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("my.yaml", 2, 14)
    assert (problem.path, problem.value) == ("rules[0].capture", "al")
    assert problem.expected == "one of full, metadata, none"


def test_text_stays_text() -> None:
    rules = load_text("rules:\n  - session: {name: No}\n    user: 1.10\n    match: {process: 12}\n    tags: [on]\n")
    (rule,) = rules.rules
    assert [setting.text for setting in rule.settings] == ["No", "1.10", "on"]
    assert rule.conditions[0].expected == "12"


def test_anchors_and_merge_keys() -> None:
    text = """
rules:
  - match: &base {process: node, host: a.example}
    properties: &labels {app: one, team: blue}
  - match: {<<: *base, host: b.example}
    properties:
      <<: [{app: two}, *labels]
      team: red
"""
    first, second = load_text(text).rules
    assert [condition.expected for condition in first.conditions] == ["a.example", "node"]
    assert sorted(condition.expected for condition in second.conditions) == ["b.example", "node"]
    assert {setting.field: setting.text for setting in second.settings} == {
        "properties.app": "two",
        "properties.team": "red",
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("rules: &a [*a]\n", id="list in itself"),
        pytest.param("rules:\n  - match: &m {not: *m}\n", id="map in itself"),
        pytest.param("rules:\n  - match: &m {<<: *m}\n", id="merged into itself"),
        pytest.param("rules:\n  - match: &m {not: {<<: *m}}\n", id="merged into a part of itself"),
        pytest.param("rules: " + "[" * 5000 + "]" * 5000 + "\n", id="thousands of brackets"),
        pytest.param(
            "rules:\n  - state:\n      a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"      a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            id="a billion items",
        ),
    ],
)
def test_endless_files_are_refused(text: str) -> None:
    with pytest.raises(RulesError):
        load_text(text)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\nrules: []\n")
    assert load_file(path).rules == ()
    assert load_text("\ufeffversion: 1\n").rules == ()


def test_a_file_that_is_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"version: 1\nrules:\n  - user: \xfcber\n")
    with pytest.raises(
        RulesError, match=r":3:11: no UTF-8: the byte 0xFC cannot stand here; expected text saved as UTF-8"
    ):
        load_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"rules\.yaml:1:1: the file cannot be read: No such file or directory$"):
        load_file(tmp_path / "rules.yaml")
