"""The variables of templates: name -> what it says of a call. Unknown and empty values are None.

What a rule's own `match` captured (named groups, `route.NAME`, the tool of `tool_result`) comes before this table.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

from sessiontap.callers import Caller
from sessiontap.rules.decision import SessionFacts
from sessiontap.rules.patterns import NOTHING, Captures
from sessiontap.rules.scope import Scope, scalar_text


@dataclass(slots=True)
class TemplateContext:
    """The values that a template is filled in from."""

    scope: Scope
    proxy_env: Mapping[str, str]
    session: SessionFacts | None = None
    captures: Captures = NOTHING


@dataclass(frozen=True, slots=True)
class Variable:
    """`get` takes the context and, for a family (`env.X`), what stands behind the dot."""

    doc: str
    get: Callable[[TemplateContext, str], str | None]
    of_session: bool = False
    """Known only once the session is: not in `session.name` and `session.id`."""


def _caller(get: Callable[[Caller], object]) -> Callable[[TemplateContext, str], str | None]:
    def text(context: TemplateContext, _: str) -> str | None:
        caller = context.scope.facts.caller
        value = get(caller) if caller is not None else None
        return None if value is None else str(value)

    return text


def _session(get: Callable[[SessionFacts], object]) -> Callable[[TemplateContext, str], str | None]:
    return lambda context, _: None if context.session is None else str(get(context.session))


def _date(context: TemplateContext, _: str) -> str:
    moment = context.scope.facts.time
    return datetime.fromtimestamp(time.time() if moment is None else moment / 1e9, UTC).strftime("%Y-%m-%d")


def _tool_result(context: TemplateContext, _: str) -> str | None:
    asked = context.scope.asked
    return asked.tool_results[0] if asked is not None and asked.tool_results else None


VARIABLES: dict[str, Variable] = {
    "process.name": Variable("the calling process's name; an interpreter's is its script's", _caller(lambda c: c.name)),
    "process.pid": Variable("its process id", _caller(lambda c: c.pid)),
    "process.user": Variable("the user it runs as", _caller(lambda c: c.user)),
    "process.cwd": Variable("its working folder", _caller(lambda c: c.cwd)),
    "process.exe": Variable("its executable", _caller(lambda c: c.exe)),
    "cwd.name": Variable("the last part of its folder", _caller(lambda c: PurePath(c.cwd).name if c.cwd else None)),
    "host": Variable("the destination host as the app asked for it", lambda c, _: c.scope.host),
    "provider": Variable("the provider", lambda c, _: c.scope.provider),
    "operation": Variable("what is asked for: chat, embeddings, ...", lambda c, _: c.scope.operation),
    "model": Variable("the requested model", lambda c, _: c.scope.model),
    "agent": Variable("the known client: claude-code, codex, ...", lambda c, _: c.scope.agent),
    "subagent": Variable("its sub-agent's type", lambda c, _: c.scope.subagent),
    "tool_result": Variable("the tool that the rule matched by, else the first whose result is sent", _tool_result),
    "proxy_user": Variable("the user name in HTTPS_PROXY", lambda c, _: c.scope.facts.proxy_user),
    "client.ip": Variable("the client's address", lambda c, _: c.scope.facts.client_ip),
    "session.id": Variable("the session's id", _session(lambda s: s.id), of_session=True),
    "session.name": Variable("the session's name", _session(lambda s: s.name), of_session=True),
    "session.step": Variable("the call's number in its session, from 0", _session(lambda s: s.step), of_session=True),
    "date": Variable("the day, UTC, as 2025-01-31", _date),
}


def _env(context: TemplateContext, key: str) -> str | None:
    caller = context.scope.facts.caller
    return caller.env.get(key) if caller is not None else None


def _header(context: TemplateContext, key: str) -> str | None:
    values = context.scope.headers.get(key.lower())
    return values[0] if values else None


FAMILIES: dict[str, Variable] = {
    "env": Variable("a variable of the calling process's environment as it was started", _env),
    "proxy_env": Variable("a variable of the proxy's own environment, for keys", lambda c, key: c.proxy_env.get(key)),
    "route": Variable("a captured segment of the path", lambda c, key: c.scope.route_segments.get(key)),
    "header": Variable("a request header", _header),
    "body": Variable("a field of the JSON body, dotted", lambda c, key: scalar_text(c.scope.body(key))),
}


def pick(options: tuple[str, ...], session: SessionFacts | None) -> str | None:
    """One of `options`, always the same for a session id."""
    if session is None:
        return None
    digest = hashlib.sha256(session.id.encode("utf-8", "replace")).digest()
    return options[int.from_bytes(digest[:8]) % len(options)]
