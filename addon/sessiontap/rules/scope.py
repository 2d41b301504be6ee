"""The facts of one call in the shape in which rules ask for them, each worked out once and only when asked for.

Every fact that a `match` key looks at is a tuple of texts (a process has several names, a request offers several
tools), None if there is none. `FACTS` and `NAMED_FACTS` are the tables from match keys to facts.

A fact that is not there is one of three: absent (the request has no such header), unknown (nobody can say which process
it is), or yet to come with the request. `Source` says of each fact which of them it can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sessiontap.llm.call import Asked
from sessiontap.rules.facts import Facts

Texts = tuple[str, ...]
Source = Literal["connection", "process", "head", "top", "body"]
"""What tells a fact: the connection itself, a look at its process, the request's head, or its body as well, of which
`top` is a part that holds the fact whole."""


class Scope:
    """The facts of one call, normalised."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.request_known = facts.request is not None or facts.call is not None

    @cached_property
    def process_unknown(self) -> bool:
        """There is a process on this machine, and nobody can say which."""
        return self.facts.caller is None and not self.facts.is_remote

    @cached_property
    def body_unknown(self) -> bool:
        """The request has a body, or may have, and not all of it could be read: it streams past, is damaged, or too
        large, or is no JSON."""
        request, call = self.facts.request, self.facts.call
        if not self.request_known:
            return False
        if request is not None and request.body is not None and not request.body:
            return False
        return call is None or call.json is None or call.partial or call.misread

    @cached_property
    def results_unnamed(self) -> bool:
        """The request carries results of tools whose names it does not say."""
        return self.asked is not None and any(name is None for _, name in self.asked.results)

    @cached_property
    def host(self) -> str | None:
        return self.facts.host.lower().rstrip(".") if self.facts.host else None

    @cached_property
    def names(self) -> Texts | None:
        """Every name of the calling process."""
        caller = self.facts.caller
        if caller is None:
            return None
        names = caller.names
        if caller.name is not None and caller.name not in names:
            names = (caller.name, *names)
        return names or None

    @cached_property
    def argv(self) -> str | None:
        caller = self.facts.caller
        return " ".join(caller.argv) if caller is not None and caller.argv else None

    @cached_property
    def asked(self) -> Asked | None:
        return self.facts.call.asked if self.facts.call is not None else None

    @cached_property
    def provider(self) -> str | None:
        call = self.facts.call
        return (call.endpoint.provider if call is not None else None) or self.facts.provider

    @cached_property
    def operation(self) -> str | None:
        return self.facts.call.endpoint.operation if self.facts.call is not None else None

    @cached_property
    def model(self) -> str | None:
        call = self.facts.call
        return None if call is None else call.asked.model or call.endpoint.model

    @cached_property
    def agent(self) -> str | None:
        call = self.facts.call
        return call.agent.name if call is not None and call.agent is not None else None

    @cached_property
    def subagent(self) -> str | None:
        call = self.facts.call
        return call.subagent if call is not None else None

    @cached_property
    def route(self) -> str | None:
        """`METHOD /path`."""
        request = self.facts.request
        return f"{request.method.upper()} {request.path}" if request is not None else None

    @cached_property
    def route_segments(self) -> dict[str, str]:
        """What stands in the path where the endpoint's own pattern has `{name}`."""
        request, call = self.facts.request, self.facts.call
        if request is None or call is None or "{" not in call.endpoint.route:
            return {}
        pieces = re.split(r"\{(\w+)\}", call.endpoint.route)
        pattern = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
        match = re.fullmatch(pattern, request.path)
        return match.groupdict() if match is not None else {}

    @cached_property
    def headers(self) -> dict[str, Texts]:
        """Lower-case name -> values."""
        fields: dict[str, Texts] = {}
        for name, value in self.facts.request.headers if self.facts.request is not None else ():
            name = name.lower()
            fields[name] = (*fields.get(name, ()), value)
        return fields

    @cached_property
    def query(self) -> dict[str, Texts]:
        fields: dict[str, Texts] = {}
        for name, value in self.facts.request.query if self.facts.request is not None else ():
            fields[name] = (*fields.get(name, ()), value)
        return fields

    def body(self, path: str) -> Any:
        """The value at a dotted path (`messages.-1.role`) of the JSON body, None where there is none."""
        value = self.facts.call.json if self.facts.call is not None else None
        for step in path.split("."):
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and re.fullmatch(r"-?[0-9]{1,9}", step):
                position = int(step)
                value = value[position] if -len(value) <= position < len(value) else None
            else:
                return None
        return value


