"""Checked values of a rules file -> `Rules`, with the checks that need more than one key.

A value of the proxy's own environment (`${proxy_env.KEY}`) is a secret. It may only go to hosts that its rule names
narrowly, or to the gateway that its rule sets. A template that could take it elsewhere is refused here.

A step of a rule becomes a rule, too, with the conditions of the rule that it belongs to before its own: so all who read
rules need not know steps. Its keys of `match` stand directly in it, and `path` stands for `session.path`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sessiontap.rules.compile_match import cheapest_first, conditions_of
from sessiontap.rules.conditions import Leaf, MatchCondition, every_leaf, index_of, requires
from sessiontap.rules.gateway_items import Gateway, check_named, read_gateway
from sessiontap.rules.language import MATCH
from sessiontap.rules.match_patterns import Pattern, host_pattern, text_pattern
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.notified import Notified, notified
from sessiontap.rules.own_dialects import own_dialect
from sessiontap.rules.problems import BadValue, quoted
from sessiontap.rules.push_items import read_pushes
from sessiontap.rules.rule import Rule
from sessiontap.rules.rule_set import HostEntry, Price, Rules
from sessiontap.rules.set_keys import SET_KEYS, Setting, send_of
from sessiontap.rules.template import Template, check_name
from sessiontap.rules.threshold_keys import with_thresholds

PRICED = {"input", "output"}
"""The keys that every price has; one without is a problem already."""
_GOES_ON = "+"
"""A path that begins with it goes on from the rule's."""
_MATCH_NAMES = frozenset(key.name for key in MATCH.fields)


def compile_file(values: Mapping[str, Any], reader: RulesReader, digest: str) -> Rules:
    """Return the rules of a file as the reader gave it. Further problems are added to `reader`."""
    gateways = {name: read_gateway(name, given, reader) for name, given in values.get("gateways", {}).items()}
    rules = tuple(
        rule
        for number, given in enumerate(values.get("rules", ()), start=1)
        for rule in _rules(number, given, reader, gateways)
    )
    notified_by = notified(values.get("alerts"), reader)
    redact = values.get("redact", {})
    hosts = [leaf for rule in rules if not rule.ignore for leaf in _leaves(rule.own) if leaf.key == "host"]
    return Rules(
        filename=reader.filename,
        digest=digest,
        rules=rules,
        send=send_of(values.get("send", ("helicone",))),
        hosts=tuple(_host(given) for given in values.get("hosts", ()) if "host" in given),
        host_patterns=tuple(pattern for leaf in hosts for pattern in leaf.patterns if _names_hosts(pattern)),
        gateways=gateways,
        dialects={name: own_dialect(name, headers) for name, headers in values.get("dialects", {}).items()},
        env_names=frozenset(_env_names(rules, gateways.values())),
        proxy_env_names=frozenset(_proxy_env_names(rules, gateways.values(), notified_by)),
        redact_headers=tuple(name.lower() for name in redact.get("headers", ())),
        redact_patterns=redact.get("patterns", ()),
        prices=tuple(_price(name, given) for name, given in values.get("prices", {}).items() if given.keys() >= PRICED),
        pushes=tuple(read_pushes(values.get("push", ()), reader)),
        notified=notified_by,
        index=index_of(rule.conditions for rule in rules),
    )


def _names_hosts(pattern: Pattern) -> bool:
    return not pattern.is_regex and pattern.text[0] not in "*?"


def _leaves(conditions: Iterable[MatchCondition]) -> Iterator[Leaf]:
    for condition in conditions:
        yield from condition.leaves()


def _env_names(rules: Iterable[Rule], gateways: Iterable[Gateway]) -> Iterator[str]:
    for rule in rules:
        for leaf in every_leaf(rule.own):
            if leaf.entry.name == "process.env":
                yield leaf.key.removeprefix("process.env.")
        for setting in rule.settings:
            yield from setting.names("env")
    for gateway in gateways:
        for template in gateway.templates:
            yield from template.names("env")


def _proxy_env_names(rules: Iterable[Rule], gateways: Iterable[Gateway], notified_by: Notified | None) -> Iterator[str]:
    for template in notified_by.templates if notified_by is not None else ():
        yield from template.names("proxy_env")
    for rule in rules:
        for setting in rule.settings:
            yield from setting.names("proxy_env")
    for gateway in gateways:
        for template in gateway.templates:
            yield from template.names("proxy_env")


