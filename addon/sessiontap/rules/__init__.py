"""The rules: what `rules.yaml` says of a call, its session's name, id and path, its properties, headers and gateway.

    rules = load_file("rules.yaml")                                     # RulesError: all problems, with line and column
    decision, matched = decide(rules, facts, proxy_env)
    filled = finish(matched, facts, SessionFacts(id, name, step), proxy_env)

The language is data:

    kinds.py              the kinds of value, each with how it is checked
    match_keys.py         the keys that look at a call; match_patterns.py: their globs and regular expressions
    set_keys.py           the keys that set something; template.py: their templates and variables
    own_dialects.py       dialects that a file defines
    language.py           the whole language of these, and its JSON Schema

A file becomes `Rules` in three stages:

    load.py               bytes -> YAML nodes
    node_reader.py        nodes -> checked values, with every problem (problems.py)
    compile_match.py      a match -> conditions (conditions.py)
    compile.py            values -> rules (rule.py): conditions and settings, held by `Rules` (rule_set.py)
    gateway_items.py, push_items.py, notified.py  the items of `gateways:` and `push:`, and `alerts:`

A call is decided in two stages:

    facts.py              its facts, as rules ask for them
    decide.py             `decide` gives the decision, `finish` the settings that need the session (decision.py);
                          filling.py fills them in

`explain.py` gives the reasons of a decision, `lint.py` doubts about a file (`coverage.py` compares rules). The package
imports `callers` and `llm` for their values, `dialects` and `gateways` for their names, and PyYAML.
"""

from sessiontap.rules.decide import Matched, decide, finish
from sessiontap.rules.decision import Decision, FilledSettings, IdSource, IdSourceKind, Protection, SessionFacts
from sessiontap.rules.explain import AsWritten, Check, Explanation, RuleVerdict, explain
from sessiontap.rules.facts import Facts
from sessiontap.rules.filling import SettingOutcome
from sessiontap.rules.gateway_items import Gateway
from sessiontap.rules.language import json_schema
from sessiontap.rules.lint import lint
from sessiontap.rules.load import default_rules, load_file, load_text
from sessiontap.rules.problems import RulesError, RulesProblem
from sessiontap.rules.rule import Rule
from sessiontap.rules.rule_set import ConnectionView, HostEntry, Price, Rules

__all__ = [
    "AsWritten",
    "Check",
    "ConnectionView",
    "Decision",
    "Explanation",
    "Facts",
    "FilledSettings",
    "Gateway",
    "HostEntry",
    "IdSource",
    "IdSourceKind",
    "Matched",
    "Price",
    "Protection",
    "Rule",
    "RuleVerdict",
    "Rules",
    "RulesError",
    "RulesProblem",
    "SessionFacts",
    "SettingOutcome",
    "decide",
    "default_rules",
    "explain",
    "finish",
    "json_schema",
    "lint",
    "load_file",
    "load_text",
]
