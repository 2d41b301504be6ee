from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sessiontap.exchange import Headers
from sessiontap.llm.agents import AGENTS, agent_of
from sessiontap.llm.call import Agent

UUID7 = "019aa4c8-9480-7000-8706-050403020100"
UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
TURN = json.dumps({"turn_id": "t", "thread_id": "child", "agent_name": "reviewer"})

CASES: dict[str, tuple[dict[str, str], Any, Agent]] = {
    "claude code": (
        {"User-Agent": "claude-cli/2.1.0 (external, cli)", "X-Claude-Code-Session-Id": "s1"},
        {},
        Agent("claude-code", session="s1"),
    ),
    "claude code, main by its own word": (
        {"x-claude-code-session-id": "s1", "x-claude-code-request-class": "main", "x-claude-code-agent-type": "x"},
        {},
        Agent("claude-code", session="s1"),
    ),
    "claude code, a sub-agent's sub-agent": (
        {
            "x-claude-code-session-id": "s1",
            "x-claude-code-agent-id": "a2",
            "x-claude-code-agent-type": "general-purpose",
            "x-claude-code-request-class": "subagent",
            "x-claude-code-parent-agent-id": "a1",
        },
        {},
        Agent("claude-code", "s1", "a2", "a1", "general-purpose"),
    ),
    "claude code, a sub-agent of unknown type": (
        {"x-claude-code-session-id": "s1", "x-claude-code-request-class": "subagent"},
        {},
        Agent("claude-code", "s1", subagent="subagent"),
    ),
    "claude code 2.1.197, a sub-agent: an id alone says so": (
        {"X-Claude-Code-Session-Id": "s1", "x-claude-code-agent-id": "a1"},
        {},
        Agent("claude-code", "s1", "a1", subagent="subagent"),
    ),
    "claude code, its settings and policies": ({"User-Agent": "claude-code/2.1.197"}, None, Agent("claude-code")),
    "claude code, by user id alone": (
        {},
        {"metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": UUID})}},
        Agent("claude-code", session=UUID),
    ),
    "claude code, older user id": (
        {},
        {"metadata": {"user_id": f"user_0123abcdef_account__session_{UUID}"}},
        Agent("claude-code", session=UUID),
    ),
    "codex": (
        {"User-Agent": "codex_cli_rs/0.169.0 (Linux)", "session-id": "s", "thread-id": "t"},
        {"prompt_cache_key": "k"},
        Agent("codex", session="s", thread="t"),
    ),
    "codex, older": (
        {"originator": "codex_exec", "session_id": "s", "conversation_id": "c"},
        {},
        Agent("codex", session="s", thread="c"),
    ),
    "codex, over a web socket": (
        {"originator": "codex_cli_rs"},
        {"client_metadata": {"session_id": "s", "thread_id": "t"}},
        Agent("codex", session="s", thread="t"),
    ),
    "codex, reviewing": (
        {"originator": "codex_cli_rs", "session-id": "s", "thread-id": "child", "x-openai-subagent": "review"},
        {},
        Agent("codex", session="s", thread="child", subagent="review"),
    ),
    "codex, an agent that another began": (
        {"originator": "codex_cli_rs", "session-id": "s", "thread-id": "child", "x-openai-subagent": "collab_spawn"},
        {"client_metadata": {"x-codex-turn-metadata": '{"agent_name": "/root/look/deeper"}'}},
        Agent("codex", session="s", thread="child", subagent="deeper"),
    ),
    "codex, an agent that another began, which does not say its name": (
        {"originator": "codex_cli_rs", "session-id": "s", "thread-id": "child", "x-openai-subagent": "collab_spawn"},
        {},
        Agent("codex", session="s", thread="child", subagent="collab_spawn"),
    ),
    "codex, a child thread": (
        {
            "originator": "codex_cli_rs",
            "session-id": "s",
            "x-codex-parent-thread-id": "t",
            "x-codex-turn-metadata": TURN,
        },
        {},
        Agent("codex", "s", "child", "t", "reviewer"),
    ),
    "opencode": (
        {"user-agent": "opencode/1.18.0", "x-session-id": "ses_1", "x-session-affinity": "ses_1"},
        {},
        Agent("opencode", session="ses_1", thread="ses_1"),
    ),
    "opencode, a sub-agent": (
        {"x-opencode-session-id": "ses_2", "x-parent-session-id": "ses_1"},
        {},
        Agent("opencode", "ses_1", "ses_2", "ses_1", "subagent"),
    ),
    "gemini cli with an api key": (
        {"user-agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)"},
        {"contents": []},
        Agent("gemini-cli"),
    ),
    "gemini cli with a login": (
        {"user-agent": "GeminiCLI/0.61.0"},
        {"model": "m", "request": {"session_id": "s"}},
        Agent("gemini-cli", session="s"),
    ),
    "copilot cli": (
        {"copilot-integration-id": "copilot-developer-cli", "x-client-session-id": "s"},
        {},
        Agent("copilot-cli", session="s"),
    ),
    "grok cli": ({"x-grok-session-id": "s", "x-grok-conv-id": "c"}, {}, Agent("grok-cli", session="s", thread="c")),
    "amp": ({"X-Amp-Thread-Id": "T-1"}, {}, Agent("amp", session="T-1")),
    "pi": ({"originator": "pi", "session-id": "s"}, {}, Agent("pi", session="s")),
    "pi at OpenAI": (
        {"User-Agent": "OpenAI/JS 6.26.0", "session_id": UUID7, "x-client-request-id": UUID7},
        {"prompt_cache_key": UUID7},
        Agent("pi", session=UUID7),
    ),
    "codex, with equal ids in pi's headers": (
        {"originator": "codex_cli_rs", "session_id": UUID7, "x-client-request-id": UUID7},
        {},
        Agent("codex", session=UUID7),
    ),
    "cline": ({"User-Agent": "Cline/3.1", "X-Task-ID": "17"}, {}, Agent("cline", session="17")),
    "hermes": ({"User-Agent": "HermesAgent/0.19.0"}, {}, Agent("hermes")),
    "hermes, by OpenRouter": (
        {"HTTP-Referer": "https://hermes-agent.nousresearch.com", "x-grok-conv-id": "s"},
        {},
        Agent("hermes", session="s"),
    ),
    "hermes, under Codex's name": (
        {"User-Agent": "codex_cli_rs/0.0.0 (Hermes Agent)", "originator": "codex_cli_rs", "session_id": "s"},
        {},
        Agent("hermes", session="s"),
    ),
    "hermes, under Claude Code's name": ({"User-Agent": "claude-code/0.1.0"}, {}, Agent("hermes")),
    "qwen code": ({"User-Agent": "QwenCode/0.24.4 (linux; x64)"}, {"model": "m"}, Agent("qwen-code")),
    "qwen code at DashScope": (
        {"User-Agent": "QwenCode/0.24.4 (linux; x64)", "X-DashScope-UserAgent": "QwenCode/0.24.4 (linux; x64)"},
        {"metadata": {"sessionId": "s", "promptId": "s########0"}},
        Agent("qwen-code", session="s"),
    ),
    "kimi cli": ({"User-Agent": "KimiCLI/1.52.0"}, {"prompt_cache_key": "s"}, Agent("kimi-cli", session="s")),
    "kimi code": (
        {"User-Agent": "kimi-code-cli/2.1.0", "X-Msh-Platform": "kimi_code_cli"},
        {"prompt_cache_key": "s"},
        Agent("kimi-code", session="s"),
    ),
    "kimi code, by Anthropic's messages": (
        {"User-Agent": "kimi-code-cli/2.1.0"},
        {"metadata": {"user_id": "s"}},
        Agent("kimi-code", session="s"),
    ),
    "goose": ({"agent-session-id": "20260712_49"}, {}, Agent("goose", session="20260712_49")),
    "goose, formerly": ({"goose-session-id": "20250907_3"}, {}, Agent("goose", session="20250907_3")),
    "goose, by OpenRouter": (
        {"HTTP-Referer": "https://goose-docs.ai", "X-Title": "goose", "agent-session-id": "x"},
        {},
        Agent("goose", session="x"),
    ),
    "crush": ({"User-Agent": "Charm-Crush/v0.96.1 (https://charm.land/crush)"}, {}, Agent("crush")),
    "openclaw": (
        {"HTTP-Referer": "https://openclaw.ai", "X-OpenRouter-Title": "OpenClaw", "session_id": "s"},
        {},
        Agent("openclaw", session="s"),
    ),
    "qoder": ({"Cosy-ClientType": "5", "X-Session-ID": "s"}, {}, Agent("qoder", session="s")),
    "droid": ({"User-Agent": "factory-cli/0.225.2", "x-session-id": "s"}, {}, Agent("droid", session="s")),
    "openai agents sdk, in a session of the app's": (
        {"User-Agent": "OpenAI/Python 3.52.0"},
        {"prompt_cache_key": "agents-sdk:session:0123456789abcdef"},
        Agent("openai-agents", session="0123456789abcdef"),
    ),
    "openai agents sdk": (
        {"User-Agent": "Agents/Python 0.9"},
        {"prompt_cache_key": "agents-sdk:run:abc"},
        Agent("openai-agents", session="abc", of_run=True),
    ),
}


