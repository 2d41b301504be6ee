"""With the rules under which a log was recorded nothing would change: sessions, steps, parents, labels, headers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.backtest.made_log import BOT, HELPER, Ask, backtest, made_log

from sessiontap.backtest.outcome import Outcome, recorded_outcome
from sessiontap.backtest.redecide import Redecided

USER = {"role": "user", "content": "Plan a course."}
PROMPT = "Look for all files that mention the year, and say which."


def turns(at: float, number: int, *, opening: str = "Plan a course.", **more: Any) -> list[Ask]:
    """A conversation of so many turns, a second apart."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": opening}]
    found = []
    for turn in range(number):
        said = f"Reply {turn} to {opening} It is long enough to be told from others by itself."
        found.append(Ask(at + turn, messages=list(messages), said=said, **more))
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": f"And then {turn}?"}]
    return found


def subagent(at: float) -> list[Ask]:
    """A main agent whose tool is a sub-agent: its call opens with the text that the main one handed over."""
    task = ("call_task_1", "task", {"subagent_type": "explore", "prompt": PROMPT})
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": task[0], "type": "function", "function": {"name": "task", "arguments": "{}"}}],
    }
    tools = {"tools": [{"type": "function", "function": {"name": "task"}}]}
    result = {"role": "tool", "tool_call_id": task[0], "content": "dates.py"}
    return [
        Ask(at, messages=[USER], said="", calls=[task], body=tools),
        Ask(at + 1, messages=[{"role": "user", "content": PROMPT}], said="It is dates.py, in the folder src."),
        Ask(at + 2, messages=[USER, asked, result], said="Done.", body=tools),
    ]


