"""An agent's session as Claude Code has it: what is sent and what comes back, turn by turn, the same on every run.

Every request holds the whole history, then some 20 KB of system prompt and 60 KB of tools, in compact JSON; two
`cache_control` marks move with the history's end, and the billing line of the system prompt is another each time. A
turn adds what the model said, its tool call, and the tool's result, 2.6 KB together: 200 turns grow to 620 KB. Replies
are server-sent events, compressed on the wire, an event in a chunk of its own. All text is Python source, which
compresses like real prompts do.
"""

from __future__ import annotations

import json
import os
import random
import uuid
import zlib
from functools import cache
from pathlib import Path
from typing import Any

HOST = "api.anthropic.com"
TARGET = "/v1/messages?beta=true"
SESSION = "5f1c7e9a-2b64-4c38-9d0e-7a1b3c5d7e9f"
MODEL = "claude-opus-4-5-20251101"
TOOLS = (
    "Task", "TaskOutput", "Bash", "Glob", "Grep", "ExitPlanMode", "Read", "Edit", "Write", "NotebookEdit", "WebFetch",
    "TodoWrite", "WebSearch", "KillShell", "AskUserQuestion", "Skill", "EnterPlanMode",
)  # fmt: skip
HEADERS = [
    ("Host", HOST), ("Accept", "application/json"), ("X-Stainless-Retry-Count", "0"), ("X-Stainless-Timeout", "600"),
    ("X-Stainless-Lang", "js"), ("X-Stainless-Package-Version", "0.70.0"), ("X-Stainless-OS", "Linux"),
    ("X-Stainless-Arch", "x64"), ("X-Stainless-Runtime", "node"), ("X-Stainless-Runtime-Version", "v24.3.0"),
    ("anthropic-dangerous-direct-browser-access", "true"), ("anthropic-version", "2023-06-01"),
    ("authorization", "Bearer sk-ant-oat01-" + "benchbench" * 8), ("x-app", "cli"),
    ("User-Agent", "claude-cli/2.1.0 (external, cli)"), ("content-type", "application/json"),
    ("anthropic-beta", "oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27"),
    ("X-Claude-Code-Session-Id", SESSION), ("Connection", "keep-alive"), ("accept-language", "*"),
    ("sec-fetch-mode", "cors"), ("Accept-Encoding", "gzip, deflate"),
]  # fmt: skip


@cache
def source() -> str:
    """Some megabytes of Python."""
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:150]
    return "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)


@cache
def _fixed() -> tuple[list[dict[str, Any]], str]:
    """Tools and system prompt."""
    text = source()
    tools = []
    for number, name in enumerate(TOOLS):
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {key: {"type": "string", "description": f"The {key} to use"} for key in ("path", "text")},
            "required": ["path"],
            "additionalProperties": False,
        }
        described = text[30_000 + number * 3_100 :][:3_000]
        tools.append({"name": name, "description": described, "input_schema": schema})
    return tools, text[:20_000]


