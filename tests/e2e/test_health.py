"""`GET http://sessiontap.invalid/health`: does the proxy record?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import httpx2
import psutil
import pytest
from tests.e2e.lab import PYTHON, ROOT, RUN, Lab, Proxy, wait_until
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap.proxy.own_address import health_url

CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
RULES: Any = {"version": 1, "rules": [{"match": {"route": "/v1/**"}, "session": {"name": "All"}}]}


def health(proxy: Proxy) -> httpx2.Response:
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as app:
        return app.get(health_url())


@pytest.fixture
def proxy(lab: Lab) -> Proxy:
    lab.upstream(LlmService())
    return lab.proxy(RULES, **RUN)


def test_a_proxy_that_records_says_so_with_status_200(proxy: Proxy) -> None:
    reply = health(proxy)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == {
        "ok": True,
        "listening": [f"127.0.0.1:{proxy.process.port}"],
        "rules": {"file": str(proxy.rules_file), "in_force": 1, "error": None},
        "recorder": True,
        "lost_records": 0,
        "trace": {"folder": str(proxy.trace_folder), "writable": True, "error": None},
        "gateways": [],
        "alerts": [],
        "alerts_failing": {},
        "session_store": None,
        "workers": {"running": 1, "of": 1},
    }


def test_a_broken_rules_file_is_told_and_the_proxy_is_well(proxy: Proxy) -> None:
    proxy.rules_file.write_text("version: 1\nrules: [{match: 3}]\n", encoding="utf-8")
    reply = health(proxy)
    rules = reply.json()["rules"]
    assert (reply.status_code, rules["in_force"]) == (200, 1)
    assert "rules.yaml:2" in rules["error"]


def test_a_folder_that_has_gone_is_status_503_until_it_is_there_again(proxy: Proxy) -> None:
    away = proxy.trace_folder.with_name("away")
    proxy.trace_folder.rename(away)
    proxy.trace_folder.write_text("no folder")
    reply = health(proxy)
    found = reply.json()
    assert (reply.status_code, found["ok"], found["trace"]["writable"]) == (503, False, False)
    assert str(proxy.trace_folder) in found["trace"]["error"]
    proxy.trace_folder.unlink()
    away.rename(proxy.trace_folder)
    assert health(proxy).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="sets another process's limits")
def test_records_that_the_recorder_could_not_write_are_counted(proxy: Proxy) -> None:
    """Its files may not grow: writing fails as on a full disk, while the folder itself is in order."""
    (recorder,) = psutil.Process(proxy.process.pid).children()
    before = recorder.rlimit(psutil.RLIMIT_FSIZE)
    recorder.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
    with proxy.client() as app:
        assert app.post(CHAT, json=QUESTION, headers={"authorization": "Bearer sk-test"}).status_code == 200
    wait_until(lambda: health(proxy).json()["lost_records"] > 0)
    assert health(proxy).status_code == 503
    recorder.rlimit(psutil.RLIMIT_FSIZE, before)
    wait_until(lambda: health(proxy).status_code == 200)  # it notices by itself
    assert health(proxy).json()["lost_records"] > 0


def test_the_images_health_check_asks_it(proxy: Proxy) -> None:
    recipe = (ROOT / "docs/deployment/Dockerfile").read_text(encoding="utf-8")
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", recipe, re.MULTILINE)
    _, *arguments = json.loads(check.replace("8080", str(proxy.process.port)))
    assert subprocess.run([PYTHON, *arguments], check=False, timeout=PATIENCE).returncode == 0
    proxy.trace_folder.rename(proxy.trace_folder.with_name("away"))
    proxy.trace_folder.write_text("no folder")
    assert subprocess.run([PYTHON, *arguments], check=False, timeout=PATIENCE).returncode == 1
