"""A store behind TLS and a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.shared import proxies, user
from tests.support.redis_server import RedisServer, needs_redis

from sessiontap.demo.certs import Authority

pytestmark = needs_redis


@pytest.fixture
def guarded(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """A server that wants TLS and a password; its authority is one of the system's, as far as Python knows."""
    authority = Authority(tmp_path)
    authority.server_context(["127.0.0.1"])
    chain = str(tmp_path / "server-1.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    tls = ["--tls-cert-file", chain, "--tls-key-file", chain, "--tls-ca-cert-file", str(authority.pem)]
    options = ["--requirepass", "hunter2", *tls, "--tls-auth-clients", "no"]
    return RedisServer(tmp_path, *options, tls=True, program=program)


async def test_proxies_share_over_tls_with_a_password(guarded: RedisServer) -> None:
    guarded.start()
    try:
        environ = {"SESSIONTAP_STORE_PASSWORD": "hunter2"}
        async with proxies(guarded.url, 2, prefix="tls", environ=environ) as (one, other):
            steps = [(await proxy.ask([user("hello")]))[1].session.step for proxy in (one, other, one)]
    finally:
        guarded.stop()
    assert steps == [0, 1, 2]


async def test_a_wrong_password_is_said_without_it(guarded: RedisServer) -> None:
    guarded.start()
    try:
        environ = {"SESSIONTAP_STORE_PASSWORD": "another one"}
        async with proxies(guarded.url, 1, environ=environ, is_there=False) as (one,):
            await one.until(said=True)
            _, plan = await one.ask([user("hello")])
    finally:
        guarded.stop()
    assert plan.session.is_local
    assert "invalid username-password pair" in one.said[0]
    assert "another one" not in one.said[0]
