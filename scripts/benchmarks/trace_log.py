"""The trace log: how small it is, how quick to read, what it costs to write; each figure with what it is compared to.

    scripts/bench trace [--turns N] [--calls N ...] [--commands]

The conversation is an agent's: every turn sends all of the history again with a tool's result of 2.4 KB more, to a
context of about 640 KB, and gets a streamed reply. The text is Python source, which compresses like real prompts do.

The index is asked on logs of many small calls, 20 to a session. Each question is a process of its own, as a command is:
what it takes includes starting Python and importing what it needs, which is measured apart, too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import questions

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec, call_record  # noqa: E402

from sessiontap import trace  # noqa: E402
from sessiontap.callers import Caller  # noqa: E402
from sessiontap.exchange import Headers, Request, Response  # noqa: E402
from sessiontap.header_edit import Edit  # noqa: E402
from sessiontap.llm.read import read_reply, read_request  # noqa: E402
from sessiontap.llm.routes import endpoint_of  # noqa: E402
from sessiontap.recording.decode import DecodedBody  # noqa: E402
from sessiontap.recording.record import caller_record  # noqa: E402
from sessiontap.redaction import Redactor  # noqa: E402
from sessiontap.rules.decision import Decision, FilledSettings  # noqa: E402
from sessiontap.sessions.session import Link, Session  # noqa: E402
from sessiontap.trace import Writer  # noqa: E402
from sessiontap.trace.closing import close_segment  # noqa: E402

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


def seen(number: int, request_body: bytes, reply_body: bytes) -> CallSpec:
    """A turn as the proxy has it when the reply is over."""
    headers = Headers([*REQUEST_HEADERS, ("content-length", str(len(request_body)))])
    request = Request("POST", "api.openai.com", "/v1/chat/completions", headers, request_body)
    call = read_request(request, endpoint_of("POST", request.host, request.path, "openai"))
    reply_headers = Headers([*REPLY_HEADERS, ("x-request-id", f"req_{number:032x}"), ("date", f"second {number}")])
    reply = read_reply(call, request, Response(200, reply_headers, reply_body))
    session = Session("7d3c1a52-aaaa-5bbb-8ccc-000000000001", "Fix the tests", number, "process")
    names = ("Session-Id", session.id), ("Session-Name", session.name), ("Session-Path", "/agent")
    sent = Headers([*headers, *((f"Helicone-{name}", value) for name, value in names)])
    edits = [Edit("set", f"Helicone-{name}", None, value, "agent") for name, value in names]
    time = START + number * 10 * SECOND
    arrived = [(10**9 + at * 20_000_000, 170) for at in range(reply_body.count(b"\n\n"))]
    return CallSpec(
        id=call_id(number), time=time, duration=5 * SECOND, time_to_first_byte=SECOND, time_to_first_token=SECOND,
        request=RequestSpec("POST", request.url, "HTTP/1.1", sent, DecodedBody(request_body)),
        response=ResponseSpec(200, "HTTP/1.1", reply_headers, DecodedBody(reply_body, "gzip"), chunks=arrived),
        outcome="ok", host="api.openai.com", forwarded_host="api.openai.com", caller=CALLER, client="127.0.0.1",
        call=call, reply=reply, decision=Decision(wants_session=True, name=session.name, rules=("agent",)),
        filled=FilledSettings(path="/agent", properties={"mode": "bench"}), session=session, edits=edits,
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
    (segment,) = folder.iterdir()
    size = segment.stat().st_size
    stored = [call.record for call in trace.open(folder).calls(newest_first=False)]
    asked = sum(len(record["request"]["body"]["data"]) for record in stored)
    answered = sum(len(record["response"]["body"]["data"]) for record in stored)
    print(f"\n{count} turns of an agent, the last of {len(sent[-1][0]) / 1e3:,.0f} KB")
    print(f"  their JSON            {json_bytes / 1e6:>8.2f} MB")
    print(f"  gzip, one by one      {zipped / 1e6:>8.2f} MB   1/{json_bytes / zipped:.0f}")
    began = time.perf_counter()
    close_segment(segment)
    closing, closed = time.perf_counter() - began, sum(path.stat().st_size for path in folder.iterdir())
    print(f"  the log, while written{size / 1e6:>8.2f} MB   1/{json_bytes / size:.0f}")
    print(f"  the log, once closed  {closed / 1e6:>8.2f} MB   1/{json_bytes / closed:.0f} (goal: at most 1/150)")
    print(f"  closed in {closing * 1e3:.0f} ms, beside the recording")
    rest = size - asked - answered
    print(f"  of it requests {asked / 1e3:,.0f} KB, replies {answered / 1e3:,.0f} KB, the rest {rest / 1e3:,.0f} KB")
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


BATCH = 5_000
"""Calls that are written at once."""
SEGMENT = 20_000
"""Calls of a segment but the oldest: the newest one is as large in a small log as in a large one."""
MODELS = ("gpt-5", "gpt-5-mini", "gpt-4o", "o4-mini", "gpt-4.1")
PATHS = ("/plan", "/plan/search", "/write", "/write/review", "/check")


def small_calls(count: int, first: int = 0) -> Iterator[dict[str, Any]]:
    """Records of small calls, 20 to a session."""
    redactor, chance = Redactor(b"k" * 32), random.Random(first)
    reply = {
        "id": "chatcmpl-1", "model": "gpt-5-2025", "usage": {"prompt_tokens": 20, "completion_tokens": 5},
        "choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}],
    }  # fmt: skip
    asked = {"model": "gpt-5", "messages": [{"role": "user", "content": "How are you today? Say it in one word."}]}
    template = call_record(seen(0, json.dumps(asked).encode(), json.dumps(reply).encode()), redactor)
    yield caller_record(CALLER, redactor)
    for number in range(first, first + count):
        session = number // 20
        llm = {"request_model": MODELS[session % 5], "response_model": f"{MODELS[session % 5]}-2025"}
        sent = chance.randrange(20, 9000)
        cached = chance.randrange(sent) if session % 3 else None
        usage = {"input": sent, "output": chance.randrange(5, 900), "cache_read": cached}
        yield template | {
            "id": call_id(number),
            "time": START + number * SECOND,
            "duration": chance.randrange(10**8, 10**10),
            "session": template["session"]
            | {
                "id": f"{session:08x}-aaaa-5bbb-8ccc-000000000001",
                "name": f"Session {session % 40}",
                "path": PATHS[number % 5],
                "step": number % 20,
            },
            "llm": template["llm"] | llm | {"usage": template["llm"]["usage"] | usage},
            "outcome": "http_error" if number % 50 == 7 else "ok",
        }


def write(folder: Path, count: int, first: int = 0, host: str = "bench") -> None:
    """A log of `count` small calls, in segments about as large as a recorder's. `host` is its machine."""
    last = first + count
    oldest = last - max(count - 1, 0) // SEGMENT * SEGMENT
    for end in range(oldest, last + 1, SEGMENT):
        _write_segment(folder, first, end, host)
        first = end


