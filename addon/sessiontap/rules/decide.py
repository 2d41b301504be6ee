"""Decide what the rules say of one call.

Rules are read in order, and each that matches fills in what none before it has set. That happens in two steps: `decide`
gives what the session is made from, and `finish`, once the session is known, the rest of what the same rules set.

Whether a call is ignored, and how much of it is recorded, goes by what the rules *may* say if facts are unknown
(`Rules.protection`), all else by what they say for certain.

Nothing here raises: a rule that cannot be evaluated counts as not matching, and as one that may match if it protects; a
setting that cannot be filled in counts as missing. `problems` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from sessiontap import trust
from sessiontap.rules.decision import Decision, IdSource, Labels, Protection, SessionFacts, Withheld
from sessiontap.rules.match_patterns import NOTHING, Captures
from sessiontap.rules.rule_set import Rule, Rules
from sessiontap.rules.scope import Facts, Scope
from sessiontap.rules.set_keys import MORE_EARLY, MORE_LATE, SetKey, Setting, default_path
from sessiontap.rules.template import MAX_TEXT, TemplateContext, printable

MAX_STATE = 10_240
"""Bytes of the state as ASCII JSON: more is refused as a header on the way."""

ANY_SESSION = SessionFacts(id="0", name="0", step=0)
"""Stands for a session that is not known yet, if it only matters whether a template can be filled in."""


@dataclass(frozen=True, slots=True)
class SettingOutcome:
    """The fate of one setting of a rule that matched: one entry of the trail that `explain` shows."""

    rule: int
    field: str
    outcome: Literal["set", "taken", "missing", "withheld", "fault"]
    value: Any = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """The rules that matched a call and what they captured: what `finish` goes on with."""

    scope: Scope
    rules: tuple[tuple[Rule, Captures], ...] = ()
    gateway: str | None = None

    def named_by(self, wishes: Callable[[Rule], bool]) -> bool:
        """True if a rule that `wishes` says yes to names the client: the wishes of others count for nothing."""
        return any(rule.names_clients and wishes(rule) for rule, _ in self.rules)


class _Secret(NamedTuple):
    """A filled setting that holds a value of the proxy's own environment."""

    rule: Rule
    setting: Setting
    name: str
    """Its field; for an addition with the value, which tells it from others of that field."""
    not_to_host: str | None
    """Why it may not go to the call's own host; None: it may."""
    not_to_gateway: str | None
    """The same of the call's gateway."""