@pytest.mark.parametrize(("headers", "body", "expected"), CASES.values(), ids=CASES)
def test_known_client(headers: dict[str, str], body: Any, expected: Agent) -> None:
    assert agent_of(Headers(headers.items()), body) == expected


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"User-Agent": "OpenAI/Python 1.99"}, {"prompt_cache_key": "k", "user": "u"}),
        ({"session-id": "s", "thread-id": "t"}, {}),
        ({"x-session-id": "s", "x-parent-session-id": "p"}, {}),
        ({"User-Agent": "python-httpx/0.28", "session_id": "s"}, {"session_id": "s"}),
        ({"User-Agent": "OpenAI/JS 6.26.0", "session_id": UUID7, "x-client-request-id": UUID7[::-1]}, {}),
        ({"User-Agent": "OpenAI/JS 6.26.0", "session_id": UUID, "x-client-request-id": UUID}, {}),
        ({"User-Agent": "OpenAI/Python 2.1", "session_id": UUID7, "x-client-request-id": UUID7}, {}),
        ({"User-Agent": "OpenAI/JS 6.26.0", "x-client-request-id": UUID7}, {"prompt_cache_key": UUID7}),
        ({"User-Agent": "OpenAI/JS 6.26.0", "originator": "x", "session_id": UUID7, "x-client-request-id": UUID7}, {}),
        ({"User-Agent": "pip/25.0"}, {}),
        ({}, {"prompt_cache_key": "agents-sdk:run"}),
        ({}, {"metadata": {"user_id": "user_1"}}),
        ({}, {"metadata": {"user_id": '{"session_id": "s"}'}}),
        ({}, None),
        ({}, ["a"]),
    ],
    ids=str,
)
def test_names_that_anybody_may_use_are_no_sign(headers: dict[str, str], body: Any) -> None:
    assert agent_of(Headers(headers.items()), body) is None


@pytest.mark.parametrize("session", ["x" * 257, "a\x00b", "a\r\nb", "a\u2028b", "   ", ""], ids=ascii)
def test_an_unusable_id_is_none(session: str) -> None:
    found = agent_of(Headers([("X-Claude-Code-Session-Id", session)]), None)
    assert found == Agent("claude-code")


def test_an_id_of_256_characters_is_usable() -> None:
    found = agent_of(Headers([("X-Claude-Code-Session-Id", "x" * 256)]), None)
    assert found is not None
    assert found.session == "x" * 256


def test_every_agent_is_listed_once_and_the_document_tells_of_it() -> None:
    names = [agent.name for agent in AGENTS]
    document = (Path(__file__).parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    heading, *told = re.findall(r"^\| `([\w-]+)` \|", document, re.MULTILINE)
    assert (heading, told) == ("agent", names)
    assert len(names) == len(set(names))
