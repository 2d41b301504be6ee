"""A rule before all others, whatever the shape of the file."""

from __future__ import annotations

import pytest
import yaml

from sessiontap.cli import exec_rules
from sessiontap.cli.errors import Misuse

FIRST = exec_rules.rule("No: 'a' \"b\" #c\nü ${model}", None)

TEXTS = {
    "block list": "version: 1\nrules:\n  - rule: mine\n    session: {name: x}\n  - rule: other\n",
    "block list at the margin": "rules:\n- rule: mine\n- rule: other\n",
    "comments": "# mine\nrules:   # here\n  # the first\n  - rule: mine  # one\n\n  - rule: other\nhosts: []\n",
    "flow list": "version: 1\nrules: [{rule: mine}, {rule: other}]\n",
    "JSON": '{"version": 1, "rules": [{"rule": "mine"}, {"rule": "other"}]}',
    "list of maps on lines of their own": "rules:\n  -\n    rule: mine\n  -\n    rule: other\n",
    "no newline at the end": "rules:\n  - rule: mine\n  - rule: other",
    "windows lines": "version: 1\r\nrules:\r\n  - rule: mine\r\n  - rule: other\r\n",
    "non-ASCII before": "# ünïcode ✓\nrules:\n  - rule: mine\n  - rule: other\n",
    "byte order mark": "\ufeffrules:\n  - rule: mine\n  - rule: other\n",
    "document marks": "%YAML 1.1\n---\nrules:\n  - rule: mine\n  - rule: other\n...\n",
}

EMPTY = {
    "nothing": "",
    "a comment": "# nothing yet\n",
    "no rules": "version: 1\nhosts: []\n",
    "no rules, no newline": "version: 1",
    "nothing behind the key": "version: 1\nrules:\nhosts: []\n",
    "an empty flow list": "version: 1\nrules: []\n",
    "empty JSON": "{}",
    "JSON without rules": '{"version": 1}',
    "null": "rules: null\n",
    "marks": "---\nversion: 1\n...\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_rule_stands_before_the_others(text: str) -> None:
    before, after = yaml.safe_load(text), yaml.safe_load(exec_rules.prepend(text, "rules", FIRST))
    assert after.pop("rules") == [yaml.safe_load(FIRST), *before.pop("rules")]
    assert after == before


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY)
def test_it_is_the_only_one_where_there_are_none(text: str) -> None:
    assert yaml.safe_load(exec_rules.prepend(text, "rules", FIRST))["rules"] == [yaml.safe_load(FIRST)]


@pytest.mark.parametrize(
    ("name", "path", "session"),
    [
        ("My run", None, {"name": "My run"}),
        (None, "/a/b", {"path": "/a/b"}),
        ("${model}: 'x' \"y\" # z\n", "/ü", {"name": "${model}: 'x' \"y\" # z\n", "path": "/ü"}),
    ],
)
def test_any_text_stays_what_it_is(name: str | None, path: str | None, session: dict[str, str]) -> None:
    assert yaml.safe_load(exec_rules.rule(name, path)) == {"rule": exec_rules.LABEL, "session": session}


@pytest.mark.parametrize(
    ("name", "path", "hosts", "said"),
    [
        ("${nosuch}", None, [], "--name: unknown variable 'nosuch'"),
        (None, "${", [], "--path: '${' is no variable"),
        (None, None, ["http://x/"], "--host: 'http://x/' is more than a host"),
        (None, None, [""], "--host: '' is no host"),
    ],
    ids=["name", "path", "host", "no host"],
)
def test_a_mistake_is_said_of_its_own_option(name: str | None, path: str | None, hosts: list[str], said: str) -> None:
    with pytest.raises(Misuse) as error, exec_rules.exec_rules(None, name, path, hosts):
        pass
    assert error.value.message.startswith(said)