@dataclass(slots=True)
class _Filling:
    """Slots as they fill: the first rule to give a value has it, additions go on."""

    proxy_env: Mapping[str, str]
    trail: list[SettingOutcome] | None = None
    filled: dict[str, Any] = field(default_factory=dict)
    set_by: dict[str, str] = field(default_factory=dict)
    added: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    problems: dict[str, None] = field(default_factory=dict)
    secrets: list[_Secret] = field(default_factory=list)
    withheld: dict[Withheld, None] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Slot -> field, in the spelling of the rule that filled it."""

    def fill(self, rule: Rule, setting: Setting, context: TemplateContext, gateway: str | None = None) -> None:
        slot = setting.slot
        if slot in self.filled:
            if self.trail is not None:
                self.note(rule, setting, "taken", reason=f"set by {self.set_by[self.names[slot]]}")
            return
        not_to_host = _why_not_to_host(rule, context.scope.facts) if setting.secret else None
        not_to_gateway = _why_not_to_gateway(rule, context.scope.facts, gateway) if setting.secret else None
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
                self.note(rule, setting, "missing", reason=_what_is_missing(setting, context))
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
            self.secrets.append(_Secret(rule, setting, name, not_to_host, not_to_gateway))
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
            shown = setting.text if setting.secret and value is not None else value
            self.trail.append(SettingOutcome(rule.number, setting.field, outcome, shown, reason))

    def under(self, prefix: str) -> dict[str, Any]:
        """The values whose fields start with `prefix`, by the rest of the field."""
        slots = [slot for slot in self.filled if slot.startswith(prefix)]
        return {self.names[slot].removeprefix(prefix): self.filled[slot] for slot in slots}

    def more(self, keys: Iterable[SetKey]) -> dict[str, Any]:
        """The values of these keys, by name."""
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


def decide(rules: Rules, facts: Facts, proxy_env: Mapping[str, str]) -> tuple[Decision, Matched]:
    """The decision for a call, and what `finish` needs to go on. Never raises."""
    return decide_with_trail(rules, facts, proxy_env, None)


def decide_with_trail(
    rules: Rules, facts: Facts, proxy_env: Mapping[str, str], trail: list[SettingOutcome] | None
) -> tuple[Decision, Matched]:
    """`decide`, which also writes down what became of every setting."""
    scope = Scope(facts)
    filling = _Filling(proxy_env, trail)
    matched: list[tuple[Rule, Captures]] = []
    protection = _protection(rules, scope)
    if protection is not None and protection.effect == "ignore" and protection.unknown:
        return _ignored(scope, filling, protection.rule, protection.as_unknown), Matched(scope)
    try:
        candidates = rules.candidates(scope)
    except Exception:
        candidates = rules.rules
    for rule in candidates:
        captures: Captures | None = NOTHING
        try:
            for condition in rule.conditions:
                found = condition.holds(scope)
                if found is None:
                    captures = None
                    break
                if found:
                    captures = {**captures, **found} if captures else found
        except Exception as error:
            filling.problems[f"{rule.label}: cannot be evaluated ({type(error).__name__}: {error})"] = None
            continue
        if captures is None:
            continue
        if rule.ignore:
            return _ignored(scope, filling, rule.label), Matched(scope)
        matched.append((rule, captures))
        if not rule.early_slots.issubset(filling.filled) or trail is not None:
            context = TemplateContext(scope, proxy_env, None, captures)
            for setting in rule.early:
                filling.fill(rule, setting, context)
        if rule.final:
            break
    filled = filling.filled
    if (gateway := filled.get("gateway")) is not None:
        filling.take_back(gateway)
    if protection is not None and protection.effect == "ignore":  # reading may have ended before it
        return _ignored(scope, filling, protection.rule, protection.as_unknown), Matched(scope)
    if protection is not None and (protection.unknown or protection.effect != filled.get("capture", "full")):
        protection = protection.as_unknown
        filled["capture"] = protection.effect
        filling.set_by["capture"] = protection.rule
        filling.labels[protection.rule] = None
    else:
        protection = None
    wants = any(slot.startswith("session.") for slot in filled) or _sets_path(matched, scope, proxy_env)
    decision = Decision(
        wants_session=wants,
        name=filled.get("session.name") or _default_name(scope),
        id_sources=filled.get("session.id") or (IdSource("auto"),),
        idle=filled.get("session.idle"),
        max_calls=filled.get("session.max_calls"),
        send=filled.get("send", rules.send) if wants else (),
        existing=filled.get("existing", "keep"),
        gateway=filled.get("gateway"),
        capture=filled.get("capture", "full"),
        protected=protection,
        rules=tuple(filling.labels),
        set_by=filling.set_by,
        problems=tuple(filling.problems),
        withheld=tuple(filling.withheld),
        more=filling.more(MORE_EARLY),
    )
    return decision, Matched(scope, tuple(matched), decision.gateway)


def _protection(rules: Rules, scope: Scope) -> Protection | None:
    """`Rules.protection`; if it cannot be found out, the most that any rule does."""
    try:
        return rules.protection(scope)
    except Exception as error:
        return Protection(rules.strictest, "", (f"{type(error).__name__}: {error}",))


def _ignored(scope: Scope, filling: _Filling, rule: str, protected: Protection | None = None) -> Decision:
    """The decision to leave a call alone."""
    return Decision(
        ignore=True,
        name=_default_name(scope),
        protected=protected,
        rules=(rule,),
        set_by={"ignore": rule},
        problems=tuple(filling.problems),
    )


def finish(matched: Matched, facts: Facts, session: SessionFacts | None, proxy_env: Mapping[str, str]) -> Labels:
    """The labels that the rules that matched give once the session is known. Never raises."""
    return finish_with_trail(matched, facts, session, proxy_env, None)


def finish_with_trail(
    matched: Matched,
    facts: Facts,
    session: SessionFacts | None,
    proxy_env: Mapping[str, str],
    trail: list[SettingOutcome] | None,
) -> Labels:
    """`finish`, which also writes down what became of every setting."""
    scope = matched.scope if facts is matched.scope.facts else Scope(facts)
    filling = _Filling(proxy_env, trail)
    for rule, captures in matched.rules:
        if not rule.late_slots.issubset(filling.filled) or trail is not None:
            context = TemplateContext(scope, proxy_env, session, captures)
            for setting in rule.late:
                filling.fill(rule, setting, context, matched.gateway)
    state = {key: value for key, (value,) in filling.under("state.").items()} or None
    if state is not None and (size := len(json.dumps(state, separators=(",", ":")))) > MAX_STATE:
        what = f"the state is dropped: it is {size:,} bytes of JSON, and at most {MAX_STATE:,} can be sent"
        filling.problems[what] = None
        filling.set_by = {key: label for key, label in filling.set_by.items() if not key.startswith("state.")}
        state = None
    labels = Labels(
        path=filling.filled.get("session.path") or default_path(scope),
        user=filling.filled.get("user"),
        properties=filling.under("properties."),
        tags=tuple(dict.fromkeys(filling.added.get("tags", ()))),
        state=state,
        headers_set=filling.under("headers.set."),
        headers_remove=tuple(dict.fromkeys(filling.added.get("headers.remove", ()))),
        rules=tuple(filling.labels),
        set_by=filling.set_by,
        problems=tuple(filling.problems),
        withheld=tuple(filling.withheld),
        more=filling.more(MORE_LATE),
    )
    own = _without(labels, [(one, one.not_to_host) for one in filling.secrets], scope)
    if matched.gateway is None:
        return own
    there = _without(labels, [(one, one.not_to_gateway) for one in filling.secrets], scope)
    return own if own == there else replace(own, at_gateway=there)


def _without(labels: Labels, given: Sequence[tuple[_Secret, str | None]], scope: Scope) -> Labels:
    """The labels without the values for which there is a reason."""
    withheld = [Withheld(one.setting.field, one.rule.label, reason) for one, reason in given if reason]
    if not withheld:
        return labels
    secrets = {one.name for one, reason in given if reason}

    def kept(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if prefix + name not in secrets}

    return replace(
        labels,
        path=default_path(scope) if "session.path" in secrets else labels.path,
        user=None if "user" in secrets else labels.user,
        properties=kept("properties.", labels.properties),
        tags=tuple(tag for tag in labels.tags if f"tags.{tag}" not in secrets),
        state=kept("state.", labels.state) or None if labels.state is not None else None,
        headers_set=kept("headers.set.", labels.headers_set),
        more={name: left for name, value in labels.more.items() if (left := _left(name, value, secrets)) is not None},
        set_by={name: label for name, label in labels.set_by.items() if name not in secrets},
        problems=tuple(dict.fromkeys((*labels.problems, *map(str, withheld)))),
        withheld=tuple(dict.fromkeys((*labels.withheld, *withheld))),
    )


def _left(name: str, value: Any, secrets: set[str]) -> Any:
    """The value of a set key without what is withheld; None if nothing is left."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if f"{name}.{key}" not in secrets} or None
    if isinstance(value, tuple):
        return tuple(item for item in value if f"{name}.{item}" not in secrets) or None
    return None if name in secrets else value


