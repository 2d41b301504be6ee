"""Fifty streams of five processes over HTTP/1.1 and HTTP/2: each whole, each in its own process's session."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.e2e.lab import PYTHON, Lab
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE, Gate

from sessiontap.demo.provider_replies import sse

PROCESSES = 5
STREAMS = 10
EVENTS = 20
RULES: Any = {
    "version": 1,
    "rules": [{"session": {"name": "Worker ${env.WORKER}", "id": "process", "path": "/${model}"}}],
}
APP = """
import asyncio, os, ssl, sys
import httpx2

async def ask(app, name):
    body = {"model": name, "stream": True, "messages": [{"role": "user", "content": f"Who am I? {name}"}]}
    got = b""
    async with app.stream("POST", "https://api.openai.com/v1/chat/completions", json=body) as reply:
        async for piece in reply.aiter_raw():
            got += piece
    events = [line for line in got.split(b"\\n\\n") if line]
    assert len(events) == EVENTS + 1, (name, len(events))
    assert all(name.encode() in event for event in events[:-1]), name
    assert events[-1] == b"data: [DONE]"

async def main():
    worker, http2 = os.environ["WORKER"], os.environ["HTTP2"] == "yes"
    trust = ssl.create_default_context()
    async with httpx2.AsyncClient(http2=http2, http1=not http2, verify=trust, timeout=None) as app:
        await asyncio.gather(*(ask(app, f"worker-{worker}-stream-{number}") for number in range(STREAMS)))

asyncio.run(main())
""".replace("EVENTS", str(EVENTS)).replace("STREAMS", str(STREAMS))


def event(name: str, number: int) -> bytes:
    chunk = {"model": name, "choices": [{"index": 0, "delta": {"content": f"{name} {number} "}, "finish_reason": None}]}
    return sse({"id": name, "object": "chat.completion.chunk", **chunk})


def whole(name: str) -> bytes:
    return b"".join(event(name, number) for number in range(EVENTS)) + sse("[DONE]")


def test_each_stream_is_whole_and_in_its_session(lab: Lab) -> None:
    gates = [Gate() for _ in range(3)]

    async def stream(request: Request, respond: Respond) -> None:
        name = json.loads(await request.body())["model"]
        await gates[0].passed()
        await respond.start(200, [("content-type", "text/event-stream")])
        for number in range(EVENTS):
            await gates[2 * number // EVENTS + 1].passed()
            await respond.send(event(name, number))
        await respond.send(sse("[DONE]"))
        await respond.end()

    server = lab.upstream(stream)
    proxy = lab.proxy(RULES)
    app = lab.folder / "worker.py"
    app.write_text(APP, encoding="utf-8")
    workers = [
        subprocess.Popen(
            [PYTHON, app],
            env=proxy.environment({"WORKER": str(number), "HTTP2": ("no", "yes")[number % 2]}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        # All fifty are open at once, then all have begun, then all end.
        server.wait_for(lambda requests: len(requests) == PROCESSES * STREAMS, PATIENCE * 2)
        for gate in gates:
            gate.open()
        for worker in workers:
            _, complaint = worker.communicate(timeout=PATIENCE * 3)
            assert worker.returncode == 0, complaint
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()

    calls = proxy.stop()
    assert len(calls) == PROCESSES * STREAMS
    sessions: dict[str, set[str | None]] = {}
    steps: dict[str, list[int]] = {}
    for call in calls:
        record = call.record
        name = record["llm"]["request_model"]
        session = record["session"]
        assert record["outcome"] == "ok"
        assert call.response_body() == whole(name)
        assert session["path"] == f"/{name}"
        worker_name = "Worker " + name.split("-")[1]
        assert session["name"] == worker_name
        assert call.caller is not None
        assert call.caller["pid"] == workers[int(name.split("-")[1])].pid
        sessions.setdefault(worker_name, set()).add(call.session_id)
        steps.setdefault(worker_name, []).append(session["step"])
    assert [len(ids) for ids in sessions.values()] == [1] * PROCESSES
    assert len({id for ids in sessions.values() for id in ids}) == PROCESSES
    assert all(sorted(found) == list(range(STREAMS)) for found in steps.values())
    versions = {call.record["request"]["http_version"] for call in calls}
    assert versions == {"HTTP/1.1", "HTTP/2.0"}
