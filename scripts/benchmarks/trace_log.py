"""The trace log: how small it is, how quick to read, what it costs to write; each figure with what it is compared to.

    scripts/bench trace [--turns N]

The conversation is an agent's: every turn sends all of the history again with a tool's result of 2.4 KB more, to a
context of about 640 KB, and gets a streamed reply. The text is Python source, which compresses like real prompts do.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from sessiontap import trace
from sessiontap.callers import Caller
from sessiontap.exchange import Headers, Request, Response
from sessiontap.headers.edit import Edit
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.rules.decision import Decision, Labels
from sessiontap.sessions.session import Link, Session
from sessiontap.trace import Redactor, Writer
from sessiontap.trace.record import CallSeen, SeenBody, SeenRequest, SeenResponse, call_record, caller_record

INFO = {"pid": 1, "host": "bench", "sessiontap": "0", "mitmproxy": "0"}
START = 1_790_000_000 * 10**9
SECOND = 10**9
CALLER = Caller(id="0aa5b8a2-0000-5000-8000-000000000001", pid=4711, started=START, name="agent", cwd="/srv/project")
REQUEST_HEADERS = [
    ("host", "api.openai.com"), ("accept", "application/json"), ("content-type", "application/json"),
    ("user-agent", "OpenAI/JS 5.20.1"), ("x-stainless-lang", "js"), ("x-stainless-package-version", "5.20.1"),
    ("x-stainless-os", "Linux"), ("x-stainless-arch", "x64"), ("x-stainless-runtime", "node"),
    ("x-stainless-runtime-version", "v22.11.0"), ("x-stainless-retry-count", "0"), ("x-stainless-timeout", "600"),
    ("accept-language", "*"), ("sec-fetch-mode", "cors"), ("accept-encoding", "gzip, deflate"),
    ("authorization", "Bearer sk-proj-abcdefghijklmnopqrstuvwx0123456789"),
]  # fmt: skip
REPLY_HEADERS = [
    ("content-type", "text/event-stream; charset=utf-8"), ("openai-organization", "org-bench"),
    ("openai-version", "2020-10-01"), ("x-ratelimit-limit-requests", "10000"), ("x-ratelimit-limit-tokens", "30000000"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"), ("server", "cloudflare"),
    ("x-content-type-options", "nosniff"), ("cf-cache-status", "DYNAMIC"), ("alt-svc", 'h3=":443"; ma=86400'),
]  # fmt: skip
TOOLS = [f"{verb}_{what}" for verb in ("read", "write", "list", "search", "run") for what in ("file", "web", "notes")]


def source_text() -> str:
    """Some megabytes of Python, the same on every run with one Python."""
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:150]
    return "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)


def turns(count: int) -> list[tuple[bytes, bytes]]:
    """(request, streamed reply) of each turn."""
    text, chance = source_text(), random.Random(1)
    tools = [{"type": "function", "function": {"name": name, "description": text[:500]}} for name in TOOLS]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": text[:20_000]}, {"role": "user", "content": "Make the tests pass."}
    ]  # fmt: skip
    found, at = [], 100_000
    for _ in range(count):
        said, result = text[at : at + 400], text[at + 400 : at + 2_800]
        at += 2_800
        call = f"call_{chance.getrandbits(96):024x}"
        request = {"model": "gpt-5", "messages": messages, "tools": tools, "stream": True}
        found.append((json.dumps(request).encode(), stream(chance, said, call)))
        asked = {"id": call, "type": "function", "function": {"name": TOOLS[0], "arguments": "{}"}}
        messages.append({"role": "assistant", "content": said, "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": call, "content": result})
    return found


def stream(chance: random.Random, said: str, call: str) -> bytes:
    """A streamed reply that says `said` in pieces of five characters and calls a tool."""
    head = {"id": f"chatcmpl-{chance.getrandbits(96):024x}", "object": "chat.completion.chunk", "model": "gpt-5-2025"}
    tool = {"index": 0, "id": call, "type": "function", "function": {"name": TOOLS[0], "arguments": "{}"}}
    deltas: list[dict[str, Any]] = [{"content": said[at : at + 5]} for at in range(0, len(said), 5)]
    events = [head | {"choices": [{"index": 0, "delta": one}]} for one in (*deltas, {"tool_calls": [tool]})]
    events.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"


def seen(number: int, request_body: bytes, reply_body: bytes) -> CallSeen:
    """A turn as the proxy has it when the reply is over."""
    headers = Headers([*REQUEST_HEADERS, ("content-length", str(len(request_body)))])
    request = Request("POST", "api.openai.com", "/v1/chat/completions", headers, request_body)
    call = read_request(request, endpoint_of("POST", request.host, request.path, "openai"))
    reply_headers = Headers([*REPLY_HEADERS, ("x-request-id", f"req_{number:032x}"), ("date", f"second {number}")])
    reply = read_reply(call, request, Response(200, reply_headers, reply_body))
    session = Session("7d3c1a52-aaaa-5bbb-8ccc-000000000001", "Fix the tests", number, "process")
    names = ("Session-Id", session.id), ("Session-Name", session.name), ("Session-Path", "/agent")
    edits = [Edit("set", f"Helicone-{name}", None, value, "agent") for name, value in names]
    time = START + number * 10 * SECOND
    arrived = [(10**9 + at * 20_000_000, 170) for at in range(reply_body.count(b"\n\n"))]
    return CallSeen(
        id=call_id(number), time=time, duration=5 * SECOND, time_to_first_byte=SECOND, time_to_first_token=SECOND,
        request=SeenRequest("POST", request.url, "HTTP/1.1", Headers([*headers, *((f"Helicone-{n}", v) for n, v in names)]),
                            SeenBody(request_body)),
        response=SeenResponse(200, "HTTP/1.1", reply_headers, SeenBody(reply_body, "gzip"), chunks=arrived),
        outcome="ok", host="api.openai.com", forwarded_host="api.openai.com", caller=CALLER, client="127.0.0.1",
        call=call, reply=reply, decision=Decision(wants_session=True, name=session.name, rules=("agent",)),
        labels=Labels(path="/agent", properties={"mode": "bench"}), session=session, edits=edits,
        link=Link("9d3c1a52-aaaa-5bbb-8ccc-000000000001", call_id(number - 1) if number else None, "exact"),
    )  # fmt: skip


def call_id(number: int) -> str:
    return f"0190a000-{number >> 16:04x}-7000-8000-{number:012x}"


def conversation(folder: Path, count: int) -> None:
    """Size of the log, time of a body, and of writing."""
    sent = turns(count)
    redactor = Redactor(b"k" * 32)
    json_bytes = sum(len(request) for request, _ in sent)
    zipped = sum(len(gzip.compress(request, 6)) for request, _ in sent)
    calls = [seen(number, *one) for number, one in enumerate(sent)]
    writer = Writer(folder, writer_info=INFO, fsync_seconds=None)
    writer.start()
    began = time.perf_counter()
    for one in calls:
        writer.submit(lambda one=one: [caller_record(CALLER, redactor), call_record(one, redactor)], 0)  # type: ignore[misc]
    writer.close(600)
    took = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.iterdir())
    stored = [call.record for call in trace.open(folder).calls(newest_first=False)]
    asked = sum(len(record["request"]["body"]["data"]) for record in stored)
    answered = sum(len(record["response"]["body"]["data"]) for record in stored)
    print(f"\n{count} turns of an agent, the last of {len(sent[-1][0]) / 1e3:,.0f} KB")
    print(f"  their JSON            {json_bytes / 1e6:>8.2f} MB")
    print(f"  gzip, one by one      {zipped / 1e6:>8.2f} MB   1/{json_bytes / zipped:.0f}")
    print(f"  the whole log         {size / 1e6:>8.2f} MB   1/{json_bytes / size:.0f} (goal: at most 1/100)")
    rest = size - asked - answered
    print(f"  of it requests {asked / 1e3:,.0f} KB, replies {answered / 1e3:,.0f} KB, all the rest {rest / 1e3:,.0f} KB")
    print(f"  written at {took / count * 1e3:.1f} ms a turn on the writer's thread, redaction included")
    first = [_rebuild(folder, record, request) for record, (request, _) in zip(stored, sent, strict=True)]
    print(
        f"  one body rebuilt, nothing known before: {median(first) * 1e3:.1f} ms at the median, "
        f"{max(first) * 1e3:.1f} ms at most (goal: under 20)"
    )
    began = time.perf_counter()
    for call in trace.open(folder).calls():
        call.request_body()
    print(f"  all bodies, newest first: {(time.perf_counter() - began) * 1e3:.0f} ms")


def _rebuild(folder: Path, record: dict[str, Any], expected: bytes) -> float:
    """Seconds for one body of a call that was just found; the middle of three, as the machine has other work too."""
    took = []
    for _ in range(3):
        call = trace.open(folder).call(record["id"])
        began = time.perf_counter()
        body = call.request_body()
        took.append(time.perf_counter() - began)
        if body != expected:
            raise SystemExit(f"bench: the body of call {record['id']} did not come back as it was")
    return median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        conversation(Path(name) / "conversation", given.turns)


if __name__ == "__main__":
    main()