def _why_not_to_host(rule: Rule, facts: Facts) -> str | None:
    """Why a value of the proxy's environment may not go to the host that the call is for; None if it may."""
    if reason := trust.why_not_for(facts.client_is_local, rule.names_clients):
        return reason
    return facts.exposed if rule.names_hosts else "the rule names no hosts"


def _why_not_to_gateway(rule: Rule, facts: Facts, gateway: str | None) -> str | None:
    """Why it may not go to the call's gateway; None if it may."""
    if reason := trust.why_not_for(facts.client_is_local, rule.names_clients):
        return reason
    if gateway is None or gateway != rule.gateway:
        return _other_gateway(gateway)
    return None


def _other_gateway(gateway: str | None) -> str:
    goes = f"goes to the gateway {gateway}" if gateway is not None else "goes to no gateway"
    return f"the call {goes}, and the rule does not set that"


def _what_is_missing(setting: Setting, context: TemplateContext) -> str | None:
    """The variables without a value, for `explain`."""
    missing = [
        "${" + value.name + "}"
        for template in setting.content.templates()
        for value in template.values()
        if value.default is None and value.get(context) is None
    ]
    return ", ".join(missing) + " has no value" if missing else "it is empty"


def _sets_path(matched: Iterable[tuple[Rule, Captures]], scope: Scope, proxy_env: Mapping[str, str]) -> bool:
    """True if `finish` will find a path that a rule gives."""
    for rule, captures in matched:
        for setting in rule.late:
            if setting.field == "session.path":
                try:
                    if setting.content.render(TemplateContext(scope, proxy_env, ANY_SESSION, captures)) is not None:
                        return True
                except Exception:
                    continue
    return False


def _default_name(scope: Scope) -> str:
    """The agent's name, else the process's, else the proxy user or the host."""
    caller = scope.facts.caller
    name = scope.agent or (caller.name if caller is not None else None) or scope.facts.proxy_user or scope.host
    return printable(name or "")[:MAX_TEXT].strip() or "unnamed"
