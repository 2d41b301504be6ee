"""Warn of parts of a valid rules file that probably do not do what is meant.

Several warnings ask if a rule covers another (`coverage.py`). If that cannot be told there is no warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sessiontap import dialects, trust
from sessiontap.gateways import KINDS
from sessiontap.linear_regex import BytesRegex
from sessiontap.rules.conditions import AllOf, AnyOf, Leaf, MatchCondition, Not, every_leaf
from sessiontap.rules.coverage import Coverage, contradiction
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.problems import quoted
from sessiontap.rules.rule import Rule
from sessiontap.rules.rule_set import Rules
from sessiontap.rules.set_keys import Send, Setting
from sessiontap.rules.template import TemplateContext

NOTHING_KNOWN = TemplateContext(KnownFacts(Facts(None)), {})
LARGE = 500
"""Instructions of a regular expression that takes noticeable time: about 1 ms each for 64 KiB."""


def lint(rules: Rules) -> list[str]:
    """Return the warnings, one line each, in the order of the rules."""
    coverage = Coverage(rules.rules)
    labels: dict[str, Rule] = {}
    outer = {rule.number: rule for rule in rules.rules if not rule.step}
    with_steps = {rule.number for rule in rules.rules if rule.step}
    for rule in rules.rules:
        labels.setdefault(rule.label, rule)
    found = [
        (rule, warning)
        for rule in sorted(rules.rules, key=lambda one: (one.number, one.step))
        for covering in [coverage.of(rule)]
        for warning in (
            *(() if _sends_as(rule, outer[rule.number]) else _unread_headers(rules, rule, covering)),
            *_without_effect(rule, covering, has_steps=not rule.step and rule.number in with_steps),
            *(() if rule.step and contradiction(rule.inherited) else _never_matches(rule)),
            *_same_name(rule, labels),
            *_whole_texts(rule),
            *_expressions(rule),
            *_not_elsewhere(rules, rule),
            *_of_nobody(rules, rule),
        )
    ]
    found = _grouped(found)
    keyless = [
        f"{rules.filename}: the gateway {quoted(item.name)} has no key, so its calls go to their own hosts"
        for item in rules.gateways.values()
        if item.url is not None and item.key is None and KINDS[item.kind].needs_key
    ]
    in_clear = [
        f"{rules.filename}: the push to {quoted(push.endpoint)} carries prompts and replies over the network in clear; "
        "give https://HOST, or leave content out"
        for push in rules.pushes
        if push.content and push.endpoint and "://" in push.endpoint and trust.is_http_beyond_loopback(push.endpoint)
    ]
    redacted = (text for text in rules.redact_patterns if text.startswith("re:"))
    return [
        f"{rules.filename}:{rule.line}:{rule.column}: {_name(rule)} {warning}" for rule, warning in found
    ] + keyless + in_clear + [
        f"{rules.filename}: under redact {quoted(text)} {warning}"
        for text in redacted
        for warning in _doubts(text, BytesRegex(text.removeprefix("re:")).size)
    ]


def _grouped(found: Sequence[tuple[Rule, str]]) -> list[tuple[Rule, str]]:
    """The warnings, each once: at the first of the rules that have it, with the lines of the others."""
    lines: dict[str, list[int]] = {}
    for rule, warning in found:
        lines.setdefault(warning, []).append(rule.line)
    grouped: dict[str, tuple[Rule, str]] = {}
    for rule, warning in found:
        others = ", ".join(map(str, lines[warning][1:]))
        grouped.setdefault(warning, (rule, f"{warning} (also the rules in lines {others})" if others else warning))
    return list(grouped.values())


def _name(rule: Rule) -> str:
    noun = "step" if rule.step else "rule"
    return f"{noun} {rule.label}" if rule.label.startswith("#") else f"{noun} '{rule.label}'"


def _sends_as(step: Rule, rule: Rule) -> bool:
    """Return True if a step sends session headers as its rule does, of which that is said."""
    own = {"send", "gateway"}.intersection(setting.field for setting in step.settings)
    named = any(leaf.key == "host" for leaf in every_leaf(step.own))
    return bool(step.step) and rule.sets_session and not (step.final or own or named)


def _unread_headers(rules: Rules, rule: Rule, covering: Sequence[Rule]) -> Iterator[str]:
    """A warning if a rule that sets a session sends it to hosts that do not read it."""
    if not any(setting.field.startswith("session.") for setting in rule.settings):
        return
    sent: Send | None = _value_for(rule, covering, "send")
    send = rules.send if sent is None else sent
    if send == "auto":
        return
    send = tuple(name for name in send if name not in dialects.FOR_ANY_SERVER)
    if not send:
        return
    readers = [name for name, kind in KINDS.items() if not kind.needs_url and kind.reads.issuperset(send)]
    advice = ", ".join((*(f"set gateway: {name}" for name in readers), "send: auto or send: none"))
    if gateway := _value_for(rule, covering, "gateway"):
        for dialect in sorted(set(send) - _read_by_gateway(rules, gateway)):
            yield f"sends {dialect} session headers to a gateway that does not read them"
        return
    hosts = [leaf for condition in rule.conditions for leaf in condition.leaves() if leaf.key == "host"]
    if not hosts:
        yield f"sends {_listed(send)} session headers to any LLM host, whether it reads them or not; {advice}"
        return
    for pattern in (pattern for leaf in hosts for pattern in leaf.patterns):
        unread = sorted(set(send) - _read_by_host(rules, pattern.text)) if not pattern.is_regex else []
        if unread:
            yield f"sends {_listed(unread)} session headers to {pattern.text}, which does not read them; {advice}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _read_by_host(rules: Rules, glob: str) -> frozenset[str]:
    """Return the dialects that hosts read: those that are known to, and that of the provider under `hosts:`."""
    host = glob.lower().replace("*", "x").replace("?", "x")
    entry = rules.host_entry(host)
    provider = entry.provider if entry is not None else None
    own = {provider} if provider is not None and provider in rules.dialects else set()
    return dialects.reads(host, provider=provider) | own


def _read_by_gateway(rules: Rules, name: str) -> frozenset[str]:
    """Return the dialects that a gateway reads. `name` is that of an item of `gateways:`, or of a kind."""
    item = rules.gateways.get(name)
    kind = KINDS.get(item.kind if item is not None else name)
    return kind.reads if kind is not None else frozenset()


def _value_for(rule: Rule, covering: Sequence[Rule], field: str) -> Any:
    """Return a constant setting's value for the calls that `rule` matches: that of the first rule that has one."""
    for other in sorted((rule, *covering), key=lambda one: one.order):
        for setting in other.settings:
            if setting.field == field:
                return setting.content.render(NOTHING_KNOWN)
        if other.final and other.order >= rule.order:
            break
    return None


