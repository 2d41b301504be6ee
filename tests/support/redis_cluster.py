"""A cluster of Redis or Valkey servers of a test's own, each a process on a port of this machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from redis import Redis, RedisError
from tests.support.redis_server import PROGRAMS, RedisServer
from tests.support.running import free_port

SHARDS = 3
NODE_TIMEOUT = 1_000
"""Milliseconds after which the others count a node that does not answer as gone."""
JOINED = 60.0
"""Seconds that it may take until all nodes answer for all slots."""


class RedisCluster:
    """Three primaries share the slots, and each may have replicas."""

    def __init__(self, folder: Path, replicas: int = 0, program: str = PROGRAMS[0]) -> None:
        self.replicas = replicas
        self.nodes: list[RedisServer] = []
        for number in range(SHARDS * (1 + replicas)):
            (own := folder / f"node-{number}").mkdir()
            options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            options += ["--cluster-node-timeout", str(NODE_TIMEOUT)]
            self.nodes.append(RedisServer(own, *options, program=program))

    def start(self) -> None:
        """Start all nodes, and have them make a cluster."""
        for node in self.nodes:
            node.start()
        places = [f"127.0.0.1:{node.port}" for node in self.nodes]
        options = ["--cluster-replicas", str(self.replicas), "--cluster-yes"]
        create = ["redis-cli", "--cluster", "create", *places, *options]
        made = subprocess.run(create, capture_output=True, text=True, timeout=JOINED, check=False)
        assert "[OK] All 16384 slots covered" in made.stdout, made.stdout + made.stderr
        end = time.monotonic() + JOINED
        while not all(self._is_ready(node) for node in self.nodes):
            assert time.monotonic() < end, "the nodes of the cluster do not come together"
            time.sleep(0.05)

    def stop(self) -> None:
        """End all of it."""
        for node in self.nodes:
            node.stop()

    def primary_of(self, key: str) -> RedisServer:
        """Return the node that has the slot of a key."""
        with Redis(port=self.nodes[0].port) as client:
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
            ranges = client.execute_command("CLUSTER", "SLOTS")
        port = next(primary[1] for first, last, primary, *_ in ranges if first <= slot <= last)
        return next(one for one in self.nodes if one.port == port)

    def _is_ready(self, node: RedisServer) -> bool:
        """It knows a primary and replicas for all slots, and if it is a replica, it has what its primary has."""
        with suppress(RedisError), Redis(port=node.port, decode_responses=True) as client:
            about, known = client.info("replication"), client.execute_command("CLUSTER", "INFO")
            ranges = client.execute_command("CLUSTER", "SLOTS")
            linked = about["role"] == "master" or about["master_link_status"] == "up"
            return linked and "cluster_state:ok" in known and {len(one[2:]) for one in ranges} == {1 + self.replicas}
        return False


@contextmanager
def redis_cluster(folder: Path, replicas: int = 0, program: str = PROGRAMS[0]) -> Iterator[RedisCluster]:
    """Run one for a block."""
    with ExitStack() as stack:
        cluster = RedisCluster(folder, replicas, program)
        stack.callback(cluster.stop)
        cluster.start()
        yield cluster