def _host(given: Mapping[str, Any]) -> HostEntry:
    host = given["host"]
    name, _, port = host.rpartition(":")
    with_port = port.isdigit() and name and ":" not in name
    pattern = host_pattern(name if with_port else host)
    return HostEntry(host, given.get("provider"), given.get("operation"), pattern, int(port) if with_port else None)


def _price(model: str, given: Mapping[str, Any]) -> Price:
    return Price(text_pattern(model), **{"cache_read": given["input"], "cache_write": given["input"], **given})


class _Outer(NamedTuple):
    """The rule that a step belongs to."""

    rule: Rule
    captured: frozenset[str]
    step: int
    """The step's number, from 1."""


def _rules(
    number: int, given: Mapping[str, Any], reader: RulesReader, gateways: Mapping[str, Gateway]
) -> Iterator[Rule]:
    """Yield the steps of a rule, then the rule: the order in which they are read."""
    place = f"rules[{number - 1}]"
    rule, captured = _rule(place, number, given, reader, gateways)
    if rule.ignore and "steps" in given:
        reader.problem(f"{place}.steps", BadValue("a rule with ignore: true leaves the call alone and has no steps"))
    rule_path = _own_path(given)
    try:
        if rule_path is not None:
            _check_rule_path(rule_path)
    except BadValue as bad:
        reader.problem(f"{place}.session.path", bad)
    for at, step in enumerate(given.get("steps", ())):
        outer = _Outer(rule, captured, at + 1)
        yield _step(f"{place}.steps[{at}]", step, rule_path, outer, reader, gateways)
    yield rule


def _step(
    place: str,
    given: Mapping[str, Any],
    rule_path: Template | None,
    outer: _Outer,
    reader: RulesReader,
    gateways: Mapping[str, Gateway],
) -> Rule:
    """Return a step as a rule."""
    session = dict(given.get("session", {}))
    if "path" in given and "path" in session:
        reader.problem(f"{place}.session.path", BadValue("the step has a path already: its key 'path' is the same"))
    path = _own_path(given)
    if path is not None:
        path_place, _ = reader.templates[id(path)]
        try:
            session["path"] = whole = _step_path(path, rule_path)
            reader.templates[id(whole)] = (path_place, whole)
        except BadValue as bad:
            reader.problem(path_place, bad, path.text)
    label = f"{outer.rule.label}/{given.get('step') or f'#{outer.step}'}"
    as_rule = {**given, "rule": label, "session": session}
    return _rule(place, outer.rule.number, as_rule, reader, gateways, outer)[0]


def _rule(
    place: str,
    number: int,
    given: Mapping[str, Any],
    reader: RulesReader,
    gateways: Mapping[str, Gateway],
    outer: _Outer | None = None,
) -> tuple[Rule, frozenset[str]]:
    """Return a rule, or a step of the `outer` one, and the captures of its match."""
    own = tuple(condition for maps in _matches_of(given) for condition in conditions_of(maps))
    captured = frozenset(name for leaf in _leaves(own) for pattern in leaf.patterns for name in pattern.groups)
    names_hosts = requires(own, "host", lambda leaf: all(is_narrow(pattern) for pattern in leaf.patterns))
    names_clients = requires(own, "client", lambda leaf: True)
    inherited: tuple[MatchCondition, ...] = ()
    if outer is not None:
        inherited = outer.rule.conditions
        captured |= outer.captured
        names_hosts = names_hosts or outer.rule.names_hosts
        names_clients = names_clients or outer.rule.names_clients
    label = given.get("rule") or f"#{number}"
    settings = tuple(_settings(with_thresholds(given, label, place, reader)))
    gateway = given.get("gateway")
    line, column = reader.places[place]
    rule = Rule(
        number=number,
        label=label,
        line=line,
        column=column,
        step=outer.step if outer is not None else 0,
        conditions=cheapest_first((*inherited, *own)),
        inherited=inherited,
        early=tuple(setting for setting in settings if not setting.late),
        late=tuple(setting for setting in settings if setting.late),
        final=given.get("final", False),
        ignore=given.get("ignore", False),
        gateway=gateway,
        names_hosts=names_hosts,
        names_clients=names_clients,
    )
    noun = "step" if outer is not None else "rule"
    if rule.ignore and rule.settings:
        field = "path" if "path" in given else rule.settings[0].field.partition(".")[0]
        bad = BadValue(f"a {noun} with ignore: true leaves the call alone and cannot set anything")
        reader.problem(f"{place}.{field}", bad)
    if gateway is not None:
        check_named(f"{place}.gateway", gateway, gateways, reader)
    outside = f"rules[{number - 1}]"
    unread = (f"{place}.match",) if outer is None else (f"{place}.", f"{outside}.match", f"{outside}.session.path")
    if not any(problem.path.startswith(unread) for problem in reader.problems):
        _check_templates(place, rule, captured, reader)
    return rule, captured


