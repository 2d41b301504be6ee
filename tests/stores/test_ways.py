"""Ways to a store: a socket of the machine, a user of its access list, a server that lost its scripts, one that keeps
nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.stores.shared import proxies, proxy_at, user
from tests.support.redis_server import RedisServer, needs_redis

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


RIGHTS = "+@connection +@scripting +@read +@write +info +time"
"""As docs/shared-sessions.md has them."""


@pytest.mark.parametrize(
    ("rights", "is_shared"),
    [
        pytest.param(f"~sessiontap:* {RIGHTS}", True, id="its keys"),
        pytest.param(f"~other:* {RIGHTS}", False, id="the keys of another prefix"),
        pytest.param(f"~sessiontap:* {RIGHTS} -evalsha", False, id="no scripts"),
    ],
)
async def test_a_user_of_an_access_list_has_a_password_and_the_rights_that_it_needs(
    tmp_path: Path, program: str, rights: str, is_shared: bool
) -> None:
    options = f"--user default off --user team on >hunter2 resetchannels -@all {rights}".split()
    server = RedisServer(tmp_path, *options, program=program)
    server.start()
    try:
        url, environ = f"redis://team@127.0.0.1:{server.port}/0", {"SESSIONTAP_STORE_PASSWORD": "hunter2"}
        running = [proxy_at(stores.parse(f"{url}?timeout=500ms", environ)) for _ in range(2)]
        for one in running:
            await one.until(away=False if is_shared else None, said=not is_shared)
        plans = [(await one.ask([user("hello")]))[1] for one in (*running, *running)]
        for one in running:
            one.store.close()
    finally:
        server.stop()
    assert [plan.session.is_local for plan in plans] == [not is_shared] * 4
    if is_shared:
        assert [plan.session.step for plan in plans] == list(range(4))
    else:
        assert re.search("permissions|can't access", running[0].said[0])


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
