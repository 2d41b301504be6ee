"""A listener that stands for one server ends a client's TLS and QUIC itself, as mitmdump alone does, whatever that
server is: no table needs to name it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aioquic.asyncio.client import connect as connect_quic
from aioquic.asyncio.server import serve as serve_quic
from aioquic.quic.configuration import QuicConfiguration
from mitmproxy.certs import CertStore
from tests.e2e.lab import ROOT, RUN, Lab
from tests.e2e.test_pass_through import HOST, PORT, free_port, port_of
from tests.support.gate import PATIENCE
from tests.support.raw_server import RawServer, read_exactly

from sessiontap.demo.redirect import Redirect

ALPN = "echo"
BIN = Path(sys.executable).parent


PROGRAMS: dict[str, dict[str, Any]] = {"mitmdump alone": {"addon": False}, "mitmdump": {}, "run": RUN}
COMMANDS = {
    "mitmdump alone": [str(BIN / "mitmdump")],
    "mitmdump": [str(BIN / "mitmdump"), "-s", str(ROOT / "addon" / "main.py")],
    "run": [str(BIN / "sessiontap"), "run"],
}
"""Processes of their own: assertions, which `run` leaves out, matter here."""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("scheme", ["https", "tls"])
def test_tls_with_a_listener_for_an_unknown_server_ends_at_the_proxy(
    lab: Lab, program: dict[str, Any], scheme: str
) -> None:
    upstream = lab.authority.server_context([HOST], [])
    request, reply = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), b"HTTP/1.1 204 No Content\r\n"

    def serve(wire: socket.socket) -> None:
        received = bytearray()
        with upstream.wrap_socket(wire, server_side=True) as tls:
            while not received.endswith(b"\r\n\r\n"):  # mitmproxy names the port in `Host`
                received.extend(read_exactly(tls, 1))
            tls.sendall(reply + b"\r\n")

    with RawServer(serve) as server:
        lab.redirect(Redirect(HOST, PORT, server.port))
        mode = f"reverse:{scheme}://{HOST}:{PORT}@{free_port()}"
        proxy = lab.proxy(arguments=["--mode", mode], **program)
        app = ssl.create_default_context(cafile=proxy.ca)
        address = "127.0.0.1", port_of(proxy, "reverse")
        with socket.create_connection(address, PATIENCE) as wire, app.wrap_socket(wire, server_hostname=HOST) as tls:
            tls.sendall(request)
            assert read_exactly(tls, len(reply)) == reply
        server.join()
    assert server.faults == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_stream_of_quic_reaches_the_server_of_its_listener(command: list[str], tmp_path: Path) -> None:
    CertStore.create_store(tmp_path, "server", 2048)
    port, at = free_udp_port(), free_udp_port()
    quic = QuicConfiguration(is_client=False, alpn_protocols=[ALPN])
    quic.load_cert_chain(tmp_path / "server-ca-cert.pem", tmp_path / "server-ca.pem")
    echoes: list[asyncio.Task[None]] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        writer.write_eof()

    def begin(*both: Any) -> None:
        echoes.append(asyncio.ensure_future(echo(*both)))

    async def talk() -> bytes:
        await serve_quic("127.0.0.1", port, configuration=quic, stream_handler=begin)
        app = QuicConfiguration(alpn_protocols=[ALPN], verify_mode=ssl.CERT_NONE)
        async with asyncio.timeout(PATIENCE), connect_quic("127.0.0.1", at, configuration=app) as connection:
            reader, writer = await connection.create_stream()
            writer.write(b"hello")
            writer.write_eof()
            return await reader.read()

    mode = ["--mode", f"reverse:quic://127.0.0.1:{port}@{at}", "--listen-host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, *mode, "--set", "ssl_insecure=true"], cwd=tmp_path, env=os.environ | {"HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as proxy:  # fmt: skip
        try:
            assert proxy.stdout is not None
            assert any("listening at" in line for line in proxy.stdout)
            assert asyncio.run(talk()) == b"<hello>"
        finally:
            proxy.terminate()


def free_udp_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
