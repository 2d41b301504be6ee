"""Checked values of a rules file -> `Rules`, with the checks that need more than one key.

A value of the proxy's own environment (`${proxy_env.KEY}`) is a secret. It may only go to hosts that its rule names
narrowly, or to the gateway that its rule sets. A template that could take it elsewhere is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sessiontap import gateways as gateway_kinds
from sessiontap import trust
from sessiontap.gateways import GatewayKind
from sessiontap.push import TARGETS, Target
from sessiontap.push.target import holds_credential
from sessiontap.rules.compile_match import cheapest_first, conditions_of
from sessiontap.rules.conditions import Leaf, MatchCondition, every_leaf, index_of, requires
from sessiontap.rules.kinds import PUSH_CREDENTIALS
from sessiontap.rules.match_patterns import Pattern, host_pattern, text_pattern
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.notified import Notified, notified
from sessiontap.rules.own_dialects import own_dialect
from sessiontap.rules.problems import BadValue, closest, quoted
from sessiontap.rules.rule_set import Gateway, HostEntry, Price, PushEntry, Rule, Rules
from sessiontap.rules.set_keys import SET_KEYS, Setting, send_of
from sessiontap.rules.steps import check_rule_path, matches_of, own_path, step_path
from sessiontap.rules.template import Template, check_name
from sessiontap.rules.threshold_keys import with_thresholds

PRICED = {"input", "output"}
"""The keys that every price has; one without is a problem already."""
GATEWAY_OPTIONS = ("fail", "retry_unanswered", "connect_timeout", "answer_timeout")
"""Keys of a gateway whose values are taken as they are."""


def compile_file(values: Mapping[str, Any], reader: RulesReader, digest: str) -> Rules:
    """Return the rules of a file as the reader gave it. Further problems are added to `reader`."""
    gateways = {name: _gateway(name, given, reader) for name, given in values.get("gateways", {}).items()}
    rules = tuple(
        rule
        for number, given in enumerate(values.get("rules", ()), start=1)
        for rule in _rules(number, given, reader, gateways)
    )
    told = notified(values.get("alerts"), reader)
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
        proxy_env_names=frozenset(_proxy_env_names(rules, gateways.values(), told)),
        redact_headers=tuple(name.lower() for name in redact.get("headers", ())),
        redact_patterns=redact.get("patterns", ()),
        prices=tuple(_price(name, given) for name, given in values.get("prices", {}).items() if given.keys() >= PRICED),
        pushes=tuple(_pushes(values.get("push", ()), reader)),
        notified=told,
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


def _proxy_env_names(rules: Iterable[Rule], gateways: Iterable[Gateway], told: Notified | None) -> Iterator[str]:
    for template in told.templates if told is not None else ():
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


def _pushes(given: Iterable[Mapping[str, Any]], reader: RulesReader) -> Iterator[PushEntry]:
    known: set[tuple[str, str | None]] = set()
    for at, one in enumerate(given):
        target = TARGETS.get(one.get("to", ""))
        if target is None:
            continue  # a problem already
        endpoint = one.get("endpoint")
        if endpoint is None and target.endpoint is None and not target.endpoint_variables:
            reader.problem(f"push[{at}]", BadValue(f"{target.name} has no usual address", "endpoint: with one"))
        if endpoint is not None and not _fits(endpoint, target):
            what = f"{target.name} {'writes files into a folder' if target.is_folder else 'is at an address'}"
            expected = "a path" if target.is_folder else "https://HOST, or http:// on this machine"
            reader.problem(f"push[{at}].endpoint", BadValue(what, expected), endpoint)
        elif (
            endpoint is not None
            and not target.is_folder
            and (target.required or "credentials" in one)  # others are looked at when it starts
            and trust.is_plain_beyond_loopback(endpoint)
        ):
            bad = BadValue(
                f"{quoted(endpoint)} would carry credentials over the network in clear",
                "https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])",
            )
            reader.problem(f"push[{at}].endpoint", bad, endpoint)
        if (target.name, endpoint) in known:
            reader.problem(f"push[{at}]", BadValue(f"{target.name} is there twice, at one address"))
        known.add((target.name, endpoint))
        headers = tuple(one.get("headers", {}).items())
        for name, value in headers:
            if holds_credential(name, value):
                reader.problem(f"push[{at}].headers.{name}", BadValue("its value is a credential", PUSH_CREDENTIALS))
        yield PushEntry(target.name, endpoint, one.get("content", False), headers, one.get("credentials"))


def _fits(endpoint: str, target: Target) -> bool:
    """Return True if the target takes a folder, or an address, of this kind."""
    if "://" not in endpoint:
        return target.is_folder
    return target.has_addresses if target.is_folder else re.match("https?://[^/]", endpoint) is not None


def _gateway(name: str, given: Mapping[str, Any], reader: RulesReader) -> Gateway:
    key = given.get("key")
    if key is not None:
        for value in key.values():
            if not value.name.startswith("proxy_env."):
                bad = BadValue(f"a gateway's key cannot depend on {quoted(value.name)}", "text or ${proxy_env.NAME}")
                reader.problem(f"gateways.{name}.key", bad, key.text)
    url = given.get("url")
    if url is not None and trust.is_plain_beyond_loopback(url):
        bad = BadValue(
            f"{quoted(url)} would carry the apps' own keys and prompts over the network in clear",
            "https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])",
        )
        reader.problem(f"gateways.{name}.url", bad, url)
    path, headers = given.get("path"), given.get("headers", {})
    for place, template in (("path", path), *((f"headers.{header}", one) for header, one in headers.items())):
        for value in template.values() if template is not None else ():
            try:
                check_name(value, frozenset())
            except BadValue as unknown:
                reader.problem(f"gateways.{name}.{place}", unknown, template.text)
    if path is not None and path.is_secret:
        bad = BadValue("a gateway's path is no place for a value of the proxy's own environment", "a header for it")
        reader.problem(f"gateways.{name}.path", bad, path.text)
    if (kind := gateway_kinds.KINDS.get(given.get("kind", ""))) is not None:
        _check_kind(name, given, kind, reader)
    options = {option: given[option] for option in GATEWAY_OPTIONS if option in given}
    return Gateway(name, given.get("kind", ""), url, key, path, headers, **options)


def _check_kind(name: str, given: Mapping[str, Any], kind: GatewayKind, reader: RulesReader) -> None:
    """Note what a gateway of this kind lacks, or has and cannot use."""
    if kind.needs_url and "url" not in given:
        reader.problem(f"gateways.{name}", BadValue(f"a gateway of kind {kind.name} needs a url"))
    if not kind.takes_key and "key" in given:
        bad = BadValue(f"a gateway of kind {kind.name} takes no key", "a header for it, under headers")
        reader.problem(f"gateways.{name}.key", bad, given["key"].text)
    if not kind.has_path and "path" in given:
        bad = BadValue(f"a gateway of kind {kind.name} has paths of its own", "no path, or kind: custom")
        reader.problem(f"gateways.{name}.path", bad, given["path"].text)


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
    rule_path = own_path(given)
    try:
        if rule_path is not None:
            check_rule_path(rule_path)
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
    path = own_path(given)
    if path is not None:
        path_place, _ = reader.templates[id(path)]
        try:
            session["path"] = whole = step_path(path, rule_path)
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
    own = tuple(condition for maps in matches_of(given) for condition in conditions_of(maps))
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
        _check_gateway(f"{place}.gateway", gateway, gateways, reader)
    outside = f"rules[{number - 1}]"
    unread = (f"{place}.match",) if outer is None else (f"{place}.", f"{outside}.match", f"{outside}.session.path")
    if not any(problem.path.startswith(unread) for problem in reader.problems):
        _check_templates(place, rule, captured, reader)
    return rule, captured


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


def _check_gateway(path: str, name: str, gateways: Mapping[str, Gateway], reader: RulesReader) -> None:
    if name in gateways:
        return
    if (kind := gateway_kinds.KINDS.get(name)) is not None:
        if kind.needs_url:
            what = f"a gateway of kind {name} has no address of its own"
            expected = f"the name of one under gateways: {{NAME: {{kind: {name}, url: ...}}}}"
            reader.problem(path, BadValue(what, expected), name)
        return
    known = (*gateway_kinds.KINDS, *gateways)
    if name in gateway_kinds.LATER:
        bad = BadValue(f"the gateway {quoted(name)} is not yet available in this version", "one of " + ", ".join(known))
    else:
        bad = BadValue(f"there is no gateway {quoted(name)}", "one of " + ", ".join(known), closest(name, known))
    reader.problem(path, bad, name)


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
