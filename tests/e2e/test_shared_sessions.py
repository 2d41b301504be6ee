"""Three proxies behind a balancer that share their sessions by Redis: clients' connections land anywhere."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import RUN, Lab, Proxy, wait_until
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.running import free_port

from sessiontap.proxy.own_address import health_url
from sessiontap.stores.local_steps import LOCAL_STEPS
from sessiontap.trace import RecordedCall

pytestmark = [
    needs_redis,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed"),
]
PROXIES, CLIENTS, SESSIONS = 3, 30, 10
BOUND = 0.5
"""Seconds: this machine may have other work."""
RULES: Any = {"version": 1, "rules": [{"session": {"name": "Team"}}]}
BALANCER = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option redispatch
  retries 3
listen proxies
  bind {address}:{port}
  balance roundrobin
  default-server check inter 100ms fall 1
{servers}
"""


@dataclass
class Client:
    """One conversation, in a session that it shares with others. Each turn has a connection of its own."""

    number: int
    url: str
    ca: Path
    session: str = "session"
    messages: list[dict[str, Any]] = field(default_factory=list)

    def turn(self) -> None:
        """Ask, and keep the answer."""
        said = f"Client {self.number} asks for the {len(self.messages)}. time"
        self.messages.append({"role": "user", "content": said})
        reply = None
        while reply is None:
            with suppress(httpx2.RemoteProtocolError):  # the balancer does not know yet that a proxy was killed
                reply = self._post()
        assert reply.status_code == 200
        self.messages.append({"role": "assistant", "content": reply.json()["choices"][0]["message"]["content"]})

    def _post(self) -> httpx2.Response:
        verify = ssl.create_default_context(cafile=self.ca)
        with httpx2.Client(proxy=self.url, verify=verify, trust_env=False, timeout=PATIENCE) as http:
            return http.post(
                "https://api.openai.com/v1/chat/completions",
                json={"model": "gpt-4o-mini", "messages": self.messages},
                headers={
                    "authorization": "Bearer sk-test",
                    "Helicone-Session-Id": f"{self.session}-{self.number % SESSIONS}",
                },
            )


@dataclass
class Cluster:
    """Proxies with one store, the balancer before them, and its clients."""

    proxies: list[Proxy]
    clients: list[Client]

    def turns(self, number: int) -> None:
        """All clients ask so many times, together."""
        turns(self.clients, number)

    def calls(self, number: int) -> list[RecordedCall]:
        """Those of all logs, oldest first, once there are so many."""
        found: list[RecordedCall] = []

        def there() -> bool:
            found[:] = [call for proxy in self.proxies for call in proxy.trace.calls()]
            return len(found) == number

        wait_until(there, lambda: f"{len(found)} calls of {number}")
        return sorted(found, key=lambda call: call.id)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path, redis: RedisServer) -> Iterator[Cluster]:
    with sharing(lab, tmp_path, f"{redis.url}?timeout={BOUND * 1000:.0f}ms") as made:
        yield made


@contextmanager
def sharing(lab: Lab, folder: Path, store: str) -> Iterator[Cluster]:
    """Proxies that share their sessions by a store."""
    lab.upstream(LlmService())
    proxies = [lab.proxy(RULES, options={"session_store": store}, **RUN) for _ in range(PROXIES)]
    port = free_port()
    servers = "\n".join(f"  server proxy-{at} {one.url.removeprefix('http://')}" for at, one in enumerate(proxies))
    (folder / "haproxy.cfg").write_text(BALANCER.format(address="127.0.0.1", port=port, servers=servers))
    with subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]) as balancer:
        try:
            wait_until(lambda: is_open(port))
            wait_until(lambda: all(health(proxy)["away"] is None for proxy in proxies))
            url = f"http://127.0.0.1:{port}"
            yield Cluster(proxies, [Client(number, url, proxies[0].ca) for number in range(CLIENTS)])
        finally:
            balancer.terminate()


