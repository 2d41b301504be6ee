"""Container and systemd unit from /proc/PID/cgroup, as the runtimes write it."""

from __future__ import annotations

import pytest

from sessiontap.callers.cgroup import Group, parse

ID = "0123456789abcdef" * 4
OTHER = "f" * 64
POD = "/kubepods.slice/kubepods-pod1.slice"

PATHS = {
    "no container": ("0::/user.slice/user-1000.slice/session-3.scope", None),
    "docker, cgroup v1": (f"4:memory:/docker/{ID}\n0::/", ID),
    "docker, systemd driver": (f"0::/system.slice/docker-{ID}.scope", ID),
    "docker in docker: the inner one": (f"0::/docker/{OTHER}/docker/{ID}", ID),
    "a service inside a container": (f"0::/docker/{ID}/system.slice/agent.service", ID),
    "kubernetes, containerd": (f"0::{POD}/cri-containerd-{ID}.scope", ID),
    "kubernetes, cri-o": (f"0::{POD}/crio-{ID}.scope", ID),
    "kubernetes, cgroupfs": (f"0::/kubepods/burstable/pod2f/{ID}", ID),
    "containerd with a prefix": (f"0::/x:cri-containerd:{ID}", ID),
    "podman": (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container", ID),
    "podman's monitor is outside": (f"0::/machine.slice/libpod-conmon-{ID}.scope", None),
    "lxc": ("0::/lxc.payload.web/init.scope", "web"),
    "lxc, cgroup v1": ("2:cpu:/lxc/web\n", "web"),
    "systemd-nspawn": ("0::/machine.slice/machine-my\\x2dbox.scope/payload", "my-box"),
    "hex digits of another length": ("0::/system.slice/deadbeef.service", None),
    "seen from inside": ("0::/", None),
    "damaged": ("nonsense\n::", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "container"), PATHS.values(), ids=PATHS)
def test_container(text: str, container: str | None) -> None:
    assert parse(text).container == container


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/agent.service", "/system.slice/agent.service"),
        ("0::/system.slice/agent.service/sub", "/system.slice/agent.service"),
        ("0::/u/user@1000.service/app.slice/app-x-1.scope", "/u/user@1000.service/app.slice/app-x-1.scope"),
        ("1:name=systemd:/system.slice/agent.service\n2:cpu:/", "/system.slice/agent.service"),
        ("2:cpu:/system.slice/agent.service", None),
        ("0::/", None),
    ],
)
def test_unit(text: str, unit: str | None) -> None:
    assert parse(text) == Group(None, unit)
