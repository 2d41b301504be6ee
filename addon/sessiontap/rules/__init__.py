"""The rules: what `rules.yaml` says of a call, its session's name, id and path, its labels, headers and gateway.

Imports `callers` and `llm` for their values, `dialects` and `gateways` for their names, and PyYAML. Text becomes
`Rules` in three steps: `node_reader` checks YAML nodes by the tables in `schema`, `match_keys` and `set_keys` (made of
`kinds`), `compile` turns the values into `conditions` and `rule_settings`, `rules` holds them. A call's `Facts` are
looked at through a `Scope`; `decide` gives a `Decision`, `finish` its `Labels`.

    rules = load_file("rules.yaml")                                     # RulesError: all problems, with line and column
    decision, matched = decide(rules, facts, proxy_env)
    labels = finish(matched, facts, SessionFacts(id, name, step), proxy_env)
"""

from sessiontap.rules.decide import Matched, SettingOutcome, decide, finish
from sessiontap.rules.decision import Decision, IdSource, IdSourceKind, Labels, Protection, SessionFacts
from sessiontap.rules.explain import Check, Explanation, RuleVerdict, explain
from sessiontap.rules.json_schema import json_schema
from sessiontap.rules.lint import lint
from sessiontap.rules.load import default_rules, load_file, load_text
from sessiontap.rules.problems import Problem, RulesError
from sessiontap.rules.rules import ConnectionView, Gateway, HostEntry, Price, Rule, Rules
from sessiontap.rules.scope import Facts

__all__ = [
    "Check",
    "ConnectionView",
    "Decision",
    "Explanation",
    "Facts",
    "Gateway",
    "HostEntry",
    "IdSource",
    "IdSourceKind",
    "Labels",
    "Matched",
    "Price",
    "Problem",
    "Protection",
    "Rule",
    "RuleVerdict",
    "Rules",
    "RulesError",
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
