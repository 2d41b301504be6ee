"""The connections of a program that do not go through the proxy, as the kernel's tables show them (Linux).

`exec` looks now and then while its program runs. A connection that opens and closes between two looks is not seen.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.capture.destinations import OTHER_PROTOCOLS

if TYPE_CHECKING:
    from sessiontap.callers.procfs import ProcessFolder
    from sessiontap.cli.local_proxies import RunningProxy

LOCAL_SERVERS = {11434: "Ollama", 1234: "LM Studio", 8080: "llama.cpp", 8000: "vLLM"}
"""The usual ports of LLM servers on this machine."""
_MOST_PROCESSES = 500
"""That one look takes in."""
_MOST_CONNECTIONS = 500
"""That are remembered."""
_OPEN_STATES = {1, 2, 8}
"""ESTABLISHED, SYN_SENT, CLOSE_WAIT: the program holds such a socket."""
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


@dataclass(frozen=True, slots=True)
class DirectConnection:
    """Connections of one program to one address."""

    program: str
    pid: int
    """Of the first process that was seen."""
    address: str
    port: int


class DirectConnections:
    """The connections that were seen so far of a program and its descendants."""

    def __init__(self, proxy: RunningProxy) -> None:
        self._proxy_ports = {one.port for one in proxy.listeners}
        self._found: dict[tuple[str, str, int], DirectConnection] = {}

    def __iter__(self) -> Iterator[DirectConnection]:
        return iter(self._found.values())

    def look(self, root: int) -> None:
        """Look at the process `root` and its descendants. Raises nothing: a run does not depend on it."""
        if sys.platform != "linux":
            return
        try:
            self._look(root)
        except (OSError, ValueError):
            return

    def _look(self, root: int) -> None:
        from sessiontap.callers.procfs import ProcessFolder

        remote = {inode: to for inode, to in _connections() if self._is_direct(*to)}
        if not remote:
            return
        for pid in descendants(root):
            try:
                with ProcessFolder(pid) as folder:
                    held = folder.sockets() & remote.keys()
                    for inode in held:
                        address, port = remote[inode]
                        name = _name(folder)
                        if len(self._found) < _MOST_CONNECTIONS:
                            self._found.setdefault((name, address, port), DirectConnection(name, pid, address, port))
            except (OSError, ValueError):
                continue

    def _is_direct(self, address: str, port: int) -> bool:
        is_proxy = port in self._proxy_ports and ipaddress.ip_address(address).is_loopback
        return port not in OTHER_PROTOCOLS and not is_proxy


def descendants(root: int) -> Iterator[int]:
    """The pids of `root` and of all that descends from it."""
    waiting, seen = [root], 0
    while waiting and seen < _MOST_PROCESSES:
        pid = waiting.pop()
        seen += 1
        yield pid
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                    waiting += map(int, file.read().split())
            except (OSError, ValueError):
                continue


def host_names(addresses: Iterable[str], hosts: Path = Path("/etc/hosts")) -> Mapping[str, str]:
    """Address -> name, for those that this machine's own table names. Nothing is looked up, nothing is guessed."""
    wanted, found = set(addresses), dict[str, str]()
    try:
        lines = hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if address in wanted and names:
            found.setdefault(address, names[0])
    return found


def _name(folder: ProcessFolder) -> str:
    from sessiontap.callers import procfs
    from sessiontap.callers.names import names

    argv = procfs.parse_command_line(folder.command_line())
    return names(folder.stat().comm, folder.link("exe"), argv).name or "?"


def _connections() -> Iterator[tuple[int, tuple[str, int]]]:
    """(inode, remote address and port) of each TCP connection of this network namespace. Raises OSError."""
    for path in _TABLES:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                lines = file.read().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            cells = line.split()
            if len(cells) >= 10 and int(cells[3], 16) in _OPEN_STATES:
                yield int(cells[9]), _decoded(cells[2])


def _decoded(cell: str) -> tuple[str, int]:
    """`0100007F:1F90` -> ("127.0.0.1", 8080). Each 32-bit word is printed as the machine prints that number."""
    words, _, port = cell.partition(":")
    packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)