def _without_effect(rule: Rule, covering: Sequence[Rule], *, has_steps: bool) -> Iterator[str]:
    """A warning if a rule is never reached, can never win, or has nothing to set."""
    before = [other for other in covering if other.order < rule.order]
    if rule.protects:  # it may match by unknown facts when an earlier rule does not, unless that one matches every call
        before = [other for other in before if not other.conditions]
    if (ended := next((other for other in before if other.final or other.ignore), None)) is not None:
        which = "every call" if not ended.conditions else "every call that it matches"
        yield f"is never reached: {_name(ended)} in line {ended.line} matches {which} and ends the reading"
    elif not rule.settings and not rule.final and not rule.ignore:
        if not has_steps:
            yield "sets nothing"
    elif not rule.final and not rule.ignore and not any(setting.adds for setting in rule.settings):
        takers = [_taker(before, setting) for setting in rule.settings]
        known = [taker for taker in takers if taker is not None]
        if len(known) == len(takers):
            names = dict.fromkeys(f"{_name(taker)} in line {taker.line}" for taker in known)
            each = "matches" if len(names) == 1 else "match"
            sets = "sets" if len(names) == 1 else "set"
            yield f"can never win: {' and '.join(names)} {each} every call that it matches, and {sets} its keys first"


def _taker(before: Sequence[Rule], setting: Setting) -> Rule | None:
    """Return the rule that fills the setting's slot for certain; None if none does."""
    for other in before:
        if any(one.slot == setting.slot and _always_has_a_value(one) for one in other.settings):
            return other
    return None


