"""The rules: what `rules.yaml` says of a call, its session's name, id and path, its labels, headers and gateway.

    rules = load_file("rules.yaml")                                     # RulesError: all problems, with line and column
    decision, matched = decide(rules, facts, proxy_env)
    labels = finish(matched, facts, SessionFacts(id, name, step), proxy_env)

The language is data:

    kinds.py              the kinds of value, each with how it is checked
    match_keys.py         the keys that look at a call; match_patterns.py: their globs and regular expressions
    set_keys.py           the keys that set something; template.py: their templates and variables
    own_dialects.py       dialects that a file defines
    language.py           the whole language of these, and its JSON Schema

A file becomes `Rules` in three steps:

    load.py               bytes -> YAML nodes
    node_reader.py        nodes -> checked values, with every problem (problems.py)
    compile.py            values -> conditions (conditions.py) and settings, held by `Rules` (rule_set.py)

A call is decided in two steps:

    scope.py              its facts, as rules ask for them
    decide.py             `decide` gives the decision, `finish` the labels (decision.py); filling.py fills settings in

`explain.py` gives the reasons of a decision, `lint.py` doubts about a file. The package imports `callers` and `llm` for
their values, `dialects` and `gateways` for their names, and PyYAML.
"""

from sessiontap.rules.decide import Matched, decide, finish
from sessiontap.rules.decision import Decision, IdSource, IdSourceKind, Labels, Protection, SessionFacts
from sessiontap.rules.explain import Check, Explanation, RuleVerdict, explain
from sessiontap.rules.filling import SettingOutcome
from sessiontap.rules.language import json_schema
from sessiontap.rules.lint import lint
from sessiontap.rules.load import default_rules, load_file, load_text
from sessiontap.rules.problems import RulesError, RulesProblem
from sessiontap.rules.rule_set import ConnectionView, Gateway, HostEntry, Price, Rule, Rules
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
