"""Checked values of a rules file -> `Rules`, with the checks that need more than one key.

A value of the proxy's own environment (`${proxy_env.KEY}`) is a secret. It may only go to hosts that its rule names
narrowly, or to the gateway that its rule sets. A template that could take it elsewhere is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sessiontap import gateways as gateway_kinds
from sessiontap import trust
from sessiontap.gateways import GatewayKind
from sessiontap.push import TARGETS
from sessiontap.rules.conditions import AllOf, AnyOf, Leaf, MatchCondition, Not, index_of, requires
from sessiontap.rules.match_keys import BY_NAME, MatchKey
from sessiontap.rules.match_patterns import Pattern, host_pattern, text_pattern
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.own_dialects import own_dialect
from sessiontap.rules.problems import BadValue, closest, quoted
from sessiontap.rules.rule_set import Gateway, HostEntry, Price, PushEntry, Rule, Rules
from sessiontap.rules.set_keys import SET_KEYS, Setting, send_of
from sessiontap.rules.template import Template, check_name

PRICED = {"input", "output"}
"""The keys that every price has; one without is a problem already."""
GATEWAY_OPTIONS = ("fail", "retry_unanswered", "connect_timeout", "answer_timeout")
"""Keys of a gateway whose values are taken as they are."""


def compile_file(values: Mapping[str, Any], reader: RulesReader, digest: str) -> Rules:
    """Return the rules of a file as the reader gave it. Further problems are added to `reader`."""
    gateways = {name: _gateway(name, given, reader) for name, given in values.get("gateways", {}).items()}
    rules = tuple(
        _rule(number, given, reader, gateways) for number, given in enumerate(values.get("rules", ()), start=1)
    )
    redact = values.get("redact", {})
    hosts = [leaf for rule in rules if not rule.ignore for leaf in _leaves(rule) if leaf.key == "host"]
    return Rules(
        filename=reader.filename,
        digest=digest,
        rules=rules,
        send=send_of(values.get("send", ("helicone",))),
        hosts=tuple(_host(given) for given in values.get("hosts", ()) if "host" in given),
        host_patterns=tuple(pattern for leaf in hosts for pattern in leaf.patterns if _names_hosts(pattern)),
        gateways=gateways,
        dialects={name: own_dialect(name, headers) for name, headers in values.get("dialects", {}).items()},
        env_names=frozenset(_env_names(values.get("rules", ()), rules, gateways.values())),
        proxy_env_names=frozenset(_proxy_env_names(rules, gateways.values())),
        redact_headers=tuple(name.lower() for name in redact.get("headers", ())),
        redact_patterns=redact.get("patterns", ()),
        prices=tuple(_price(name, given) for name, given in values.get("prices", {}).items() if given.keys() >= PRICED),
        pushes=tuple(_pushes(values.get("push", ()), reader)),
        index=index_of(rule.conditions for rule in rules),
    )


def _names_hosts(pattern: Pattern) -> bool:
    return not pattern.is_regex and pattern.text[0] not in "*?"


def _leaves(rule: Rule) -> Iterator[Leaf]:
    for condition in rule.conditions:
        yield from condition.leaves()


def _env_names(
    given: Iterable[Mapping[str, Any]], rules: Iterable[Rule], gateways: Iterable[Gateway]
) -> Iterator[str]:
    for rule in given:
        yield from _matched_env(rule.get("match", ()))
    for compiled in rules:
        for setting in compiled.settings:
            yield from setting.names("env")
    for gateway in gateways:
        for template in gateway.templates:
            yield from template.names("env")


def _proxy_env_names(rules: Iterable[Rule], gateways: Iterable[Gateway]) -> Iterator[str]:
    for rule in rules:
        for setting in rule.settings:
            yield from setting.names("proxy_env")
    for gateway in gateways:
        for template in gateway.templates:
            yield from template.names("proxy_env")


def _matched_env(maps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for keys in maps:
        for process in keys.get("process", ()):
            if isinstance(process, Mapping):
                yield from process.get("env", {})
        yield from _matched_env(keys.get("not", ()))


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
        if endpoint is not None and target.is_folder != ("://" not in endpoint):
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
        yield PushEntry(target.name, endpoint, one.get("content", False), headers, one.get("credentials"))


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


def _rule(number: int, given: Mapping[str, Any], reader: RulesReader, gateways: Mapping[str, Gateway]) -> Rule:
    path = f"rules[{number - 1}]"
    conditions = conditions_of(given["match"]) if given.get("match") else ()
    settings = tuple(_settings(given))
    gateway = given.get("gateway")
    rule = Rule(
        number=number,
        label=given.get("rule") or f"#{number}",
        line=reader.places[path][0],
        conditions=conditions,
        early=tuple(setting for setting in settings if not setting.late),
        late=tuple(setting for setting in settings if setting.late),
        final=given.get("final", False),
        ignore=given.get("ignore", False),
        gateway=gateway,
        names_hosts=requires(conditions, "host", lambda leaf: all(is_narrow(pattern) for pattern in leaf.patterns)),
        names_clients=requires(conditions, "client", lambda leaf: True),
    )
    if rule.ignore and rule.settings:
        field = rule.settings[0].field.partition(".")[0]
        bad = BadValue("a rule with ignore: true leaves the call alone and cannot set anything")
        reader.problem(f"{path}.{field}", bad)
    if gateway is not None:
        _check_gateway(f"{path}.gateway", gateway, gateways, reader)
    if not any(problem.path.startswith(f"{path}.match") for problem in reader.problems):
        _check_templates(path, rule, reader)
    return rule


def _settings(given: Mapping[str, Any]) -> Iterator[Setting]:
    for key in SET_KEYS:
        section, _, name = key.name.rpartition(".")
        values = given.get(section, {}) if section else given
        if name in values:
            yield from key.settings(values[name])


def conditions_of(maps: Iterable[Mapping[str, Any]]) -> tuple[MatchCondition, ...]:
    """The conditions of a `match` as the reader gave it, cheapest first; all must hold."""
    alternatives = [_of_map(keys) for keys in maps]
    if len(alternatives) == 1:
        return alternatives[0]
    return (AnyOf(tuple(AllOf(items) for items in alternatives)),)


def _of_map(keys: Mapping[str, Any]) -> tuple[MatchCondition, ...]:
    found: list[MatchCondition] = []
    for key, value in keys.items():
        if key == "not":
            inner = conditions_of(value)
            found.append(Not(inner[0] if len(inner) == 1 else AllOf(inner)))
        elif key == "process":
            found += _of_process(value)
        else:
            found += _of_key(key, value)
    return tuple(sorted(found, key=lambda condition: condition.cost))


def _of_process(items: tuple[Pattern | Mapping[str, Any], ...]) -> list[MatchCondition]:
    """Names and maps: the names together are one condition."""
    names = tuple(item for item in items if isinstance(item, Pattern))
    alternatives: list[tuple[MatchCondition, ...]] = [tuple(_of_key("process.name", names))] if names else []
    for item in items:
        if isinstance(item, Mapping):
            inner = [condition for key, value in item.items() for condition in _of_key(f"process.{key}", value)]
            alternatives.append(tuple(sorted(inner, key=lambda condition: condition.cost)))
    if len(alternatives) == 1:
        return list(alternatives[0])
    return [AnyOf(tuple(one[0] if len(one) == 1 else AllOf(one) for one in alternatives), "process")]


def _of_key(key: str, value: Any) -> list[MatchCondition]:
    entry = BY_NAME[key]
    if entry.is_map:
        return [_leaf(entry, patterns, name) for name, patterns in value.items()]
    if isinstance(value, bool):
        value = (text_pattern(str(value).lower()),)
    return [_leaf(entry, value)]


def _leaf(entry: MatchKey, patterns: tuple[Pattern, ...], name: str | None = None) -> Leaf:
    get = entry.get
    return Leaf(
        key=entry.name if name is None else f"{entry.name}.{name}",
        patterns=patterns,
        get=get if name is None else lambda scope: get(scope, name),
        source=entry.source,
        cost=entry.cost,
        literals=_literals(patterns),
        unsure=entry.unsure,
        entry=entry,
        variable=entry.name if entry.is_variable else None,
    )


def _literals(patterns: tuple[Pattern, ...]) -> frozenset[str] | None:
    literals = [pattern.literal for pattern in patterns if pattern.literal is not None]
    return frozenset(literals) if len(literals) == len(patterns) else None


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


def _check_templates(path: str, rule: Rule, reader: RulesReader) -> None:
    captured = frozenset(name for leaf in _leaves(rule) for pattern in leaf.patterns for name in pattern.groups)
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
