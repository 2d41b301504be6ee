"""The values that a look-up returns, and the ids of processes, which need no memory: two proxies on a machine, or one
restarted, give the same process the same id."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("6b1d6c53-5f0e-5f52-9c43-6f1f9d1f0c27")


@dataclass(frozen=True, slots=True)
class Process:
    """A process as an ancestor; `started` is Unix nanoseconds."""

    pid: int
    name: str
    started: int | None
    names: tuple[str, ...] = ()
    """Every name a rule may match, as `Caller.names`."""
    id: str | None = None
    """As `Caller.id`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that opened a connection. Unknown is None (or empty), never a guess."""

    id: str
    """UUIDv5 of machine, pid and start time: the same process has the same id in every proxy."""
    pid: int
    started: int | None
    """Unix nanoseconds."""
    name: str | None
    """The name that a person uses: an interpreter's is its script's."""
    names: tuple[str, ...] = ()
    """Every name a rule may match: comm, base names of argv[0] and exe, the script's for an interpreter."""
    exe: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    uid: int | None = None
    ancestors: tuple[Process, ...] = ()
    """Parent first, up to pid 1."""
    container: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Only the variables that a rule names, as the process was started with them."""
    tree: Process | None = None
    """The root of the process tree that the id source `process-tree` stands for."""
    env_unread: bool = False
    """Variables may be missing in `env` because they could not be read."""
    listens: bool | None = None
    """It has a listening TCP socket: it is a server."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a look-up: a caller, or the reason why there is none."""

    caller: Caller | None = None
    uid: int | None = None
    """The socket's owner, known even if the process is not."""
    reason: str | None = None
    """Why there is no caller: `remote client`, `gone`, `not permitted`, ..."""


def process_id(machine: str, pid: int, start: int | str) -> str:
    """Return the UUIDv5 of a machine (see `machine`), a pid and a start time in whatever unit that machine counts."""
    return str(uuid5(_NAMESPACE, f"{machine}\n{pid}\n{start}"))


@cache
def machine() -> str:
    """Return this boot of this machine and the pid namespace that we see: in it, pid and start time name a process."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()
