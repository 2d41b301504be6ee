"""A test that is replayed reaches its recording and this machine: its own process, and the programs that it starts."""

from __future__ import annotations

import re
import socketserver

import pytest
from tests.support.small_server import serving
from tests.testing.test_plugin import KEY, Model, Project

from sessiontap.capture.force import why_not_seccomp

PROGRAM = """
import http.client, os, socket, sys

def device():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(bytes(1)).decode()

def tell(file):
    server = http.client.HTTPConnection("telemetry.example", timeout=60)
    try:
        server.request("GET", "/")
        said = str(server.getresponse().status)
    except OSError as error:
        said = str(error)
    with open(file, "w") as told:
        told.write(f"{said} {device()}")

if __name__ == "__main__":
    tell(sys.argv[1])
"""
"""It says what it reaches past the proxy's variables, and to which device its datagrams are bound."""
TESTS = """
import asyncio, concurrent.futures, multiprocessing, os, pty, socket, subprocess, sys, threading
import advice
import away
import pytest

AWAY = ("192.0.2.1", 9)
REFUSED = "sessiontap: this test is replayed, so {} is not reached"
DIRECT = '''
import http.client, sys
server = http.client.HTTPConnection("telemetry.example", timeout=60)
server.request("GET", "/")
print(server.getresponse().status)
'''


@pytest.fixture
def replays(sessiontap):
    advice.advise("Oslo")
    return "REPLAYED" in os.environ


def datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as away:
        try:
            away.connect(AWAY)
        except OSError as error:
            return str(error)
        return ""


def test_connection(replays):
    if replays:
        with pytest.raises(ConnectionRefusedError, match=REFUSED.format("192.0.2.1:9")):
            socket.create_connection(AWAY)


def test_asyncio(replays):
    if replays:
        with pytest.raises(ConnectionRefusedError, match=REFUSED.format("192.0.2.1:9")):
            asyncio.run(asyncio.open_connection(*AWAY))


def test_look_up(replays):
    if replays:
        with pytest.raises(socket.gaierror, match=REFUSED.format("db.example")):
            socket.create_connection(("db.example", 5432))


def test_name_of_address(replays):
    if replays:
        with pytest.raises(socket.herror, match=REFUSED.format("192.0.2.1")):
            socket.gethostbyaddr("192.0.2.1")
        with pytest.raises(socket.gaierror, match=REFUSED.format("192.0.2.1:9")):
            socket.getnameinfo(AWAY, 0)


NAMED = ("db.example", 9)
USES = {
    "connect": lambda one: one.connect(NAMED),
    "connect_ex": lambda one: one.connect_ex(NAMED),
    "sendto": lambda one: one.sendto(b"x", NAMED),
    "sendto with flags": lambda one: one.sendto(b"x", 0, NAMED),
    "sendmsg": lambda one: one.sendmsg((b"x",), (), 0, NAMED),
    "bind": lambda one: one.bind(NAMED),
}


def test_name_in_an_address(replays):
    for use in USES.values() if replays else ():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            with pytest.raises(socket.gaierror, match=REFUSED.format("db.example")):
                use(one)


def test_kernel(replays):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        kernel.connect((0, 0))


def test_datagrams(replays):
    assert (REFUSED.format("192.0.2.1:9") in datagrams()) == replays


def test_this_machine(replays, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
        other.bind(str(tmp_path / "s"))
        other.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_program(replays):
    if replays:
        environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        command = [sys.executable, "-c", DIRECT]
        told = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert told.stdout == "501\\n", told.stderr
        with pytest.raises(FileNotFoundError):
            subprocess.run(["/no/such/program"])


def start_directly(told):
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run([sys.executable, "-c", DIRECT], env=environ, capture_output=True, text=True)
    told.put(done.stdout or done.stderr)


def test_program_of_a_fork(replays):
    if replays:
        forks = multiprocessing.get_context("fork")
        told = forks.SimpleQueue()
        process = forks.Process(target=start_directly, args=(told,))
        process.start()
        assert told.get() == "501\\n"
        process.join()


def by_system(command):
    os.system(" ".join(command))


def by_system_of_a_thread(command):
    thread = threading.Thread(target=by_system, args=(command,))
    thread.start()
    thread.join()


def by_popen(command):
    os.popen(" ".join(command)).read()


def by_preexec(command):
    subprocess.run(command, preexec_fn=os.setsid, check=True)


def by_posix_spawn_of_subprocess(command):
    subprocess.run(command, close_fds=False, check=True)


def by_posix_spawn(command):
    os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)


def by_posix_spawnp(command):
    os.waitpid(os.posix_spawnp(command[0], command, os.environ), 0)


def by_spawnv(command):
    os.spawnv(os.P_WAIT, command[0], command)


def by_fork(command):
    child = os.fork()
    if not child:
        os.execv(command[0], command)
    os.waitpid(child, 0)


def by_fork_of_a_fork(command):
    child = os.fork()
    if not child:
        thread = threading.Thread(target=subprocess.run, args=(command,))
        thread.start()
        thread.join()
        by_fork(command)
        os._exit(0)
    os.waitpid(child, 0)


def by_terminal(command):
    pty.spawn(command, lambda terminal: os.read(terminal, 1000))


def by_asyncio(command):
    async def run():
        process = await asyncio.create_subprocess_exec(*command)
        await process.wait()
    asyncio.run(run())


def by_process(how):
    def start(command):
        process = multiprocessing.get_context(how).Process(target=away.tell, args=command[-1:])
        process.start()
        process.join()
    return start


def by_pool(command):
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(away.tell, command[-1]).result()


STARTS = {name: start for name, start in globals().items() if name.startswith("by_") and name != "by_process"}
STARTS |= {how: by_process(how) for how in ("spawn", "forkserver")}


@pytest.mark.parametrize("start", STARTS)
def test_start(replays, start, tmp_path, monkeypatch):
    if replays:
        for name in [name for name in os.environ if "proxy" in name.lower()]:
            monkeypatch.delenv(name)
        STARTS[start]([sys.executable, away.__file__, str(tmp_path / "told")])
        assert (tmp_path / "told").read_text() == "501 lo"


def test_fork(replays, tmp_path):
    if replays:
        by_process("fork")([str(tmp_path / "told")])
        told = (tmp_path / "told").read_text()
        assert REFUSED.format("telemetry.example") in told and told.endswith(" lo")


def device_of_a_fork_server():
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(away.device).result()


def test_fork_servers(replays):
    assert device_of_a_fork_server() == ("lo" if replays else "")


def test_fork_servers_without_the_fixture():
    assert device_of_a_fork_server() == ""


def test_fork_servers_again(replays):
    test_fork_servers(replays)


def test_exec(replays):
    if replays:
        with pytest.raises(PermissionError, match="in the place of pytest itself cannot be kept from the network"):
            os.execv(sys.executable, [sys.executable, "-c", ""])


def test_imported_before(replays):
    if replays:
        with pytest.raises(PermissionError, match="imported before pytest knew its plugins"):
            os.system.__wrapped__("exit 1")


def test_told(replays):
    if replays:
        datagrams()
        raise AssertionError("it fails")


def test_without_the_fixture():
    assert "sessiontap" not in datagrams()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """It was recorded; its server has gone."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Model)) as server:
        server.daemon_threads = True
        found = Project(tmp_path_factory.mktemp("project"), server.server_address[1])
        (found.folder / "away.py").write_text(PROGRAM)
        (found.folder / "test_away.py").write_text(TESTS)
        done = found.pytest("--sessiontap-record", "test_away.py", OPENAI_API_KEY=KEY)
        assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_a_replayed_test_reaches_this_machine_alone(project: Project) -> None:
    kept_in = why_not_seccomp() is None
    of_programs = [] if kept_in else ["-k", "not (program or start or fork or exec or imported)"]
    done = project.pytest("--sessiontap-replay", *of_programs, "test_away.py", REPLAYED="1", COLUMNS="200")
    assert re.findall(r"^FAILED \S+::(\S+)", done.stdout, re.MULTILINE) == ["test_told"], done.stdout + done.stderr
    assert "FAILED test_away.py::test_told - AssertionError: it fails" in done.stdout
    assert "not reached, since the test is replayed: 192.0.2.1:9" in done.stdout
    assert ("Programs that tests start are kept from the network only as far as" in done.stdout) != kept_in


def test_a_suite_that_needs_other_machines_says_so(project: Project) -> None:
    options = ("--sessiontap-replay", "-o", "sessiontap_egress=open")
    done = project.pytest(*options, "test_away.py::test_datagrams")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
