"""Warn of what a valid rules file probably does not mean to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sessiontap.dialects import reads
from sessiontap.gateways import KINDS
from sessiontap.linear_regex import BytesRegex
from sessiontap.rules.conditions import AllOf, AnyOf, Condition, Leaf, Not, every_leaf
from sessiontap.rules.problems import quoted
from sessiontap.rules.rule_set import Rule, Rules
from sessiontap.rules.set_keys import Send

LARGE = 500
"""Instructions of a regular expression from which on it may be felt: about 1 ms each for 64 KiB."""


def lint(rules: Rules) -> list[str]:
    """Warnings, one line each, in the order of the rules."""
    found = [
        f"{rules.filename}:{rule.line}: {_name(rule)} {warning}"
        for rule in rules.rules
        for warning in (
            *_unread_headers(rules, rule),
            *_without_effect(rules, rule),
            *_whole_texts(rule),
            *_expressions(rule),
            *_not_elsewhere(rules, rule),
        )
    ]
    redacted = (text for text in rules.redact_patterns if text.startswith("re:"))
    return found + [
        f"{rules.filename}: under redact {quoted(text)} {warning}"
        for text in redacted
        for warning in _doubts(text, BytesRegex(text.removeprefix("re:")).size)
    ]


def _name(rule: Rule) -> str:
    return f"rule {rule.label}" if rule.label.startswith("#") else f"rule '{rule.label}'"


def _unread_headers(rules: Rules, rule: Rule) -> Iterator[str]:
    """A warning if a rule that sets a session sends it to hosts that do not read it."""
    if not any(setting.field.startswith("session.") for setting in rule.settings):
        return
    send = _sent(rules, rule)
    if send == "auto" or not send:
        return
    advice = ", ".join(f"set gateway: {name}" for name in KINDS) + ", send: auto or send: none"
    for_all = (other.gateway for other in rules.rules if other.gateway and not other.conditions)
    if gateway := rule.gateway or next(for_all, None):
        for dialect in sorted(set(send) - _read_by_gateway(rules, gateway)):
            yield f"sends {dialect} session headers to a gateway that does not read them"
        return
    hosts = [leaf for condition in rule.conditions for leaf in condition.leaves() if leaf.key == "host"]
    if not hosts:
        yield f"sends {' and '.join(send)} session headers to any LLM host, whether it reads them or not; {advice}"
        return
    for pattern in (pattern for leaf in hosts for pattern in leaf.patterns):
        host = pattern.text.lower().replace("*", "x").replace("?", "x")
        unread = sorted(set(send) - reads(host)) if not pattern.is_regex else []
        if unread:
            yield f"sends {' and '.join(unread)} session headers to {pattern.text}, which does not read them; {advice}"


def _read_by_gateway(rules: Rules, name: str) -> frozenset[str]:
    """The dialects that a gateway reads: one of the rules' `gateways:`, or a kind."""
    item = rules.gateways.get(name)
    kind = KINDS.get(item.kind if item is not None else name)
    return kind.reads if kind is not None else frozenset()


def _sent(rules: Rules, rule: Rule) -> Send:
    for setting in rule.settings:
        if setting.field == "send":
            sent: Send = setting.content.render(None)  # type: ignore[arg-type]
            return sent
    return rules.send


def _without_effect(rules: Rules, rule: Rule) -> Iterator[str]:
    ended = next((other for other in rules.rules if (other.final or other.ignore) and not other.conditions), None)
    if ended is not None and ended.number < rule.number:
        yield f"is never reached: {_name(ended)} in line {ended.line} matches every call and ends the reading"
    elif not rule.settings and not rule.final and not rule.ignore:
        yield "sets nothing"
    if not rule.label.startswith("#") and any(
        other.label == rule.label and other.number < rule.number for other in rules.rules
    ):
        yield "has the name of an earlier rule, so explain and the trace cannot tell them apart"


def _expressions(rule: Rule) -> Iterator[str]:
    for leaf in (leaf for condition in rule.conditions for leaf in condition.leaves()):
        for pattern in (pattern for pattern in leaf.patterns if pattern.is_regex):
            for doubt in _doubts(pattern.text, pattern.size):
                yield f"has {quoted(pattern.text)}, which {doubt}"
            if pattern.find("") is not None:
                yield f"has {quoted(pattern.text)}, which every text matches, the empty one too"


def _doubts(text: str, size: int) -> Iterator[str]:
    """Warnings of what a regular expression of this size probably does not mean, or of its cost."""
    if size > LARGE:
        yield "is large: a text made for it takes up to a second; smaller repetitions (.* for .{0,100}) make it quick"
    if not text.isascii() and re.search(r"\\[bBdDsSwW]", text):
        yield "has letters beyond ASCII, but \\b, \\d, \\s and \\w know those of ASCII alone"


def _not_elsewhere(rules: Rules, rule: Rule) -> Iterator[str]:
    """A warning if a rule protects by the process alone, in a file that names clients."""
    if rule.names_clients or not rule.protects or _may_match_elsewhere(AllOf(rule.conditions), True):
        return
    if any(leaf.entry.names_clients for one in rules.rules for leaf in every_leaf(one.conditions)):
        yield (
            "protects programs on this machine alone: the process of a client on another one cannot be known; "
            "match those by client or proxy_user, or say client: 127.0.0.1 if this is meant"
        )


def _may_match_elsewhere(condition: Condition, hold: bool) -> bool:
    """True if it may hold, or may fail, for a client without a process."""
    match condition:
        case Leaf():
            return condition.source != "process" or not hold
        case Not(item):
            return _may_match_elsewhere(item, not hold)
        case AllOf(items) | AnyOf(items):
            answers = [_may_match_elsewhere(item, hold) for item in items]
            return all(answers) if isinstance(condition, AllOf) is hold else any(answers)
    return True


def _whole_texts(rule: Rule) -> Iterator[str]:
    for leaf in (leaf for condition in rule.conditions for leaf in condition.leaves() if isinstance(leaf, Leaf)):
        if leaf.entry.holds_prose:
            for pattern in leaf.patterns:
                text = pattern.text
                if pattern.literal is not None:
                    yield f"matches only where the whole {leaf.key} is '{text}'; *{text}* finds it inside"