class _Turn:
    """What is said in one turn."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        text, at = source(), 100_000 + number * 2_300
        self.said = text[at : at + 300]
        self.input = {"path": f"/srv/project/src/module_{number}.py", "text": text[at + 300 : at + 420]}
        self.result = text[at + 420 : at + 2_300]
        self.tool = self.chance.choice(TOOLS)
        self.message_id = f"msg_01{self.chance.getrandbits(110):022x}"[:28]
        self.tool_id = f"toolu_01{self.chance.getrandbits(110):022x}"[:30]
        self.request_id = f"req_011C{self.chance.getrandbits(100):020x}"[:28]


_turn = cache(_Turn)


def request(number: int) -> bytes:
    """The body of request `number`, counted from 0."""
    tools, system = _fixed()
    cached = {"cache_control": {"type": "ephemeral"}}
    asked: list[dict[str, Any]] = [
        {"type": "text", "text": "<system-reminder>\nToday is Saturday.\n</system-reminder>"},
        {"type": "text", "text": "Make the tests pass."},
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": asked}]
    for before in map(_turn, range(number)):
        use = {"type": "tool_use", "id": before.tool_id, "name": before.tool, "input": before.input}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": before.said}, use]})
        result = {"tool_use_id": before.tool_id, "type": "tool_result", "content": before.result}
        messages.append({"role": "user", "content": [result]})
    for message in messages[-3::2]:  # the last two of the user
        message["content"][-1] = message["content"][-1] | cached
    user = {"device_id": "8f" * 32, "account_uuid": str(uuid.UUID(int=7)), "session_id": SESSION}
    mark = f"{random.Random(number).getrandbits(20):05x}"
    billing = f"x-anthropic-billing-header: cc_version=2.1.0.a1b; cc_entrypoint=cli; cch={mark};"
    body = {
        "model": MODEL,
        "messages": messages,
        "system": [
            {"type": "text", "text": billing},
            {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."} | cached,
            {"type": "text", "text": system} | cached,
        ],
        "tools": tools,
        "metadata": {"user_id": json.dumps(user, separators=(",", ":"))},
        "max_tokens": 32_000,
        "thinking": {"type": "enabled", "budget_tokens": 31_999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": True,
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def events(number: int) -> list[bytes]:
    """The events of the reply to request `number`."""
    turn = _turn(number)
    usage = {
        "input_tokens": 3, "cache_creation_input_tokens": 800 + turn.chance.randrange(100),
        "cache_read_input_tokens": 20_000 + number * 850, "service_tier": "standard",
        "cache_creation": {"ephemeral_5m_input_tokens": 800, "ephemeral_1h_input_tokens": 0}, "output_tokens": 8,
    }  # fmt: skip
    message: dict[str, Any] = {
        "model": MODEL, "id": turn.message_id, "type": "message", "role": "assistant", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    use = {"type": "tool_use", "id": turn.tool_id, "name": turn.tool, "input": {}}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, (block, kind, name, text) in enumerate((
        ({"type": "text", "text": ""}, "text_delta", "text", turn.said),
        (use, "input_json_delta", "partial_json", json.dumps(turn.input)),
    )):  # fmt: skip
        found.append({"type": "content_block_start", "index": index, "content_block": block})
        if index == 0:
            found.append({"type": "ping"})
        at = 0
        while at < len(text):
            piece = text[at : at + turn.chance.randrange(3, 25)]
            at += len(piece)
            found.append({"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}})
        found.append({"type": "content_block_stop", "index": index})
    total = {"output_tokens": 160 + turn.chance.randrange(40)}
    found.append({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": total})
    found.append({"type": "message_stop"})
    return [
        f"event: {one['type']}\ndata: {json.dumps(one, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
        for one in found
    ]


def reply_head(number: int) -> bytes:
    """Status line and headers of the reply to request `number`."""
    chance = random.Random(number)
    limits = "".join(
        f"anthropic-ratelimit-{what}-limit: {most}\r\n"
        f"anthropic-ratelimit-{what}-remaining: {most - 1000 * chance.randrange(9)}\r\n"
        f"anthropic-ratelimit-{what}-reset: 2026-11-21T08:{number // 60 % 60:02}:{number % 60:02}Z\r\n"
        for what, most in (("input-tokens", 2_000_000), ("output-tokens", 400_000), ("requests", 40_000))
    )
    return (
        f"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 08:{number // 60 % 60:02}:{number % 60:02} GMT\r\n"
        "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"
        f"Cache-Control: no-cache\r\n{limits}request-id: {_turn(number).request_id}\r\n"
        "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
        "anthropic-organization-id: 00000000-0000-4000-8000-000000000007\r\n"
        f"server: cloudflare\r\nx-envoy-upstream-service-time: {chance.randrange(900, 4000)}\r\n"
        f"cf-cache-status: DYNAMIC\r\nX-Robots-Tag: none\r\nCF-RAY: {chance.getrandbits(64):016x}-FRA\r\n"
        "Content-Encoding: gzip\r\n\r\n"
    ).encode()


def reply_chunks(number: int) -> list[bytes]:
    """The reply's body as HTTP chunks: an event in each, gzipped and flushed."""
    packer = zlib.compressobj(wbits=31)
    found = []
    for event in events(number):
        found.append(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH))
    found[-1] += packer.flush()
    return [b"%x\r\n%s\r\n" % (len(one), one) for one in found] + [b"0\r\n\r\n"]


def turn_of(body: bytes) -> int:
    """Which request `body` is."""
    return body.count(b'{"role":"assistant"')
