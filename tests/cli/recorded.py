"""A small trace as the proxy writes it, made of plain values: two sessions of a node agent and a Python script."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec, call_record

from sessiontap.callers import Caller, Process
from sessiontap.exchange import Headers, Request, Response
from sessiontap.header_edit import Edit
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.recording.decode import DecodedBody
from sessiontap.recording.record import caller_record
from sessiontap.redaction import Redactor
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Session
from sessiontap.trace import Writer

START = 1_763_701_200 * 10**9  # 2025-11-21T05:00:00Z
SECOND = 10**9

NODE = Caller(
    id="0aa5b8a2-0000-5000-8000-000000000001",
    pid=4711,
    started=START - 60 * SECOND,
    name="agent.mjs",
    names=("agent.mjs", "node"),
    exe="/usr/bin/node",
    argv=("node", "/srv/agent.mjs"),
    cwd="/srv",
    user="ada",
    ancestors=(Process(4700, "bash", START - 90 * SECOND), Process(1, "init", None)),
)
PYTHON = Caller(
    id="0aa5b8a2-0000-5000-8000-000000000002",
    pid=4712,
    started=START - 30 * SECOND,
    name="report.py",
    names=("report.py", "python3"),
    exe="/usr/bin/python3",
    argv=("python3", "report.py"),
    cwd="/home/ada",
)
WRITER = 1
"""The pid of the proxy that wrote it."""
COURSE, REPORT = "7d3c1a52-aaaa-5bbb-8ccc-000000000001", "nightly-report-0001"


def call_id(number: int) -> str:
    """A UUIDv7 of our own: the n-th call, a second apart."""
    millis = f"{(START // 10**6) + number * 1000:012x}"
    return f"{millis[:8]}-{millis[8:]}-7000-8000-{number:012x}"


def chat(
    number: int,
    *,
    session: tuple[str, str, str, int],
    caller: Caller | None,
    model: str = "gpt-4o-mini",
    messages: list[dict[str, Any]] | None = None,
    tools: Iterable[str] = (),
    reply: dict[str, Any] | None = None,
    finish: str = "stop",
    usage: tuple[int, int] | None = (100, 20),
    status: int = 200,
    error: dict[str, Any] | None = None,
    duration: float = 0.5,
    **more: Any,
) -> CallSpec:
    """An OpenAI chat completion: `session` is id, name, path, step."""
    asked: dict[str, Any] = {"model": model, "messages": messages or [{"role": "user", "content": "hello"}]}
    if tools:
        asked["tools"] = [{"type": "function", "function": {"name": name}} for name in tools]
    body = json.dumps(asked).encode()
    app_headers = Headers(
        [
            ("host", "api.openai.com"),
            ("authorization", "Bearer sk-proj-abcdefghijklmnopqrstuvwx0123456789"),
            ("content-type", "application/json"),
            ("accept-encoding", "gzip"),
            ("user-agent", "OpenAI/JS 4"),
        ]
    )
    request = Request("POST", "api.openai.com", "/v1/chat/completions", app_headers, body)
    understood = read_request(request, endpoint_of("POST", request.host, request.path, "openai"))
    if error is not None:
        answer: dict[str, Any] = {"error": error}
    else:
        message = {"role": "assistant", **(reply or {"content": "Hi there."})}
        answer = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "model": f"{model}-2024-07-18",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }
        if usage is not None:
            answer["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    data = json.dumps(answer).encode()
    came = Response(status, Headers([("content-type", "application/json")]), data)
    sid, name, path, step = session
    sent_headers = Headers([*app_headers, ("Helicone-Session-Id", sid), ("Helicone-Session-Path", path)])
    seen = CallSpec(
        id=call_id(number),
        time=START + number * SECOND,
        duration=round(duration * SECOND),
        time_to_first_byte=round(duration * SECOND * 0.8),
        request=RequestSpec("POST", request.url, "HTTP/2.0", sent_headers, DecodedBody(body)),
        response=ResponseSpec(status, "HTTP/2.0", came.headers, DecodedBody(data, "gzip")),
        outcome="ok" if status < 400 else "http_error",
        host="api.openai.com",
        forwarded_host="api.openai.com",
        caller=caller,
        client="127.0.0.1",
        call=understood,
        reply=read_reply(understood, request, came),
        decision=Decision(
            wants_session=True, name=name, rules=("course generator",), set_by={"session.name": "course generator"}
        ),
        filled=FilledSettings(path=path, user="ada", properties={"mode": "context mode"}, tags=("nightly",)),
        session=Session(sid, name, step, "process"),
        edits=(
            Edit("set", "Helicone-Session-Id", None, sid, "course generator"),
            Edit("set", "Helicone-Session-Path", None, path, "course generator"),
        ),
    )
    return replace(seen, **more)


def calls() -> list[CallSpec]:
    """What the trace holds, oldest first."""
    course, report = (COURSE, "Course outline"), (REPORT, "Nightly report")
    search = {
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "web_search", "arguments": '{"q": "sourdough"}'}}
        ],
    }
    prompt = [
        {"role": "system", "content": "You plan courses."},
        {"role": "user", "content": "Plan a course on Brotbäckerei."},
    ]
    return [
        chat(
            1,
            session=(*course, "/outline", 0),
            caller=NODE,
            messages=prompt,
            tools=["web_search"],
            reply=search,
            finish="tool_calls",
        ),
        chat(2, session=(*course, "/outline/research", 1), caller=NODE, usage=(1200, 300), duration=2.25),
        chat(
            3, session=(*course, "/outline", 2), caller=NODE, reply={"content": "Week one:\n\x1b[31mflour."}, usage=None
        ),
        chat(
            4,
            session=(*report, "/report", 0),
            caller=PYTHON,
            model="gpt-4o",
            filled=FilledSettings(path="/report", properties={"mode": "batch"}),
        ),
        chat(
            5,
            session=(*report, "/report", 1),
            caller=PYTHON,
            model="gpt-4o",
            status=429,
            error={"type": "rate_limit_error", "message": "Slow down, please.", "code": None},
            filled=FilledSettings(path="/report"),
        ),
    ]


def write(
    folder: Path,
    seen: Iterable[CallSpec],
    notes: Iterable[tuple[str, str, dict[str, Any]]] = (),
    *,
    writer: int = WRITER,
) -> Path:
    """The calls as the proxy's own writer leaves them."""
    redactor = Redactor(b"k" * 32)
    log = Writer(folder, writer_info={"pid": writer, "host": "test"}, fsync_seconds=None)
    log.start()
    for one in seen:
        records = [caller_record(one.caller, redactor)] if one.caller else []
        records.append(call_record(one, redactor))
        assert log.submit(lambda records=records: records, 1000)  # type: ignore[misc]
    for kind, text, facts in notes:
        assert log.note(kind, text, **facts)
    assert log.close()
    return folder
