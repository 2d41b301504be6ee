"""A Redis, and a Valkey, for the tests of a module; each test has a prefix of its own in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from tests.support.redis_server import PROGRAMS, RedisServer, redis_server

Servers = Callable[[str], RedisServer]


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """What a test's store is."""
    return installed(str(request.param))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The running server of a program."""
    with ExitStack() as stack:

        @cache
        def server(program: str) -> RedisServer:
            return stack.enter_context(redis_server(tmp_path_factory.mktemp("store"), installed(program)))

        yield server


@pytest.fixture
def redis(servers: Servers, program: str) -> RedisServer:
    return servers(program)


def installed(program: str) -> str:
    """Skip the test if a program is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return program
