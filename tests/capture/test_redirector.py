"""Programs whose connect calls are answered: their connections lead to the proxy, and all else is as before."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread

import psutil
import pytest
from tests.capture.relay import Relay
from tests.support.gate import PATIENCE
from tests.support.small_server import SmallHandler

from sessiontap.capture import force
from sessiontap.capture.destinations import Redirected, ServerAddress
from sessiontap.capture.redirector import Redirector

SERVER = "203.0.113.7"  # for documentation (RFC 5737): nobody's
SERVER6 = "2001:db8::7"
NO_PROXY = {"NO_PROXY": "localhost,127.0.0.1,::1"}


@pytest.fixture(scope="module", autouse=True)
def _allowed_here() -> None:
    if why := force.why_not_seccomp():
        pytest.skip(why)


class Hello(SmallHandler):
    def do_GET(self) -> None:
        self.answer(b"hello")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server in the place of SERVER."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def relay(port: int) -> Iterator[Relay]:
    with Relay({SERVER: port, f"[{SERVER6}]": port}) as relay:
        yield relay


def run(relay: Relay, text: str, *arguments: str) -> str:
    """What a Python program says whose connections are redirected."""
    redirector = Redirector(("127.0.0.1", relay.port), Redirected(("127.0.0.1", relay.port), NO_PROXY))
    redirector.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text), *arguments],
            preexec_fn=redirector.before_exec,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        redirector.close()
    return f"{done.stdout}{done.stderr}" + (f"exit status {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("blocking", "import socket; s = socket.create_connection((HOST, 80))"),
        ("with a time limit", "import socket; s = socket.create_connection((HOST, 80), 5)"),
        (
            "not blocking",
            """
            import errno, select, socket
            s = socket.socket(socket.AF_INET6 if ":" in HOST else socket.AF_INET)
            s.setblocking(False)
            assert s.connect_ex((HOST, 80)) == errno.EINPROGRESS
            assert select.select([], [s], [], 5)[1] == [s]
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            assert s.connect_ex((HOST, 80)) in (0, errno.EISCONN)
            s.setblocking(True)
            """,
        ),
        (
            "IPv6 only",
            """
            import socket
            s = socket.socket(socket.AF_INET6 if ":" in HOST else socket.AF_INET)
            if ":" in HOST: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.connect((HOST, 80))
            """,
        ),
        (
            "in a thread",
            """
            import socket, threading
            def connect():
                global s
                s = socket.create_connection((HOST, 80))
            t = threading.Thread(target=connect); t.start(); t.join()
            """,
        ),
    ],
)
@pytest.mark.parametrize("host", [SERVER, SERVER6], ids=["IPv4", "IPv6"])
def test_however_a_connection_is_opened_it_is_redirected(relay: Relay, how: str, text: str, host: str) -> None:
    ask = "\ns.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read()[-5:])"
    assert run(relay, f"HOST = {host!r}\n" + textwrap.dedent(text) + ask) == "hello\n"
    assert relay.destinations == [f"[{host}]:80" if ":" in host else f"{host}:80"]


def test_children_and_their_children_are_redirected(relay: Relay) -> None:
    text = """
        import subprocess, sys
        ask = "import urllib.request as r; print(r.urlopen('http://%s/').read().decode())"
        subprocess.run([sys.executable, "-c", ask % sys.argv[1]])
        subprocess.run(["sh", "-c", "setsid \\"$0\\" -c \\"$1\\" & wait", sys.executable, ask % sys.argv[1]])
        """
    assert run(relay, text, SERVER) == "hello\nhello\n"
    assert relay.destinations == [f"{SERVER}:80"] * 2


def test_many_connections_at_once_come_through(relay: Relay) -> None:
    text = """
        import asyncio, sys
        async def ask():
            reader, writer = await asyncio.open_connection(sys.argv[1], 80)
            writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
            said = await reader.read()
            writer.close()
            return said[-5:]
        async def main():
            print(set(await asyncio.gather(*(ask() for _ in range(60)))))
        asyncio.run(main())
        """
    assert run(relay, text, SERVER) == "{b'hello'}\n"
    assert relay.destinations == [f"{SERVER}:80"] * 60


@pytest.mark.parametrize(
    ("what", "text", "says"),
    [
        (
            "loopback",
            """
            server = socket.create_server(("127.0.0.1", 0))
            one = socket.create_connection(server.getsockname())
            print(one.getpeername() == server.getsockname())
            """,
            "True\n",
        ),
        (
            "a Unix socket",
            """
            server = socket.socket(socket.AF_UNIX); server.bind("\\0redirector-test"); server.listen()
            one = socket.socket(socket.AF_UNIX); one.connect("\\0redirector-test"); print("connected")
            """,
            "connected\n",
        ),
        (
            "UDP",
            """
            one = socket.socket(type=socket.SOCK_DGRAM)
            try: one.connect(("203.0.113.7", 443)); print(one.getpeername())
            except OSError as error: print(("203.0.113.7", 443))
            """,
            "('203.0.113.7', 443)\n",
        ),
        ("a refusal", "print(socket.socket().connect_ex(('127.0.0.1', 1)))", "111\n"),
        ("a bad address", "print(socket.socket(socket.AF_UNIX).connect_ex('/nowhere'))", "2\n"),
        (
            "bad memory",
            """
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            one = socket.socket()
            print(libc.connect(one.fileno(), ctypes.c_void_p(8), 16), ctypes.get_errno())
            print(libc.connect(999, ctypes.c_char_p(bytes(16)), 16), ctypes.get_errno())
            """,
            "-1 14\n-1 9\n",
        ),
        (
            "a second connect",
            """
            one = socket.create_connection(("203.0.113.7", 80))
            print(one.connect_ex(("203.0.113.7", 80)))
            one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n"); print(one.makefile().read()[-5:])
            """,
            "106\nhello\n",
        ),
    ],
)
def test_what_is_none_of_its_business_is_as_before(relay: Relay, what: str, text: str, says: str) -> None:
    assert run(relay, "import socket\n" + textwrap.dedent(text)) == says


def test_without_a_proxy_the_programs_own_call_is_made(port: int) -> None:
    """The proxy has gone: connections are as they would be without us."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()
    redirector = Redirector(nobody, lambda to: to.port == port)
    redirector.start()
    text = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/').read())"
    try:
        done = subprocess.run([sys.executable, "-c", text], preexec_fn=redirector.before_exec, capture_output=True)
    finally:
        redirector.close()
    assert (done.stdout, done.stderr) == (b"b'hello'\n", b"")


def test_a_program_that_is_killed_while_it_connects_leaves_nothing(relay: Relay) -> None:
    text = "import socket\nwhile True: socket.create_connection(('203.0.113.7', 80)).close()"
    redirector = Redirector(("127.0.0.1", relay.port), lambda to: to == ServerAddress(ip_address(SERVER), 80))
    redirector.start()
    with subprocess.Popen([sys.executable, "-c", text], preexec_fn=redirector.before_exec) as program:
        while len(relay.destinations) < 20:
            assert program.poll() is None
        program.send_signal(signal.SIGKILL)
    redirector.close()
    assert program.returncode == -signal.SIGKILL
    left = [one for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == relay.port]
    assert left == []


def test_a_user_without_rights_may_use_it() -> None:
    if os.geteuid() != 0:
        pytest.skip("this is such a user")
    such_a_user = """
import ctypes, os
from sessiontap.capture import force
force.why_not_seccomp()  # imports what that user may not read
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a program that such a user starts may be looked into
print(force.why_not_seccomp())
"""
    done = subprocess.run([sys.executable, "-c", such_a_user], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "None\n"
