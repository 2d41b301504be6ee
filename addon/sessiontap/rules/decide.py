"""Decide what the rules say of one call.

Rules are read in order, and each rule that matches fills in the settings that no earlier one has filled. There are two
stages: `decide` gives the values that the session is made from. Once the session is known, `finish` gives the other
settings of the same rules.

If facts are unknown, a call is ignored, or recorded in part, by the rules that *may* match (`Rules.protection`). All
else goes by the rules that match for certain.

Nothing here raises. A rule that cannot be evaluated counts as not matching, and as one that may match if it protects. A
setting that cannot be filled in counts as missing. `problems` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sessiontap.rules.decision import NO_VALUE, Decision, FilledSettings, IdSource, Protection, SessionFacts
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.filling import Filling, SettingOutcome, without_withheld
from sessiontap.rules.match_patterns import NOTHING, Captures
from sessiontap.rules.rule import Rule
from sessiontap.rules.rule_set import Rules
from sessiontap.rules.set_keys import MORE_EARLY, MORE_LATE, default_path
from sessiontap.rules.template import MAX_TEXT, TemplateContext, printable
from sessiontap.value_classes import dataclass

MAX_STATE = 10_240
"""Bytes of the state as ASCII JSON: servers refuse longer headers."""

ANY_SESSION = SessionFacts(id="0", name="0", step=0)
"""Stands for a session that is not known yet, if it only matters whether a template can be filled in."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The rules that matched a call, with their captures."""

    known: KnownFacts
    rules: tuple[tuple[Rule, Captures], ...] = ()
    gateway: str | None = None

    def named_by(self, is_meant: Callable[[Rule], bool]) -> bool:
        """Return True if one of the rules that are meant names the client."""
        return any(rule.names_clients and is_meant(rule) for rule, _ in self.rules)


