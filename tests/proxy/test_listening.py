"""Listening sockets: on each address of a host, on one port."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from sessiontap.proxy.listening import bind, bind_from


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 5).close()
    except OSError:
        return False
    return True


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("host", "hosts"), [("127.0.0.1", {"127.0.0.1"}), ("", {"0.0.0.0", "::"})])
def test_a_free_port_is_the_same_on_all_addresses(host: str, hosts: set[str]) -> None:
    found = bind(host, 0)
    try:
        assert {one.getsockname()[0] for one in found} == (hosts if has_ipv6() else hosts - {"::"})
        (port,) = {one.getsockname()[1] for one in found}
        assert answers("127.0.0.1", port)
    finally:
        for one in found:
            one.close()


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with closing(bind("127.0.0.1", 0)[0]) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_the_next_free_port_is_taken_instead() -> None:
    with closing(bind("127.0.0.1", 0)[0]) as first:
        port = first.getsockname()[1]
        (found,) = bind_from("127.0.0.1", port)
        with closing(found):
            chosen = found.getsockname()[1]
    assert port < chosen < port + 100


def test_a_port_that_is_free_is_taken() -> None:
    with closing(bind("127.0.0.1", 0)[0]) as first:
        port = first.getsockname()[1]
    (found,) = bind_from("127.0.0.1", port)
    with closing(found):
        assert found.getsockname()[1] == port
