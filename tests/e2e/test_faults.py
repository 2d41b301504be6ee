"""Whatever fails in the addon, calls go through; the fault is said once, and the log says what it can."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from tests.e2e.faults import patches
from tests.e2e.lab import PYTHON, SCRIPTS, Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate

from sessiontap.demo.provider_replies import sse

CHAT = "https://api.openai.com/v1/chat/completions"
RULES: Any = {
    "version": 1,
    "rules": [{"rule": "all", "session": {"name": "${env.NAME:-Named}"}, "properties": {"a": "b"}}],
}
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
APP = {"authorization": "Bearer sk-test-0000", "x-app": "its own"}
EVENTS = [sse({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in ("Be", "cause")] + [sse("[DONE]")]
WHOLE = b'{"id": "chatcmpl-1", "model": "gpt-4o", "choices": [{"index": 0, "finish_reason": "stop"}]}'


class Upstream:
    """Answers a question whole, or as a stream of which each event waits for the test."""

    def __init__(self) -> None:
        self.gates = [Gate() for _ in EVENTS]

    async def __call__(self, request: Request, respond: Respond) -> None:
        if b'"stream"' not in await request.body():
            await respond.whole(200, WHOLE, [("content-type", "application/json")])
            return
        await respond.start(200, [("content-type", "text/event-stream")])
        for gate, event in zip(self.gates, EVENTS, strict=True):
            await gate.passed()
            await respond.send(event)
        await respond.end()


def call_twice(proxy: Proxy, upstream: Upstream) -> None:
    """One call whole and one in a stream, each event of which arrives before the next is sent."""
    with proxy.client(headers=APP) as app:
        assert app.post(CHAT, json=QUESTION).content == WHOLE
        with app.stream("POST", CHAT, json={**QUESTION, "stream": True}) as reply:
            pieces = reply.iter_raw()
            for gate, event in zip(upstream.gates, EVENTS, strict=True):
                gate.open()
                assert next(pieces) == event
            assert b"".join(pieces) == b""


class Fault(NamedTuple):
    breaks: str
    """module:function"""
    said: str
    """What stands in the one line that tells of it."""
    records: int = 2
    decided: bool = True
    """The records have a session."""
    told: bool = True
    """The server got the session's headers."""
    flags: Sequence[str] = ()
    """Of the call in a stream."""
    kind: str = "RuntimeError"
    recorder: bool = False
    """It is the recorder's process that breaks."""

    def break_in(self, lab: Lab) -> Proxy:
        """A proxy with this fault."""
        environment = {"BREAK": self.breaks, "BREAK_WITH": self.kind}
        if self.recorder:
            proxy = lab.proxy(RULES, patch=patches.BROKEN_RECORDER, environment=environment)
        else:
            proxy = lab.proxy(RULES, scripts=[SCRIPTS / "break_one.py"], environment=environment)
        proxy.process.wait_line(lambda line: line == f"BROKEN {self.breaks}")
        return proxy


def undecided(breaks: str) -> Fault:
    return Fault(breaks, "in request: RuntimeError: broken", decided=False, told=False, flags=["undecided"])


