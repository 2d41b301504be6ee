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
from sessiontap.rules.kinds import (
    GLOB,
    Flag,
    ListOf,
    MapOf,
    TextOf,
    ValueKind,
    globs_by,
    header_name,
    one_or_more,
    operation_pattern,
)
from sessiontap.rules.match_patterns import client_pattern, host_pattern, path_pattern, route_pattern
from sessiontap.rules.scope import FactSource, Scope, Texts, scalar_text


def _never(scope: Scope) -> bool:
    return False


def _process_unsure(scope: Scope) -> bool:
    return scope.process_unknown


def _body_unsure(scope: Scope) -> bool:
    return scope.body_unknown


_UNSURE: dict[FactSource, Callable[[Scope], bool]] = {
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
    """Takes the scope, and the name if its kind is a map. Returns the texts that it looks at; None: not known."""
    source: FactSource
    cost: int
    """Orders the checks of a rule: the cheap ones come first."""
    also_unsure: Callable[[Scope], bool] = _never
    """There may be further texts, though the source is known."""
    selectivity: int = 0
    """A rule stands in the index of its most selective key; 0: the key has no index."""
    index_get: Callable[[Scope], Texts | None] | None = None
    """The texts that the index looks up, if they are not those of `get`."""
    is_variable: bool = False
    """The text that matched is the template variable of this name."""
    holds_prose: bool = False
    """Its text is long: a glob without a star is probably a slip."""
    names_clients: bool = False
    """It tells clients apart that are on other machines."""
    examples: tuple[Any, ...] = ()

    @property
    def is_map(self) -> bool:
        return isinstance(self.kind, MapOf)

    def unsure(self, scope: Scope) -> bool:
        """True if there may be texts that `get` does not give."""
        return _UNSURE[self.source](scope) or self.also_unsure(scope)


def _one(value: str | None) -> Texts | None:
    return None if value is None else (value,)


def _caller(get: Callable[[Any], str | None]) -> Callable[[Scope], Texts | None]:
    return lambda scope: _one(get(scope.facts.caller)) if scope.facts.caller is not None else None


def _ancestors(scope: Scope) -> Texts | None:
    caller = scope.facts.caller
    if caller is None:
        return None
    return tuple(name for process in caller.ancestors for name in dict.fromkeys((process.name, *process.names)))


def _stream(scope: Scope) -> Texts | None:
    asked = scope.asked
    return None if asked is None or asked.stream is None else (str(asked.stream).lower(),)


def _route_or_path(scope: Scope) -> Texts | None:
    """A route is indexed by its path if it names no method."""
    return None if scope.route is None else (scope.route, scope.route.partition(" ")[2])


def _env(scope: Scope, name: str) -> Texts | None:
    return _one(scope.facts.caller.env.get(name)) if scope.facts.caller is not None else None


def _env_unread(scope: Scope) -> bool:
    return scope.facts.caller is not None and scope.facts.caller.env_unread


def _body(scope: Scope, path: str) -> Texts | None:
    value = scope.body(path)
    texts = tuple(scalar_text(item) for item in value) if isinstance(value, list) else (scalar_text(value),)
    return tuple(text for text in texts if text is not None) or None


def _unread(scope: Scope) -> bool:
    return scope.request_known and scope.facts.call is None


def _unnamed(scope: Scope) -> bool:
    return scope.results_unnamed


def _of_process(
    name: str, kind: ValueKind, doc: str, get: Callable[[Scope], Texts | None], cost: int, selectivity: int = 0
) -> MatchKey:
    """A fact that the system may withhold of a process that is known."""
    unsure: Callable[[Scope], bool] = lambda scope: scope.facts.caller is not None and get(scope) is None  # noqa: E731
    return MatchKey(f"process.{name}", kind, doc, get, "process", cost, unsure, selectivity)


def _of_body(
    name: str, kind: ValueKind, doc: str, get: Callable[[Scope], Texts | None], selectivity: int = 0, **more: Any
) -> MatchKey:
    """A fact that a body holds once at most: if it was found, the rest of the body says no other."""
    unsure: Callable[[Scope], bool] = lambda scope: get(scope) is None and scope.body_unknown  # noqa: E731
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
             lambda s: s.asked.tools_offered if s.asked is not None else None, "body", 3, selectivity=8),
    MatchKey("tool_result", GLOB, "A tool whose result stands after the last assistant message.",
             lambda s: s.asked.tool_results if s.asked is not None else None, "body", 2, _unnamed, selectivity=19,
             is_variable=True),
    MatchKey("message", GLOB, "Text of the newest user message, as a whole: *word* finds a word.",
             lambda s: _one(s.asked.message) if s.asked is not None else None, "body", 8, holds_prose=True),
    MatchKey("prompt", GLOB, "Text of the system prompt, as a whole: *word* finds a word.",
             lambda s: _one(s.asked.prompt) if s.asked is not None else None, "body", 9, holds_prose=True),
    MatchKey("header", globs_by("header", header_name, fold=True), "Request headers.",
             lambda s, name: s.headers.get(name.lower()), "head", 4, selectivity=11),
    MatchKey("body", globs_by("field"), "Fields of the JSON body by dotted path; -1 is the last item.",
             _body, "body", 6, selectivity=10),
)  # fmt: skip

BY_NAME: dict[str, MatchKey] = {key.name: key for key in MATCH_KEYS}
