"""Known clients: how they are recognised and where they put their own session, thread and sub-agent. (docs/agents.md)

`AGENTS` is read from the top; the first client of which one sign holds is the one. A sign must be unmistakable: names
that anybody may use (`session-id`, `x-session-id`, `prompt_cache_key`) are sources of a client that is already
recognised, never signs. Sources are tried in order; the first that gives a usable id wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sessiontap.exchange import Headers
from sessiontap.llm.call import Agent
from sessiontap.llm.pick import dig, parse, text

LONGEST_ID = 256
UNTYPED = "subagent"
"""A sub-agent that does not say its type."""
_SPAWNED = "collab_spawn"
"""What Codex says of every sub-agent that its agents begin."""
KINDLESS = (UNTYPED, _SPAWNED)
"""Words that say no more than that it is a sub-agent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client's rows look at: header names in lower case, and the parsed body."""

    headers: dict[str, str]
    body: Any


Source = Callable[[Seen], str | None]
Sign = Callable[[Seen], bool]


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    signs: tuple[Sign, ...]
    session: tuple[Source, ...] = ()
    thread: tuple[Source, ...] = ()
    parent_thread: tuple[Source, ...] = ()
    subagent: tuple[Source, ...] = ()
    of_run: Sign | None = None
    """See `Agent.of_run`."""


def agent_of(headers: Headers, body: Any = None) -> Agent | None:
    """The known client that sent this, or None. `body` is the request's parsed JSON."""
    lowered: dict[str, str] = {}
    for name, value in headers:
        lowered.setdefault(name.lower(), value)
    seen = Seen(lowered, body)
    # Of the signs, only those can hold whose header is there: a handful of some thirty.
    places = {place for name in lowered if name in _BY_HEADER for place, sign in _BY_HEADER[name] if sign(seen)}
    places.update(place for place, sign in _BY_BODY if sign(seen))
    if not places:
        return None
    client = AGENTS[min(places)]
    return Agent(
        name=client.name,
        session=_first(seen, client.session),
        thread=_first(seen, client.thread),
        parent_thread=_first(seen, client.parent_thread),
        subagent=_first(seen, client.subagent),
        of_run=client.of_run is not None and client.of_run(seen),
    )


def usable(value: object) -> str | None:
    """`value` as an id: a string of 1 to 256 printable characters, else None."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if value and len(value) <= LONGEST_ID and value.isprintable() else None


def _first(seen: Seen, sources: Iterable[Source]) -> str | None:
    return next((found for source in sources if (found := usable(source(seen)))), None)


# Signs and sources -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeaderSign:
    """A sign that one header gives, so that a request without the header need not be asked."""

    name: str
    begins: re.Pattern[str]

    def __call__(self, seen: Seen) -> bool:
        value = seen.headers.get(self.name)
        return value is not None and self.begins.match(value) is not None


def sends(name: str, pattern: str = "") -> HeaderSign:
    """The header is there and its value begins as the pattern says, whatever the case."""
    return HeaderSign(name, re.compile(pattern, re.IGNORECASE))


def header(name: str) -> Source:
    return lambda seen: seen.headers.get(name)


def field(*path: str) -> Source:
    return lambda seen: text(seen.body, *path)


def in_json(source: Source, *path: str) -> Source:
    """A field of JSON that stands in a header or a string."""

    def find(seen: Seen) -> str | None:
        value = source(seen)
        return text(parse(value)[0], *path) if value and value.startswith("{") else None

    return find


def where(condition: Sign, source: Source) -> Source:
    return lambda seen: source(seen) if condition(seen) else None


def unless(condition: Sign, source: Source) -> Source:
    return lambda seen: None if condition(seen) else source(seen)


def always(value: str) -> Source:
    return lambda seen: value


def has(source: Source) -> Sign:
    return lambda seen: bool(source(seen))


# Claude Code: `metadata.user_id` is a JSON string, formerly user_<hash>_account_<uuid or nothing>_session_<uuid>

_USER_ID = re.compile(r"user_[0-9a-f]+_account_[0-9a-f-]*_session_([0-9a-f-]{36})")


def _claude_user_id(seen: Seen) -> str | None:
    value = text(seen.body, "metadata", "user_id")
    if value is None:
        return None
    if value.startswith("{"):
        user, _ = parse(value)
        return text(user, "session_id") if dig(user, "device_id") is not None else None
    found = _USER_ID.fullmatch(value)
    return found[1] if found else None


# OpenAI Agents SDK: the key is made of what the app groups its runs by, else of the run (run_internal/prompt_cache_key)

_GROUPED = re.compile(r"agents-sdk:(conversation|session|group|run):(.+)")


def _agents_sdk_key(seen: Seen) -> str | None:
    found = _GROUPED.fullmatch(text(seen.body, "prompt_cache_key") or "")
    return found[2] if found else None


def _is_run(seen: Seen) -> bool:
    found = _GROUPED.fullmatch(text(seen.body, "prompt_cache_key") or "")
    return found is not None and found[1] == "run"


_CLAUDE_MAIN = sends("x-claude-code-request-class", "main$")
_CODEX_TURN = (header("x-codex-turn-metadata"), field("client_metadata", "x-codex-turn-metadata"))
_CODEX_PARENT = (
    header("x-codex-parent-thread-id"),
    field("client_metadata", "x-codex-parent-thread-id"),
    *(in_json(turn, "parent_thread_id") for turn in _CODEX_TURN),
)
_CODEX_KIND = (header("x-openai-subagent"), field("client_metadata", "x-openai-subagent"))
_CODEX_CHILD: Sign = lambda seen: any(source(seen) for source in _CODEX_PARENT)  # noqa: E731
_CODEX_SPAWNED: Sign = lambda seen: _first(seen, _CODEX_KIND) == _SPAWNED  # noqa: E731


def last_level(source: Source) -> Source:
    """The last level of a path: Codex's agents are called `/root/<task>/<task>`."""

    def find(seen: Seen) -> str | None:
        value = source(seen)
        return value.rstrip("/").rpartition("/")[2] if value else None

    return find


