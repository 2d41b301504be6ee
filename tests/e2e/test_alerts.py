"""Alerts of a real proxy: told once for each crossing, on the terminal and in the log, and no call waits for it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import PYTHON, Lab, Proxy, wait_until
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

from sessiontap.push.notifier import READ_SECONDS

URL = "https://api.openai.com/v1/chat/completions"
HEADERS = {"authorization": "Bearer sk-test"}
SESSION = {"name": "Load", "id": "process"}
PRICES = {"gpt-4o": {"input": 1_000, "output": 1_000}}


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "rules": list(given), "prices": PRICES}


def question(text: str = "Why?", model: str = "gpt-4o") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def ask(app: httpx2.Client, text: str = "Why?", model: str = "gpt-4o") -> None:
    assert app.post(URL, json=question(text, model)).status_code == 200


@pytest.fixture
def upstream(lab: Lab) -> Server:
    return lab.upstream(LlmService())


def summary(note: dict[str, Any]) -> tuple[Any, ...]:
    return note["rule"], note["measure"], note["per"], note["threshold"]


def test_a_hundred_parallel_calls_are_told_of_each_crossing_once(lab: Lab, upstream: Server) -> None:
    thresholds = [{"calls": 10}, {"calls": 100}, {"tokens": 100}, {"cost_usd": 0.05}, {"calls": 50, "per": "day"}]
    proxy = lab.proxy(rules({"rule": "all", "session": SESSION, "alert": thresholds}))
    with proxy.client(headers=HEADERS) as app, ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda number: ask(app, f"Question {number}?"), range(100)))
    proxy.wait_calls(100)
    notes = proxy.wait_notes("alert", 5)
    assert sorted(map(summary, notes)) == [
        ("all", "calls", "day", 50), ("all", "calls", "session", 10), ("all", "calls", "session", 100),
        ("all", "cost_usd", "session", 0.05), ("all", "tokens", "session", 100),
    ]  # fmt: skip
    calls = {call.id: call for call in proxy.trace.calls()}
    assert all(note["call"] in calls for note in notes)
    assert {note["session"] for note in notes} == {call.record["session"]["id"] for call in calls.values()}
    output = proxy.process.output
    assert [output.count(note["text"]) for note in notes] == [1] * 5


def test_an_alert_is_told_though_no_further_call_comes(lab: Lab, upstream: Server) -> None:
    proxy = lab.proxy(rules({"rule": "costs", "session": SESSION, "alert": {"cost_usd": 0.001}}))
    with proxy.client(headers=HEADERS) as app:
        ask(app)
        (note,) = proxy.wait_notes("alert")
    (call,) = proxy.wait_calls(1)
    usage = call.record["llm"]["usage"]
    cost = (usage["input"] + usage["output"]) / 1000
    assert (note["value"], note["measure"]) == (pytest.approx(cost), "cost_usd")
    assert call.record["counted"] == {"cost_usd": pytest.approx(cost)}
    wait_until(lambda: "alert 'costs': cost_usd is $0.0" in proxy.process.output, lambda: proxy.process.output)


def test_an_unknown_price_is_said_once_and_counts_nothing(lab: Lab, upstream: Server) -> None:
    proxy = lab.proxy(rules({"rule": "costs", "session": SESSION, "alert": {"cost_usd": 0.001, "calls": 3}}))
    with proxy.client(headers=HEADERS) as app:
        for number in range(3):
            ask(app, f"{number}?", model="gpt-nobody-knows")
    (note,) = proxy.wait_notes("alert")
    proxy.wait_calls(3)
    proxy.stop()
    assert note["measure"] == "calls"
    assert [one["measure"] for one in proxy.notes("alert")] == ["calls"]
    said = "alerts and limits count no cost of some calls: genai-prices does not know the model"
    assert proxy.process.output.count(said) == 1


def test_the_same_request_again_and_again_is_a_loop(lab: Lab, upstream: Server) -> None:
    proxy = lab.proxy(rules({"rule": "loops", "session": SESSION, "alert": {"repeats": 3}}))
    with proxy.client(headers=HEADERS) as app:
        for text in ("Why?", "How?", "Who?", "Who?", "Who?", "Who?"):
            ask(app, text)
    (note,) = proxy.wait_notes("alert")
    calls = proxy.wait_calls(6)
    assert note["call"] == calls[4].id


def test_errors_are_counted_as_they_are_recorded(lab: Lab, upstream: Server) -> None:
    proxy = lab.proxy(rules({"rule": "errors", "session": SESSION, "alert": {"error_rate": 0.5}}))
    with proxy.client() as app:  # without a key
        for _ in range(5):
            assert app.post(URL, json=question()).status_code == 401
    (note,) = proxy.wait_notes("alert")
    assert (note["measure"], note["value"]) == ("error_rate", 1.0)


def test_counts_go_on_after_a_restart(lab: Lab, upstream: Server) -> None:
    """Also to another threshold. The test's own process makes all calls, so that they are of one session."""

    def given(calls: int, tokens: int, cost_usd: float) -> dict[str, Any]:
        alerts = [{"calls": calls}, {"tokens": tokens, "per": "process"}, {"cost_usd": cost_usd, "per": "day"}]
        return rules({"rule": "all", "session": SESSION, "alert": alerts})

    first = lab.proxy(given(2, 1_000_000, 1_000))
    with first.client(headers=HEADERS) as app:
        ask(app)
        ask(app)
    usage = [call.record["llm"]["usage"] for call in first.wait_calls(2)]
    tokens = sum(one["input"] + one["output"] for one in usage)
    first.stop()
    assert [note["value"] for note in first.notes("alert")] == [2]
    second = lab.proxy(given(3, tokens + 1, (tokens + 1) / 1000), options={"session_trace": first.trace_folder})
    with second.client(headers=HEADERS) as app:
        ask(app)
        told = second.wait_notes("alert", 4)
        found = health(second)["alerts"]
    assert [(one["measure"], one["value"]) for one in found] == [(one["measure"], one["value"]) for one in told[1:]]
    assert {one["measure"]: one["value"] for one in found} == {
        "calls": 3, "tokens": tokens * 3 // 2, "cost_usd": pytest.approx(tokens * 3 / 2000),
    }  # fmt: skip


