"""Three proxies on machines of their own behind a balancer, which share their sessions by Redis: clients' connections
land anywhere, and the way to Redis, or Redis itself, fails."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import SCRIPTS, Lab, Proxy, wait_until
from tests.e2e.test_shared_sessions import BALANCER, CLIENTS, PROXIES, RULES, SESSIONS, Client, health, steps, turns
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService
from tests.support.network import Network, needs_network
from tests.support.redis_server import RedisServer, SlowWay, needs_redis

from sessiontap.demo.proxy_process import SESSIONTAP_RUN
from sessiontap.stores.local_steps import LOCAL_STEPS
from sessiontap.trace import RecordedCall

pytestmark = [
    needs_network,
    needs_redis,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed"),
]
BOUND = 0.25
"""Seconds: this machine may have other work."""
PORT = 8080
Act = Callable[["Machines"], None]


class Relay:
    """A way to Redis that can be slow, on a thread of its own."""

    def __init__(self, redis: RedisServer, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.way = SlowWay(redis.port, address)
        self._do(self.way.open())

    def close(self) -> None:
        async def end() -> None:
            self.way.cut()

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


@dataclass
class Machines:
    """All that runs, each on a machine of its own."""

    network: Network
    redis: RedisServer
    relay: Relay
    proxies: list[Proxy]
    url: str

    def health(self) -> list[dict[str, Any]]:
        """What each proxy says of the store."""
        found = []
        for at, proxy in enumerate(self.proxies):
            with self.network.inside(f"proxy-{at}"):
                found.append(health(proxy))
        return found

    def calls(self, session: str, number: int) -> list[RecordedCall]:
        """Those of sessions that begin so, of all logs, oldest first, once there are so many."""
        found: list[RecordedCall] = []

        def there() -> bool:
            every = (call for proxy in self.proxies for call in proxy.trace.calls())
            found[:] = [call for call in every if str(call.session_id).startswith(session)]
            return len(found) == number

        wait_until(there, lambda: f"{len(found)} calls of {number}")
        return sorted(found, key=lambda call: call.id)

    def start_redis(self) -> None:
        with self.network.inside("redis"):
            self.redis.start()


@pytest.fixture(scope="module")
def machines(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = Path(tmp_path_factory.mktemp("machines"))
    redis = RedisServer(folder)
    with Network() as network:
        network.add("upstream", ["calls"])
        network.add("redis", ["store"])
        network.add("balancer", ["calls"])
        upstream = network.address("upstream", "calls")
        with network.inside("upstream"):
            shared_lab.upstream(LlmService(), address=upstream)
        with network.inside("redis"):
            redis.start()
            relay = Relay(redis, network.address("redis", "store"))
        store = f"redis://{network.address('redis', 'store')}:{relay.way.port}?timeout={BOUND * 1000:.0f}ms"
        proxies = [_proxy(shared_lab, network, f"proxy-{at}", upstream, store) for at in range(PROXIES)]
        servers = "\n".join(
            f"  server proxy-{at} {network.address(f'proxy-{at}', 'calls')}:{proxy.process.port}"
            for at, proxy in enumerate(proxies)
        )
        address = network.address("balancer", "calls")
        (folder / "haproxy.cfg").write_text(BALANCER.format(address=address, port=PORT, servers=servers))
        with network.inside("balancer"):
            balancer = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")])
        made = Machines(network, redis, relay, proxies, f"http://{address}:{PORT}")
        try:
            wait_until(lambda: all(one["away"] is None for one in made.health()))
            yield made
        finally:
            balancer.terminate()
            balancer.wait()
            for proxy in proxies:
                proxy.process.stop()
            relay.close()
            redis.stop()


def _proxy(lab: Lab, network: Network, name: str, upstream: str, store: str) -> Proxy:
    network.add(name, ["calls", "store"])
    with network.inside(name):
        return lab.proxy(
            RULES,
            options={"session_store": store},
            environment={"SESSIONTAP_TEST_UPSTREAM": upstream},
            scripts=[SCRIPTS / "other_machines.py"],
            program=SESSIONTAP_RUN,
            entry=None,
            arguments=["--listen-host", "0.0.0.0"],
        )


def cut_off(machines: Machines) -> None:
    machines.network.cut("proxy-0", "store")


def join(machines: Machines) -> None:
    machines.network.mend("proxy-0", "store")


def freeze(machines: Machines) -> None:
    machines.redis.freeze()


def thaw(machines: Machines) -> None:
    machines.redis.thaw()


def stop(machines: Machines) -> None:
    machines.redis.stop()


def start(machines: Machines) -> None:
    machines.start_redis()


def restart(machines: Machines) -> None:
    machines.redis.stop()
    machines.start_redis()


def slow_down(machines: Machines) -> None:
    machines.relay.way.delay = 4 * BOUND


def speed_up(machines: Machines) -> None:
    machines.relay.way.delay = 0.0


@pytest.mark.parametrize(
    ("fail", "heal", "concerned"),
    [
        pytest.param(cut_off, join, 1, id="a proxy is cut off"),
        pytest.param(freeze, thaw, PROXIES, id="hung"),
        pytest.param(stop, start, PROXIES, id="stopped"),
        pytest.param(restart, None, PROXIES, id="restarted empty"),
        pytest.param(slow_down, speed_up, PROXIES, id="slow"),
    ],
)
def test_no_call_is_lost_or_waits_beyond_the_bound_and_steps_come_together(
    machines: Machines, fail: Act, heal: Act | None, concerned: int, request: pytest.FixtureRequest
) -> None:
    session = "session-" + request.node.callspec.id.replace(" ", "-")
    clients = [Client(number, machines.url, machines.proxies[0].ca, session) for number in range(CLIENTS)]
    proxies = machines.proxies[:concerned]
    said = [len(proxy.notes("session_store")) for proxy in proxies]
    turns(clients, 1)
    fail(machines)
    turns(clients, 1)
    if heal is not None:
        heal(machines)
    wait_until(lambda: all(one["away"] is None and not one["unnumbered"] for one in machines.health()))
    turns(clients, 1)

    calls = machines.calls(session, CLIENTS * 3)
    local = [call for call in calls if "local_step" in call.record["flags"]]
    assert local or heal is None
    assert all(call.recorded["session"]["step"] >= LOCAL_STEPS for call in local)
    assert steps(calls) == {f"{session}-{number}": list(range(9)) for number in range(SESSIONS)}
    assert max(one["longest_wait"] for one in machines.health()) <= BOUND
    for proxy, before in zip(proxies, said, strict=True):
        away, *_, back = (note["text"] for note in proxy.wait_notes("session_store", before + 2)[before:])
        assert "is away" in away
        assert "answers again" in back
