"""The schema for editors says the same as the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.rules.test_reader import BAD

from sessiontap.rules import RulesError, json_schema, load_text
from sessiontap.rules.language import Schema

REPOSITORY = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft7Validator(json_schema())

OF_THE_READER_ALONE = {
    # What a schema cannot say, or says only of what YAML made of the text.
    *("source of an id, nearly", "source of an id, another spelling", "operation", "host with more", "key twice"),
    *("regular expression", "template", "header that a call needs", "property's name", "header twice in another case"),
    *("headers to remove", "headers to redact", "URL of a gateway", "glob of hosts that is none"),
    *("a gateway without an address", "an item without an address", "a key where none is taken"),
    *("a path of a kind that has its own", "a secret in a gateway's path"),
    *("not yet: a gateway", "unknown gateway", "flag", "price of no model", "price for a broken pattern"),
    *("dialect", "dialect of the file", "dialect of the file, its name", "dialect of the file, its headers"),
    "not yet: a dialect",
    *("push with a password in the address", "push with credentials in clear", "push with a key among its headers"),
    *("push with a key as a header's value", "push twice", "push to an address that is none"),
}
NO_YAML = {name for name, (_, messages) in BAD.items() if any("no YAML" in message for message in messages)}
NO_YAML |= {"a tag", "a key that is a list"}


def test_the_schema_in_docs_is_current() -> None:
    path = REPOSITORY / "docs" / "rules.schema.json"
    assert json.loads(path.read_text("utf-8")) == json_schema(), "write it anew: sessiontap rules schema"


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", sorted(set(BAD) - OF_THE_READER_ALONE - NO_YAML))
def test_an_editor_sees_the_faults_too(name: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(BAD[name][0])))


@pytest.mark.parametrize("name", sorted({"operation", "host with more", "template", "unknown gateway"}))
def test_what_only_the_reader_sees(name: str) -> None:
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(BAD[name][0])))


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{session: {name: No, id: 5, path: 1.5}, user: true}]",
        "rules: [{match: {process: 12, header: {X-A: [1, yes]}, body: {a.b: 1}}}]",
        "rules: [{match: [{process: [{name: node}, bun]}, {not: {not: {stream: false}}}], send: auto, tags: one}]",
        "{send: none, rules: [], hosts: [{host: x.example}], redact: {headers: X, patterns: [a]}}",
        "prices: {m: {input: 1, output: .5}, 'gpt-*': {input: 0.001, output: 2.50, cache_read: 0, cache_write: 3}}",
        "rules: [{state: {a: [1, null, {b: c}]}, headers: {remove: X-*}, session: {idle: 1h30m, max_calls: 1}}]",
    ],
)
def test_what_the_reader_takes_an_editor_takes(text: str) -> None:
    load_text(text)
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def records(schema: Schema) -> list[Schema]:
    found = [schema] if schema.get("type") == "object" and "properties" in schema else []
    for value in schema.values():
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            if isinstance(inner, dict):
                found += records(inner)
        if isinstance(value, dict):
            found += records(value)
    return found


def test_every_key_has_a_description() -> None:
    every: list[tuple[str, Any]] = [item for schema in records(json_schema()) for item in schema["properties"].items()]
    assert len(every) > 50
    assert [name for name, schema in every if not schema.get("description")] == []


def test_what_is_not_yet_available_is_not_offered() -> None:
    send = json_schema()["properties"]["send"]
    assert "langfuse" not in json.dumps(send)
    with pytest.raises(RulesError):
        load_text("send: langfuse")
