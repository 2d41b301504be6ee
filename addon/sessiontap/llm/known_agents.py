"""The agents that are known by what they send. (docs/agents.md)"""

from __future__ import annotations

import re

from sessiontap.llm.agent_signs import (
    UNTYPED,
    AgentRequest,
    KnownAgent,
    Sign,
    always,
    field,
    first_usable,
    has,
    header,
    in_json,
    last_level,
    only_if,
    sends,
    unless,
)
from sessiontap.llm.pick import dig, parse, text

# Claude Code: `metadata.user_id` is a JSON string, formerly user_<hash>_account_<uuid or nothing>_session_<uuid>

_USER_ID = re.compile(r"user_[0-9a-f]+_account_[0-9a-f-]*_session_([0-9a-f-]{36})")


def _claude_user_id(request: AgentRequest) -> str | None:
    value = text(request.body, "metadata", "user_id")
    if value is None:
        return None
    if value.startswith("{"):
        user, _ = parse(value)
        return text(user, "session_id") if dig(user, "device_id") is not None else None
    found = _USER_ID.fullmatch(value)
    return found[1] if found else None


# OpenAI Agents SDK: the key is made of what the app groups its runs by, else of the run (run_internal/prompt_cache_key)

_GROUPED = re.compile(r"agents-sdk:(conversation|session|group|run):(.+)")


def _agents_sdk_key(request: AgentRequest) -> str | None:
    found = _GROUPED.fullmatch(text(request.body, "prompt_cache_key") or "")
    return found[2] if found else None


def _is_run(request: AgentRequest) -> bool:
    found = _GROUPED.fullmatch(text(request.body, "prompt_cache_key") or "")
    return found is not None and found[1] == "run"


# pi: at OpenAI's API it does not say its name. Its session manager makes a UUIDv7, and the SDK for JavaScript sends it
# under two names. Others that are built on pi's library have ids of their own form; Codex says its name.

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _is_pi_at_openai(request: AgentRequest) -> bool:
    session = request.headers.get("session_id")
    return (
        session is not None
        and session == request.headers.get("x-client-request-id")
        and _UUID7.fullmatch(session) is not None
        and request.headers.get("user-agent", "").startswith("OpenAI/JS ")
        and "originator" not in request.headers
    )


_CLAUDE_MAIN = sends("x-claude-code-request-class", "main$")
_CODEX_TURN = (header("x-codex-turn-metadata"), field("client_metadata", "x-codex-turn-metadata"))
_CODEX_PARENT = (
    header("x-codex-parent-thread-id"),
    field("client_metadata", "x-codex-parent-thread-id"),
    *(in_json(turn, "parent_thread_id") for turn in _CODEX_TURN),
)
_SPAWNED = "collab_spawn"
"""Codex's word for every sub-agent that its agents begin."""
_CODEX_KIND = (header("x-openai-subagent"), field("client_metadata", "x-openai-subagent"))
_CODEX_CHILD: Sign = lambda request: any(source(request) for source in _CODEX_PARENT)  # noqa: E731
_CODEX_SPAWNED: Sign = lambda request: first_usable(request, _CODEX_KIND) == _SPAWNED  # noqa: E731
# Codex's agents are called `/root/<task>/<task>`.
_CODEX_NAME = tuple(last_level(in_json(turn, "agent_name")) for turn in _CODEX_TURN)

# If a provider serves other agents alone, Hermes Agent takes their names: Codex's, and that of a Claude Code 0.1.0.

_HERMES_AS_CLAUDE = r"claude-code/0\.1\.0$"

