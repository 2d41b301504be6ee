"""A flood of clients at a proxy that may open few files: it lives, says what is wrong, and is well again afterwards."""

from __future__ import annotations

import threading
from typing import Any

from tests.e2e.faults.load import all_at_once
from tests.e2e.lab import Lab, Proxy
from tests.support.dialogue import Request, Respond

URL = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
CLIENTS = 20
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from mitmproxy.tools.main import mitmdump
mitmdump()
"""


async def answer(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, b'{"model": "gpt-4o", "choices": []}', [("content-type", "application/json")])


def flooded(lab: Lab, soft: int, hard: int) -> tuple[Proxy, list[int]]:
    """A proxy with these limits, and the statuses that its clients got who came all at once."""
    lab.upstream(answer)
    proxy = lab.proxy(program=["-c", LIMITED.format(soft=soft, hard=hard)])
    together, statuses = threading.Barrier(CLIENTS), []

    def ask(_: int) -> None:
        with proxy.client() as app:
            together.wait()
            try:
                statuses.append(app.post(URL, json=QUESTION).status_code)
            except Exception:
                statuses.append(0)

    all_at_once(CLIENTS, ask)
    return proxy, statuses


def test_a_limit_that_may_be_raised_is_raised(lab: Lab) -> None:
    """As on macOS, where a terminal gives 256."""
    proxy, statuses = flooded(lab, 40, 4096)
    assert statuses == [200] * CLIENTS
    assert all(call.record["caller"] is not None for call in proxy.wait_calls(CLIENTS))
    assert "files open" not in proxy.process.output


def test_a_proxy_out_of_files_goes_on_and_says_so(lab: Lab) -> None:
    proxy, _ = flooded(lab, 40, 40)
    with proxy.client() as app:
        assert app.post(URL, json=QUESTION).status_code == 200
    proxy.process.wait_line(lambda line: "the proxy may have 40 files open" in line)
    assert "a fault of its own" not in proxy.process.output
    proxy.stop()
    last = max(proxy.trace.calls(), key=lambda call: call.record["time"])
    assert (last.record["response"]["status"], last.record["caller"] is not None) == (200, True)
