"""`sessiontap run` under a service manager: SIGTERM lets the calls in flight end, SIGHUP reads the rules again."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, Proxy, wait_until
from tests.support.gate import PATIENCE, HalfReply

URL = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
FIRST, SECOND = (b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word for word in (b"one", b"two"))
RULES: Any = {"version": 1, "rules": [{"match": {"route": "/v1/**"}, "session": {"name": "Second"}}]}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def run(lab: Lab, drain: str) -> Proxy:
    return lab.proxy(**RUN, options={"session_drain": drain})


def read_to_the_end(proxy: Proxy) -> bytes:
    """Return the reply as the app gets it, as far as it comes."""
    import httpx2

    got = b""
    with proxy.client() as app:
        try:
            with app.stream("POST", URL, json=QUESTION) as reply:
                for data in reply.iter_raw():
                    got += data
        except httpx2.HTTPError:
            pass
    return got


def listens(proxy: Proxy) -> bool:
    try:
        socket.create_connection(("127.0.0.1", proxy.process.port), 5).close()
    except OSError:
        return False
    return True


def test_sigterm_waits_for_a_reply_under_way_and_accepts_no_other(lab: Lab) -> None:
    upstream = HalfReply(FIRST, SECOND)
    lab.upstream(upstream)
    proxy = run(lab, "60s")
    with ThreadPoolExecutor(1) as app:
        reply = app.submit(read_to_the_end, proxy)
        upstream.gate.wait_reached()
        os.kill(proxy.process.pid, signal.SIGTERM)
        proxy.process.wait_line(lambda line: "1 call is in flight; the proxy ends after it" in line)
        wait_until(lambda: not listens(proxy))
        upstream.gate.open()
        assert reply.result(PATIENCE) == FIRST + SECOND
    (call,) = proxy.stop()
    assert call.record["outcome"] == "ok"


def send_it_again(proxy: Proxy) -> None:
    os.kill(proxy.process.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("drain", "then"),
    [("0.05s", lambda proxy: None), ("60s", send_it_again)],
    ids=["the time is up", "a second SIGTERM"],
)
def test_a_reply_that_does_not_end_is_recorded_as_far_as_it_came(
    lab: Lab, drain: str, then: Callable[[Proxy], None]
) -> None:
    upstream = HalfReply(FIRST, SECOND)
    lab.upstream(upstream)
    proxy = run(lab, drain)
    with ThreadPoolExecutor(1) as app:
        reply = app.submit(read_to_the_end, proxy)
        upstream.gate.wait_reached()
        os.kill(proxy.process.pid, signal.SIGTERM)
        proxy.process.wait_line(lambda line: "in flight" in line)
        then(proxy)
        assert reply.result(PATIENCE) == FIRST
    (call,) = proxy.stop()
    assert call.record["outcome"] == "proxy_stopped"
    upstream.gate.open()


def test_ctrl_c_ends_it_at_once(lab: Lab) -> None:
    upstream = HalfReply(FIRST, SECOND)
    lab.upstream(upstream)
    proxy = run(lab, "60s")
    with ThreadPoolExecutor(1) as app:
        reply = app.submit(read_to_the_end, proxy)
        upstream.gate.wait_reached()
        os.kill(proxy.process.pid, signal.SIGINT)
        assert reply.result(PATIENCE) == FIRST
    (call,) = proxy.stop()
    assert call.record["outcome"] == "proxy_stopped"
    upstream.gate.open()


def test_sighup_reads_the_rules_again(lab: Lab) -> None:
    proxy = run(lab, "5s")
    proxy.write_rules(RULES)
    os.kill(proxy.process.pid, signal.SIGHUP)
    proxy.process.wait_line(lambda line: "1 rule in force" in line)
    assert proxy.stop() == []
