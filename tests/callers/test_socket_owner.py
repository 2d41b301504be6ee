"""The owner of a connection by /proc/net/tcp: the look-up of last resort."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from sessiontap.callers import socket_owner
from sessiontap.callers.caller import parse_address
from sessiontap.callers.socket_owner import Owner

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 555 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 777 1 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   3: broken
"""
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the table is a little-endian machine's")


@little_endian
@pytest.mark.parametrize(
    ("port", "owner"),
    [(50000, Owner(777, 1000)), (50001, Owner(0, None)), (50002, None)],
    ids=["connected", "closed: the uid is no longer known", "not there"],
)
def test_match(port: int, owner: Owner | None) -> None:
    local = socket_owner.encode_address(parse_address(("127.0.0.1", port)), wide=False)
    remote = socket_owner.encode_address(parse_address(("127.0.0.1", 8080)), wide=False)
    assert socket_owner.match_row(TABLE, local, remote) == owner


@little_endian
def test_a_mapped_address_in_the_table_of_ipv6() -> None:
    mapped = socket_owner.encode_address(parse_address(("127.0.0.1", 8080)), wide=True)
    assert mapped == "0000000000000000FFFF00000100007F:1F90"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_real_connection(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        found = socket_owner.owner_by_table(parse_address(client.getsockname()), parse_address(server.getsockname()))
        assert found == Owner(os.fstat(client.fileno()).st_ino, os.geteuid())
        assert os.fstat(server.fileno()).st_ino in socket_owner.listening_by_table()