def decide(
    rules: Rules, facts: Facts, proxy_env: Mapping[str, str], trail: list[SettingOutcome] | None = None
) -> tuple[Decision, Matched]:
    """Return the decision for a call, and the rules that matched, for `finish`. Never raises.

    `trail`: the list to which the outcome of every setting is added, for `explain`.
    """
    known = KnownFacts(facts)
    filling = Filling(trail)
    matched: list[tuple[Rule, Captures]] = []
    protection = _protection(rules, known)
    if protection is not None and protection.effect == "ignore" and protection.unknown:
        return _ignored(known, filling, protection.rule, protection.as_unknown), Matched(known)
    try:
        candidates = rules.candidates(known)
    except Exception:
        candidates = rules.rules
    for rule in candidates:
        try:
            captures = _captures(rule, known)
        except Exception as error:
            filling.problems[f"{rule.label}: cannot be evaluated ({type(error).__name__}: {error})"] = None
            continue
        if captures is None:
            continue
        if rule.ignore:
            return _ignored(known, filling, rule.label), Matched(known)
        matched.append((rule, captures))
        if not rule.early_slots.issubset(filling.filled) or trail is not None:
            context = TemplateContext(known, proxy_env, None, captures)
            for setting in rule.early:
                filling.fill(rule, setting, context)
        if rule.final:
            break
    filled = filling.filled
    if (gateway := filled.get("gateway")) is not None:
        filling.take_back(gateway)
    if protection is not None and protection.effect == "ignore":  # reading may have ended before it
        return _ignored(known, filling, protection.rule, protection.as_unknown), Matched(known)
    protection = _protected(filling, protection)
    wants = any(slot.startswith("session.") for slot in filled) or _sets_path(matched, known, proxy_env)
    decision = Decision(
        wants_session=wants,
        name=filled.get("session.name") or _default_name(known),
        id_sources=_id_sources(rules, filling, matched),
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
    return decision, Matched(known, tuple(matched), decision.gateway)


def _protected(filling: Filling, protection: Protection | None) -> Protection | None:
    """Set the effect of protection. Return it; None if the rules set as much without it."""
    if protection is None or not (protection.unknown or protection.effect != filling.filled.get("capture", "full")):
        return None
    protection = protection.as_unknown
    filling.filled["capture"] = protection.effect
    filling.set_by["capture"] = protection.rule
    filling.labels[protection.rule] = None
    return protection


def _captures(rule: Rule, known: KnownFacts) -> Captures | None:
    """Return the captures of a rule that matches; None if it does not."""
    captures: Captures = NOTHING
    for condition in rule.conditions:
        found = condition.holds(known)
        if found is None:
            return None
        if found:
            captures = {**captures, **found} if captures else found
    return captures


def _id_sources(rules: Rules, filling: Filling, matched: Iterable[tuple[Rule, Captures]]) -> tuple[IdSource, ...]:
    """Return the sources of the session's id; what joins calls comes first, and then the id is that rule's."""
    listed: tuple[IdSource, ...] = filling.filled.get("session.id") or (IdSource("auto"),)
    if not rules.joins:
        return listed
    joined: IdSource | None = filling.filled.get("join")
    if joined is not None:
        filling.set_by["session.id"] = filling.set_by["join"]
        return (joined, *listed)
    return (NO_VALUE, *listed) if any("join" in rule.early_slots for rule, _ in matched) else listed


def _protection(rules: Rules, known: KnownFacts) -> Protection | None:
    """Return `Rules.protection`; if that fails, the strictest effect of any rule."""
    try:
        return rules.protection(known)
    except Exception as error:
        return Protection(rules.strictest, "", (f"{type(error).__name__}: {error}",))


def _ignored(known: KnownFacts, filling: Filling, rule: str, protected: Protection | None = None) -> Decision:
    """Return the decision to leave a call alone."""
    return Decision(
        ignore=True,
        name=_default_name(known),
        protected=protected,
        rules=(rule,),
        set_by={"ignore": rule},
        problems=tuple(filling.problems),
    )


def finish(
    matched: Matched,
    facts: Facts,
    session: SessionFacts | None,
    proxy_env: Mapping[str, str],
    trail: list[SettingOutcome] | None = None,
) -> FilledSettings:
    """Return the settings of the matching rules that need the session. Never raises. `trail`: as in `decide`."""
    known = matched.known if facts is matched.known.facts else KnownFacts(facts)
    filling = Filling(trail)
    for rule, captures in matched.rules:
        if not rule.late_slots.issubset(filling.filled) or trail is not None:
            context = TemplateContext(known, proxy_env, session, captures)
            for setting in rule.late:
                filling.fill(rule, setting, context, matched.gateway)
    state = {key: value for key, (value,) in filling.under("state.").items()} or None
    if state is not None and (size := len(json.dumps(state, separators=(",", ":")))) > MAX_STATE:
        what = f"the state is dropped: it is {size:,} bytes of JSON, and at most {MAX_STATE:,} can be sent"
        filling.problems[what] = None
        filling.set_by = {key: label for key, label in filling.set_by.items() if not key.startswith("state.")}
        state = None
    settings = FilledSettings(
        path=filling.filled.get("session.path") or default_path(known),
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
    own = without_withheld(settings, [(one, one.not_to_host) for one in filling.secrets], known)
    if matched.gateway is None:
        return own
    at_gateway = without_withheld(settings, [(one, one.not_to_gateway) for one in filling.secrets], known)
    return own if own == at_gateway else replace(own, at_gateway=at_gateway)


def _sets_path(matched: Iterable[tuple[Rule, Captures]], known: KnownFacts, proxy_env: Mapping[str, str]) -> bool:
    """Return True if a rule gives a path once the session is known."""
    for rule, captures in matched:
        for setting in rule.late:
            if setting.field == "session.path":
                try:
                    if setting.content.render(TemplateContext(known, proxy_env, ANY_SESSION, captures)) is not None:
                        return True
                except Exception:
                    continue
    return False


def _default_name(known: KnownFacts) -> str:
    """Return the agent's name, else the process's, else the proxy user or the host."""
    caller = known.facts.caller
    name = known.agent or (caller.name if caller is not None else None) or known.facts.proxy_user or known.host
    return printable(name or "")[:MAX_TEXT].strip() or "unnamed"
