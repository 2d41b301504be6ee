"""The keys of a rule's `match`, as a table: the value that each takes, the fact that it looks at, and its cost.

The language (`language.py`), the conditions and their index (`conditions.py`), the linter and `explain` read this
table. To add a key: a line in it, and a row in docs/rules.md. `process` and `not` are no lines: one groups the keys
that begin with it, the other holds a `match` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sessiontap.llm.agents import AGENTS
from sessiontap.llm.call import OPERATIONS
from sessiontap.rules.facts import FactSource, KnownFacts, Texts, scalar_text
from sessiontap.rules.kinds import (
    GLOB,
    Flag,
    ListOf,
    MapOf,
    TextOf,
    ValueKind,
    fields_by,
    globs_by,
    header_name,
    one_or_more,
    operation_pattern,
)
from sessiontap.rules.match_patterns import client_pattern, host_pattern, path_pattern, route_pattern


def _never(known: KnownFacts) -> bool:
    return False


def _no_texts(known: KnownFacts) -> Texts:
    return ()


def _process_unsure(known: KnownFacts) -> bool:
    return known.process_unknown


def _body_unsure(known: KnownFacts) -> bool:
    return known.body_unknown


_UNSURE: dict[FactSource, Callable[[KnownFacts], bool]] = {
    "connection": _never,
    "process": _process_unsure,
    "head": _never,
    "top": _never,
    "body": _body_unsure,
}


@dataclass(frozen=True, slots=True)
class MatchKey:
    """One key of `match`. With a map as its kind, such as `header: {NAME: glob}`, it is a key for each name."""

    name: str
    """A dot stands before the keys of `process`."""
    kind: ValueKind
    doc: str
    """The fact that it looks at, for editors."""
    get: Callable[..., Texts | None]
    """Takes the known facts, and the name if its kind is a map. Returns the texts that it looks at; None: not known."""
    source: FactSource
    cost: int
    """Orders the checks of a rule: the cheap ones come first."""
    also_unsure: Callable[[KnownFacts], bool] = _never
    """There may be further texts, though the source is known."""
    selectivity: int = 0
    """A rule stands in the index of its most selective key; 0: the key has no index."""
    index_get: Callable[[KnownFacts], Texts | None] | None = None
    """The texts that the index looks up, if they are not those of `get`."""
    is_variable: bool = False
    """The text that matched is the template variable of this name."""
    holds_prose: bool = False
    """Its text is long: a glob without a star is probably a slip."""
    names_clients: bool = False
    """It tells clients apart that are on other machines."""
    number: Callable[[KnownFacts, str], Texts | None] | None = None
    """Returns what a comparison such as `>5` looks at, if the key takes one."""
    alternatives: Callable[[KnownFacts], Texts] = _no_texts
    """The texts of which any may be the one that is meant. `get` gives the one that settings go by."""
    examples: tuple[Any, ...] = ()

    @property
    def is_map(self) -> bool:
        return isinstance(self.kind, MapOf)

    @property
    def is_single(self) -> bool:
        """True if a call has one text of it at most, so that it cannot be this one and that one."""
        return self.name in _SINGLE

    def unsure(self, known: KnownFacts) -> bool:
        """True if there may be texts that `get` does not give."""
        return _UNSURE[self.source](known) or self.also_unsure(known)


def _one(value: str | None) -> Texts | None:
    return None if value is None else (value,)


def _caller(get: Callable[[Any], str | None]) -> Callable[[KnownFacts], Texts | None]:
    return lambda known: _one(get(known.facts.caller)) if known.facts.caller is not None else None


def _ancestors(known: KnownFacts) -> Texts | None:
    caller = known.facts.caller
    if caller is None:
        return None
    return tuple(name for process in caller.ancestors for name in dict.fromkeys((process.name, *process.names)))


def _stream(known: KnownFacts) -> Texts | None:
    asked = known.asked
    return None if asked is None or asked.stream is None else (str(asked.stream).lower(),)


def _route_or_path(known: KnownFacts) -> Texts | None:
    """A route is indexed by its path if it names no method."""
    return None if known.route is None else (known.route, known.route.partition(" ")[2])


def _env(known: KnownFacts, name: str) -> Texts | None:
    return _one(known.facts.caller.env.get(name)) if known.facts.caller is not None else None


def _env_unread(known: KnownFacts) -> bool:
    return known.facts.caller is not None and known.facts.caller.env_unread


def _body(known: KnownFacts, path: str) -> Texts | None:
    return _field(known.body(path))


def _result(known: KnownFacts, name: str) -> Texts | None:
    return _field(known.tool_result(name))


def _field(value: Any) -> Texts | None:
    """The text of a field; of a list those of its plain items."""
    texts = tuple(scalar_text(item) for item in value) if isinstance(value, list) else (scalar_text(value),)
    return tuple(text for text in texts if text is not None) or None


def _compared(get: Callable[[KnownFacts, str], Any]) -> Callable[[KnownFacts, str], Texts | None]:
    """Return what is compared with a number: a number, also as text, or the length of a list."""

    def texts(known: KnownFacts, name: str) -> Texts | None:
        value = get(known, name)
        if isinstance(value, bool):
            return None
        return _one(str(len(value)) if isinstance(value, list) else scalar_text(value))

    return texts


def _unread(known: KnownFacts) -> bool:
    return known.request_known and known.facts.call is None


def _opaque(known: KnownFacts) -> bool:
    return known.body_opaque


def _said_unread(known: KnownFacts) -> bool:
    return known.body_opaque or known.inputs.unread


def _inputs(known: KnownFacts) -> Texts:
    return known.inputs.texts


def _unnamed(known: KnownFacts) -> bool:
    return known.results_unnamed or known.body_opaque


def _of_process(
    name: str, kind: ValueKind, doc: str, get: Callable[[KnownFacts], Texts | None], cost: int, selectivity: int = 0
) -> MatchKey:
    """A fact that the system may withhold of a process that is known."""
    unsure: Callable[[KnownFacts], bool] = lambda known: known.facts.caller is not None and get(known) is None  # noqa: E731
    return MatchKey(f"process.{name}", kind, doc, get, "process", cost, unsure, selectivity)


def _of_body(
    name: str, kind: ValueKind, doc: str, get: Callable[[KnownFacts], Texts | None], selectivity: int = 0, **more: Any
) -> MatchKey:
    """A fact that a body holds once at most: if it was found, the rest of the body says no other."""
    unsure: Callable[[KnownFacts], bool] = lambda known: (  # noqa: E731
        get(known) is None and (known.body_unknown or known.body_opaque)
    )
    return MatchKey(name, kind, doc, get, "top", 1, unsure, selectivity, **more)


_PATHS = one_or_more(path_pattern)

MATCH_KEYS: tuple[MatchKey, ...] = (
    _of_process("name", GLOB, "Any of its names: comm, argv[0], the executable, an interpreter's script.",
                lambda s: s.names, 2, selectivity=16),
    _of_process("exe", _PATHS, "The executable's path; ~ is the home folder, ** crosses slashes.",
                _caller(lambda c: c.exe), 3, selectivity=6),
    _of_process("argv", GLOB, "The command line, joined with spaces.", lambda s: _one(s.argv), 4, selectivity=4),
    _of_process("cwd", _PATHS, "The working folder; ~ is the home folder, dir/** is also dir.",
                _caller(lambda c: c.cwd), 3, selectivity=17),
    _of_process("user", GLOB, "The user it runs as.", _caller(lambda c: c.user), 1, selectivity=3),
    MatchKey("process.env", globs_by("variable"), "Variables of its environment as it was started.",
             _env, "process", 3, _env_unread, selectivity=5),
    MatchKey("process.ancestor", GLOB, "Any name of any of its parents.", _ancestors, "process", 4),
    MatchKey("client", ListOf(TextOf(client_pattern, {"description": "An IP address or a network."}), lone=True),
             "The client's address or network.", lambda s: _one(s.facts.client_ip), "connection", 4,
             lambda s: s.facts.client_ip is None, names_clients=True, examples=("127.0.0.1", "10.0.0.0/8")),
    MatchKey("proxy_user", GLOB, "The user name in HTTPS_PROXY=http://NAME:x@host:8080.",
             lambda s: _one(s.facts.proxy_user), "connection", 1, selectivity=15, names_clients=True),
    MatchKey("host", one_or_more(host_pattern), "The destination host as the app asked for it.",
             lambda s: _one(s.host), "connection", 1, lambda s: s.host is None, selectivity=12,
             examples=("api.openai.com",)),
    MatchKey("route", ListOf(TextOf(route_pattern, {"description": "/path or METHOD /path."}), lone=True),
             "Path with or without a method; {name} captures a segment, /**/ is any prefix.",
             lambda s: _one(s.route), "head", 3, selectivity=13, index_get=_route_or_path,
             examples=("POST /v1/chat/completions", "/**/chat/completions")),
    MatchKey("query", globs_by("parameter"), "Query parameters.", lambda s, name: s.query.get(name), "head", 4,
             selectivity=9),
    MatchKey("provider", GLOB, "The provider.", lambda s: _one(s.provider), "head", 1, _unread, selectivity=2,
             examples=("openai", "anthropic")),
    MatchKey("operation", one_or_more(operation_pattern, examples=list(OPERATIONS)), "The operation that is asked for.",
             lambda s: _one(s.operation), "head", 1, _unread, selectivity=1, examples=("chat",)),
    _of_body("model", GLOB, "The requested model.", lambda s: _one(s.model), selectivity=14, examples=("gpt-4*",)),
    _of_body("stream", Flag(), "The request asks for a stream.", _stream),
    MatchKey("agent", GLOB, "A known client.", lambda s: _one(s.agent), "body", 1, selectivity=7,
             examples=tuple(agent.name for agent in AGENTS)),
    MatchKey("subagent", GLOB, "The known client's sub-agent type.", lambda s: _one(s.subagent), "body", 1,
             selectivity=18),
    MatchKey("offers", GLOB, "A tool that the request offers.",
             lambda s: s.asked.tools_offered if s.asked is not None else None, "body", 3, _opaque, selectivity=8),
    MatchKey("tool_result", GLOB, "A tool whose result stands after the last assistant message.",
             lambda s: s.asked.tool_results if s.asked is not None else None, "body", 2, _unnamed, selectivity=19,
             is_variable=True),
    MatchKey("message", GLOB, "Text of the newest user message, as a whole: *word* finds a word.",
             lambda s: _one(s.asked.message) if s.asked is not None else None, "body", 8, _said_unread,
             holds_prose=True, alternatives=_inputs),
    MatchKey("prompt", GLOB, "Text of the system prompt, as a whole: *word* finds a word.",
             lambda s: _one(s.asked.prompt) if s.asked is not None else None, "body", 9, _opaque, holds_prose=True),
    MatchKey("header", globs_by("header", header_name, fold=True), "Request headers.",
             lambda s, name: s.headers.get(name.lower()), "head", 4, selectivity=11),
    MatchKey("body", fields_by("field"), "Fields of the JSON body by dotted path; -1 is the last item.",
             _body, "body", 6, selectivity=10, number=_compared(lambda s, path: s.body(path)),
             examples=({"metadata.team": "blue", "messages": ">20"},)),
    MatchKey("result", fields_by("tool"), "Newest results of tools, by name or NAME.FIELD (a dotted path).",
             _result, "body", 7, _unnamed, number=_compared(lambda s, name: s.tool_result(name)),
             examples=({"web_search.count": ">0"},)),
)  # fmt: skip

_SINGLE = frozenset((
    "process.exe", "process.argv", "process.cwd", "process.user", "proxy_user", "host", "provider", "operation",
    "model", "stream", "agent", "subagent", "message", "prompt",
))  # fmt: skip

BY_NAME: dict[str, MatchKey] = {key.name: key for key in MATCH_KEYS}