def _matches_of(given: Mapping[str, Any]) -> list[Iterable[Mapping[str, Any]]]:
    """Return what a rule or a step matches: lists of alternatives, of which each must hold."""
    directly = {name: value for name, value in given.items() if name in _MATCH_NAMES}
    return [maps for maps in ((directly,) if directly else (), given.get("match")) if maps]


def _own_path(given: Mapping[str, Any]) -> Template | None:
    """Return the path that a rule or a step sets, as it stands there."""
    path: Template | None = given.get("path") or given.get("session", {}).get("path")
    return path


def _check_rule_path(path: Template) -> None:
    """Raises `BadValue` if a rule's path goes on from another."""
    if path.text.startswith(_GOES_ON):
        what = f"{quoted(path.text)} goes on from the path of a rule, and this is no step of one"
        raise BadValue(what, "a path such as /search; or this in an item of steps")


def _step_path(path: Template, rule_path: Template | None) -> Template:
    """Return a step's whole path: `+/search` goes on from its rule's. Raises `BadValue`."""
    if not path.text.startswith(_GOES_ON):
        return path
    if not path.text.startswith(_GOES_ON + "/") or not path.text.strip(_GOES_ON + "/"):
        raise BadValue(f"{quoted(path.text)} is no path", "a path such as /search or +/search")
    if rule_path is None:
        what = f"there is no path from which {quoted(path.text)} could go on: its rule sets none"
        raise BadValue(what, "a whole path, or session: {path: ...} in the rule")
    first, *rest = path.parts
    assert isinstance(first, str)  # it begins with +/
    return Template(rule_path.text + path.text[1:], (*rule_path.parts, first[1:], *rest))


def _settings(given: Mapping[str, Any]) -> Iterator[Setting]:
    for key in SET_KEYS:
        section, _, name = key.name.rpartition(".")
        values = given.get(section, {}) if section else given
        if name in values:
            yield from key.settings(values[name])


def is_narrow(pattern: Pattern) -> bool:
    """Return True if it stands for hosts of one owner: it has no wildcard in the last two labels.

    `localhost` and whole addresses are hosts, too. The end of an address names nobody.
    """
    if pattern.is_regex:
        return False
    if pattern.literal is not None:
        return True
    last_two = pattern.text.split(".")[-2:]
    return not any(mark in label for label in last_two for mark in "*?:") and not last_two[-1].isdecimal()


def _check_templates(path: str, rule: Rule, captured: frozenset[str], reader: RulesReader) -> None:
    for setting in rule.settings:
        for template in setting.content.templates():
            place, _ = reader.templates.get(id(template), (f"{path}.{setting.field}", template))
            _check_template(place, template, rule, setting, captured, reader)


def _check_template(
    place: str, template: Template, rule: Rule, setting: Setting, captured: frozenset[str], reader: RulesReader
) -> None:
    for value in template.values():
        try:
            check_name(value, captured)
        except BadValue as bad:
            reader.problem(place, bad, template.text)
            continue
        if value.of_session and not setting.late:
            what = f"{quoted(value.name)} is known only once the session is, too late for {setting.field}"
            reader.problem(place, BadValue(what), template.text)
    if template.is_secret and not rule.names_hosts and (rule.gateway is None or setting.field.startswith("session.")):
        what = f"{quoted(template.text)} would take a value of the proxy's own environment to any host"
        expected = "match.host to name the hosts that it is for (api.corp.example or *.corp.example)"
        if not setting.field.startswith("session."):
            expected += ", or a gateway in this rule"
        reader.problem(place, BadValue(what, expected), template.text)
