"""What a call costs the proxy's own loop, stage by stage, with plain values and no proxy around it.

    scripts/bench loop

Goals: a decision with 200 rules under 100 microseconds; reading and grouping an agent's request of 1 MB and 200
messages under 4 ms in all; recording a call of 1 MB under 100 microseconds.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from mitmproxy import http
from mitmproxy.test import taddons

from sessiontap.callers import Caller, Found, Process
from sessiontap.exchange import Headers, Request
from sessiontap.faults import Faults
from sessiontap.llm.call import Reply
from sessiontap.llm.history import fingerprint_of, history
from sessiontap.llm.read import read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.call_context import CallContext
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.finish import Heads, captured_bodies, finished_call
from sessiontap.proxy.recorder import Recorder
from sessiontap.proxy.settings import Settings
from sessiontap.recording.budget import DEFAULT, Budget
from sessiontap.rules import Facts, Rules, SessionFacts, decide, finish, load_text
from sessiontap.sessions import ClientConnection
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.match_scope import match_scope_of

ROUNDS = 9


def microseconds(work: Callable[[], object], times: int) -> float:
    """The median of several rounds, per call."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return median(rounds)


def rules_of(number: int) -> Rules:
    """A realistic mix: programs by name and folder, routes, tools, prompts, environment; defaults last."""
    text = ["version: 1", "rules:"]
    for n in range(number // 5):
        text += [
            f"  - {{match: {{process: app{n}.py}}, session: {{name: App {n}}}}}",
            f"  - {{match: {{process: {{cwd: '/srv/team{n}/**'}}, host: api.openai.com}}, properties: {{team: t{n}}}}}",
            f"  - {{match: {{tool_result: tool_{n}}}, session: {{path: /tools/tool-{n}}}}}",
            f"  - {{match: {{route: 'POST /v1/projects/{n}/**'}}, tags: [p{n}]}}",
            f"  - {{match: {{process: {{env: {{STAGE: stage{n}}}}}, model: 'gpt-{n}*'}}, properties: {{stage: s{n}}}}}",
        ]
    text.append("  - {session: {name: '${process.name}', path: '/${operation}'}, user: '${process.user}'}")
    return load_text("\n".join(text))


def agent_request(messages: int, size: int) -> bytes:
    """An agent's request: its whole history again, tools called and answered."""
    share = size // messages
    said: list[dict[str, object]] = [{"role": "user", "content": "Fix the failing test."}]
    for n in range(messages // 2):
        call = {"type": "tool_use", "id": f"toolu_{n:024}", "name": "Read", "input": {"path": f"/src/{n}.py"}}
        said.append({"role": "assistant", "content": [{"type": "text", "text": f"Step {n}."}, call]})
        text = f"line of {n} \u00e9 'quoted' \\ and so on\n" * (2 * share // 36)
        said.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": text}]})
    body = {"model": "claude-sonnet-4-5", "system": "You are an agent.", "messages": said, "max_tokens": 1000}
    return json.dumps(body).encode()


def main() -> None:
    words = ("python3", "agent.py")
    shell = Process(2, "bash", 1)
    caller = Caller(
        "c" * 36, 7, 1, "agent.py", words, "/usr/bin/python3", words, "/srv/team3/a", "me", 1000, (shell,),
        env={"STAGE": "stage3"},
    )  # fmt: skip
    headers = Headers([("Host", "api.anthropic.com"), ("Content-Type", "application/json"), ("X-Api-Key", "k")])
    request = Request("POST", "api.anthropic.com", "/v1/messages", headers, agent_request(200, 1 << 20))
    endpoint = endpoint_of("POST", request.host, request.path, "anthropic")
    small = replace(request, body=agent_request(2, 400))
    call, small_call = read_request(request, endpoint), read_request(small, endpoint)

    rules = rules_of(200)
    facts = Facts(
        request.host, caller, client_ip="127.0.0.1", provider="anthropic", request=small, call=small_call,
        time=time.time_ns(),
    )  # fmt: skip
    session = SessionFacts("0" * 36, "x", 3)

    def decision() -> None:
        _, matched = decide(rules, facts, {})
        finish(matched, facts, session, {})

    print(f"decision with {len(rules.rules)} rules: {microseconds(decision, 300):8.0f} us   (goal: under 100)")

    conversations = Conversations()
    scope = match_scope_of(endpoint.family, caller, ClientConnection("c", "127.0.0.1"), "x")
    count = 0

    def group() -> None:
        nonlocal count
        count += 1
        past = history(call)
        conversations.link(scope, call, past, f"call-{count}", time.time_ns())
        conversations.note_reply(
            f"call-{count}", fingerprint_of(past, Reply(text=f"answer {count}"), 200), time.time_ns()
        )

    assert request.body is not None
    size = f"{len(request.body) / 1e6:.1f} MB, {len(call.json['messages'])} messages"
    reading = microseconds(lambda: read_request(request, endpoint), 20)
    grouping = microseconds(group, 20)
    print(f"reading an agent's request ({size}): {reading:8.0f} us")
    print(f"grouping it: {grouping:8.0f} us; together {(reading + grouping) / 1000:.2f} ms   (goal: under 4)")

    recording(request, caller)


CHUNKS = [bytes([n % 256]) * (1 << 14) for n in range(64)]
"""1 MB of a streamed reply, as mitmproxy reads it from TLS."""


def recording(request: Request, caller: Caller) -> None:
    """What a call costs the loop because it is recorded: with a request of 1 MB, and a streamed reply of 1 MB, too."""
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as folder, taddons.context():
        os.environ["HOME"] = folder
        recorder = Recorder(Settings(None, Path(folder), 1.0), rules_of(5), lambda update: None, Faults())
        connection = Connection("c", ("127.0.0.1", 40_000), Found(caller))
        made = http.Request.make("POST", f"https://{request.host}{request.path}", request.body or b"", [])
        flow = http.HTTPFlow(None, None)  # type: ignore[arg-type]
        flow.request, flow.response = made, http.Response.make(200, b"{}", {"content-type": "application/json"})
        destination = Destination(request.host, "anthropic")

        def live(tap: BodyTap | None = None) -> CallContext:
            now, started = time.time_ns(), time.perf_counter_ns()
            return CallContext(str(uuid.uuid4()), now, started, connection, request, destination, reply_tap=tap)

        def record(live: CallContext) -> None:
            heads, bodies = Heads.of(flow), captured_bodies(live, flow, Budget(DEFAULT))
            duration = time.perf_counter_ns() - live.started
            recorder.submit(finished_call(live, "ok", duration, heads, bodies), bodies, caller)

        def tapped() -> BodyTap:
            tap = BodyTap()
            for chunk in CHUNKS:
                tap(chunk)
            tap(b"")
            return tap

        def idle(count: int) -> None:
            """The queue is bounded, and what is measured is the loop's side alone."""
            time.sleep(count / 200)

        print("recording a call, all that it costs the loop (goal: under 100 us for a call of 1 MB):")
        rounds = []
        for _ in range(ROUNDS):
            calls = [live() for _ in range(20)]
            started = time.thread_time()
            for one in calls:
                record(one)
            rounds.append((time.thread_time() - started) / len(calls) * 1e6)
            idle(len(calls))
        print(f"  a request of 1 MB, a small reply: {median(rounds):8.1f} us")
        copying, handing = [], []
        for _ in range(ROUNDS):
            started = time.thread_time()
            calls = [live(tapped()) for _ in range(10)]
            copying.append((time.thread_time() - started) / len(calls) * 1e6)
            started = time.thread_time()
            for one in calls:
                record(one)
            handing.append((time.thread_time() - started) / len(calls) * 1e6)
            idle(len(calls) * 2)
        each = median(copying) / len(CHUNKS)
        print(f"  and a streamed reply of 1 MB:     {median(handing):8.1f} us at its end")
        print(f"    before that, while it streams:  {median(copying):8.1f} us of copying, {each:.1f} a chunk of 16 KB")
        recorder.close()


if __name__ == "__main__":
    main()
