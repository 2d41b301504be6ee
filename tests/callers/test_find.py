"""Real processes that connect to a real socket, looked up as the proxy does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sessiontap.callers import Caller, Found, find, find_known, forget, linux, listens, portable

if TYPE_CHECKING:
    from conftest import Peer, Stage

Look = Callable[[tuple[str, int], tuple[str, int], frozenset[str]], Found]
NONE: frozenset[str] = frozenset()
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag and /proc are Linux's")
root_only = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become others")


def portable_whole() -> portable.PortableFinder:
    return portable.PortableFinder(whole_table=True)


def portable_each() -> portable.PortableFinder:
    return portable.PortableFinder(whole_table=False)


@pytest.fixture(params=[pytest.param(linux.LinuxFinder, marks=on_linux), portable_whole, portable_each])
def finder(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> linux.LinuxFinder | portable.PortableFinder:
    """Every implementation, with an empty memory, and patience: no test is about how busy the machine is."""
    monkeypatch.setattr("sessiontap.callers.portable._DEADLINE", 60.0)
    monkeypatch.setattr("sessiontap.callers.scan.SEARCH", 60.0)
    made: linux.LinuxFinder | portable.PortableFinder = request.param()
    return made


def caller_of(found: Found | None) -> Caller:
    assert found is not None
    assert found.caller is not None, found.reason
    return found.caller


def look(finder: linux.LinuxFinder | portable.PortableFinder, peer: Peer, env_names: frozenset[str] = NONE) -> Caller:
    return caller_of(finder.find(peer.client, peer.proxy, env_names))


# Whoever the platform asks


@pytest.mark.parametrize(
    ("listen", "connect", "dual"),
    [("127.0.0.1", "127.0.0.1", False), ("::1", "::1", False), ("::", "127.0.0.1", True),
     ("::", "::ffff:127.0.0.1", True), ("127.0.0.1", "::ffff:127.0.0.1", False)],
    ids=["IPv4", "IPv6", "IPv4 on a dual-stack listener", "a mapped client on it", "a mapped client on IPv4"],
)  # fmt: skip
def test_address_families(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder, listen: str, connect: str, dual: bool
) -> None:
    peer = stage.client(stage.listen(listen, dual=dual), host=connect)
    assert look(finder, peer).pid == peer.pid


def test_what_is_known_of_a_caller(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    peer = stage.client(stage.listen(), "bot.py", env={"RUN_ID": "r-7", "SECRET": "s"}, cwd=work)
    caller = look(finder, peer, frozenset({"RUN_ID", "MISSING"}))
    assert caller.pid == peer.pid
    assert caller.name == "bot.py"
    assert "bot.py" in caller.names
    assert Path(sys.executable).name in caller.names
    assert caller.exe == str(Path(sys.executable).resolve())
    assert caller.argv[:2] == (sys.executable, str(tmp_path / "bot.py"))
    assert caller.cwd == str(work)
    assert caller.env == {"RUN_ID": "r-7"}
    assert caller.uid == os.geteuid()
    assert caller.user is not None
    assert caller.started is not None
    assert abs(caller.started / 1e9 - time.time()) < 30
    assert caller.listens is None
    parent = caller.ancestors[0]
    assert parent.pid == os.getpid()
    assert [each.pid for each in caller.ancestors][-1] == 1
    starts = [each.started for each in caller.ancestors if each.started is not None]
    assert starts == sorted(starts, reverse=True)


def test_the_same_process_has_the_same_id_in_every_proxy(stage: Stage) -> None:
    server = stage.listen()
    peers = [stage.client(server), stage.client(server)]
    for make in (linux.LinuxFinder, portable.PortableFinder):
        ids = [[look(make(), peer).id for peer in peers] for _ in range(2)]
        assert ids[0] == ids[1]
        assert ids[0][0] != ids[0][1]


def test_an_ancestor_has_the_id_it_has_as_a_caller(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    server = stage.listen()
    peer = stage.client(server)
    ours = stage_own_connection(stage, server)
    us = caller_of(finder.find(*ours, NONE))
    assert us.pid == os.getpid()
    assert look(finder, peer).ancestors[0].id == us.id


def stage_own_connection(stage: Stage, server: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    """A connection that this very process opens, as a proxy does that sends a request to itself."""
    client = socket.create_connection(server.getsockname()[:2])
    stage.sockets.append(client)
    accepted = stage.accept(server)
    return accepted.getpeername(), accepted.getsockname()


def test_a_forked_child_shares_the_socket_but_the_parent_opened_it(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    peer = stage.client(
        stage.listen(),
        text="""
            import os, socket, sys
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            child = os.fork()
            print(child or "", flush=True)
            connection.recv(1)
        """,
    )
    assert peer.process.stdout is not None
    children = {peer.process.stdout.readline().strip(), peer.process.stdout.readline().strip()} - {""}
    assert len(children) == 1
    assert look(finder, peer).pid == peer.pid


def test_a_child_is_the_caller_where_its_parent_has_let_go(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    peer = stage.client(
        stage.listen(),
        text="""
            import os, socket, sys
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            if child := os.fork():
                connection.close()
                print(child, flush=True)
                os.waitpid(child, 0)
            else:
                connection.recv(1)
        """,
    )
    assert peer.process.stdout is not None
    child = int(peer.process.stdout.readline())
    caller = look(finder, peer)
    assert caller.pid == child
    assert caller.ancestors[0].pid == peer.pid


def test_a_process_that_execs_changes_its_name_but_not_its_id(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    server = stage.listen()
    peer = stage.client(
        server,
        "before.py",
        """
            import os, socket, sys
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            connection.set_inheritable(True)
            input()
            os.environ["PHASE"] = "after"
            os.execv(sys.executable, [sys.executable, "-c", "print(flush=True); input()"])
        """,
        env={"PHASE": "before"},
    )
    env_names = frozenset({"PHASE"})
    before = look(finder, peer, env_names)
    peer.go_on()
    now = look(finder, peer, env_names)
    assert (before.name, before.env) == ("before.py", {"PHASE": "before"})
    assert (now.name, now.env) == (Path(sys.executable).name, {"PHASE": "after"})
    assert (now.id, now.pid, now.started, now.ancestors) == (before.id, before.pid, before.started, before.ancestors)


def test_a_shell_script_and_its_helper_share_a_tree(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    server = stage.listen()
    host, port = server.getsockname()
    helper = stage.script("helper.py", stage.HOLD)
    script = stage.script("agent.sh", f"#!/bin/sh\n{sys.executable} {helper} {host} {port}\n{sys.executable} -c ''\n")
    other = stage.script("other.sh", f"#!/bin/sh\n{sys.executable} {helper} {host} {port}\n:\n")
    roots = []
    for each, name in ((script, "agent.sh"), (other, "other.sh")):
        process = stage.start([each], detached=True)
        accepted = stage.accept(server)
        caller = caller_of(finder.find(accepted.getpeername(), accepted.getsockname(), NONE))
        assert caller.name == "helper.py"
        assert caller.tree is not None
        assert (caller.tree.pid, caller.tree.name) == (process.pid, name)
        roots.append(caller.tree.id)
    assert roots[0] != roots[1]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_node_script(stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder) -> None:
    server = stage.listen()
    host, port = server.getsockname()
    script = stage.script("agent.mjs", f"import net from 'node:net'\nnet.connect({port}, '{host}').resume()\n")
    stage.start(["node", "--no-warnings", script])
    accepted = stage.accept(server)
    assert caller_of(finder.find(accepted.getpeername(), accepted.getsockname(), NONE)).name == "agent.mjs"


def test_more_variables_are_read_when_rules_name_more(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    peer = stage.client(stage.listen(), env={"A1": "1", "B2": "2"})
    assert look(finder, peer, frozenset({"A1"})).env == {"A1": "1"}
    assert look(finder, peer, frozenset({"A1", "B2"})).env == {"A1": "1", "B2": "2"}
    assert look(finder, peer, frozenset({"B2"})).env == {"B2": "2"}
    assert look(finder, peer).env == {}


@on_linux
def test_variables_that_may_not_be_read_are_not_taken_for_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = stage.client(stage.listen(), env={"A1": "1"})
    finder = linux.LinuxFinder()
    assert not look(finder, peer).env_unread  # none was asked for
    monkeypatch.setattr("sessiontap.callers.procfs.ProcessFolder.environ", lambda *_: None)
    for _ in range(2):
        caller = look(finder, peer, frozenset({"A1"}))
        assert (caller.env, caller.env_unread) == ({}, True)


def test_a_client_elsewhere(stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder) -> None:
    proxy = stage.listen().getsockname()
    assert finder.find(("203.0.113.9", 40000), proxy, NONE) == Found(reason="remote client")


def test_a_client_elsewhere_is_not_our_listener_on_its_port(
    stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder
) -> None:
    """sock_diag answers with a listener where no connection matches."""
    server = stage.listen("0.0.0.0")
    proxy = ("127.0.0.1", stage.listen().getsockname()[1])
    port = server.getsockname()[1]
    assert finder.find(("203.0.113.9", port), proxy, NONE) == Found(reason="remote client")
    # Without sock_diag, a process that may not be looked into might hold it.
    assert finder.find(("127.0.0.1", port), proxy, NONE).reason in {"gone", "not permitted"}


@pytest.mark.parametrize(
    ("client", "proxy"),
    [(("", 0), ("127.0.0.1", 8080)), (("127.0.0.1", 1), ("::1", 8080)), (("x", "y"), None), (None, None)],
    ids=["no address", "two families", "nonsense", "nothing"],
)
def test_it_never_raises(finder: linux.LinuxFinder | portable.PortableFinder, client: object, proxy: object) -> None:
    found = finder.find(client, proxy, NONE)  # type: ignore[arg-type]
    assert found.caller is None
    assert found.reason


def test_listens(stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder) -> None:
    server = stage.listen()
    client = stage.client(server)
    listener = stage.client(
        server,
        "server.py",
        """
            import socket, sys
            listener = socket.create_server(("127.0.0.1", 0))
            socket.create_connection((sys.argv[1], int(sys.argv[2]))).recv(1)
        """,
    )
    assert finder.listens(look(finder, listener)) is True
    caller = look(finder, client)
    assert finder.listens(caller) is False
    assert finder.listens(replace(caller, id="another process, by that number before")) is None


def test_memory_can_be_emptied(stage: Stage, finder: linux.LinuxFinder | portable.PortableFinder) -> None:
    peer = stage.client(stage.listen())
    before = look(finder, peer)
    finder.forget()
    assert look(finder, peer) == before


# What sock_diag and /proc alone can do


@on_linux
def test_a_client_that_hung_up_is_gone(stage: Stage) -> None:
    peer = stage.client(
        stage.listen(),
        text="""
            import socket, sys
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            connection.send(b"x")
        """,
    )
    peer.process.wait()
    peer.accepted.recv(1)
    found = linux.LinuxFinder().find(peer.client, peer.proxy, NONE)
    assert (found.caller, found.reason) == (None, "gone")
    assert found.uid in (None, os.geteuid())


@on_linux
def test_many_short_lived_clients(stage: Stage) -> None:
    """Each waits for its answer, as a client of a proxy does, and ends."""
    server = stage.listen()
    finder = linux.LinuxFinder()
    script = stage.script("short.py", stage.HOLD)
    host, port = server.getsockname()
    started: set[int] = set()

    def start() -> None:
        for _ in range(50):
            started.add(stage.start([sys.executable, "-SEI", script, host, str(port)]).pid)

    starter = threading.Thread(target=start)
    starter.start()
    seen = []
    for _ in range(50):
        accepted = stage.accept(server)
        seen.append(caller_of(finder.find(accepted.getpeername(), accepted.getsockname(), NONE)))
        accepted.close()
    starter.join()
    assert {caller.pid for caller in seen} == started
    assert {caller.name for caller in seen} == {"short.py"}


@on_linux
def test_from_many_threads_at_once(stage: Stage) -> None:
    server = stage.listen()
    peers = [stage.client(server) for _ in range(8)]
    finder = linux.LinuxFinder()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: look(finder, peers[number % 8]).pid, range(400)))
    assert found == [peers[number % 8].pid for number in range(400)]


@on_linux
def test_a_known_process_is_found_again_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stage.listen()
    peer = stage.client(
        server,
        text="""
            import socket, sys
            held = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(3)]
            held[-1].recv(1)
        """,
    )
    finder = linux.LinuxFinder()
    monkeypatch.setattr("sessiontap.callers.scan._last_number", lambda: 0)
    assert finder.find_known(peer.client, peer.proxy, NONE) is None
    caller = look(finder, peer)
    for _ in range(2):
        accepted = stage.accept(server)
        assert finder.find_known(accepted.getpeername(), accepted.getsockname(), NONE) == Found(caller, caller.uid)


@on_linux
def test_a_new_process_is_found_at_once(stage: Stage) -> None:
    server = stage.listen()
    finder = linux.LinuxFinder()
    look(finder, stage.client(server))  # from here on the user's name is at hand
    peer = stage.client(server)
    assert caller_of(finder.find_known(peer.client, peer.proxy, NONE)).pid == peer.pid


@on_linux
@pytest.mark.parametrize("missing", ["nothing", "os.pidfd_open"])
def test_any_process_is_found_by_a_search(stage: Stage, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Not only those with the last numbers given."""
    if missing != "nothing":
        monkeypatch.delattr(missing)
    monkeypatch.setattr("sessiontap.callers.scan._RECENT", 0)
    peer = stage.client(stage.listen())
    assert look(linux.LinuxFinder(), peer).pid == peer.pid


