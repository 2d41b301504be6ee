"""The facts of one call in the shape in which rules ask for them, each worked out once and only when asked for.

Every fact that a `match` key looks at is a tuple of texts (a process has several names, a request offers several
tools), None where it is not known. `FACTS` and `NAMED_FACTS` are the tables from match keys to facts.
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
Stage = Literal["connection", "request"]


class Scope:
    """The facts of one call, normalised."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.request_known = facts.request is not None or facts.call is not None

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


@dataclass(frozen=True, slots=True)
class Fact:
    """How a match key finds what it looks at. `cost` orders the checks of a rule: the cheap ones come first."""

    get: Callable[[Scope], Texts | None]
    stage: Stage
    cost: int


@dataclass(frozen=True, slots=True)
class NamedFact:
    """The same for keys that are maps, such as `header: {NAME: glob}`."""

    get: Callable[[Scope, str], Texts | None]
    stage: Stage
    cost: int


FACTS: dict[str, Fact] = {
    "host": Fact(lambda s: _one(s.host), "connection", 1),
    "client": Fact(lambda s: _one(s.facts.client_ip), "connection", 4),
    "proxy_user": Fact(lambda s: _one(s.facts.proxy_user), "connection", 1),
    "process.name": Fact(lambda s: s.names, "connection", 2),
    "process.exe": Fact(_caller(lambda c: c.exe), "connection", 3),
    "process.argv": Fact(lambda s: _one(s.argv), "connection", 4),
    "process.cwd": Fact(_caller(lambda c: c.cwd), "connection", 3),
    "process.user": Fact(_caller(lambda c: c.user), "connection", 1),
    "process.ancestor": Fact(_ancestors, "connection", 4),
    "route": Fact(lambda s: _one(s.route), "request", 3),
    "provider": Fact(lambda s: _one(s.provider), "request", 1),
    "operation": Fact(lambda s: _one(s.operation), "request", 1),
    "model": Fact(lambda s: _one(s.model), "request", 1),
    "stream": Fact(_stream, "request", 1),
    "agent": Fact(lambda s: _one(s.agent), "request", 1),
    "subagent": Fact(lambda s: _one(s.subagent), "request", 1),
    "offers": Fact(lambda s: s.asked.tools_offered if s.asked is not None else None, "request", 3),
    "tool_result": Fact(lambda s: s.asked.tool_results if s.asked is not None else None, "request", 2),
    "message": Fact(lambda s: _one(s.asked.message) if s.asked is not None else None, "request", 8),
    "prompt": Fact(lambda s: _one(s.asked.prompt) if s.asked is not None else None, "request", 9),
}


def _env(scope: Scope, name: str) -> Texts | None:
    return _one(scope.facts.caller.env.get(name)) if scope.facts.caller is not None else None


def _body(scope: Scope, path: str) -> Texts | None:
    value = scope.body(path)
    texts = tuple(scalar_text(item) for item in value) if isinstance(value, list) else (scalar_text(value),)
    return tuple(text for text in texts if text is not None) or None


NAMED_FACTS: dict[str, NamedFact] = {
    "process.env": NamedFact(_env, "connection", 3),
    "query": NamedFact(lambda s, name: s.query.get(name), "request", 4),
    "header": NamedFact(lambda s, name: s.headers.get(name.lower()), "request", 4),
    "body": NamedFact(_body, "request", 6),
}
