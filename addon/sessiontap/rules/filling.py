"""Fill in the settings of the rules that match: the first value of a slot stays, additions add up.

A value of the proxy's own environment is a secret. It may go to the hosts that its rule names and to the gateway that
its rule sets, and only for clients that may use the proxy's keys (`trust`). Each secret is kept with the reasons why it
may not go to one place or the other, and `without_withheld` takes it out of the settings for that place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from sessiontap import trust
from sessiontap.rules.decision import FilledSettings, Withheld
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.rule import Rule
from sessiontap.rules.set_keys import SetKey, Setting, default_path
from sessiontap.rules.template import MAX_TEXT, Placeholder, Template, TemplateContext


@dataclass(frozen=True, slots=True)
class SettingOutcome:
    """The outcome of one setting of a rule that matched: one entry of the trail that `explain` shows."""

    rule: int
    """Its number."""
    field: str
    outcome: Literal["set", "taken", "missing", "withheld", "fault"]
    """`taken`: an earlier rule has set it; `missing`: a variable has no value."""
    value: Any = None
    """As plain JSON; of a secret its template."""
    reason: str | None = None
    step: int = 0
    """The number of the step in its rule; 0: the rule itself."""


class Secret(NamedTuple):
    """A filled setting with a value of the proxy's own environment."""

    rule: Rule
    setting: Setting
    name: str
    """Its field; for an addition with the value behind it, which tells it from others of that field."""
    not_to_host: str | None
    """The reason why it may not go to the call's own host; None: it may."""
    not_to_gateway: str | None
    """The same of the call's gateway."""


