"""Short rules with a real proxy: an agent whose rule holds its steps, and a server whose calls share a value."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.e2e.lab import Lab, Proxy
from tests.support.llm_server import LlmService

URL = "https://api.openai.com/v1/chat/completions"
HEADERS = {"authorization": "Bearer sk-test"}

STEPS = {
    "version": 1,
    "rules": [
        {
            "rule": "course",
            "match": {"process": "python*"},
            "session": {"name": "Course", "id": "process", "path": "/plan/${model}"},
            "properties": {"tool": "none"},
            "steps": [
                {"prompt": "You write syllabi*", "path": "+/syllabus", "properties": {"tool": "syllabus"}},
                {
                    "step": "web search",
                    "tool_result": "web_search",
                    "result": {"web_search.count": ">2"},
                    "path": "+/web-search",
                    "properties": {"query": "${tool_call.web_search.query}"},
                    "state": {"found": "${tool_result.web_search.count}"},
                },
            ],
        }
    ],
}
SEARCH = {"name": "web_search", "arguments": '{"query": "rye"}'}
SEARCHED = [
    {"role": "user", "content": "Look it up."},
    {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": SEARCH}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": '{"count": 3}'},
]


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab) -> Proxy:
    shared_lab.upstream(LlmService())
    return shared_lab.proxy(STEPS)


def ask(proxy: Proxy, messages: list[dict[str, Any]], **more: Any) -> None:
    with proxy.client(headers=HEADERS) as app:
        assert app.post(URL, json={"model": "gpt-4o", "messages": messages, **more}).status_code == 200


def test_the_steps_of_an_agent(proxy: Proxy) -> None:
    ask(proxy, [{"role": "system", "content": "You write syllabi."}, {"role": "user", "content": "Go."}])
    ask(proxy, SEARCHED)
    ask(proxy, [{"role": "user", "content": "Hello."}])
    calls = proxy.take(3)
    assert [(call.record["session"]["path"], call.record["properties"]["tool"]) for call in calls] == [
        ("/plan/gpt-4o/syllabus", "syllabus"),
        ("/plan/gpt-4o/web-search", "none"),
        ("/plan/gpt-4o", "none"),
    ]
    searched = calls[1].record
    assert (searched["properties"]["query"], searched["state"]) == ("rye", {"found": "3"})
    rules = [call.record["rules"] for call in calls]
    assert rules == [["course", "course/#1"], ["course", "course/web search"], ["course"]]
    assert len({call.session_id for call in calls}) == 1


JOINED = {
    "version": 1,
    "rules": [{"session": {"name": "Reports", "id": "process"}, "join": ["${body.metadata.job}", "${message}"]}],
}


def test_parallel_calls_of_a_server_are_tied_by_their_job(proxy: Proxy) -> None:
    """Twelve connections at once, three jobs; then a question that two calls share, and a call of another process."""
    proxy.write_rules(JOINED)

    def of_job(number: int) -> None:
        ask(proxy, [{"role": "user", "content": f"Part {number}."}], metadata={"job": f"job-{number % 3}"})

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(of_job, range(12)))
    for _ in range(2):
        ask(proxy, [{"role": "user", "content": "Rest."}])
    *jobs, first, second = proxy.take(14)
    sessions: dict[str, set[str | None]] = {}
    for call in jobs:
        job = str(json.loads(call.request_body() or b"")["metadata"]["job"])
        sessions.setdefault(job, set()).add(call.session_id)
    assert {len(ids) for ids in sessions.values()} == {1}
    assert len(set.union(*sessions.values())) == 3
    assert first.session_id == second.session_id not in set.union(*sessions.values())
    assert {call.record["session"]["source"] for call in (*jobs, first, second)} == {"join"}
    assert [call.record["session"]["rank"] for call in (jobs[0], first)] == [0, 1]