def _write_segment(folder: Path, first: int, end: int, host: str) -> None:
    writer = Writer(folder, writer_info=INFO | {"host": host}, fsync_seconds=None, max_queue_records=1 << 30)
    writer.start()
    for at in range(first, end, BATCH) or (first,):
        writer.submit(lambda at=at: small_calls(min(BATCH, end - at), at), 0)  # type: ignore[misc]
    writer.close(3600)
    for path in folder.glob("*.mpk"):
        close_segment(path)


QUESTIONS = {
    # what is asked: (the goal in milliseconds, what is done with `log`)
    "ls": (300, "log.query_sessions(limit=50)"),
    "ls, one model": (300, "log.query_sessions(Filters(model='gpt-4o'), limit=50)"),
    "calls, errors": (300, "log.query_calls(Filters(error=True), limit=50)"),
    "show": (200, "log.query_session('@7')"),
    "stats by model": (1000, "log.stats('model')"),
    "stats by path": (1000, "log.stats('path')"),
    "search": (None, "log.search('in one word', limit=50)"),
}


def index(folder: Path, counts: list[int]) -> None:
    """What the index takes to make and to ask."""
    took: dict[str, list[float]] = {}
    rates = []
    empty = folder / "empty"
    write(empty, 0)
    start = min(_process(empty, "log.query_sessions(limit=50)") for _ in range(3))
    for count in counts:
        log = folder / f"calls-{count}"
        write(log, count)
        rates.append((count / _process(log, "log.query_sessions(limit=1)"), count / _process(log, "log.search('one')")))
        for name, (_, question) in QUESTIONS.items():
            took.setdefault(name, []).append(median(_process(log, question) for _ in range(5)))
        write(log, 1_000, count)
        took.setdefault("ls after 1,000 new calls", []).append(_process(log, "log.query_sessions(limit=50)"))
    print(f"\nthe index, on logs of {' and '.join(f'{count:,}' for count in counts)} small calls, 20 to a session")
    print(f"  making it:         {', '.join(f'{rate:,.0f}' for rate, _ in rates)} calls/s (goal: 20,000)")
    print(f"  text, when asked:  {', '.join(f'{rate:,.0f}' for _, rate in rates)} calls/s")
    print(f"  a process that asks an empty log: {start * 1e3:.0f} ms; all of these include that:")
    goals = {name: goal for name, (goal, _) in QUESTIONS.items()} | {"ls after 1,000 new calls": 300}
    for name, seconds in took.items():
        goal = f"   (goal: {goals[name]} ms)" if goals[name] else ""
        print(f"  {name:<26} " + "   ".join(f"{one * 1e3:>6.0f} ms" for one in seconds) + goal)


def _process(folder: Path, question: str) -> float:
    """Seconds of a process that asks `question` of the log in `folder`."""
    filters = "from sessiontap.trace.index.filters import Filters; " if "Filters" in question else ""
    given = ""
    if "search" in question:
        filters += "from sessiontap.llm.recorded_parts import recorded_parts; "
        given = ", parts_of=recorded_parts"
    code = f"import sys; from sessiontap import trace; {filters}log = trace.open(sys.argv[1]{given}); {question}"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--calls", type=int, nargs="*", default=[20_000, 200_000], help="sizes of the indexed logs")
    parser.add_argument("--commands", action="store_true", help="measure the commands alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        logs = {count: Path(name) / f"calls-{count}" for count in sorted(given.calls)}
        if given.commands:
            for count, log in logs.items():
                write(log, count)
        else:
            conversation(Path(name) / "conversation", given.turns)
            if given.calls:
                index(Path(name), given.calls)
        if logs:
            questions.ask(logs, lambda log, first: write(log, 1_000, first))


if __name__ == "__main__":
    main()
