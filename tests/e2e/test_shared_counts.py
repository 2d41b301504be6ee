"""Workers, and proxies with a store, count together: limits refuse by the calls of all, each crossing is told once."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import PYTHON, RUN, Lab, Proxy, own_environment, wait_until
from tests.e2e.test_workers import ASKS_BY_LINE, calls_by_worker, end, run, script, start
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService
from tests.support.redis_server import needs_redis, redis_server

from sessiontap.proxy.own_address import health_url

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds callers by /proc")
PROGRAMS, MOST = 6, 6
KEY = {"authorization": "Bearer sk-test"}
OPENAI = "https://api.openai.com/v1/chat/completions"
RULES: Any = {
    "version": 1,
    "rules": [
        {
            "rule": "all",
            "session": {"name": "App", "id": "process-tree"},
            "limit": {"calls": MOST, "per": "day"},
            "alert": [{"calls": MOST - 2, "per": "day"}, {"tokens": 1, "per": "day"}],
        }
    ],
}


def test_workers_count_together(lab: Lab, tmp_path: Path) -> None:
    lab.upstream(LlmService())
    proxy = run(lab, rules=RULES, home=str(tmp_path))
    file = script(lab, "asks.py", ASKS_BY_LINE)
    with ExitStack() as stack:
        apps = [stack.enter_context(start(proxy, file)) for _ in range(PROGRAMS)]
        for _ in range(2):
            for app in apps:  # at the same time
                assert app.stdin is not None
                app.stdin.write("Why?\n")
                app.stdin.flush()
        said = [app.stdout.readline() for app in apps for _ in range(2) if app.stdout is not None]
        assert sorted(said) == ["200\n"] * MOST + ["403\n"] * MOST
        proxy.wait_calls(2 * PROGRAMS)
        assert len([calls for calls in calls_by_worker(proxy).values() if calls]) == 2
        (limit,) = proxy.wait_notes("limit")
        assert limit["value"] == MOST
        alerts = proxy.wait_notes("alert", 2)
        assert sorted(one["measure"] for one in alerts) == ["calls", "tokens"]

        (listed,) = limits(proxy.trace_folder, tmp_path)
        (lifted,) = limits(proxy.trace_folder, tmp_path, "--lift", listed["id"])
        assert lifted["id"] == limit["id"]
        assert apps[0].stdin is not None
        apps[0].stdin.write("And now?\n")
        assert end(apps[0]) == "200\n"


@needs_redis
def test_proxies_with_a_store_count_together(lab: Lab, tmp_path: Path) -> None:
    lab.upstream(LlmService())
    with redis_server(tmp_path) as redis:
        options = {"session_store": f"{redis.url}?timeout=1s"}
        proxies = [lab.proxy(RULES, options=options, **RUN) for _ in range(2)]
        for proxy in proxies:
            wait_until(lambda proxy=proxy: health(proxy)["session_store"]["away"] is None)
        with proxies[0].client() as one, proxies[1].client() as other:
            said = [
                (one, other)[at % 2].post(OPENAI, json=asked(at), headers=KEY).status_code
                for at in range(2 * MOST)
            ]
        assert said == [200] * MOST + [403] * MOST
        for proxy in proxies:
            proxy.wait_calls(MOST)
        told = [proxy.stop() and proxy.notes("limit") + proxy.notes("alert") for proxy in proxies]
    assert sorted(note["measure"] for notes in told for note in notes) == ["calls", "calls", "tokens"]


def asked(number: int) -> dict[str, Any]:
    """The first request of a conversation."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Why {number}?"}]}


def health(proxy: Proxy) -> dict[str, Any]:
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as client:
        return dict(client.get(health_url()).json())


def limits(trace: Path, home: Path, *options: str) -> list[dict[str, Any]]:
    """What `sessiontap limits` says."""
    words = [PYTHON, "-P", "-m", "sessiontap.cli", "limits", "--json", "--trace", str(trace), *options]
    environ = {**own_environment(), "HOME": str(home)}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))