_CODEX_NAME = tuple(last_level(in_json(turn, "agent_name")) for turn in _CODEX_TURN)

AGENTS: tuple[Client, ...] = (
    Client(
        "claude-code",
        signs=(sends("x-claude-code-session-id"), sends("user-agent", "claude-(cli|code)/"), has(_claude_user_id)),
        session=(header("x-claude-code-session-id"), _claude_user_id),
        thread=(header("x-claude-code-agent-id"),),
        parent_thread=(header("x-claude-code-parent-agent-id"),),
        subagent=(
            unless(_CLAUDE_MAIN, header("x-claude-code-agent-type")),
            where(sends("x-claude-code-request-class", "subagent$"), always(UNTYPED)),
            unless(_CLAUDE_MAIN, where(has(header("x-claude-code-agent-id")), always(UNTYPED))),
        ),
    ),
    Client(
        "codex",
        signs=(sends("user-agent", "codex[ _/-]"), sends("originator", "codex([ _/-]|$)")),
        session=(
            header("session-id"),
            header("session_id"),
            field("client_metadata", "session_id"),
            *(in_json(turn, "session_id") for turn in _CODEX_TURN),
            header("conversation_id"),
            field("prompt_cache_key"),
        ),
        thread=(
            header("thread-id"),
            field("client_metadata", "thread_id"),
            *(in_json(turn, "thread_id") for turn in _CODEX_TURN),
            header("conversation_id"),
        ),
        parent_thread=_CODEX_PARENT,
        subagent=(
            *(where(_CODEX_SPAWNED, name) for name in _CODEX_NAME),
            *_CODEX_KIND,
            *(where(_CODEX_CHILD, name) for name in _CODEX_NAME),
            where(_CODEX_CHILD, always(UNTYPED)),
        ),
    ),
    Client(
        "opencode",
        signs=(
            sends("x-opencode-session-id"),
            sends("x-opencode-session"),
            sends("user-agent", ".*opencode/"),
            sends("originator", "opencode$"),
        ),
        # A sub-agent has a session of its own; the one that it works for is the session.
        session=(
            header("x-parent-session-id"),
            header("x-opencode-session-id"),
            header("x-opencode-session"),
            header("x-session-id"),
            header("session-id"),
            header("x-session-affinity"),
            field("prompt_cache_key"),
        ),
        thread=(
            header("x-opencode-session-id"),
            header("x-opencode-session"),
            header("x-session-id"),
            header("session-id"),
            header("x-session-affinity"),
        ),
        parent_thread=(header("x-parent-session-id"),),
        subagent=(where(has(header("x-parent-session-id")), always(UNTYPED)),),
    ),
    Client(
        "gemini-cli",
        signs=(sends("user-agent", "GeminiCLI[-/]"), sends("x-gemini-api-privileged-user-id")),
        session=(field("request", "session_id"),),
    ),
    Client(
        "copilot-cli",
        signs=(
            sends("user-agent", "(github-?)?copilot(-?cli)?/"),
            sends("copilot-integration-id", ".*cli"),
            sends("x-agent-task-id"),
        ),
        session=(header("x-client-session-id"), field("prompt_cache_key")),
        thread=(header("x-agent-task-id"),),
        parent_thread=(header("x-parent-agent-id"),),
        subagent=(where(has(header("x-parent-agent-id")), always(UNTYPED)),),
    ),
    Client(
        "grok-cli",
        signs=(sends("x-grok-session-id"), sends("x-grok-conv-id")),
        session=(header("x-grok-session-id"), header("x-grok-conv-id")),
        thread=(header("x-grok-conv-id"),),
    ),
    Client("amp", signs=(sends("x-amp-thread-id"),), session=(header("x-amp-thread-id"),)),
    Client(
        "pi",
        signs=(sends("user-agent", r"pi([ /(]|$)"), sends("originator", "pi$")),
        session=(header("session-id"), header("session_id"), field("prompt_cache_key")),
    ),
    Client("cline", signs=(sends("user-agent", "cline/"),), session=(header("x-task-id"),)),
    Client(
        "openai-agents",
        signs=(
            has(_agents_sdk_key),
            sends("user-agent", "Agents/(Python|JavaScript)"),
        ),
        session=(_agents_sdk_key,),
        of_run=_is_run,
    ),
)

_BY_HEADER: dict[str, list[tuple[int, Sign]]] = {}
"""Header name -> the signs that look at it, each with its client's place."""
_BY_BODY: list[tuple[int, Sign]] = []

for _place, _client in enumerate(AGENTS):
    for _sign in _client.signs:
        (_BY_HEADER.setdefault(_sign.name, []) if isinstance(_sign, HeaderSign) else _BY_BODY).append((_place, _sign))
