"""What a real proxy recorded, decided again by its own rules: the same sessions, steps, paths, parents, headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.backtest.made_log import backtest
from tests.e2e.faults import patches
from tests.e2e.lab import PYTHON, Lab
from tests.e2e.test_websockets import CREATE, ask, connect
from tests.support.llm_server import LlmService

from sessiontap.backtest.outcome import Outcome, recorded_outcome
from sessiontap.backtest.redecide import Redecided
from sessiontap.rules import load_file
from sessiontap.trace import RecordedCall

RULES: Any = {
    "version": 1,
    "send": ["helicone", "traceforge"],
    "rules": [
        {"rule": "found", "match": {"tool_result": "*"}, "session": {"path": "/found/${tool_result}"}},
        {"rule": "explorer", "match": {"subagent": "explore"}, "properties": {"by": "${subagent}"}},
        {
            "rule": "agent",
            "match": {"process": "agent.py"},
            "session": {"name": "Agent", "id": ["${env.RUN_ID}", "process"], "path": "/agent/${model}"},
            "user": "${process.user}",
            "properties": {"arm": "${pick(red,blue)}"},
            "state": {"step": "${session.step}"},
        },
        {"rule": "short", "match": {"process": "pauses.py"}, "session": {"name": "Short", "idle": "1h"}},
        {"rule": "socket", "match": {"process": "pytest*"}, "session": {"name": "Talk", "id": "conversation"}},
    ],
}
PROMPT = "Look for all files that mention the year, and say which."
BEGIN = f"""
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
import httpx2

def ask(messages, **more):
    body = {{"model": "gpt-4o", "messages": messages, **more}}
    headers = {{"authorization": "Bearer sk-x"}}
    reply = httpx2.post("https://api.openai.com/v1/chat/completions", json=body, headers=headers, timeout=None)
    return reply.json()["choices"][0]["message"]

def user(text):
    return {{"role": "user", "content": text}}

PROMPT = {PROMPT!r}
"""
AGENT = (
    BEGIN
    + """
task = [{"type": "function", "function": {"name": "task", "parameters": {}}}]
question = user("call task with " + json.dumps({"subagent_type": "explore", "prompt": PROMPT}))
called = ask([question], tools=task)
(call,) = called["tool_calls"]
said = ask([user(PROMPT)])
ask([user(PROMPT), said, user("And which of them are tests?")])
ask([question, called, {"role": "tool", "tool_call_id": call["id"], "content": "dates.py"}], tools=task)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda number: ask([user(f"Number {number}?")]), range(16)))
"""
)
PAUSES = (
    BEGIN
    + """
for hours_passed in (0, 0, 2, 2):
    with open(os.environ["CLOCK"], "w") as clock:
        clock.write(f"0 {hours_passed * 3600}")
    ask([user("Still there?")])
"""
)


def test_a_proxys_log_is_decided_again_as_it_was(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    clock = lab.folder / "clock"
    clock.write_text("0 0")
    proxy = lab.proxy(RULES, patch=patches.SET_CLOCK, environment={"CLOCK": str(clock)})
    for name, text in (("agent.py", AGENT), ("pauses.py", PAUSES)):
        (lab.folder / name).write_text(text, encoding="utf-8")
    proxy.run([PYTHON, lab.folder / "agent.py"], {"RUN_ID": "run-number-7"})
    proxy.run([PYTHON, lab.folder / "pauses.py"], {"CLOCK": str(clock)})
    with connect(proxy) as socket:
        warm = ask(socket, CREATE | {"generate": False, "instructions": "Be brief."})
        first = ask(socket, CREATE | {"input": "Why?", "previous_response_id": warm[-1]["response"]["id"]})
        ask(socket, CREATE | {"input": "And then?", "previous_response_id": first[-1]["response"]["id"]})
        ask(socket, CREATE | {"input": "What is the sea made of?"})
    proxy.wait_calls(27)
    calls = proxy.stop()
    assert differences(proxy.trace_folder, proxy.rules_file) == []
    told = {name: [call for call in calls if call.record["session"]["name"] == name] for name in ("Agent", "Short")}
    assert sessions(told["Agent"]) == {"run-number-7"}
    assert len(sessions(told["Short"])) == 2
    assert {call.record["link"]["kind"] for call in told["Agent"]} >= {"new", "continue", "subagent"}


def sessions(calls: list[RecordedCall]) -> set[str | None]:
    return {call.session_id for call in calls}


def differences(folder: Path, rules: Path) -> list[tuple[str, str, object, object]]:
    """(call, field, recorded, decided again), also of what a report leaves out: ids, steps, parents, conversations."""
    from sessiontap import trace

    found: list[tuple[str, str, object, object]] = []

    def told(one: Redecided, after: Outcome, changes: object) -> None:
        before = recorded_outcome(one.call.recorded)
        assert before is not None
        for name in Outcome.__slots__:
            old, new = getattr(before, name), getattr(after, name)
            if old != new and name not in ("set_by", "headers"):
                found.append((one.call.id, name, old, new))

    report = backtest(trace.open(folder), load_file(rules), listeners=[told])
    assert report.is_unchanged, report.as_json()
    return found
