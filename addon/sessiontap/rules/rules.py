"""A rules file, compiled: immutable, shared by every call until the file changes.

A call looks only at rules that one of its own words leads to: an index from plain words (`process: node`), and from the
starts and ends of globs (`gpt-4*`, `*.corp.example`), to a bit mask of rules. Rules without any such word are always
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from sessiontap.rules.conditions import Condition, Leaf
from sessiontap.rules.facts import Facts
from sessiontap.rules.patterns import Pattern
from sessiontap.rules.scope import Scope, Texts
from sessiontap.rules.settings import Setting
from sessiontap.rules.template import Template
from sessiontap.rules.variables import Context

Send = tuple[str, ...] | Literal["auto"]

INDEXED = (
    *("tool_result", "subagent", "process.cwd", "process.name", "proxy_user", "model", "route", "host", "header"),
    *("body", "query", "offers", "agent", "process.exe", "process.env", "process.argv", "process.user", "provider"),
    "operation",
)
"""Facts with an index, the more telling first: a rule stands in that of the first that it has."""


@dataclass(frozen=True, slots=True)
class Rule:
    number: int
    """From 1."""
    label: str
    """Its `rule:`, else `#n`."""
    line: int
    conditions: tuple[Condition, ...] = ()
    """All must hold; cheapest first."""
    early: tuple[Setting, ...] = ()
    """What it sets before the session is known."""
    late: tuple[Setting, ...] = ()
    final: bool = False
    ignore: bool = False
    gateway: str | None = None
    names_hosts: bool = False
    """It holds only for hosts that it names: `proxy_env` values may go there."""
    names_clients: bool = False

    early_slots: frozenset[str] = field(init=False, repr=False, compare=False)
    """Where all of these are filled the rule has nothing to say any more; slots that add up are never filled."""
    late_slots: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "early_slots", frozenset(setting.slot for setting in self.early))
        object.__setattr__(self, "late_slots", frozenset(setting.slot for setting in self.late))

    @property
    def settings(self) -> tuple[Setting, ...]:
        return (*self.early, *self.late)

    @property
    def sets_session(self) -> bool:
        """Whether it has a `session` key: the wish to send."""
        return any(setting.field.startswith("session.") for setting in self.settings)

    def known(self, scope: Scope) -> bool | None:
        """Whether it matches, None where that is not decided yet."""
        answers = [condition.known(scope) for condition in self.conditions]
        return False if False in answers else None if None in answers else True


@dataclass(frozen=True, slots=True)
class HostEntry:
    """An item of `hosts:`. `host` is a glob in lower case, with or without `:port`."""

    host: str
    provider: str | None
    operation: str | None
    pattern: Pattern
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """An item of `gateways:`."""

    name: str
    kind: str
    url: str | None
    key: Template | None

    def key_from(self, proxy_env: Mapping[str, str]) -> str | None:
        """Its key, filled in from the proxy's environment; None where there is none."""
        return self.key.render(Context(Scope(Facts(None)), proxy_env)) if self.key is not None else None


@dataclass(frozen=True, slots=True)
class Price:
    """An item of `prices:`, US dollars per million tokens. Readers alone look at it."""

    model: Pattern
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """What is certain when only host, caller, client and proxy user are known."""

    ignore: bool
    """An `ignore: true` rule is reached, whatever the request may be."""
    may_reroute: bool
    """A rule that may match sets a gateway."""