def _always_has_a_value(setting: Setting) -> bool:
    """Return True if the setting has a value even if nothing is known of the call, and that value may go anywhere."""
    return not setting.secret and setting.content.render(NOTHING_KNOWN) is not None


def _never_matches(rule: Rule) -> Iterator[str]:
    """A warning if the keys of a rule, or of a step and its rule, exclude each other."""
    if key := contradiction(rule.conditions):
        yield f"never matches: no call has the {key} that its keys ask for together"


def _same_name(rule: Rule, labels: Mapping[str, Rule]) -> Iterator[str]:
    """A warning if an earlier rule has the label. `labels`: label -> the first rule with it."""
    first = labels[rule.label]
    if rule.step:  # of two rules with one label that is said once, not for each of their steps
        is_named_again = first is not rule and (first.number == rule.number or not first.step)
    else:
        is_named_again = first is not rule and not rule.label.startswith("#")
    if is_named_again:
        noun = "step" if first.step else "rule"
        yield f"has the name of an earlier {noun}, so explain and the trace cannot tell them apart"


def _expressions(rule: Rule) -> Iterator[str]:
    for leaf in (leaf for condition in rule.own for leaf in condition.leaves()):
        for pattern in (pattern for pattern in leaf.patterns if pattern.is_regex):
            for doubt in _doubts(pattern.text, pattern.size):
                yield f"has {quoted(pattern.text)}, which {doubt}"
            if pattern.find("") is not None:
                yield f"has {quoted(pattern.text)}, which every text matches, the empty one too"


def _doubts(text: str, size: int) -> Iterator[str]:
    """Warnings about a regular expression's cost, and about classes that do not mean what its letters suggest."""
    if size > LARGE:
        yield "is large: a text made for it takes up to a second; smaller repetitions (.* for .{0,100}) make it quick"
    if not text.isascii() and re.search(r"\\[bBdDsSwW]", text):
        yield "has letters beyond ASCII, but \\b, \\d, \\s and \\w know only those of ASCII"


def _not_elsewhere(rules: Rules, rule: Rule) -> Iterator[str]:
    """A warning if a rule protects by the process alone, in a file that names clients."""
    if rule.names_clients or not rule.protects or _may_match_elsewhere(AllOf(rule.conditions), True):
        return
    if any(leaf.entry.names_clients for one in rules.rules for leaf in every_leaf(one.conditions)):
        yield (
            "protects only programs on this machine: the process of a client on another one cannot be known; "
            "match those by client or proxy_user, or say client: 127.0.0.1 if this is meant"
        )


def _of_nobody(rules: Rules, rule: Rule) -> Iterator[str]:
    """A warning if a rule counts by user in a file that sets none."""
    if any(threshold.per == "user" for threshold in rule.thresholds) and not any(
        setting.field == "user" for one in rules.rules for setting in one.settings
    ):
        yield "counts per user, and no rule sets user, so it counts nothing"


def _may_match_elsewhere(condition: MatchCondition, hold: bool) -> bool:
    """Return True if it may hold (or fail, without `hold`) for a client without a process."""
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
    for leaf in (leaf for condition in rule.own for leaf in condition.leaves()):
        if leaf.entry.holds_prose:
            for pattern in leaf.patterns:
                text = pattern.text
                if pattern.literal is not None:
                    yield f"matches only if the whole {leaf.key} is '{text}'; *{text}* finds it inside"