TRAFFIC: dict[str, tuple[str, Sequence[Ask], Sequence[Any]]] = {
    # what: rules, calls, processes that are servers
    "no rule": ("rules: []", turns(0, 3), ()),
    "paths by what a call is about": (
        """
send: [helicone, traceforge]
rules:
  - {match: {message: "*then 0*"}, session: {path: /second}}
  - match: {process: agent.py}
    session: {name: Course, path: "/course/${model}"}
    user: "${process.user}"
    properties: {mode: nightly, arm: "${pick(red,blue)}"}
    tags: [evening]
    state: {turn: "${body.messages.-1.content}"}
""",
        turns(0, 3),
        (),
    ),
    "a conversation is a session": (
        "rules: [{session: {id: conversation}}]",
        [*turns(0, 3), *turns(0.2, 3, opening="Something else entirely.")],
        (),
    ),
    "a server, by auto": ("rules: []", [*turns(0, 2, caller=BOT), *turns(5, 2, caller=BOT, opening="Hello!")], [BOT]),
    "a sub-agent": ("rules: []", subagent(0), ()),
    "a sub-agent, matched": ("rules: [{match: {subagent: explore}, session: {path: /explore}}]", subagent(0), ()),
    "idle": ("rules: [{session: {name: Bot, idle: 10s}}]", [Ask(0), Ask(5), Ask(20), Ask(21), Ask(40)], ()),
    "max_calls": ("rules: [{session: {name: Bot, max_calls: 2}}]", [Ask(float(at)) for at in range(5)], ()),
    "a limit": (
        "rules: [{session: {name: Bot}, gateway: helicone, limit: {calls: 2, per: session}}]",
        [Ask(float(at)) for at in range(4)],
        (),
    ),
    "a process tree": (
        "rules: [{session: {name: Tree, id: process-tree}}]",
        [Ask(0), Ask(1, HELPER), Ask(2, BOT), Ask(3)],
        (),
    ),
    "parallel calls, planned in another order": (
        'rules: [{session: {name: Bot, path: "/step-${session.step}"}}]',
        [Ask(0, took=9), Ask(1, took=9, planned=0.5), Ask(1.2, took=9), Ask(1.3, took=9), Ask(1.4, took=9)],
        (),
    ),
    "the app's own session": (
        "rules: [{session: {name: Ours}}]",
        [Ask(0, headers={"Helicone-Session-Id": "their-session-1", "Helicone-Session-Path": "/theirs"}), Ask(1)],
        (),
    ),
    "an id from the environment": (
        'rules: [{session: {name: Run, id: ["${env.RUN_ID}", process]}}]',
        [Ask(0), Ask(1, HELPER)],
        (),
    ),
    "clients without a process": (
        "rules: [{match: {proxy_user: web}, session: {name: Web, idle: 5s}}]",
        [
            Ask(0, None, client="10.0.0.7"),
            Ask(1, None, client="10.0.0.7", proxy_user="web"),
            Ask(9, None, client="10.0.0.7", proxy_user="web", connection="connection-2"),
            *turns(20, 2, caller=None, client="127.0.0.1", connection="connection-3"),
            *turns(30, 2, caller=None, client="127.0.0.1", connection="connection-4"),
        ],
        (),
    ),
    "a connection is a session": (
        "rules: [{session: {name: Line, id: connection}}]",
        [Ask(0), Ask(1, connection="connection-2"), Ask(2)],
        (),
    ),
    "a gateway": (
        """
gateways: {mine: {kind: litellm, url: "http://127.0.0.1:4000", key: "${proxy_env.LITELLM_API_KEY}"}}
rules: [{match: {process: agent.py}, session: {name: Far}, gateway: mine}]
""",
        [Ask(0), Ask(1, BOT)],
        (),
    ),
    "a retry after a failure": ("rules: [{session: {id: conversation}}]", [Ask(0, status=500), Ask(1), Ask(2)], ()),
    "metadata alone": (
        """
rules:
  - {match: {process: bot.py}, capture: metadata}
  - {session: {name: Bot}, properties: {model: "${model}"}}
""",
        [Ask(0), Ask(1, BOT), Ask(2, BOT)],
        (),
    ),
    "calls that share a value": (
        'rules: [{match: {process: bot.py}, session: {name: Job, idle: 1h}, join: "${body.metadata.job}"}]',
        [
            *turns(0, 2, caller=BOT, body={"metadata": {"job": "one"}}),
            *turns(0.3, 2, caller=BOT, opening="Something else.", body={"metadata": {"job": "two"}}),
            Ask(5, BOT, body={"metadata": {"job": "one"}}),
            Ask(6, BOT, [{"role": "user", "content": "Of no job."}]),
            Ask(9000, BOT, body={"metadata": {"job": "two"}}),
        ],
        [BOT],
    ),
    "other headers": (
        'rules: [{headers: {set: {X-Team: "${process.user}"}, remove: ["X-Debug-*"]}}]',
        [Ask(0, headers={"X-Debug-Level": "9"})],
        (),
    ),
}


@pytest.mark.parametrize("what", TRAFFIC)
def test_nothing_would_change(tmp_path: Path, what: str) -> None:
    rules, asks, servers = TRAFFIC[what]
    rules = f"version: 1\n{rules}\n"
    log = made_log(tmp_path, rules, asks, servers=servers)
    before: dict[str, Outcome | None] = {}
    after: dict[str, Outcome] = {}

    def told(found: Redecided, outcome: Outcome, changes: object) -> None:
        before[found.call.id] = recorded_outcome(found.call.record)
        after[found.call.id] = outcome

    report = backtest(log, rules, listeners=[told])
    assert report.calls == len(asks)
    assert (report.changes, list(report.sessions.changes()), report.uncertain) == ({}, [], 0)
    assert report.is_unchanged
    for call, outcome in before.items():
        assert outcome is not None
        again = after[call]
        assert (again.step, again.parent, again.conversation, again.source) == (
            outcome.step,
            outcome.parent,
            outcome.conversation,
            outcome.source,
        )
        assert again.session == outcome.session or outcome.source == "connection"