class Words(NamedTuple):
    """The index of one fact: whole texts, and starts and ends by their length, each to a mask of rules."""

    get: Callable[[Scope], Texts | None]
    whole: dict[str, int]
    starts: dict[int, dict[str, int]]
    ends: dict[int, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Index:
    """`rest` is the mask of the rules that have no word in it."""

    facts: tuple[Words, ...] = ()
    rest: int = 0

    def candidates(self, scope: Scope) -> int:
        """A mask of the rules that may match."""
        mask = self.rest
        for get, whole, starts, ends in self.facts:
            for text in get(scope) or ():
                mask |= whole.get(text, 0)
                for length, table in starts.items():
                    mask |= table.get(text[:length], 0)
                for length, table in ends.items():
                    mask |= table.get(text[-length:], 0)
        return mask


def index_of(rules: Iterable[Rule]) -> Index:
    facts: dict[str, Words] = {}
    rest = 0
    for position, rule in enumerate(rules):
        leaf = _telling(rule)
        if leaf is None:
            rest |= 1 << position
            continue
        get = _route_or_path if leaf.key == "route" else leaf.get
        words = facts.setdefault(leaf.key, Words(get, {}, {}, {}))
        for pattern in leaf.patterns:
            if pattern.literal is not None:
                table, word = words.whole, pattern.literal
            elif len(pattern.prefix) >= len(pattern.suffix):
                table, word = words.starts.setdefault(len(pattern.prefix), {}), pattern.prefix
            else:
                table, word = words.ends.setdefault(len(pattern.suffix), {}), pattern.suffix
            table[word] = table.get(word, 0) | 1 << position
    return Index(tuple(facts.values()), rest)


def _telling(rule: Rule) -> Leaf | None:
    """The rule's condition that is worth an index."""
    leaves = [
        condition
        for condition in rule.conditions
        if isinstance(condition, Leaf)
        and condition.family in INDEXED
        and all(pattern.literal is not None or pattern.prefix or pattern.suffix for pattern in condition.patterns)
    ]
    return min(leaves, key=lambda leaf: INDEXED.index(leaf.family), default=None)


def _route_or_path(scope: Scope) -> Texts | None:
    """A route is indexed by its path where it names no method."""
    return None if scope.route is None else (scope.route, scope.route.partition(" ")[2])


@dataclass(frozen=True)
class Rules:
    filename: str
    digest: str
    """SHA-256 of the file, hexadecimal."""
    rules: tuple[Rule, ...] = ()
    send: Send = ("helicone",)
    hosts: tuple[HostEntry, ...] = ()
    host_patterns: tuple[Pattern, ...] = ()
    """What rules name under `match.host` without a leading wildcard."""
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    env_names: frozenset[str] = frozenset()
    """Variables of the calling process's environment that rules name."""
    proxy_env_names: frozenset[str] = frozenset()
    """Variables of the proxy's own environment that rules and gateways name."""
    redact_headers: tuple[str, ...] = ()
    """Header names, lower case."""
    redact_patterns: tuple[str, ...] = ()
    """As written: `re:` and a regular expression, or text as it stands."""
    prices: tuple[Price, ...] = ()
    index: Index = field(default=Index(), repr=False)

    def keys(self, proxy_env: Mapping[str, str]) -> tuple[str, ...]:
        """The proxy's own keys: what its environment holds under those names, and the gateways' keys."""
        values = [proxy_env.get(name) for name in sorted(self.proxy_env_names)]
        values += [gateway.key_from(proxy_env) for gateway in self.gateways.values()]
        bare = (value.strip().removeprefix("Bearer ").strip() for value in values if value)
        return tuple(dict.fromkeys(value for value in bare if value))

    def names_host(self, host: str) -> bool:
        """Whether a rule's `match.host` names this host without a leading wildcard."""
        host = host.lower().rstrip(".")
        return any(pattern.find(host) is not None for pattern in self.host_patterns)

    def host_entry(self, host: str, port: int | None = None) -> HostEntry | None:
        """The first item of `hosts:` that stands for this host; items with a port only match where `port` is theirs."""
        host = host.lower().rstrip(".")
        for entry in self.hosts:
            if entry.pattern.find(host) is not None and entry.port in (None, port):
                return entry
        return None

    def price(self, model: str) -> Price | None:
        """The item of `prices:` for this model: its own name, else the first glob that stands for it."""
        fitting = [one for one in self.prices if one.model.find(model) is not None]
        return next((one for one in fitting if one.model.literal is not None), fitting[0] if fitting else None)

    def candidates(self, scope: Scope) -> Sequence[Rule]:
        """The rules that may match, in order."""
        mask, rules = self.index.candidates(scope), self.rules
        if mask.bit_count() == len(rules):
            return rules
        found = []
        while mask:
            lowest = mask & -mask
            found.append(rules[lowest.bit_length() - 1])
            mask ^= lowest
        return found

    def connection(self, facts: Facts) -> ConnectionView:
        """What is certain before any request: facts of a request that are not there yet count as undecided."""
        scope = Scope(facts)
        may_reroute = may_end = False
        for rule in self.rules:
            ends = rule.final or rule.ignore
            if not (ends or (rule.gateway is not None and not may_reroute)):
                continue
            answer = _answer(rule, scope)
            if answer is False:
                continue
            may_reroute = may_reroute or rule.gateway is not None
            if answer and ends:
                ignore = rule.ignore and not may_end
                return ConnectionView(ignore, may_reroute and not ignore)
            # A rule that perhaps ends the reading leaves open what follows, but for one that ignores the call as well.
            may_end = may_end or rule.final
        return ConnectionView(ignore=False, may_reroute=may_reroute)


def _answer(rule: Rule, scope: Scope) -> bool | None:
    """`Rule.known`, undecided where it cannot be evaluated."""
    try:
        return rule.known(scope)
    except Exception:
        return None
