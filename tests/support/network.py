"""Machines of a test's own: network namespaces whose links are joined by bridges. It takes root, and `ip` of iproute2.

    with Network() as network:
        network.add("redis", ["store"])
        with network.inside("redis"):
            ...                                  # processes and threads that are started here are on that machine
        network.cut("redis", "store")            # packets are dropped, not refused
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import pytest

_CAN = hasattr(os, "setns") and os.geteuid() == 0 and shutil.which("ip") is not None
needs_network = pytest.mark.skipif(not _CAN, reason="network namespaces take root on Linux, and iproute2")
NETWORKS = ("calls", "store")
"""This process is on the first one."""


class Network:
    """At most 200 machines."""

    def __init__(self) -> None:
        self._own = os.getpid()
        self._machines: list[str] = []

    def __enter__(self) -> Self:
        """Make the bridges. The test is skipped if this machine does not let it."""
        for action in ("add", "delete"):
            probe = ["ip", "netns", action, self._space("probe")]
            done = subprocess.run(probe, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"this machine makes no network namespaces: {done.stderr.strip()}")
        for net in NETWORKS:
            _ip("link", "add", self._bridge(net), "type", "bridge")
            _ip("link", "set", self._bridge(net), "up")
        _ip("address", "add", f"{self._address(NETWORKS[0], 254)}/24", "dev", self._bridge(NETWORKS[0]))
        return self

    def __exit__(self, *error: object) -> None:
        for name in self._machines:
            _ip("netns", "delete", self._space(name))
        for net in NETWORKS:
            _ip("link", "delete", self._bridge(net))

    def add(self, name: str, nets: Sequence[str]) -> None:
        """Make a machine on these networks."""
        self._machines.append(name)
        space = self._space(name)
        _ip("netns", "add", space)
        _ip("-n", space, "link", "set", "lo", "up")
        for net in nets:
            link = self._link(name, net)
            _ip("link", "add", link, "type", "veth", "peer", "name", net, "netns", space)
            _ip("link", "set", link, "master", self._bridge(net), "up")
            _ip("-n", space, "address", "add", f"{self.address(name, net)}/24", "dev", net)
            _ip("-n", space, "link", "set", net, "up")

    def address(self, name: str, net: str) -> str:
        """The machine's address on a network."""
        return self._address(net, self._machines.index(name) + 1)

    def cut(self, name: str, net: str) -> None:
        """Take the machine's link down."""
        _ip("link", "set", self._link(name, net), "down")

    def mend(self, name: str, net: str) -> None:
        """Take it up again."""
        _ip("link", "set", self._link(name, net), "up")

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread is on that machine, and whatever it starts."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self._space(name)}") as there:
            os.setns(there.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(here.fileno(), os.CLONE_NEWNET)

    def _address(self, net: str, number: int) -> str:
        return f"10.{213 + NETWORKS.index(net)}.{self._own % 250}.{number}"

    def _bridge(self, net: str) -> str:
        return f"st{self._own}{net[0]}"

    def _link(self, name: str, net: str) -> str:
        return f"{self._bridge(net)}{self._machines.index(name)}"

    def _space(self, name: str) -> str:
        return f"sessiontap-{self._own}-{name}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
