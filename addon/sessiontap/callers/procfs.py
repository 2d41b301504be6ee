"""Read /proc for one process (proc(5)).

Every read goes through an open descriptor of the folder /proc/PID. It stays that process's even after another
process gets the number: reads of a process that has ended fail with ESRCH, so that two processes can never be mixed up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Container
from dataclasses import dataclass

from sessiontap.bounded_dict import BoundedDict

ARGV_LIMIT = 32 * 1024
"""Bytes of a command line that are kept; the last argument may be cut."""
_ENVIRON_LIMIT = 4 * 1024 * 1024
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 10_000_000
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)

_CONTAINER_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_CONTAINER_NAME = re.compile(r"/(?:lxc\.payload\.|lxc/)([^/]+)|/machine-([^/]+)\.scope(?=/|$)")
_UNIT = re.compile(r"/([^/]+\.(?:service|scope))(?=/|$)")
_USERS: BoundedDict[int, str] = BoundedDict(256)
"""Names of accounts."""
_MONITOR = ("conmon-", "libpod-conmon-", "crio-conmon-")


@dataclass(frozen=True, slots=True)
class Stat:
    """From /proc/PID/stat; `ticks` is the start time in clock ticks since boot, which with the pid names a process."""

    comm: str
    state: str
    ppid: int
    group: int
    session: int
    ticks: int
    stack: int = 0
    """The start of the stack: by address randomisation another one after each exec(2); 0 if it may not be known."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A process's container, and the service or scope that systemd runs it in.

    `container` is its id, or its name for LXC and machines; `unit` is the path of the innermost systemd unit.
    """

    container: str | None = None
    unit: str | None = None


class ProcessFolder:
    """/proc/PID, held open. Raises FileNotFoundError if there is no such process; use it in a `with`."""

    __slots__ = ("fd", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = os.open(f"/proc/{pid}", _FLAGS | os.O_DIRECTORY)

    def __enter__(self) -> ProcessFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        os.close(self.fd)

    def stat(self) -> Stat:
        """Return /proc/PID/stat. Raises OSError if the process has ended."""
        return parse_stat(self._read("stat", 4096))

    def command_line(self) -> bytes:
        """Return the command line, empty for a zombie. Raises OSError if the process has ended."""
        return self._read("cmdline", ARGV_LIMIT)

    def link(self, name: str) -> str | None:
        """Return the target of `exe` or `cwd`; None if it may not be read or there is none."""
        try:
            return text(os.readlink(os.fsencode(name), dir_fd=self.fd)).removesuffix(" (deleted)")
        except OSError:
            return None

    def environ(self, names: Container[str]) -> dict[str, str] | None:
        """Return the named variables as the process was started with them; None if they may not be read."""
        try:
            return parse_environ(self._read("environ", _ENVIRON_LIMIT), names)
        except OSError:
            return None

    def cgroup(self) -> str:
        """Return the text of /proc/PID/cgroup, empty if it may not be read."""
        try:
            return text(self._read("cgroup", 65536))
        except OSError:
            return ""

    def uid(self) -> int | None:
        """Return the effective user id; None if it may not be read."""
        try:
            return parse_uid(self._read("status", 4096))
        except OSError:
            return None

    def socket_at(self, number: int) -> int | None:
        """Return the inode of the socket at that file descriptor; None if there is none."""
        try:
            return parse_socket(os.readlink(f"fd/{number}", dir_fd=self.fd))
        except OSError:
            return None

    def sockets(self) -> set[int]:
        """Return the inodes of all its sockets. Raises OSError if they may not be read."""
        fds = os.open("fd", _FLAGS | os.O_DIRECTORY, dir_fd=self.fd)
        try:
            found = set()
            for number in os.listdir(fds):
                try:
                    inode = parse_socket(os.readlink(number, dir_fd=fds))
                except OSError:
                    continue
                if inode is not None:
                    found.add(inode)
            return found
        finally:
            os.close(fds)

    def _read(self, name: str, limit: int) -> bytes:
        fd = os.open(name, _FLAGS, dir_fd=self.fd)
        try:
            data = os.read(fd, min(limit, 65536))
            if len(data) < 4096:  # procfs gives at least a page at a time: this was all
                return data
            parts = [data]
            size = len(data)
            while size < limit and (data := os.read(fd, min(limit - size, 65536))):
                parts.append(data)
                size += len(data)
            return b"".join(parts)
        finally:
            os.close(fd)


def text(data: str | bytes) -> str:
    """Text that can be written as UTF-8: a byte that is none becomes `\\xNN`."""
    if isinstance(data, str):
        if data.isascii():
            return data
        data = os.fsencode(data)
    return data.decode("utf-8", "backslashreplace")


def parse_stat(data: bytes) -> Stat:
    """The name stands in brackets and may hold any character, brackets too. Raises ValueError."""
    start, end = data.find(b"("), data.rfind(b")")
    cells = data[end + 2 :].split()
    if start < 0 or end < start or len(cells) < 20:
        raise ValueError("a cut /proc/PID/stat")
    return Stat(
        comm=text(data[start + 1 : end]),
        state=cells[0].decode("ascii", "replace"),
        ppid=int(cells[1]),
        group=int(cells[2]),
        session=int(cells[3]),
        ticks=int(cells[19]),
        stack=int(cells[25]) if len(cells) > 25 else 0,
    )


def parse_command_line(data: bytes) -> tuple[str, ...]:
    """Arguments end in NUL. A title written over them is padded with NULs, which are no empty arguments."""
    if not data:
        return ()
    stripped = data.rstrip(b"\0")
    padding = len(data) - len(stripped)
    if padding <= 2 and stripped:  # one ends the last argument; one more may be a last, empty one
        stripped += b"\0" * max(padding - 1, 0)
    return tuple(text(part) for part in stripped.split(b"\0"))


def parse_environ(data: bytes, names: Container[str]) -> dict[str, str]:
    """The named ones of `KEY=value` items that end in NUL; of doubles the first, as getenv has it."""
    found: dict[str, str] = {}
    for item in data.split(b"\0"):
        key, equals, value = item.partition(b"=")
        name = text(key)
        if equals and name in names:
            found.setdefault(name, text(value))
    return found


def parse_uid(status: bytes) -> int | None:
    """The effective user id from the `Uid:` line of /proc/PID/status (real, effective, saved, file system)."""
    _, found, rest = status.partition(b"\nUid:")
    cells = rest.split(None, 2)
    return int(cells[1]) if found and len(cells) > 1 else None


def parse_cgroup(data: str) -> ControlGroup:
    """Return what /proc/PID/cgroup says: `hierarchy:controllers:path` lines, of which any may name the container.

    Container runtimes name a container's group by its 64 hexadecimal digits (`docker-ID.scope`, `/docker/ID`,
    `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `/kubepods/.../ID`), LXC and machinectl by its name.
    Inside a container the paths are relative to it: its own processes show none.
    """
    container = unit = None
    for line in data.splitlines():
        cells = line.split(":", 2)
        if len(cells) != 3:
            continue
        path = cells[2]
        if container is None:
            container = _container(path)
        if unit is None and cells[1] in ("", "name=systemd"):
            units = list(_UNIT.finditer(path))
            unit = path[: units[-1].end()] if units else None
    return ControlGroup(container, unit)


def _container(path: str) -> str | None:
    ids = list(_CONTAINER_ID.finditer(path))
    if ids:
        # A container's monitor has a group of its own, named by it, and does not run inside.
        start = path.rfind("/", 0, ids[-1].start(1)) + 1
        return None if path.startswith(_MONITOR, start) else ids[-1].group(1)
    names = _CONTAINER_NAME.search(path)
    return (names.group(1) or names.group(2).replace("\\x2d", "-")) if names else None


def parse_socket(link: str) -> int | None:
    """`socket:[13084]` -> 13084; None for what is no socket."""
    return int(link[8:-1]) if link.startswith("socket:[") else None


def knows_user(uid: int | None) -> bool:
    """Return True if the account's name is at hand. Naming one may ask a directory service, over the network."""
    return uid is None or _USERS.get(uid) is not None


def user_name(uid: int | None) -> str | None:
    """Return the account's name; None if it has none."""
    import pwd  # not on Windows

    if uid is None:
        return None
    known = _USERS.get(uid)
    if known is None:
        try:
            known = text(pwd.getpwuid(uid).pw_name)
        except (KeyError, OSError):
            known = ""
        _USERS.put(uid, known)
    return known or None


def started(ticks: int) -> int:
    """Ticks since boot as Unix nanoseconds, to 10 ms.

    Boot time is taken from the two clocks at import: /proc/stat's own `btime` is cut to whole seconds.
    """
    return _BOOT + ticks * _TICK


def age(ticks: int) -> float:
    """Return the seconds that have passed since a tick of the kernel's clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks * _TICK / 1e9


def _boot() -> int:
    """Unix nanoseconds of boot, rounded to 10 ms so that every proxy of this machine gives the same."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return round(boot / 10_000_000) * 10_000_000


_BOOT = _boot()
