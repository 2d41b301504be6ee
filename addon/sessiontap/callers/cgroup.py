"""What a process's control group says: its container, and the service or scope that systemd runs it in.

Container runtimes name a container's group by its 64 hexadecimal digits (`docker-ID.scope`, `/docker/ID`,
`cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `/kubepods/.../ID`), LXC and machinectl by its name.
From inside a container the paths are relative to it: its own processes show none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_NAME = re.compile(r"/(?:lxc\.payload\.|lxc/)([^/]+)|/machine-([^/]+)\.scope(?=/|$)")
_UNIT = re.compile(r"/([^/]+\.(?:service|scope))(?=/|$)")
_MONITOR = ("conmon-", "libpod-conmon-", "crio-conmon-")


@dataclass(frozen=True, slots=True)
class Group:
    """`container`: its id, or its name for LXC and machines; `unit`: the path of the innermost systemd unit."""

    container: str | None = None
    unit: str | None = None


def parse(text: str) -> Group:
    """Reads /proc/PID/cgroup: `hierarchy:controllers:path` lines, of which any may name the container."""
    container = unit = None
    for line in text.splitlines():
        cells = line.split(":", 2)
        if len(cells) != 3:
            continue
        path = cells[2]
        if container is None:
            container = _container(path)
        if unit is None and cells[1] in ("", "name=systemd"):
            units = list(_UNIT.finditer(path))
            unit = path[: units[-1].end()] if units else None
    return Group(container, unit)


def _container(path: str) -> str | None:
    ids = list(_ID.finditer(path))
    if ids:
        # A container's monitor has a group of its own, named by it, and does not run inside.
        start = path.rfind("/", 0, ids[-1].start(1)) + 1
        return None if path.startswith(_MONITOR, start) else ids[-1].group(1)
    names = _NAME.search(path)
    return (names.group(1) or names.group(2).replace("\\x2d", "-")) if names else None
