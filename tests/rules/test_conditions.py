"""Every key of `match`: where it holds, where it does not, and that an unknown fact is no match."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.rules.build import CALLER, NOTHING_KNOWN, facts, matches

from sessiontap.rules.kinds import Either
from sessiontap.rules.language import DEFINITIONS, MATCH

TABLE: list[tuple[str, Any, bool]] = [
    ("process", "bot.py", True),
    ("process", "python3", True),
    ("process", "BOT.py", False),
    ("process", "bot*", True),
    ("process", ["node", "bot.py"], True),
    ("process", ["node", "deno"], False),
    ("process", {"name": "bot.py", "user": "ann"}, True),
    ("process", {"name": "bot.py", "user": "bob"}, False),
    ("process", ["node", {"user": "ann"}], True),
    ("process", ["node", {"user": "bob"}, {"name": "x"}], False),
    ("process.name", "bot.py", True),
    ("process.name", "node", False),
    ("process.exe", "/usr/bin/*", True),
    ("process.exe", "/usr/*", False),
    ("process.argv", "*--fast*", True),
    ("process.argv", "python3 /srv/*", True),
    ("process.argv", "*--slow*", False),
    ("process.cwd", "/srv/**", True),
    ("process.cwd", "/srv", False),
    ("process.user", "ann", True),
    ("process.user", "root", False),
    ("process.env", {"RUN_ID": "run-*"}, True),
    ("process.env", {"RUN_ID": "run-*", "OTHER": "*"}, False),
    ("process.env", {"RUN_ID": "test-*"}, False),
    ("process.ancestor", "make", True),
    ("process.ancestor", ["cron", "systemd"], True),
    ("process.ancestor", "bot.py", False),
    ("client", "127.0.0.0/8", True),
    ("client", ["10.0.0.1", "127.0.0.1"], True),
    ("client", "10.0.0.0/8", False),
    ("proxy_user", "c*", True),
    ("proxy_user", "other", False),
    ("host", "api.openai.com", True),
    ("host", "API.OPENAI.COM", True),
    ("host", "*.openai.com", True),
    ("host", ["a.example", "*.b.example"], False),
    ("route", "/v1/chat/completions", True),
    ("route", "POST /v1/**", True),
    ("route", "GET /v1/**", False),
    ("route", ["GET /v1/**", "/**/{last}"], True),
    ("query", {"beta": "true"}, True),
    ("query", {"beta": "true", "v": ["2", "1"]}, True),
    ("query", {"beta": "false"}, False),
    ("provider", "openai", True),
    ("provider", "anthropic", False),
    ("operation", "chat", True),
    ("operation", ["embeddings", "rerank"], False),
    ("model", "*gpt-4*", True),
    ("model", "openai/*", True),
    ("model", "gpt-4*", False),
    ("stream", True, True),
    ("stream", False, False),
    ("agent", "claude-code", True),
    ("agent", "codex", False),
    ("subagent", "general-*", True),
    ("subagent", "main", False),
    ("offers", "write_file", True),
    ("offers", "read_file", False),
    ("tool_result", "web_search", True),
    ("tool_result", "web_*", True),
    ("tool_result", "write_file", False),
    ("message", "*deploy*now", True),
    ("message", "deploy", False),
    ("message", "re:ticket [0-9]+", True),
    ("prompt", "You plan courses*", True),
    ("prompt", "*write*", False),
    ("header", {"x-team": "Blue"}, True),
    ("header", {"X-TEAM": "Green"}, True),
    ("header", {"X-Team": "blue"}, False),
    ("header", {"X-Team": "*", "User-Agent": "OpenAI/*"}, True),
    ("header", {"X-Team": "*", "X-Other": "*"}, False),
    ("body", {"metadata.team": "blue"}, True),
    ("body", {"metadata.size": "3", "messages.-1.role": "user"}, True),
    ("body", {"metadata.ok": "true"}, True),
    ("body", {"stop": "STOP"}, True),
    ("body", {"metadata": "*"}, False),
    ("body", {"metadata.team": "red"}, False),
    ("body", {"metadata.size": ">2", "messages": ">=4"}, True),
    ("body", {"metadata.size": ">3"}, False),
    ("result", {"web_search.count": ">5", "web_search": "*Rye*"}, True),
    ("result", {"web_search.hits.0.title": "Rye"}, True),
    ("result", {"web_search.count": "8"}, False),
    ("not", {"process": "node"}, True),
    ("not", {"process": "bot.py"}, False),
    ("not", {"process": "bot.py", "host": "other.example"}, True),
    ("not", [{"process": "node"}, {"host": "*.openai.com"}], False),
    ("not", {"not": {"process": "bot.py"}}, True),
]


def as_match(key: str, value: Any) -> dict[str, Any]:
    outer, _, inner = key.partition(".")
    return {outer: {inner: value}} if inner else {outer: value}


@pytest.mark.parametrize(("key", "value", "expected"), TABLE, ids=[f"{key}: {value}" for key, value, _ in TABLE])
def test_keys(key: str, value: Any, expected: bool) -> None:
    assert matches(as_match(key, value), facts()) is expected


def all_keys() -> list[str]:
    process = DEFINITIONS["process"]
    assert isinstance(process, Either)
    return [field.name for field in MATCH.fields] + [f"process.{field.name}" for field in process.record.fields]


@pytest.mark.parametrize("key", all_keys())
def test_every_key_of_the_table_is_tested_both_ways(key: str) -> None:
    assert {expected for tested, _, expected in TABLE if tested == key} == {True, False}


HOLDING = {key: value for key, value, expected in reversed(TABLE) if expected and key != "not"}


@pytest.mark.parametrize("key", HOLDING)
def test_what_is_unknown_does_not_match(key: str) -> None:
    assert not matches(as_match(key, HOLDING[key]), NOTHING_KNOWN)


@pytest.mark.parametrize("key", HOLDING)
def test_what_is_unknown_matches_not(key: str) -> None:
    assert matches({"not": as_match(key, HOLDING[key])}, NOTHING_KNOWN)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param({}, True, id="an empty map"),
        pytest.param({"process": "bot.py", "host": "*.openai.com", "model": "*"}, True, id="all keys hold"),
        pytest.param({"process": "bot.py", "host": "other.example"}, False, id="one does not"),
        pytest.param([{"process": "node"}, {"host": "*.openai.com"}], True, id="a list means any"),
        pytest.param([{"process": "node"}, {"host": "other.example"}], False, id="none of a list"),
        pytest.param({"process": "bot.py", "not": {"model": "*mini*"}}, True, id="not beside others"),
    ],
)
def test_together(match: Any, expected: bool) -> None:
    assert matches(match, facts()) is expected


def test_a_process_without_names_is_unknown() -> None:
    nameless = replace(CALLER, name=None, names=())
    assert not matches({"process": "*"}, facts(caller=nameless))
    assert matches({"not": {"process": "*"}}, facts(caller=nameless))
