"""Connections past the proxy, as the kernel shows them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiontap.cli import direct_connections
from sessiontap.cli.direct_connections import DirectConnection, DirectConnections, descendants, host_names
from sessiontap.cli.local_proxies import Listener, RunningProxy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")

CONNECTS = """
import socket, subprocess, sys
if sys.argv[1] == "child":
    subprocess.run([sys.executable, "-c", sys.argv[3], "self", *sys.argv[2:]])
else:
    with socket.create_connection(("127.0.0.1", int(sys.argv[2]))):
        print("connected", flush=True)
        sys.stdin.read()
"""


def proxy(port: int) -> RunningProxy:
    path = Path("/nowhere")
    return RunningProxy(1, 1.0, None, None, (Listener("regular", "127.0.0.1", port),), path, path, None)


@pytest.fixture
def server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("who", ["self", "child"])
def test_a_connection_of_the_program_or_what_it_started_is_seen(server: int, who: str) -> None:
    command = [sys.executable, "-c", CONNECTS, who, str(server), CONNECTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"connected\n"
        seen = DirectConnections(proxy(1))
        seen.look(program.pid)
        (found,) = seen
        assert (found.address, found.port) == ("127.0.0.1", server)
        assert (found.pid == program.pid) is (who == "self")
        through_it = DirectConnections(proxy(server))
        through_it.look(program.pid)
        assert list(through_it) == []
        program.communicate()


def test_a_connection_of_another_program_is_not(server: int) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        socket.create_connection(("127.0.0.1", server)),
    ):
        seen = DirectConnections(proxy(1))
        seen.look(other.pid)
        assert list(seen) == []
        other.communicate(b"\n")


def test_a_program_that_has_ended_is_no_fault() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    DirectConnections(proxy(1)).look(gone.pid)


def test_descendants_are_found() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        assert len(list(descendants(program.pid))) == 2
        assert program.pid in descendants(os.getpid())
        program.communicate(b"\n")


@pytest.mark.parametrize(
    ("address", "counts"),
    [
        (("10.0.0.5", 443), True),
        (("2001:db8::1", 80), True),
        (("10.0.0.5", 5432), False),
        (("127.0.0.1", 11434), True),
        (("::1", 8000), True),
        (("127.0.0.1", 5432), False),
    ],
    ids=str,
)
def test_what_may_be_a_call_counts(address: tuple[str, int], counts: bool) -> None:
    assert DirectConnections(proxy(1))._is_direct(*address) is counts


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0100007F:1F90", ("127.0.0.1", 8080)),
        ("0000000000000000FFFF00000100007F:01BB", ("127.0.0.1", 443)),
        ("B80D0120000000000000000001000000:0050", ("2001:db8::1", 80)),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="as a little-endian machine prints them")
def test_a_cell_of_the_table(cell: str, expected: tuple[str, int]) -> None:
    assert direct_connections._decoded(cell) == expected


def test_only_this_machines_own_table_names_an_address(tmp_path: Path) -> None:
    table = tmp_path / "hosts"
    table.write_text("# mine\n10.1.1.1 llm.corp llm # the model\n10.1.1.2 other\n\nbroken\n")
    assert host_names(["10.1.1.1", "10.1.1.3"], table) == {"10.1.1.1": "llm.corp"}
    assert host_names(["10.1.1.1"], tmp_path / "nowhere") == {}


def test_one_line_stands_for_a_programs_connections_to_an_address(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(("127.0.0.1", server)), socket.create_connection(("127.0.0.1", server)):
        seen = DirectConnections(proxy(1))
        seen.look(os.getpid())
        seen.look(os.getpid())
    (found,) = (one for one in seen if one.port == server)  # pytest may have connections of its own
    assert found == DirectConnection(found.program, os.getpid(), "127.0.0.1", server)
