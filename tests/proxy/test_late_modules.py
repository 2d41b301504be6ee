"""Libraries of mitmproxy's that `sessiontap run` loads when they are first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

START = """
import asyncio, sys
from sessiontap.proxy.late_modules import kept_for_later
with kept_for_later():
    from sessiontap.proxy import runner
from mitmproxy.options import Options
from mitmproxy.test import tflow

async def main():
    master = runner.Master(Options())
    options, commands, flow = master.options, master.commands, tflow.tflow(resp=True)
    assert not {"pyparsing.core", "flask", "ldap3.core", "aioquic.quic.connection"} & sys.modules.keys()
"""


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(
            """
    options.update(modify_headers=["/~u address/x-late/yes", "/x-all/yes"])
    specs = master.addons.get("modifyheaders").replacements
    assert len(specs) == 2 and all(spec.matches(flow) for spec in specs)
""",
            id="filters of flows",
        ),
        pytest.param(
            """
    from mitmproxy import exceptions
    try:
        options.update(stickycookie="~nonsense")
    except exceptions.OptionsError as error:
        assert "Invalid filter" in str(error), error
    else:
        raise AssertionError
""",
            id="a filter that is none",
        ),
        pytest.param(
            """
    commands.execute("set listen_port '1234'")
    assert options.listen_port == 1234
""",
            id="commands",
        ),
        pytest.param(
            """
    from mitmproxy import command_lexer, flowfilter
    assert flowfilter.match("~m GET", flow)
    assert flowfilter.TFilter.__module__ == "mitmproxy.flowfilter"
    assert command_lexer.quote("a b") == '"a b"'
""",
            id="a user's script",
        ),
    ],
)
def test_what_was_not_loaded_works_when_it_is_used(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{START}{use}\nasyncio.run(main())"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


QUIC = """
import asyncio, socket, ssl, sys
from pathlib import Path
from sessiontap.proxy.late_modules import kept_for_later
with kept_for_later():
    from sessiontap.proxy.master import TapMaster
assert "aioquic.quic.connection" not in sys.modules
from aioquic.asyncio.client import connect
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from mitmproxy.certs import CertStore
from mitmproxy.options import Options
from mitmproxy.proxy.layers import http

def answer(reader, writer):
    async def echo():
        writer.write(b"<" + await reader.read() + b">")
        writer.write_eof()
    tasks.append(asyncio.ensure_future(echo()))

async def main():
    CertStore.create_store(folder, "server", 2048)
    server = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
    server.load_cert_chain(folder / "server-ca-cert.pem", folder / "server-ca.pem")
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await serve("127.0.0.1", port, configuration=server, stream_handler=answer)
    master = TapMaster(Options(), [])
    started, proxyserver = asyncio.Event(), master.addons.get("proxyserver")
    mode = f"reverse:quic://127.0.0.1:{port}@127.0.0.1:0"
    master.options.update(confdir=str(folder), ssl_insecure=True, mode=[mode])
    proxyserver.servers.changed.connect(started.set)
    running = asyncio.ensure_future(master.run())
    while not proxyserver.listen_addrs():
        await started.wait()
        await asyncio.sleep(0)
    client = QuicConfiguration(alpn_protocols=["echo"], verify_mode=ssl.CERT_NONE)
    async with connect("127.0.0.1", proxyserver.listen_addrs()[0][1], configuration=client) as connection:
        reader, writer = await connection.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 60) == b"<hello>"
    from mitmproxy.proxy.layers.quic import QuicStreamDataReceived
    assert issubclass(QuicStreamDataReceived, http.QuicStreamEvent)
    assert not isinstance(connection, http.QuicStreamEvent)
    master.shutdown()
    await running

tasks, folder = [], Path(sys.argv[1])
asyncio.run(main())
"""


def test_a_listener_of_quic_loads_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUIC, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