@dataclass(slots=True)
class Filling:
    """The slots of one call as they fill."""

    trail: list[SettingOutcome] | None = None
    filled: dict[str, Any] = field(default_factory=dict)
    set_by: dict[str, str] = field(default_factory=dict)
    added: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    problems: dict[str, None] = field(default_factory=dict)
    secrets: list[Secret] = field(default_factory=list)
    withheld: dict[Withheld, None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Slot -> field, in the spelling of the rule that filled it."""

    def fill(self, rule: Rule, setting: Setting, context: TemplateContext, gateway: str | None = None) -> None:
        """Fill the setting's slot, or note why not. `gateway` is the call's, None while it is not decided."""
        slot = setting.slot
        if slot in self.filled:
            if self.trail is not None:
                self.note(rule, setting, "taken", reason=f"set by {self.set_by[self.names[slot]]}")
            return
        not_to_host = _why_not_to_host(rule, context.known.facts) if setting.secret else None
        not_to_gateway = _why_not_to_gateway(rule, context.known.facts, gateway) if setting.secret else None
        if not_to_host and not_to_gateway:
            self.withhold(rule, setting, not_to_host if rule.names_hosts else not_to_gateway)
            return
        try:
            value = setting.content.render(context)
        except Exception as error:
            self.problems[f"{rule.label}: {setting.field} cannot be filled in ({type(error).__name__}: {error})"] = None
            self.note(rule, setting, "fault", reason=str(error))
            return
        if value is None:
            if self.trail is not None:
                self.note(rule, setting, "missing", reason=_why_missing(setting, context))
            return
        if setting.adds:
            self.added.setdefault(slot, []).append(value)
            self.set_by.setdefault(setting.field, rule.label)
        else:
            self.filled[slot] = value
            self.names[slot] = setting.field
            self.set_by[setting.field] = rule.label
        self.labels[rule.label] = None
        if setting.secret:
            name = f"{setting.field}.{value}" if setting.adds else setting.field
            self.secrets.append(Secret(rule, setting, name, not_to_host, not_to_gateway))
        if isinstance(value, str) and len(value) == MAX_TEXT:
            self.problems[f"{rule.label}: {setting.field} is cut to {MAX_TEXT:,} characters"] = None
        self.note(rule, setting, "set", value)

    def withhold(self, rule: Rule, setting: Setting, reason: str) -> None:
        withheld = Withheld(setting.field, rule.label, reason)
        self.withheld[withheld] = None
        self.problems[str(withheld)] = None
        self.note(rule, setting, "withheld", reason=reason)

    def take_back(self, gateway: str) -> None:
        """Empty the slots whose values may not go to `gateway`, which was not known when they were filled."""
        for rule, setting, *_ in self.secrets:
            if rule.gateway != gateway and self.filled.pop(setting.slot, None) is not None:
                self.set_by.pop(setting.field, None)
                self.withhold(rule, setting, _other_gateway(gateway))

    def note(self, rule: Rule, setting: Setting, outcome: Any, value: Any = None, reason: str | None = None) -> None:
        if self.trail is not None:
            shown = setting.shown(value) if value is not None else None
            self.trail.append(SettingOutcome(rule.number, setting.field, outcome, shown, reason, rule.step))

    def under(self, prefix: str) -> dict[str, Any]:
        """Return the values whose fields start with `prefix`, by the rest of the field."""
        slots = [slot for slot in self.filled if slot.startswith(prefix)]
        return {self.names[slot].removeprefix(prefix): self.filled[slot] for slot in slots}

    def more(self, keys: Iterable[SetKey]) -> dict[str, Any]:
        """Return the values of these keys, by name."""
        found: dict[str, Any] = {}
        for key in keys:
            match key.each:
                case "value":
                    value = self.filled.get(key.name)
                case "key":
                    value = self.under(f"{key.name}.") or None
                case "item":
                    value = tuple(dict.fromkeys(self.added.get(key.name, ()))) or None
            if value is not None:
                found[key.name] = value
        return found


def without_withheld(
    filled: FilledSettings, given: Sequence[tuple[Secret, str | None]], known: KnownFacts
) -> FilledSettings:
    """Return the settings without the secrets that are given with a reason."""
    withheld = [Withheld(one.setting.field, one.rule.label, reason) for one, reason in given if reason]
    if not withheld:
        return filled
    secrets = {one.name for one, reason in given if reason}

    def cleared(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if prefix + name not in secrets}

    return replace(
        filled,
        path=default_path(known) if "session.path" in secrets else filled.path,
        user=None if "user" in secrets else filled.user,
        properties=cleared("properties.", filled.properties),
        tags=tuple(tag for tag in filled.tags if f"tags.{tag}" not in secrets),
        state=cleared("state.", filled.state) or None if filled.state is not None else None,
        headers_set=cleared("headers.set.", filled.headers_set),
        more={name: it for name, value in filled.more.items() if (it := _cleared(name, value, secrets)) is not None},
        set_by={name: label for name, label in filled.set_by.items() if name not in secrets},
        problems=tuple(dict.fromkeys((*filled.problems, *map(str, withheld)))),
        withheld=tuple(dict.fromkeys((*filled.withheld, *withheld))),
    )


def _cleared(name: str, value: Any, secrets: set[str]) -> Any:
    """Return the value of a set key without the secrets in it; None if nothing is left."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if f"{name}.{key}" not in secrets} or None
    if isinstance(value, tuple):
        return tuple(item for item in value if f"{name}.{item}" not in secrets) or None
    return None if name in secrets else value


def _why_not_to_host(rule: Rule, facts: Facts) -> str | None:
    """Return why a value of the proxy's environment may not go to the call's host; None if it may."""
    if reason := trust.why_not_for(facts.client_is_local, rule.names_clients):
        return reason
    return (
        facts.exposed
        if rule.names_hosts
        else f"it is for the gateway {rule.gateway}, and the call goes to its own host"
    )


def _why_not_to_gateway(rule: Rule, facts: Facts, gateway: str | None) -> str | None:
    """Return why it may not go to the call's gateway; None if it may."""
    if reason := trust.why_not_for(facts.client_is_local, rule.names_clients):
        return reason
    if gateway is None or gateway != rule.gateway:
        return _other_gateway(gateway)
    return None


def _other_gateway(gateway: str | None) -> str:
    goes = f"goes to the gateway {gateway}" if gateway is not None else "goes to no gateway"
    return f"the call {goes}, and the rule does not set that"


def _why_missing(setting: Setting, context: TemplateContext) -> str:
    """Return the variables without a value, in words."""
    missing = [name for template in setting.content.templates() for name in _missing_names(template, context)]
    if not missing:
        return "it is empty"
    return f"{', '.join(dict.fromkeys(missing))} {'has' if len(missing) == 1 else 'have'} no value"


def _missing_names(template: Template, context: TemplateContext) -> Iterator[str]:
    for part in template.parts:
        if isinstance(part, Placeholder) and part.get(context) is None:
            yield from ["${" + part.name + "}"] if part.default is None else _missing_names(part.default, context)
