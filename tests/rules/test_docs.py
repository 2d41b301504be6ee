"""The reference: its examples are valid, and it leaves no key and no variable out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.rules.build import CALLER, facts, outcome

from sessiontap import dialects, gateways
from sessiontap.rules import json_schema, load_text
from sessiontap.rules.kinds import ID_SOURCES, Either, KeyMap
from sessiontap.rules.language import DEFINITIONS, FILE, GATEWAY, HOST, MATCH, PRICE, PUSH, REDACT, RULE, SESSION
from sessiontap.rules.template import FAMILIES, VARIABLES

REFERENCE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
ROWS = REFERENCE.splitlines()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_valid(example: str) -> None:
    load_text(example)
    jsonschema.validate(yaml.safe_load(example), json_schema(), jsonschema.Draft7Validator)


def process() -> KeyMap:
    kind = DEFINITIONS["process"]
    assert isinstance(kind, Either)
    return kind.record


@pytest.mark.parametrize("record", [FILE, RULE, MATCH, SESSION, HOST, GATEWAY, REDACT, PRICE, PUSH, process()])
def test_every_key_is_there(record: KeyMap) -> None:
    names = [field.name for field in record.fields]
    assert [name for name in names if not re.search(rf"[`.{{\s]{name}[`:\s]", REFERENCE)] == []


def test_every_variable_is_there() -> None:
    assert [name for name in VARIABLES if f"`{name}`" not in REFERENCE] == []
    assert [name for name in FAMILIES if f"`{name}.X`" not in REFERENCE] == []
    assert [name for name in ID_SOURCES if f"`{name}`" not in REFERENCE] == []


def test_the_first_example_does_what_the_text_says() -> None:
    given = facts(caller=replace(CALLER, name="agent.py", names=("agent.py",), env={"USER": "ann"}))
    decision, filled = outcome(load_text(EXAMPLES[0]), given)
    assert (decision.name, filled.path, filled.user) == ("Research", "/research/web-search", "ann")
    assert filled.properties == {"mode": "nightly", "model": "openai/gpt-4o"}
    assert filled.rules == ("web search", "research agent", "defaults")


def test_every_dialect_and_gateway_is_there() -> None:
    send, gateway = (next(row for row in ROWS if row.startswith(f"| `{name}` |")) for name in ("send", "gateway"))
    assert [name for name in dialects.WRITTEN if f"`{name}`" not in send] == []
    assert [name for name in gateways.KINDS if f"`{name}`" not in gateway] == []
