"""Reading /proc: the formats by their bytes, and a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sessiontap.callers import procfs

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

STAT = b"%d (%s) S 6290 6291 2129 0 -1 4194304 97 0 0 0 0 0 0 0 20 0 1 0 163986 3133440 382 1 2 3 140728338508640 0\n"


@pytest.mark.parametrize(
    ("comm", "text"),
    [
        (b"python3", "python3"),
        (b"a) S 1 (b", "a) S 1 (b"),
        (b"", ""),
        ("caf\u00e9".encode(), "café"),
        (b"\xff", "\\xff"),
    ],
    ids=["plain", "brackets and spaces", "empty", "UTF-8", "no UTF-8"],
)
def test_stat(comm: bytes, text: str) -> None:
    assert procfs.parse_stat(STAT % (6300, comm)) == procfs.Stat(text, "S", 6290, 6291, 2129, 163986, 140728338508640)


@pytest.mark.parametrize("data", [b"", b"1 (x", b"1 (x) S 1 2", b") ("])
def test_cut_stat(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut"):
        procfs.parse_stat(data)


@pytest.mark.parametrize(
    ("data", "argv"),
    [
        (b"python3\0-m\0pkg\0", ("python3", "-m", "pkg")),
        (b"curl\0-d\0\0", ("curl", "-d", "")),
        (b"x\0\0y\0", ("x", "", "y")),
        (b"claude\0\0\0\0\0\0", ("claude",)),
        (b"nginx: worker process", ("nginx: worker process",)),
        (b"", ()),
        (b"\0", ("",)),
        (b"x\0\xff\0", ("x", "\\xff")),
    ],
    ids=["plain", "a last empty one", "an empty one inside", "a title, padded", "a title, unended", "none", "one empty",
         "no UTF-8"],
)  # fmt: skip
def test_command_line(data: bytes, argv: tuple[str, ...]) -> None:
    assert procfs.parse_command_line(data) == argv


def test_only_the_named_variables_are_kept() -> None:
    data = b"RUN_ID=7\0SECRET=x\0URL=a=b\0EMPTY=\0RUN_ID=8\0broken\0"
    assert procfs.parse_environ(data, {"RUN_ID", "URL", "EMPTY", "broken", "NONE"}) == {
        "RUN_ID": "7",
        "URL": "a=b",
        "EMPTY": "",
    }


def test_the_effective_user_counts() -> None:
    assert procfs.parse_uid(b"Name:\tx\nUid:\t1000\t0\t1000\t1000\nGid:\t1\n") == 0
    assert procfs.parse_uid(b"Name:\tx\n") is None


@pytest.mark.parametrize(("link", "inode"), [("socket:[13084]", 13084), ("pipe:[1]", None), ("/dev/null", None)])
def test_socket_links(link: str, inode: int | None) -> None:
    assert procfs.parse_socket(link) == inode


@linux
def test_ourselves() -> None:
    with procfs.ProcessFolder(os.getpid()) as folder:
        stat = folder.stat()
        assert (stat.ppid, stat.session, stat.group) == (os.getppid(), os.getsid(0), os.getpgrp())
        assert folder.link("cwd") == os.getcwd()
        assert folder.uid() == os.geteuid()
        assert 0 < procfs.age(stat.ticks) < 24 * 3600
        assert abs(procfs.started(stat.ticks) / 1e9 + procfs.age(stat.ticks) - time.time()) < 1


@linux
def test_a_folder_never_shows_the_next_process_by_its_number() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with procfs.ProcessFolder(child.pid) as folder:
        folder.stat()
        child.communicate(b"\n")
        with pytest.raises(ProcessLookupError):
            folder.stat()
        assert folder.link("exe") is None
        assert folder.environ({"PATH"}) is None
        assert folder.uid() is None


@linux
def test_a_long_command_line_is_cut() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()", "x" * 100_000]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    with procfs.ProcessFolder(child.pid) as folder:
        read = folder.command_line()
    child.communicate(b"\n")
    assert len(read) == procfs.ARGV_LIMIT


# Container and systemd unit, as the runtimes write them

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
    assert procfs.parse_cgroup(text).container == container


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
    assert procfs.parse_cgroup(text) == procfs.ControlGroup(None, unit)