def scalar_text(value: Any) -> str | None:
    """A JSON scalar as text (strings as they are, `true`, `1.5`), None for null, lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


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


def _never(scope: Scope) -> bool:
    return False


def _process_unsure(scope: Scope) -> bool:
    return scope.process_unknown


def _body_unsure(scope: Scope) -> bool:
    return scope.body_unknown


_UNSURE: dict[Source, Callable[[Scope], bool]] = {
    "connection": _never,
    "process": _process_unsure,
    "head": _never,
    "top": _never,
    "body": _body_unsure,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """How a match key finds what it looks at. `cost` orders the checks of a rule: the cheap ones come first."""

    get: Callable[[Scope], Texts | None]
    source: Source
    cost: int
    also_unsure: Callable[[Scope], bool] = _never

    def unsure(self, scope: Scope) -> bool:
        """There may be texts that `get` does not give."""
        return _UNSURE[self.source](scope) or self.also_unsure(scope)


@dataclass(frozen=True, slots=True)
class NamedFact:
    """The same for keys that are maps, such as `header: {NAME: glob}`."""

    get: Callable[[Scope, str], Texts | None]
    source: Source
    cost: int
    also_unsure: Callable[[Scope], bool] = _never

    def unsure(self, scope: Scope) -> bool:
        """As `Fact.unsure`."""
        return _UNSURE[self.source](scope) or self.also_unsure(scope)


def _unread(scope: Scope) -> bool:
    return scope.request_known and scope.facts.call is None


def _of_body(get: Callable[[Scope], Texts | None], cost: int) -> Fact:
    """What a body says once at most: if it was found, the rest of the body says no other."""
    return Fact(get, "top", cost, lambda scope: get(scope) is None and scope.body_unknown)


def _unnamed(scope: Scope) -> bool:
    return scope.results_unnamed


def _of_process(get: Callable[[Scope], Texts | None], cost: int) -> Fact:
    """What the system may withhold of a process that is known."""
    return Fact(get, "process", cost, lambda scope: scope.facts.caller is not None and get(scope) is None)


FACTS: dict[str, Fact] = {
    "host": Fact(lambda s: _one(s.host), "connection", 1, lambda s: s.host is None),
    "client": Fact(lambda s: _one(s.facts.client_ip), "connection", 4, lambda s: s.facts.client_ip is None),
    "proxy_user": Fact(lambda s: _one(s.facts.proxy_user), "connection", 1),
    "process.name": _of_process(lambda s: s.names, 2),
    "process.exe": _of_process(_caller(lambda c: c.exe), 3),
    "process.argv": _of_process(lambda s: _one(s.argv), 4),
    "process.cwd": _of_process(_caller(lambda c: c.cwd), 3),
    "process.user": _of_process(_caller(lambda c: c.user), 1),
    "process.ancestor": Fact(_ancestors, "process", 4),
    "route": Fact(lambda s: _one(s.route), "head", 3),
    "provider": Fact(lambda s: _one(s.provider), "head", 1, _unread),
    "operation": Fact(lambda s: _one(s.operation), "head", 1, _unread),
    "model": _of_body(lambda s: _one(s.model), 1),
    "stream": _of_body(_stream, 1),
    "agent": Fact(lambda s: _one(s.agent), "body", 1),
    "subagent": Fact(lambda s: _one(s.subagent), "body", 1),
    "offers": Fact(lambda s: s.asked.tools_offered if s.asked is not None else None, "body", 3),
    "tool_result": Fact(lambda s: s.asked.tool_results if s.asked is not None else None, "body", 2, _unnamed),
    "message": Fact(lambda s: _one(s.asked.message) if s.asked is not None else None, "body", 8),
    "prompt": Fact(lambda s: _one(s.asked.prompt) if s.asked is not None else None, "body", 9),
}


def _env(scope: Scope, name: str) -> Texts | None:
    return _one(scope.facts.caller.env.get(name)) if scope.facts.caller is not None else None


def _env_unread(scope: Scope) -> bool:
    return scope.facts.caller is not None and scope.facts.caller.env_unread


def _body(scope: Scope, path: str) -> Texts | None:
    value = scope.body(path)
    texts = tuple(scalar_text(item) for item in value) if isinstance(value, list) else (scalar_text(value),)
    return tuple(text for text in texts if text is not None) or None


NAMED_FACTS: dict[str, NamedFact] = {
    "process.env": NamedFact(_env, "process", 3, _env_unread),
    "query": NamedFact(lambda s, name: s.query.get(name), "head", 4),
    "header": NamedFact(lambda s, name: s.headers.get(name.lower()), "head", 4),
    "body": NamedFact(_body, "body", 6),
}
