"""Templates and their variables: `${name}`, `${a.b}`, `${name:-default}`, `${pick(a,b)}`; `$$` is a dollar.

If a value is missing and has no default, the template renders to None, never to half a text. An empty value counts as
missing. A default is a template itself. The captures of a rule's own `match` (named groups, `route.NAME`, the tool of
`tool_result`) come before the tables of variables.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath

from sessiontap.callers import Caller
from sessiontap.llm.call import Asked
from sessiontap.rules.decision import SessionFacts
from sessiontap.rules.facts import KnownFacts, scalar_text
from sessiontap.rules.match_patterns import NOTHING, Captures
from sessiontap.rules.problems import BadValue, closest, quoted


@dataclass(slots=True)
class TemplateContext:
    """The values that a template is filled in from."""

    known: KnownFacts
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
        caller = context.known.facts.caller
        value = get(caller) if caller is not None else None
        return None if value is None else str(value)

    return text


def _session(get: Callable[[SessionFacts], object]) -> Callable[[TemplateContext, str], str | None]:
    return lambda context, _: None if context.session is None else str(get(context.session))


def _date(context: TemplateContext, _: str) -> str:
    moment = context.known.facts.time
    return datetime.fromtimestamp(time.time() if moment is None else moment / 1e9, UTC).strftime("%Y-%m-%d")


def _asked(get: Callable[[Asked], str | None]) -> Callable[[TemplateContext, str], str | None]:
    return lambda context, _: get(context.known.asked) if context.known.asked is not None else None


def _tool_result(context: TemplateContext, _: str) -> str | None:
    asked = context.known.asked
    return asked.tool_results[0] if asked is not None and asked.tool_results else None


VARIABLES: dict[str, Variable] = {
    "process.name": Variable("the calling process's name; an interpreter's is its script's", _caller(lambda c: c.name)),
    "process.pid": Variable("its process id", _caller(lambda c: c.pid)),
    "process.user": Variable("the user it runs as", _caller(lambda c: c.user)),
    "process.cwd": Variable("its working folder", _caller(lambda c: c.cwd)),
    "process.exe": Variable("its executable", _caller(lambda c: c.exe)),
    "cwd.name": Variable("the last part of its folder", _caller(lambda c: PurePath(c.cwd).name if c.cwd else None)),
    "host": Variable("the destination host as the app asked for it", lambda c, _: c.known.host),
    "origin": Variable("scheme, host and port as the app asked for them: https://HOST", lambda c, _: c.known.origin),
    "path": Variable("the request's path, without its query", lambda c, _: c.known.path),
    "provider": Variable("the provider", lambda c, _: c.known.provider),
    "operation": Variable("what is asked for: chat, embeddings, ...", lambda c, _: c.known.operation),
    "model": Variable("the requested model", lambda c, _: c.known.model),
    "agent": Variable("the known client: claude-code, codex, ...", lambda c, _: c.known.agent),
    "subagent": Variable("its sub-agent's type", lambda c, _: c.known.subagent),
    "tool_result": Variable("the tool that the rule matched by, else the first whose result is sent", _tool_result),
    "message": Variable("the newest user message", _asked(lambda asked: asked.message)),
    "prompt": Variable("the system prompt", _asked(lambda asked: asked.prompt)),
    "proxy_user": Variable("the user name in HTTPS_PROXY", lambda c, _: c.known.facts.proxy_user),
    "client.ip": Variable("the client's address", lambda c, _: c.known.facts.client_ip),
    "session.id": Variable("the session's id", _session(lambda s: s.id), of_session=True),
    "session.name": Variable("the session's name", _session(lambda s: s.name), of_session=True),
    "session.step": Variable("the call's number in its session, from 0", _session(lambda s: s.step), of_session=True),
    "date": Variable("the day, UTC, as 2025-01-31", _date),
}


def _env(context: TemplateContext, key: str) -> str | None:
    caller = context.known.facts.caller
    return caller.env.get(key) if caller is not None else None


def _header(context: TemplateContext, key: str) -> str | None:
    values = context.known.headers.get(key.lower())
    return values[0] if values else None


FAMILIES: dict[str, Variable] = {
    "env": Variable("a variable of the calling process's environment as it was started", _env),
    "proxy_env": Variable("a variable of the proxy's own environment, for keys", lambda c, key: c.proxy_env.get(key)),
    "route": Variable("a captured segment of the path", lambda c, key: c.known.route_segments.get(key)),
    "header": Variable("a request header", _header),
    "body": Variable("a field of the JSON body, dotted", lambda c, key: scalar_text(c.known.body(key))),
    "tool_result": Variable(
        "the newest result of a tool, by name; behind a further dot a field of it, dotted",
        lambda c, key: scalar_text(c.known.tool_result(key)),
    ),
    "tool_call": Variable(
        "the arguments of the newest call of a tool, by name; behind a further dot a field of them, dotted",
        lambda c, key: scalar_text(c.known.tool_call(key)),
    ),
}


def pick(options: tuple[str, ...], session: SessionFacts | None) -> str | None:
    """One of `options`, always the same for a session id."""
    if session is None:
        return None
    digest = hashlib.sha256(session.id.encode("utf-8", "replace")).digest()
    return options[int.from_bytes(digest[:8]) % len(options)]


EXPECTED = "${name}, ${name:-default} or ${pick(a,b)}; a plain dollar is $$"

MAX_NESTING = 20
"""Defaults within defaults."""

_PICK = re.compile(r"\$\{\s*+pick\(([^()]*+)\)\s*+\}")
_HEAD = re.compile(r"\$\{\s*+([^${}:()\s]++)\s*+(:-|\})")
"""Possessive: none of their parts could stand for another's text, and nothing is tried twice."""
_PLAIN = re.compile(r"[^$}]++|[$}]")