def turns(clients: list[Client], number: int) -> None:
    """They ask so many times, together."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        for one in [pool.submit(lambda one=one: [one.turn() for _ in range(number)]) for one in clients]:
            one.result()


def health(proxy: Proxy) -> dict[str, Any]:
    """What a proxy says of the store."""
    with httpx2.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE) as client:
        return dict(client.get(health_url()).json()["session_store"])


def is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def steps(calls: list[RecordedCall]) -> dict[str, list[int]]:
    """The steps of each session, sorted."""
    found: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        found[str(call.session_id)].append(call.record["session"]["step"])
    return {session: sorted(taken) for session, taken in found.items()}


def test_steps_and_parents_are_those_of_one_proxy_also_when_one_is_killed(cluster: Cluster) -> None:
    for turn in range(3):
        cluster.turns(1)
        cluster.calls(CLIENTS * (turn + 1))  # so that no parent depends on how quick a recorder is
    assert min(len(list(proxy.trace.calls())) for proxy in cluster.proxies) > CLIENTS / 2
    os.kill(cluster.proxies[1].process.pid, signal.SIGKILL)
    for turn in range(3, 6):
        cluster.turns(1)
        calls = cluster.calls(CLIENTS * (turn + 1))
    assert steps(calls) == {f"session-{number}": list(range(18)) for number in range(SESSIONS)}
    conversations: dict[str, list[RecordedCall]] = defaultdict(list)
    for call in calls:
        conversations[str(call.record["conversation"])].append(call)
    assert len(conversations) == CLIENTS
    for told in conversations.values():
        assert [call.record["parent"] for call in told] == [None, *(call.id for call in told[:-1])]
        assert {call.record["evidence"] for call in told[1:]} == {"strong"}


def test_calls_go_on_while_the_store_hangs_and_steps_go_on_where_they_were(
    cluster: Cluster, redis: RedisServer
) -> None:
    cluster.turns(1)
    redis.freeze()
    cluster.turns(2)
    told = [health(proxy) for proxy in cluster.proxies]
    redis.thaw()
    wait_until(lambda: all(health(proxy)["away"] is None for proxy in cluster.proxies))
    cluster.turns(1)
    calls = cluster.calls(CLIENTS * 4)
    local = [call for call in calls if "local_step" in call.record["flags"]]
    assert len(local) == CLIENTS * 2
    assert sum(one["local_steps"] for one in told) == CLIENTS * 2
    assert all("does not answer" in one["away"] for one in told)
    assert all(call.recorded["session"]["step"] >= LOCAL_STEPS for call in local)
    assert steps(calls) == {f"session-{number}": list(range(12)) for number in range(SESSIONS)}
    for proxy in cluster.proxies:
        away, back = (note["text"] for note in proxy.wait_notes("session_store", 2))
        assert "is away" in away
        assert "answers again" in back


def test_calls_go_on_while_a_replica_takes_the_place_of_its_primary(lab: Lab, tmp_path: Path) -> None:
    with redis_cluster(tmp_path, replicas=1) as store:
        lost = store.primary_of("{sessiontap}:")
        with sharing(lab, tmp_path, f"{lost.url}?timeout={BOUND * 1000:.0f}ms") as cluster:
            cluster.turns(1)
            asking = threading.Thread(target=cluster.turns, args=[2])
            asking.start()
            wait_until(lambda: sum(1 for one in cluster.proxies for _ in one.trace.calls()) > CLIENTS * 1.5)
            lost.stop()
            asking.join()
            wait_until(lambda: all(health(proxy)["away"] is None for proxy in cluster.proxies))
            wait_until(lambda: not any(health(proxy)["unnumbered"] for proxy in cluster.proxies))
            cluster.turns(1)
            calls = cluster.calls(CLIENTS * 4)
            for proxy in cluster.proxies:
                wait_until(lambda proxy=proxy: "answers again" in proxy.notes("session_store")[-1]["text"])
                assert "is away" in proxy.notes("session_store")[0]["text"]
            waits = [health(proxy)["longest_wait"] for proxy in cluster.proxies]
    assert [call for call in calls if "local_step" in call.record["flags"]]
    assert steps(calls) == {f"session-{number}": list(range(12)) for number in range(SESSIONS)}
    assert max(waits) <= BOUND
