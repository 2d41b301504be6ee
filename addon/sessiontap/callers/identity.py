"""Ids that need no memory: two proxies on a machine, or one restarted, give the same process the same id."""

from __future__ import annotations

import os
import platform
from functools import cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("6b1d6c53-5f0e-5f52-9c43-6f1f9d1f0c27")


def process_id(machine: str, pid: int, start: int | str) -> str:
    """UUIDv5 of a machine (see `machine`), a pid and a start time in whatever unit that machine counts."""
    return str(uuid5(_NAMESPACE, f"{machine}\n{pid}\n{start}"))


@cache
def machine() -> str:
    """This boot of this machine, and the pid namespace that we see: what pids and start ticks are unique in."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()