@on_linux
def test_a_process_with_too_many_descriptors_to_look_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stage.listen()
    finder = linux.LinuxFinder()
    look(finder, stage.client(server))
    peer = stage.client(server)
    monkeypatch.setattr("sessiontap.callers.scan._AT_ONCE", -1.0)
    assert finder.find_known(peer.client, peer.proxy, NONE) is None
    assert look(finder, peer).pid == peer.pid
    monkeypatch.setattr("sessiontap.callers.scan.SEARCH", -1.0)
    finder.forget()
    assert finder.find(peer.client, peer.proxy, NONE) == Found(uid=os.geteuid(), reason="not found in time")


@on_linux
def test_a_thread_is_its_process(stage: Stage) -> None:
    """Threads take numbers like processes, and show their process's descriptors."""
    peer = stage.client(
        stage.listen(),
        text="""
            import socket, sys, threading, time
            for _ in range(5):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            connection.recv(1)
        """,
    )
    assert look(linux.LinuxFinder(), peer).pid == peer.pid


@on_linux
def test_what_takes_no_search_is_answered_at_once(stage: Stage) -> None:
    proxy = stage.listen().getsockname()
    finder = linux.LinuxFinder()
    assert finder.find_known(("203.0.113.9", 40000), proxy, NONE) == Found(reason="remote client")
    assert finder.find_known(("127.0.0.1", 1), proxy, NONE) == Found(reason="gone")
    port = stage.listen("0.0.0.0").getsockname()[1]
    assert finder.find_known(("127.0.0.1", port), proxy, NONE) == Found(reason="gone")


