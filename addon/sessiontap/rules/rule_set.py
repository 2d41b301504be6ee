"""A rules file, compiled: immutable, shared by every call until the file changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from sessiontap.dialects import OWN_KEYS, Dialect
from sessiontap.rules.conditions import RuleIndex, every_leaf
from sessiontap.rules.decision import CaptureEffect, Protection
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.gateway_items import Gateway
from sessiontap.rules.match_patterns import Pattern
from sessiontap.rules.notified import Notified
from sessiontap.rules.push_items import PushEntry
from sessiontap.rules.rule import Rule
from sessiontap.rules.set_keys import Send
from sessiontap.units import plural


@dataclass(frozen=True, slots=True)
class HostEntry:
    """An item of `hosts:`. `host` is a glob in lower case, with or without `:port`."""

    host: str
    provider: str | None
    operation: str | None
    pattern: Pattern
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """An item of `prices:`, US dollars per million tokens. Only readers of the log use it."""

    model: Pattern
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


def price_of(prices: Sequence[Price], model: str) -> Price | None:
    """Return the price of this model: that of its own name, else the first glob that matches it."""
    fitting = [one for one in prices if one.model.find(model) is not None]
    return next((one for one in fitting if one.model.literal is not None), fitting[0] if fitting else None)


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """The answers that are certain when only host, caller, client and proxy user are known."""

    ignore: bool
    """An `ignore: true` rule is reached, or may be by facts that are unknown, whatever the request may be."""
    may_reroute: bool
    """A rule that may match sets a gateway."""
    protected: Protection | None = None
    """Why it is ignored, if only because facts are unknown."""


@dataclass(frozen=True)
class Rules:
    filename: str
    digest: str
    """SHA-256 of the file, hexadecimal."""
    rules: tuple[Rule, ...] = ()
    send: Send = ("helicone",)
    hosts: tuple[HostEntry, ...] = ()
    host_patterns: tuple[Pattern, ...] = ()
    """The hosts that rules name under `match.host` without a leading wildcard."""
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """The dialects of `dialects:`, by name."""
    env_names: frozenset[str] = frozenset()
    """Variables of the calling process's environment that rules name."""
    proxy_env_names: frozenset[str] = frozenset()
    """Variables of the proxy's own environment that rules and gateways name."""
    redact_headers: tuple[str, ...] = ()
    """Header names, lower case."""
    redact_patterns: tuple[str, ...] = ()
    """As written: `re:` and a regular expression, or text as it stands."""
    prices: tuple[Price, ...] = ()
    pushes: tuple[PushEntry, ...] = ()
    notified: Notified | None = None
    """Who is told of alerts and limits."""
    index: RuleIndex = field(default=RuleIndex(), repr=False)

    @property
    def count(self) -> int:
        """The number of rules, without their steps."""
        return sum(not rule.step for rule in self.rules)

    @property
    def counted(self) -> str:
        """The number of rules in words: `1 rule`, `3 rules with 2 steps`."""
        steps = len(self.rules) - self.count
        return plural(self.count, "rule") + (f" with {plural(steps, 'step')}" if steps else "")

    @property
    def secret_headers(self) -> tuple[str, ...]:
        """Lower-case names of the headers that are secret in the log: the file's, and those of the proxy's own keys."""
        return (*self.redact_headers, *(name.lower() for name in OWN_KEYS))

    def keys(self, proxy_env: Mapping[str, str]) -> tuple[str, ...]:
        """Return the proxy's own keys: the values of those variables in its environment, and the gateways' keys."""
        values = [proxy_env.get(name) for name in sorted(self.proxy_env_names)]
        values += [gateway.key_from(proxy_env) for gateway in self.gateways.values()]
        bare = (value.strip().removeprefix("Bearer ").strip() for value in values if value)
        return tuple(dict.fromkeys(value for value in bare if value))

    def names_host(self, host: str) -> bool:
        """True if a rule's `match.host` names this host without a leading wildcard."""
        host = host.lower().rstrip(".")
        return any(pattern.find(host) is not None for pattern in self.host_patterns)

    def host_entry(self, host: str, port: int | None = None) -> HostEntry | None:
        """Return the first item of `hosts:` for this host, or None. An item with a port is for that port alone."""
        host = host.lower().rstrip(".")
        for entry in self.hosts:
            if entry.pattern.find(host) is not None and entry.port in (None, port):
                return entry
        return None

    def price(self, model: str) -> Price | None:
        """Return the item of `prices:` for this model; see `price_of`."""
        return price_of(self.prices, model)

    @cached_property
    def _protecting(self) -> int:
        """A mask of the rules that decide on protection: those that protect, and those that may keep one from it."""
        rules = enumerate(self.rules) if any(rule.protects for rule in self.rules) else ()
        return sum(1 << at for at, rule in rules if rule.ignore or rule.final or rule.capture is not None)

    @cached_property
    def protects_by_process(self) -> bool:
        """True if the process decides on protection: then a call waits somewhat longer for it."""
        deciding = self._picked(self._protecting)
        return any(leaf.source == "process" for rule in deciding for leaf in every_leaf(rule.conditions))

    @cached_property
    def strictest(self) -> CaptureEffect:
        """The strictest effect of any rule. It protects the calls about which nothing could be decided."""
        effects = [effect for rule in self.rules if (effect := rule.effect) is not None]
        return max(effects, key=STRICTNESS.index, default="full")

    def protection(self, known: KnownFacts) -> Protection | None:
        """Return the strictest effect that the rules may have on a call, whatever its unknown facts are, or None."""
        if not self._protecting:
            return None
        found: Protection | None = None
        settled = False
        behind: tuple[str, ...] = ()
        for rule in self._picked(self.index.candidates(known, unknown=True) & self._protecting):
            if rule.may(known, True) is False:
                continue
            certain = rule.may(known, False) is False
            unknown = () if certain else rule.unknown(known)
            own = unknown if unknown and not rule.holds(known) else ()
            if rule.protects and (rule.ignore or not settled):
                effect = rule.effect or "full"
                if _is_stricter(effect, certain, found):
                    found = Protection(effect, rule.label, own, behind)
            behind = tuple(dict.fromkeys((*behind, *unknown)))
            settled = settled or (certain and rule.capture is not None)
            if certain and (rule.final or rule.ignore):
                break
        return found

    def candidates(self, known: KnownFacts) -> Sequence[Rule]:
        """Return the rules that may match, in order."""
        return self._picked(self.index.candidates(known))

    def _picked(self, mask: int) -> Sequence[Rule]:
        rules = self.rules
        if mask.bit_count() == len(rules):
            return rules
        found = []
        while mask:
            lowest = mask & -mask
            found.append(rules[lowest.bit_length() - 1])
            mask ^= lowest
        return found

    @cached_property
    def joins(self) -> bool:
        """Some rule joins calls by a value."""
        return any("join" in rule.early_slots for rule in self.rules)

    @cached_property
    def ignores(self) -> bool:
        """Some rule says to leave calls alone."""
        return any(rule.ignore for rule in self.rules)

    def connection(self, facts: Facts) -> ConnectionView:
        """Return the answers that are certain before any request. Facts of a request count as undecided.

        A rule that ignores calls counts as matching if it may match by facts that stay unknown.
        """
        known = KnownFacts(facts)
        may_reroute = may_end = False
        behind: tuple[str, ...] = ()
        for rule in self.rules:
            if not (rule.final or rule.ignore or (rule.gateway is not None and not may_reroute)):
                continue
            can = rule.may(known, True)
            if can is False:
                continue
            cannot = rule.may(known, False)
            may_reroute = may_reroute or rule.gateway is not None
            if rule.ignore and can and not may_end:
                unknown = behind if cannot is False else rule.unknown(known)
                return ConnectionView(True, False, Protection("ignore", rule.label, unknown) if unknown else None)
            if cannot is False and (rule.final or rule.ignore):
                break
            # If the request decides whether this rule ends the reading, the rules behind it are open, unless this one
            # ignores the call, too. If only unknown facts decide, it is taken not to end it: that protects.
            may_end = may_end or (rule.final and not cannot)
            if rule.final and cannot:
                behind = tuple(dict.fromkeys((*behind, *rule.unknown(known))))
        return ConnectionView(ignore=False, may_reroute=may_reroute)


STRICTNESS: tuple[CaptureEffect, ...] = ("full", "metadata", "none", "ignore")


def _is_stricter(effect: CaptureEffect, certain: bool, than: Protection | None) -> bool:
    """True if a rule's effect counts rather than that of a rule before it; of two alike, one that is certain."""
    if than is None or effect == than.effect:
        return than is None or (certain and bool(than.unknown))
    return STRICTNESS.index(effect) > STRICTNESS.index(than.effect)