AGENTS: tuple[KnownAgent, ...] = (
    KnownAgent(
        "hermes",
        signs=(
            sends("user-agent", "hermes-?agent/"),
            sends("user-agent", r"codex_cli_rs/\S+ \(Hermes Agent\)"),
            sends("user-agent", _HERMES_AS_CLAUDE),
            sends("http-referer", r"https://hermes-agent\.nousresearch\.com"),
        ),
        session=(header("session_id"), header("x-grok-conv-id")),
    ),
    KnownAgent(
        "claude-code",
        signs=(sends("x-claude-code-session-id"), sends("user-agent", "claude-(cli|code)/"), has(_claude_user_id)),
        session=(header("x-claude-code-session-id"), _claude_user_id),
        thread=(header("x-claude-code-agent-id"),),
        parent_thread=(header("x-claude-code-parent-agent-id"),),
        subagent=(
            unless(_CLAUDE_MAIN, header("x-claude-code-agent-type")),
            only_if(sends("x-claude-code-request-class", "subagent$"), always(UNTYPED)),
            unless(_CLAUDE_MAIN, only_if(has(header("x-claude-code-agent-id")), always(UNTYPED))),
        ),
    ),
    KnownAgent(
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
            *(only_if(_CODEX_SPAWNED, name) for name in _CODEX_NAME),
            *_CODEX_KIND,
            *(only_if(_CODEX_CHILD, name) for name in _CODEX_NAME),
            only_if(_CODEX_CHILD, always(UNTYPED)),
        ),
        untyped_words=(_SPAWNED,),
    ),
    KnownAgent(
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
        subagent=(only_if(has(header("x-parent-session-id")), always(UNTYPED)),),
        beside_session_id=("x-opencode-session-id", "x-opencode-session", "x-session-affinity"),
    ),
    KnownAgent(
        "gemini-cli",
        signs=(sends("user-agent", "GeminiCLI[-/]"), sends("x-gemini-api-privileged-user-id")),
        session=(field("request", "session_id"),),
    ),
    KnownAgent(
        "copilot-cli",
        signs=(
            sends("user-agent", "(github-?)?copilot(-?cli)?/"),
            sends("copilot-integration-id", ".*cli"),
            sends("x-agent-task-id"),
        ),
        session=(header("x-client-session-id"), field("prompt_cache_key")),
        thread=(header("x-agent-task-id"),),
        parent_thread=(header("x-parent-agent-id"),),
        subagent=(only_if(has(header("x-parent-agent-id")), always(UNTYPED)),),
    ),
    KnownAgent(
        "grok-cli",
        signs=(sends("x-grok-session-id"),),  # the conversation's id is a part of xAI's API, for anybody
        session=(header("x-grok-session-id"), header("x-grok-conv-id")),
        thread=(header("x-grok-conv-id"),),
    ),
    KnownAgent("amp", signs=(sends("x-amp-thread-id"),), session=(header("x-amp-thread-id"),)),
    KnownAgent(
        "pi",
        signs=(sends("user-agent", r"pi([ /(]|$)"), sends("originator", "pi$"), _is_pi_at_openai),
        session=(header("session-id"), header("session_id"), field("prompt_cache_key")),
    ),
    KnownAgent("cline", signs=(sends("user-agent", "cline/"),), session=(header("x-task-id"),)),
    KnownAgent(
        "openai-agents",
        signs=(
            has(_agents_sdk_key),
            sends("user-agent", "Agents/(Python|JavaScript)"),
        ),
        session=(_agents_sdk_key,),
        of_run=_is_run,
    ),
    KnownAgent(
        "qwen-code",
        signs=(sends("user-agent", "QwenCode/"), sends("x-dashscope-useragent", "QwenCode/")),
        session=(field("metadata", "sessionId"),),
    ),
    KnownAgent(
        "kimi-cli",
        signs=(sends("user-agent", "KimiCLI/"), sends("x-msh-platform", "kimi_cli$")),
        session=(field("prompt_cache_key"),),
    ),
    KnownAgent(
        "kimi-code",
        signs=(sends("user-agent", "kimi-code-cli/"), sends("x-msh-platform", "kimi_code_cli$")),
        session=(field("prompt_cache_key"), field("metadata", "user_id")),
    ),
    KnownAgent(
        "goose",
        signs=(
            sends("goose-session-id"),
            sends("agent-session-id", r"\d{8}_\d+$"),
            sends("http-referer", r"https://(goose-docs\.ai|block\.github\.io/goose|github\.com/block/goose)"),
        ),
        session=(header("agent-session-id"), header("goose-session-id")),
    ),
    KnownAgent("crush", signs=(sends("user-agent", "Charm-Crush/"),)),
    KnownAgent(
        "openclaw",
        signs=(sends("http-referer", r"https://openclaw\.ai"),),
        session=(header("session_id"), header("x-session-affinity")),
    ),
    KnownAgent("qoder", signs=(sends("cosy-clienttype", "[56]$"),), session=(header("x-session-id"),)),
    KnownAgent("droid", signs=(sends("user-agent", "factory-cli/"),), session=(header("x-session-id"),)),
)