@on_linux
def test_a_process_that_moves_is_seen_where_it_is(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    peer = stage.client(
        stage.listen(),
        text="""
            import os, socket, sys
            connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
            input()
            os.chdir("there")
            print(flush=True)
            connection.recv(1)
        """,
    )
    finder = linux.LinuxFinder()
    assert look(finder, peer).cwd == str(tmp_path)
    peer.go_on()
    assert look(finder, peer).cwd == str(tmp_path / "there")


@on_linux
def test_an_exec_of_the_same_program_is_noticed(stage: Stage) -> None:
    peer = stage.client(
        stage.listen(),
        text="""
            import os, socket, sys
            if "RUN" in os.environ:
                print(flush=True)
                input()
            else:
                connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
                connection.set_inheritable(True)
                input()
                os.execve(sys.executable, sys.orig_argv, {"RUN": "2"})
        """,
    )
    finder = linux.LinuxFinder()
    assert look(finder, peer, frozenset({"RUN"})).env == {}
    peer.go_on()
    assert look(finder, peer, frozenset({"RUN"})).env == {"RUN": "2"}


@on_linux
@root_only
def test_a_process_of_another_user(stage: Stage) -> None:
    """Without the right to look into it, its user is still known."""
    server = stage.listen()
    peer = stage.client(server, "theirs.py")
    another_users_proxy = f"""
import os
from sessiontap.callers import linux
os.setgid(65534)
os.setuid(65534)
print(linux.LinuxFinder().find({peer.client}, {peer.proxy}, frozenset()))
"""
    done = subprocess.run([sys.executable, "-c", another_users_proxy], stdout=subprocess.PIPE, text=True)
    assert done.stdout == f"{Found(uid=0, reason='not permitted')}\n"


@on_linux
def test_without_sock_diag_the_tables_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr("sessiontap.callers.socket_owner.SockDiag._send", refused)
    peer = stage.client(stage.listen())
    finder = linux.LinuxFinder()
    assert finder.find_known(peer.client, peer.proxy, NONE) is None
    caller = look(finder, peer)
    assert caller.pid == peer.pid
    assert finder.listens(caller) is False


@on_linux
def test_a_fault_of_any_kind_is_an_answer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("sessiontap.callers.scan.Scan.known", faulty)
    peer = stage.client(stage.listen())
    found = linux.LinuxFinder().find(peer.client, peer.proxy, NONE)
    assert found == Found(reason="look-up failed: RuntimeError: a fault")


def test_the_rooms_own_functions(stage: Stage) -> None:
    peer = stage.client(stage.listen())
    caller = caller_of(find(peer.client, peer.proxy, NONE))
    assert caller.pid == peer.pid
    assert listens(caller) is False
    if sys.platform == "linux":
        assert find_known(peer.client, peer.proxy, NONE) == Found(caller, caller.uid)
    forget()
    assert find(peer.client, peer.proxy, NONE).caller == caller
