"""Ways to a store: a socket of the machine, a cluster, a server that lost its scripts, one that keeps nothing."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from tests.stores.shared import proxies, proxy_at, user
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.running import free_port

from sessiontap import stores

pytestmark = needs_redis


async def test_proxies_share_over_a_socket_of_the_machine(tmp_path: Path, program: str) -> None:
    server = RedisServer(tmp_path, "--unixsocket", str(tmp_path / "redis.sock"), program=program)
    server.start()
    try:
        async with proxies(f"unix://{tmp_path}/redis.sock", 2, prefix="socket") as (one, other):
            steps = [(await proxy.ask([user("hello")]))[1].session.step for proxy in (one, other, one)]
    finally:
        server.stop()
    assert steps == [0, 1, 2]


@pytest.fixture
def cluster(tmp_path: Path, program: str) -> list[RedisServer]:
    """Three nodes that share the slots."""
    nodes = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        nodes.append(RedisServer(folder, *options, program=program))
    return nodes


async def test_proxies_share_in_a_cluster_whichever_node_they_are_told_of(cluster: list[RedisServer]) -> None:
    for node in cluster:
        node.start()
    try:
        await asyncio.to_thread(_join, cluster)
        running = [proxy_at(stores.parse(f"{node.url}?timeout=500ms&prefix=in-cluster", {})) for node in cluster]
        for one in running:
            await one.until(away=False)
        steps = [(await one.ask([user("hello")]))[1].session.step for one in (*running, *running)]
        for one in running:
            one.store.close()
        keys = [_keys(node) for node in cluster]
    finally:
        for node in cluster:
            node.stop()
    assert steps == list(range(6))
    assert sorted(bool(some) for some in keys) == [False, False, True], "one node has all keys"
    assert {key.partition(b":")[0] for some in keys for key in some} == {b"{in-cluster}"}


async def test_a_store_that_lost_its_scripts_is_told_them_again(tmp_path: Path, program: str) -> None:
    server = RedisServer(tmp_path, program=program)
    server.start()
    try:
        async with proxies(server.url, 1, prefix="scripts") as (one,):
            await one.ask([user("hello")])
            with Redis(port=server.port) as client:
                client.script_flush("SYNC")
            await one.until(said=True)
            await one.until(away=False)
            _, plan = await one.ask([user("hello")])
    finally:
        server.stop()
    assert (plan.session.step, plan.session.is_local) == (1, False)
    assert "NOSCRIPT" in one.said[0]


class Sentinel(RedisServer):
    """It watches nobody."""

    def command(self) -> list[str]:
        conf = self._folder / "sentinel.conf"
        conf.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n")
        return [self.program, str(conf), "--sentinel"]


async def test_a_sentinel_is_said_to_be_one(tmp_path: Path, program: str) -> None:
    server = Sentinel(tmp_path, program=program)
    server.start()
    try:
        async with proxies(server.url, 1, is_there=False) as (one,):
            await one.until(said=True)
    finally:
        server.stop()
    assert "it is a Sentinel, which keeps no data. Give the address of the primary" in one.said[0]


def _join(cluster: list[RedisServer]) -> None:
    """Have the nodes make a cluster, and wait until it answers."""
    places = [f"127.0.0.1:{node.port}" for node in cluster]
    made = subprocess.run(
        ["redis-cli", "--cluster", "create", *places, "--cluster-yes"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "[OK] All 16384 slots covered" in made.stdout, made.stdout + made.stderr


def _keys(node: RedisServer) -> list[bytes]:
    with Redis(port=node.port) as client:
        found: list[bytes] = client.keys()
        return found