MAX_TEXT = 4096
"""Characters of a rendered text: more would be refused as a header by most servers."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `${...}`."""

    name: str
    default: Template | None = None
    options: tuple[str, ...] = ()
    """Of `pick`."""
    variable: Variable | None = field(init=False, repr=False, compare=False)
    """The table's entry, None for what only a rule's own match can give."""
    key: str = field(init=False, repr=False, compare=False)
    """The text behind the first dot."""

    def __post_init__(self) -> None:
        family, dot, key = self.name.partition(".")
        object.__setattr__(self, "variable", VARIABLES.get(self.name) or (FAMILIES.get(family) if dot else None))
        object.__setattr__(self, "key", key)

    @property
    def of_session(self) -> bool:
        """It is known only once the session is."""
        return bool(self.options) or (self.variable is not None and self.variable.of_session)

    def get(self, context: TemplateContext) -> str | None:
        if self.options:
            return pick(self.options, context.session)
        got = context.captures.get(self.name)
        if got is None and self.variable is not None:
            got = self.variable.get(context, self.key)
        return got or (self.default.render(context) if self.default is not None else None)


@dataclass(frozen=True, slots=True)
class Template:
    text: str
    """As written in the file."""
    parts: tuple[str | Placeholder, ...]

    def pieces(self, context: TemplateContext) -> list[tuple[str, bool]] | None:
        """The rendered parts, each with whether it is a value, or None if one is missing."""
        out = []
        for part in self.parts:
            got = part if isinstance(part, str) else part.get(context)
            if got is None:
                return None
            out.append((got, not isinstance(part, str)))
        return out

    def render(self, context: TemplateContext) -> str | None:
        pieces = self.pieces(context)
        return None if pieces is None else "".join(piece for piece, _ in pieces)

    def values(self) -> Iterator[Placeholder]:
        """Every `${...}` in it, those in defaults too."""
        for part in self.parts:
            if isinstance(part, Placeholder):
                yield part
                if part.default is not None:
                    yield from part.default.values()

    def names(self, family: str) -> set[str]:
        """The text behind the dot of every value of a family: `names("env")`."""
        prefix = family + "."
        return {value.name.removeprefix(prefix) for value in self.values() if value.name.startswith(prefix)}

    @property
    def is_secret(self) -> bool:
        """It says something of the proxy's own environment."""
        return bool(self.names("proxy_env"))


def printable(text: str) -> str:
    """`text` without control characters and lone surrogates."""
    return text if text.isprintable() else UNPRINTABLE.sub("", text)


def parse_template(text: str) -> Template:
    """Raises `BadValue` for what is no template; whether its variables exist is `check_name`'s to say."""
    if not text.strip():
        raise BadValue("nothing stands here", "text")
    return Template(text, _parse(text, 0, depth=0)[0])


def check_name(value: Placeholder, captured: frozenset[str]) -> None:
    """Raises `BadValue` if `value` is neither a variable nor one of `captured`, the captures of the rule's match."""
    if value.options or value.name in captured or value.variable is not None:
        return
    known = [*VARIABLES, *(f"{family}." for family in FAMILIES), "pick(a,b)", *sorted(captured)]
    family, _, rest = value.name.partition(".")
    guess = closest(value.name, [*VARIABLES, *captured])
    if rest and (near := closest(family, FAMILIES)):
        guess = f"{near}.{rest}"
    shown = ", ".join(name + "X" if name.endswith(".") else name for name in known)
    expected = f"one of {shown} or a named group of the rule's match"
    raise BadValue(f"unknown variable {quoted(value.name)}", expected, guess)


def _parse(text: str, position: int, depth: int) -> tuple[tuple[str | Placeholder, ...], int]:
    """Up to the end of the text, or of the default that a `}` closes."""
    parts: list[str | Placeholder] = []
    plain: list[str] = []
    while position < len(text):
        if text.startswith("$$", position):
            plain.append("$")
            position += 2
        elif text.startswith("${", position):
            value, position = _parse_value(text, position, depth)
            parts += ["".join(plain), value] if plain else [value]
            plain = []
        elif depth and text[position] == "}":
            break
        else:
            run = _PLAIN.match(text, position)
            assert run is not None
            plain.append(run[0])
            position = run.end()
    if plain:
        parts.append("".join(plain))
    return tuple(parts), position


def _parse_value(text: str, start: int, depth: int) -> tuple[Placeholder, int]:
    chosen = _PICK.match(text, start)
    if chosen is not None:
        options = tuple(option.strip() for option in chosen[1].split(","))
        if not all(options):
            raise BadValue(f"{quoted(chosen[0])} has an empty choice", EXPECTED)
        return Placeholder(f"pick({','.join(options)})", options=options), chosen.end()
    head = _HEAD.match(text, start)
    if head is None or not all(head[1].split(".")):
        raise BadValue(f"{quoted(text[start : start + 100])} is no variable", EXPECTED)
    if head[2] == "}":
        return Placeholder(head[1]), head.end()
    if depth == MAX_NESTING:
        raise BadValue(f"{quoted(text)} has more than {MAX_NESTING} defaults within defaults", EXPECTED)
    parts, end = _parse(text, head.end(), depth + 1)
    if end == len(text):
        raise BadValue(f"{quoted(text[start : start + 100])} is not closed", "a closing brace")
    return Placeholder(head[1], Template(text[head.end() : end], parts)), end + 1