def health(proxy: Proxy) -> dict[str, Any]:
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as app:
        found: dict[str, Any] = app.get("http://sessiontap.invalid/health").json()
        return found


class Hook:
    """A webhook's server: keeps what it is told, and answers with these statuses in turn, then with the last."""

    def __init__(self, *statuses: int) -> None:
        self.told: list[Any] = []
        self.statuses = list(statuses)

    async def __call__(self, request: Request, respond: Respond) -> None:
        self.told.append((request.headers.get("x-token"), json.loads(await request.body())))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        await respond.start(status, [("content-length", "0")])
        await respond.end()


ALL = {"rule": "all", "session": SESSION, "alert": {"calls": 2}}


def test_a_command_and_a_webhook_are_told(lab: Lab, upstream: Server, tmp_path: Path) -> None:
    hook = Hook(500, 200)
    file = tmp_path / "told"
    with Server(hook) as server:
        told = {
            "run": [PYTHON, "-c", "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", str(file)],
            "webhook": "${proxy_env.HOOK}",
            "headers": {"X-Token": "${proxy_env.HOOK_TOKEN}"},
        }
        environment = {"HOOK": f"http://127.0.0.1:{server.port}/key", "HOOK_TOKEN": "tok-0123456789abcdef"}
        proxy = lab.proxy({**rules(ALL), "alerts": told}, environment=environment)
        with proxy.client(headers=HEADERS) as app:
            ask(app)
            ask(app)
        wait_until(lambda: file.exists() and len(hook.told) == 2 and file.read_text() != "")
    (token, crossing), again = hook.told
    assert (token, crossing) == again == ("tok-0123456789abcdef", json.loads(file.read_text()))
    assert {key: crossing[key] for key in ("kind", "rule", "measure", "value")} == {
        "kind": "alert", "rule": "all", "measure": "calls", "value": 2,
    }  # fmt: skip
    assert crossing["text"].startswith("alert 'all': calls is 2, at or above 2, in session Load (")


@pytest.mark.parametrize(
    ("told", "by", "why"),
    [
        ({"run": ["/no/such/program"]}, "command", "program cannot be started: No such file or directory"),
        ({"run": ["false"]}, "command", "false ended with status 1"),
        ({"webhook": "http://127.0.0.1:{port}/x"}, "webhook", "it answered with status 404"),
    ],
    ids=["no such program", "a command that fails", "a webhook that refuses"],
)
def test_whom_an_alert_could_not_be_told_is_said_once(
    lab: Lab, upstream: Server, told: dict[str, Any], by: str, why: str
) -> None:
    with Server(Hook(404)) as server:
        told = {
            key: value.replace("{port}", str(server.port)) if isinstance(value, str) else value
            for key, value in told.items()
        }
        proxy = lab.proxy({**rules({**ALL, "alert": [{"calls": 1}, {"calls": 2}]}), "alerts": told})
        with proxy.client(headers=HEADERS) as app:
            ask(app)
            ask(app)
        wait_until(lambda: health(proxy)["alerts_failing"] == {by: why})
    assert proxy.process.output.count(f"the {by} of alerts was not told: {why}") == 1


def test_calls_go_on_while_command_and_webhook_hang(lab: Lab, upstream: Server) -> None:
    """An alert of each call is told meanwhile."""

    async def hang(request: Request, respond: Respond) -> None:
        await respond.gone.wait()

    with Server(hang) as server:
        alerts = {"run": ["sleep", "600"], "webhook": f"http://127.0.0.1:{server.port}/"}
        given = rules({**ALL, "alert": [{"calls": number} for number in range(1, 31)]})
        proxy = lab.proxy({**given, "alerts": alerts})
        with proxy.client(headers=HEADERS) as app:
            begun = time.monotonic()
            for number in range(30):
                ask(app, f"{number}?")
            assert time.monotonic() - begun < 30 * READ_SECONDS / 2  # none waits until the webhook is given up
        assert len(proxy.wait_notes("alert", 30)) == 30
        assert proxy.process.stop() == 0
