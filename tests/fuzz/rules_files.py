"""Rules files, mutated, loaded and asked: they load or say what is wrong in words, and every call gets a decision."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import yaml
from tests.fuzz import mutate
from tests.fuzz.material import exchanges
from tests.fuzz.rounds import Case, Make, Wrong

from sessiontap.callers import Caller
from sessiontap.rules import Facts, RulesError, SessionFacts, decide, finish, load_text

REPOSITORY = Path(__file__).parents[2]
STARTER = REPOSITORY / "addon" / "sessiontap" / "cli" / "starter.yaml"
ALL_KEYS = """
version: 1
hosts:
  - {host: llm.corp.example, provider: openai}
prices:
  "gpt-4o*": {input: 2.5, output: 10}
gateways:
  mine: {kind: helicone, url: "https://gate.example", key: "${proxy_env.KEY}"}
redact: {headers: [X-Own], patterns: ["re:tok-[0-9]+"]}
rules:
  - rule: one
    match: {process: "agent.*", host: "*.openai.com", model: ["gpt-4*", "re:^o[0-9]"], route: "POST /v1/{what}/**"}
    session: {name: "App ${process.name|x}", path: "/${operation}/${model:-none}", id: auto, idle: 10m}
    user: "${process.user}"
    properties: {mode: "${proxy_env.MODE:-test}"}
    tags: [a, "b-${provider}"]
  - {match: {message: "re:(?i)secret"}, capture: metadata, final: true}
  - {match: {tool_result: look}, session: {path: /tools}, gateway: mine, send: [helicone]}
"""
WORDS = (
    *(
        "${process.name}",
        "${",
        "${model:-${model:-x}}",
        "re:(",
        "re:(a+)+$",
        "**",
        "*" * 30,
        "{a}-{b}",
        "/",
        "~",
        "null",
    ),
    *("!!python/object:x", "&a", "*a", "<<", "|", ">", "- -", "? x", "\t", "2026-01-01", "0x1F", "1e9", "999d", "auto"),
)
CALLER = Caller("c" * 36, 7, 1, "agent.py", ("agent.py", "python3"), "/usr/bin/python3", ("agent.py",), "/srv", "me", 1)


def prepare(corpus: Path | None) -> Make:
    """The target."""
    texts = [STARTER.read_text(), (REPOSITORY / "rules.yaml").read_text(), ALL_KEYS]
    values = [yaml.safe_load(text) for text in texts]
    calls = [(one, one.call()) for one in exchanges(None)]

    def make(chance: Random) -> Case:
        text = _text(chance, texts, values)

        def check() -> None:
            try:
                rules = load_text(text, "rules.yaml")
            except RulesError as error:
                _words(error)
                return
            for one, call in calls[::3]:
                facts = Facts(
                    host=one.request.host,
                    caller=CALLER,
                    client_ip="127.0.0.1",
                    provider="openai",
                    request=one.request,
                    call=call,
                    time=1,
                )
                decision, matched = decide(rules, facts, {"KEY": "k"})
                if not decision.ignore:
                    finish(matched, facts, SessionFacts("s" * 36, decision.name, 3), {"KEY": "k"})

        return Case(check, text.encode("utf-8", "surrogatepass"), "a rules file")

    return make


def _text(chance: Random, texts: list[str], values: list[Any]) -> str:
    if chance.random() < 0.5:
        value = chance.choice(values)
        for _ in range(chance.randrange(1, 5)):
            others = [*values, *WORDS]
            value = mutate.changed(chance, value, others)
        try:
            return yaml.safe_dump(value, allow_unicode=True)
        except (yaml.YAMLError, RecursionError, UnicodeEncodeError):
            return str(chance.choice(WORDS))
    text = chance.choice(texts)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text) + 1)
        end = at + chance.randrange(12)
        lines = text.splitlines(keepends=True)
        text = chance.choice((
            text[:at] + chance.choice(WORDS) + text[end:],
            text[:at] + text[end:],
            "".join(mutate.disturbed(chance, lines)),
            text[:at] + text[at:end] * chance.randrange(2, 40) + text[end:],
            mutate.mangled(chance, text.encode()).decode("utf-8", "replace"),
        ))  # fmt: skip
    return text


def _words(error: RulesError) -> None:
    said = str(error)
    if not said.strip():
        raise Wrong("the rules are refused without a word")
    if len(said) > 200_000:
        raise Wrong(f"the rules are refused with {len(said)} characters")
