"""Plain values to ask the rules about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

from sessiontap.callers import Caller, Process
from sessiontap.exchange import Headers, Request
from sessiontap.llm.call import Agent, Asked, Call, Endpoint
from sessiontap.rules import Decision, Facts, FilledSettings, Rules, SessionFacts, decide, finish, load_text

SESSION = SessionFacts(id="0b8f9c1e-run", name="Course", step=3)

CALLER = Caller(
    id="1c7f6f5a-0000-5000-8000-000000000000",
    pid=4711,
    started=1_700_000_000_000_000_000,
    name="bot.py",
    names=("python3", "bot.py"),
    exe="/usr/bin/python3.13",
    argv=("python3", "/srv/bots/bot.py", "--fast"),
    cwd="/srv/bots",
    user="ann",
    uid=1000,
    ancestors=(Process(4000, "make", None, ("make",)), Process(1, "systemd", None)),
    env={"RUN_ID": "run-2025-01", "EMPTY": ""},
)

SEARCHED_FOR = '{"query":"bread","depth":2}'

BODY = {
    "model": "openai/gpt-4o",
    "metadata": {"team": "blue", "size": 3, "ok": True},
    "stop": ["END", "STOP"],
    "messages": [
        {"role": "system"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "function": {"name": "web_search", "arguments": SEARCHED_FOR}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"count": 7, "hits": [{"title": "Rye"}]}'},
        {"role": "user"},
    ],
}


def request(method: str = "POST", target: str = "/v1/chat/completions?beta=true&v=1") -> Request:
    fields = [("X-Team", "Blue"), ("x-team", "Green"), ("User-Agent", "OpenAI/Python 1.60")]
    return Request(method, "api.openai.com", target, Headers(fields), json.dumps(BODY).encode())


def call(**asked: Any) -> Call:
    known: dict[str, Any] = {
        "model": "openai/gpt-4o",
        "stream": True,
        "tools_offered": ("web_search", "write_file"),
        "tool_results": ("read_file", "web_search"),
        "message": "Please deploy\nticket 42 now",
        "prompt": "You plan courses. Be brief.",
    }
    endpoint = Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions")
    return Call(endpoint, Asked(**{**known, **asked}), Agent("claude-code", subagent="general-purpose"), json=BODY)


def facts(**given: Any) -> Facts:
    """A call of which everything is known, but for what is given otherwise."""
    known: dict[str, Any] = {
        "host": "API.OpenAI.com",
        "caller": CALLER,
        "client_ip": "127.0.0.1",
        "proxy_user": "ci",
        "provider": "openai",
        "request": request(),
        "call": call(),
        "time": 1_735_689_600_000_000_000,
        "client_is_local": True,
        "exposed": None,
    }
    return Facts(**{**known, **given})


NOTHING_KNOWN = Facts(host=None)


def load(text: str) -> Rules:
    return load_text(dedent(text), "rules.yaml")


def one_rule(**keys: Any) -> Rules:
    """A file of one rule, given as plain values."""
    return load_text(json.dumps({"rules": [keys]}), "rules.yaml")


def outcome(
    rules: Rules, given: Facts, proxy_env: Mapping[str, str] | None = None, session: SessionFacts = SESSION
) -> tuple[Decision, FilledSettings]:
    decision, matched = decide(rules, given, proxy_env or {})
    return decision, finish(matched, given, session, proxy_env or {})


def matches(match: Any, given: Facts) -> bool:
    """Return True if a rule with this `match` matches."""
    return outcome(one_rule(match=match, user="hit"), given)[1].user == "hit"
