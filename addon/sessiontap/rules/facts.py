"""The facts of one call: `Facts`, as far as they are known, and `KnownFacts`, the form in which rules ask for them.

Every fact that a `match` key looks at is a tuple of texts (a process has several names, a request offers several
tools), or None. `match_keys.py` has the table from keys to facts.

A fact can be missing for three reasons: it is absent (the request has no such header), unknown (the process was not
found), or yet to come with the request. Its `FactSource` tells which of them are possible.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from sessiontap.callers import Caller
from sessiontap.exchange import Request
from sessiontap.gateways.urls import origin
from sessiontap.llm.call import Asked, Call
from sessiontap.llm.inputs import Inputs, inputs_of
from sessiontap.llm.tool_values import ToolValue, ToolValues, tool_values
from sessiontap.value_classes import dataclass

OPAQUE = "other"
"""The wire family of all that has none of its own."""
Texts = tuple[str, ...]
FactSource = Literal["connection", "process", "head", "top", "body"]
"""The source of a fact: the connection, its process, the request's head, or its body. `top`: the part of a body that
holds the fact as a whole."""


@dataclass(frozen=True, slots=True)
class Facts:
    """`request` and `call` are None while only the connection is known (see `Rules.connection`)."""

    host: str | None
    caller: Caller | None = None
    is_remote: bool = False
    """The client is on another machine, so no rule can mean its process. Else a caller of None is unknown."""
    client_ip: str | None = None
    proxy_user: str | None = None
    provider: str | None = None
    request: Request | None = None
    """As the app sent it; its body None if it streams through."""
    call: Call | None = None
    time: int | None = None
    """The time of the call, Unix nanoseconds, for `${date}`. None is now."""
    client_is_local: bool = False
    """The client is certainly on this machine (`trust.is_local`)."""
    exposed: str | None = "it is not known how the call travels"
    """The reason why a key of the proxy's may not travel to `host` (`trust.why_exposed`); None: it may."""


class KnownFacts:
    """The facts of one call, normalised."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.request_known = facts.request is not None or facts.call is not None

    @cached_property
    def answers(self) -> dict[int, Mapping[str, str] | None]:
        """Identity of a condition that takes time -> its answer, once it was asked."""
        return {}

    @cached_property
    def may_hold(self) -> dict[tuple[int, bool], bool | None]:
        """The same for `may`, and what that was asked."""
        return {}

    @cached_property
    def process_unknown(self) -> bool:
        """There is a process on this machine, and it was not found."""
        return self.facts.caller is None and not self.facts.is_remote

    @cached_property
    def body_unknown(self) -> bool:
        """The request has a body, or may have, and not all of it could be read: it streams, is damaged, too large, or
        no JSON."""
        request, call = self.facts.request, self.facts.call
        if not self.request_known:
            return False
        if request is not None and request.body is not None and not request.body:
            return False
        return call is None or call.json is None or call.partial or call.misread

    @cached_property
    def body_opaque(self) -> bool:
        """The body is JSON of a kind whose messages and tools are not read here: batches, threads, moderations, ..."""
        call = self.facts.call
        if call is None or call.json is None:
            return False
        return call.endpoint.family == OPAQUE or not isinstance(call.json, dict)

    @cached_property
    def inputs(self) -> Inputs:
        """The texts that the request is about if it is no conversation."""
        return inputs_of(self.facts.call) if self.facts.call is not None else Inputs()

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
    def origin(self) -> str | None:
        """`https://HOST`, as the app asked for it; the port with it if it is not the usual one."""
        request, host = self.facts.request, self.host
        return origin(request.scheme, host, request.port) if request is not None and host is not None else None

    @cached_property
    def path(self) -> str | None:
        return self.facts.request.path if self.facts.request is not None else None

    @cached_property
    def route(self) -> str | None:
        """`METHOD /path`."""
        request = self.facts.request
        return f"{request.method.upper()} {request.path}" if request is not None else None

    @cached_property
    def route_segments(self) -> dict[str, str]:
        """The segments of the path for which the endpoint's own pattern has `{name}`."""
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
        """The value at a dotted path (`messages.-1.role`) of the JSON body, None if there is none."""
        return _at(self.facts.call.json, path) if self.facts.call is not None else None

    @cached_property
    def _tool_values(self) -> ToolValues:
        return tool_values(self.facts.call) if self.facts.call is not None else ToolValues()

    def tool_result(self, name: str) -> Any:
        """The newest result of a tool, by its name: its text; behind a further dot a field of it, if it is JSON."""
        return _of_tool(self._tool_values.results, name)

    def tool_call(self, name: str) -> Any:
        """The same of the arguments of the newest call of a tool."""
        return _of_tool(self._tool_values.calls, name)


def _of_tool(values: Mapping[str, ToolValue], name: str) -> Any:
    """The text of a tool's value, or a field of it; None if there is none. A tool's own name may have dots."""
    if (whole := values.get(name)) is not None:
        return whole.text
    steps = name.split(".")
    for length in range(1, len(steps)):
        if (value := values.get(".".join(steps[:length]))) is not None:
            path = ".".join(steps[length:])
            return next((found for one in value.values if (found := _at(one, path)) is not None), None)
    return None


def _at(value: Any, path: str) -> Any:
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