FAULTS = {
    "the rules file": Fault("sessiontap.proxy.rules_file:RulesFile.is_current", "in rules file"),
    "a caller's look-up": Fault("sessiontap.proxy.connections:find_known", "in caller look-up"),
    "reading a request": undecided("sessiontap.proxy.prepare:read_request"),
    "deciding": undecided("sessiontap.proxy.plan:decide"),
    "giving a session": undecided("sessiontap.sessions:Registry.assign"),
    "planning headers": undecided("sessiontap.headers:plan"),
    "writing headers": Fault("sessiontap.proxy.flows:apply_plan", "in request", told=False),
    "planning the reply's headers": Fault("sessiontap.proxy.plan:Planner.plan_reply", "in response headers"),
    "a body's copy": Fault("sessiontap.proxy.bodies:BodyTap.__init__", "in response body", flags=["response_unseen"]),
    "copying a body": Fault("sessiontap.proxy.bodies:BodyTap._copy", "in copying a body", flags=["response_cut"]),
    "the end of a call": Fault("sessiontap.proxy.finish:captured_bodies", "in response", records=0),
    "reading a reply": Fault(
        "sessiontap.recording.decode:read_bounded", "in reading a reply", flags=["unread"], recorder=True
    ),
    "decoding what came": Fault(
        "sessiontap.recording.process:decode_exchange", "in recording", records=0, recorder=True
    ),
    "putting a call into a message": Fault("sessiontap.proxy.calls:finished_call", "in recording", records=0),
    "redaction": Fault(
        "sessiontap.redaction:Redactor.headers", "a call could not be recorded", records=0, recorder=True
    ),
    "a full disk": Fault(
        "sessiontap.trace.rotation:OpenSegment.append",
        "(No space left on device)",
        records=0,
        kind="ENOSPC",
        recorder=True,
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_calls_go_through(lab: Lab, fault: Fault) -> None:
    upstream = Upstream()
    server = lab.upstream(upstream)
    proxy = fault.break_in(lab)
    call_twice(proxy, upstream)

    for request in server.requests:
        assert request.headers.get("authorization") == APP["authorization"]
        assert request.headers.get("x-app") == APP["x-app"]
        assert request.headers.get("helicone-session-name") == ("Named" if fault.told else None)
        assert request.headers.get("helicone-property-a") == ("b" if fault.told else None)

    ours = fault.kind != "ENOSPC"  # the disk's trouble is the disk's
    said = proxy.process.wait_line(lambda line: ("a fault of its own" if ours else "records are lost") in line)
    assert fault.said in said
    if ours:
        assert "broken on purpose" in said
        (note,) = proxy.wait_notes("fault")
        assert f"a fault of its own in {note['where']}: {note['text']}. The call goes on" in said

    calls = proxy.wait_calls(fault.records)
    for call in calls:
        assert call.record["outcome"] == "ok"
        assert (call.record["session"] is not None) is fault.decided
        assert bool(call.record["changes"]) is fault.told
    proxy.stop()
    assert [call.record["flags"] for call in calls[1:]] == ([list(fault.flags)] if fault.records else [])
    told = ["a fault of its own" in line or "records are lost" in line for line in proxy.process.lines]
    assert sum(told) == 1  # once, however many calls
    assert "Traceback" not in proxy.process.output
    assert "crashed" not in proxy.process.output


def test_a_fault_in_the_last_moment_is_said_as_what_it_is(lab: Lab) -> None:
    """The call is still in the writer's hands when the proxy is told to stop."""
    lab.upstream(Upstream())
    fault = FAULTS["redaction"]
    proxy = fault.break_in(lab)
    with proxy.client(headers=APP) as app:
        app.post(CHAT, json=QUESTION)
    assert proxy.stop() == []
    (said,) = [line for line in proxy.process.lines if "a fault of its own" in line]
    assert fault.said in said


def test_a_fault_in_what_decides_on_decrypting_lets_others_pass(lab: Lab) -> None:
    """A client that does not know the proxy's CA must not suffer from a fault of ours."""
    lab.upstream(Upstream(), ["other.example"])
    proxy = lab.proxy(scripts=[SCRIPTS / "break_one.py"], environment={"BREAK": BROKEN})
    proxy.process.wait_line(lambda line: line.startswith("BROKEN "))
    done = proxy.run([PYTHON, "-c", OUTSIDER, lab.authority.pem, "https://other.example/"])
    assert done.stdout == "200\n"
    proxy.stop()
    assert sum("a fault of its own in TLS client hello" in line for line in proxy.process.lines) == 1


BROKEN = "sessiontap.proxy.interception:destinations"
OUTSIDER = """
import ssl, sys
import httpx2
print(httpx2.get(sys.argv[2], verify=ssl.create_default_context(cafile=sys.argv[1]), timeout=None).status_code)
"""


# -- what others do wrong ---------------------------------------------------------------------------------------------


def test_a_body_that_is_not_what_its_encoding_says(lab: Lab) -> None:
    async def lie(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.whole(200, WHOLE, [("content-type", "application/json"), ("content-encoding", "gzip")])

    lab.upstream(lie)
    proxy = lab.proxy(RULES)
    with proxy.client() as app, app.stream("POST", CHAT, json=QUESTION) as reply:
        assert b"".join(reply.iter_raw()) == WHOLE
    (call,) = proxy.stop()
    assert call.record["outcome"] == "ok"
    assert "undecodable" in call.record["flags"]
    assert call.response_body() == WHOLE  # as it was on the wire
    stored = call.record["response"]["body"]
    assert (stored["undecodable"], stored["wire"]) == (True, "gzip")
    assert call.record["llm"]["usage"] is None
    assert "a fault of its own" not in proxy.process.output


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model": "gpt-4o", "messages": [', id="cut JSON"),
        pytest.param(b"\xff\xfe\x00 no text at all", id="no JSON"),
        pytest.param(b"[[[[" * 50_000, id="JSON too deep"),
        pytest.param(b'{"model": 7, "messages": {"role": []}, "tools": "x", "stream": "maybe"}', id="JSON of no sense"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_request_that_cannot_be_understood(shared: tuple[Proxy, Any], body: bytes) -> None:
    proxy, server = shared
    before = len(server.requests)
    with proxy.client(headers={"content-type": "application/json"}) as app:
        assert app.post(CHAT, content=body).content == WHOLE
    assert server.requests[before].seen == body
    (call,) = proxy.take()
    assert (call.request_body() or b"") == body
    assert call.record["session"]["name"] == "Named"
    assert call.record["llm"]["family"] == "openai-chat"
    assert "a fault of its own" not in proxy.process.output


def test_a_caller_that_died(lab: Lab) -> None:
    """It sent its request and was gone before anybody could ask who it was."""
    received = Gate()

    async def answer(request: Request, respond: Respond) -> None:
        await received.passed()
        await request.body()
        await respond.whole(200, WHOLE, [("content-type", "application/json")])

    lab.upstream(answer, ["llm.example"], tls=False)
    proxy = lab.proxy({**RULES, "hosts": [{"host": "llm.example"}]})
    request = (
        b"POST http://llm.example/v1/chat/completions HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 2\r\n\r\n{}"
    )
    os.kill(proxy.process.pid, signal.SIGSTOP)  # it is asked after only when it has died
    try:
        with socket.create_connection(("127.0.0.1", proxy.process.port)) as connection:
            connection.sendall(request)
    finally:
        os.kill(proxy.process.pid, signal.SIGCONT)
    received.open()
    (call,) = proxy.wait_calls(1)
    proxy.stop()
    assert call.record["caller"] is None
    assert call.record["client"] == "127.0.0.1"
    assert call.record["session"]["name"] == "Named"
    assert call.record["outcome"] in ("ok", "client_gone")
    assert "a fault of its own" not in proxy.process.output


@pytest.fixture(scope="module")
def shared(shared_lab: Lab) -> tuple[Proxy, Any]:
    async def answer(request: Request, respond: Respond) -> None:
        await request.body()
        await respond.whole(200, WHOLE, [("content-type", "application/json")])

    server = shared_lab.upstream(answer)
    return shared_lab.proxy(RULES), server
