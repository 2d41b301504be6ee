"""A cluster as a store: all keys are on one node, and when that is lost, its replica goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from tests.stores.shared import Proxy, proxy_at, user
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_server import RedisServer, needs_redis

from sessiontap import stores

pytestmark = needs_redis


def proxies_at(nodes: list[RedisServer]) -> list[Proxy]:
    """A proxy at each."""
    return [proxy_at(stores.parse(f"{node.url}?timeout=500ms&prefix=in-cluster", {})) for node in nodes]


async def steps_at(proxies: list[Proxy]) -> list[int]:
    """The steps of a call at each."""
    return [(await one.ask([user("hello")]))[1].session.step for one in proxies]


async def test_proxies_share_in_a_cluster_whichever_node_they_are_told_of(tmp_path: Path, program: str) -> None:
    with redis_cluster(tmp_path, program=program) as cluster:
        running = proxies_at(cluster.nodes)
        for one in running:
            await one.until(away=False)
        steps = await steps_at([*running, *running])
        for one in running:
            one.store.close()
        keys = [_keys(node) for node in cluster.nodes]
    assert steps == list(range(6))
    assert sorted(bool(some) for some in keys) == [False, False, True], "one node has all keys"
    assert {key.partition(b":")[0] for some in keys for key in some} == {b"{in-cluster}"}


@pytest.mark.parametrize("is_named", [True, False], ids=["the node of the address", "another node"])
async def test_a_lost_node_is_followed_by_its_replica(tmp_path: Path, program: str, is_named: bool) -> None:
    with redis_cluster(tmp_path, replicas=1, program=program) as cluster:
        lost = cluster.primary_of("{in-cluster}:")
        named = [node for node in cluster.nodes if (node is lost) is is_named][:1]
        running = proxies_at(named * 2)
        for one in running:
            await one.until(away=False)
        before = await steps_at(running)
        lost.stop()
        meanwhile = [await one.ask([user("hello")]) for one in running]
        for one in running:
            await one.until(away=False, given=1)
        after = await steps_at(running)
        for one in running:
            one.store.close()
    given = [step for one in running for step in one.given.values()]
    assert all(plan.session.is_local for _, plan in meanwhile)
    assert [*before, *sorted(given), *after] == list(range(6))
    for one in running:
        assert ["is away" in one.said[0], "answers again" in one.said[-1]] == [True, True]


def _keys(node: RedisServer) -> list[bytes]:
    with Redis(port=node.port) as client:
        found: list[bytes] = client.keys()
        return found
