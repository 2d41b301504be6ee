"""The file that Node loads first changes where connections lead, and nothing else that a program can tell.

Each program runs twice: as it is, and with that file. It must say the same both times; and the second time its
connections must have gone to the proxy (here a relay) where they should.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.capture.relay import Relay
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.http_server import Server

from sessiontap.capture import node as node_preload
from sessiontap.demo.certs import Authority

PROGRAMS = Path(__file__).parent / "programs"
_TEXT = (PROGRAMS / "behaviour.cjs").read_text()
SCENARIOS = [name for name in re.findall(r"^  async '([^']+)'\(", _TEXT, re.MULTILINE) if name != "refused"]
UNTOUCHED = {
    "sockets that are no calls",
    "a Unix socket",
    "a lookup of its own",
    "what a program can see of it",
    "options that are refused",
    "a socket that is destroyed at once",
}
"""Scenarios in which no connection gets to the proxy; all others must make one at least."""


async def answer(request: Request, respond: Respond) -> None:
    """Echo, or misbehave as the path says."""
    body = await request.body()
    match request.path:
        case "/silent":
            await respond.gone.wait()
        case "/reset":
            await respond.reset()
        case "/broken":
            await respond.start(200, [("content-length", "100")])
            await respond.send(b"half")
            await respond.close()
        case "/stream":
            await respond.start(200, [("content-type", "text/event-stream")])
            for number in range(5):
                await respond.send(f"data: {number}\n\n".encode())
                await asyncio.sleep(0)
            await respond.end()
        case _:
            kept = [(name, value) for name, value in request.headers if name.lower() not in ("host", "user-agent")]
            fields = [f"{name}={value}" for name, value in kept]
            host = re.sub(r":\d+$", "", request.host)
            said = f"{request.method} {request.target} {host} {len(body)} {' '.join(fields)}"
            await respond.whole(200, said.encode(), [("content-type", "text/plain")])


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Server]:
    with Server(answer, tls=authority.server_context(["127.0.0.1", "localhost", "::1"])) as server:
        yield server
    assert not server.faults


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with Server(answer) as server:
        yield server
    assert not server.faults


def environment(authority: Authority, relay: Relay | None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a program without our file (`relay` None), or with it. Loopback is no exception here."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("NODE_")
    }
    own |= {"NODE_EXTRA_CA_CERTS": str(authority.pem), "NO_PROXY": "", **(more or {})}
    if relay is not None:
        own |= {"HTTPS_PROXY": relay.url} | node_preload.environment(relay.url, own)
    return own


def run(command: list[str], environ: dict[str, str]) -> str:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    warned = re.sub(r"\(node:\d+\)", "(node)", done.stderr)
    return f"{done.stdout}{warned}exit status {done.returncode}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_program_cannot_tell_the_difference(
    node: str, authority: Authority, secure: Server, plain: Server, scenario: str
) -> None:
    urls = [f"https://127.0.0.1:{secure.port}", f"http://127.0.0.1:{plain.port}"]
    command = [node, str(PROGRAMS / "behaviour.cjs"), scenario, *urls]
    alone = run(command, environment(authority, None))
    assert "done\n" in alone, alone
    assert alone.endswith("exit status 0"), alone
    with Relay() as relay:
        assert run(command, environment(authority, relay)) == alone
    destinations = {one for one in relay.destinations if one}  # without the aborted ones, which sent nothing
    assert destinations <= {f"127.0.0.1:{secure.port}", f"127.0.0.1:{plain.port}"}
    assert bool(destinations) == (scenario not in UNTOUCHED)


def test_a_proxy_that_has_gone_refuses_connections_as_a_server_that_has_gone(node: str, authority: Authority) -> None:
    if run([node, "--version"], dict(os.environ)).startswith("v18."):
        pytest.skip("Node 18 forgets TLS over a socket that cannot be connected")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    command = [node, str(PROGRAMS / "behaviour.cjs"), "refused", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port}"]
    alone = run(command, environment(authority, None))
    proxy = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
    environ = environment(authority, None) | proxy | node_preload.environment(proxy["HTTPS_PROXY"], {})
    command[-2:] = ["https://llm.example:8443", "http://llm.example:8000"]
    assert run(command, environ) == alone
    assert alone.count("ECONNREFUSED") == 6


def test_an_es_module_with_named_imports_is_redirected(
    node: str, authority: Authority, secure: Server, plain: Server
) -> None:
    command = [node, str(PROGRAMS / "module.mjs"), f"https://127.0.0.1:{secure.port}"]
    alone = run(command, environment(authority, None))
    with Relay() as relay:
        assert run(command, environment(authority, relay)) == alone
    assert "connected true" in alone
    assert relay.destinations == [f"127.0.0.1:{secure.port}"] * 2


def test_the_proxy_is_given_names_and_resolves_them(node: str, authority: Authority, secure: Server) -> None:
    """The program's own look-up would fail: there is no such host."""
    tell = "fetch('https://LLM.example./v1').catch((e) => console.log(e.cause.code))"
    with Relay({"llm.example": secure.port}) as relay:
        said = run([node, "-e", tell], environment(authority, relay))
    assert relay.destinations == ["llm.example:443"]
    assert said == "ERR_TLS_CERT_ALTNAME_INVALID\nexit status 0"


@pytest.mark.parametrize(
    ("url", "no_proxy", "redirected"),
    [
        ("https://a.example", "", True),
        ("https://a.example", "other.example", True),
        ("https://a.example", "xa.example,a.exampl", True),
        ("https://a.example", "a.example", False),
        ("https://a.example", "b.example, A.Example", False),
        ("https://a.example", ".example", False),
        ("https://a.example", "*.example", False),
        ("https://a.example", "example", False),
        ("https://a.example", "*", False),
        ("https://a.example", "a.example:443", False),
        ("https://a.example", "a.example:8443", True),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.2.0.0/16", True),
        ("https://10.1.2.3", "10.1.2.3", False),
        ("https://[fd00::1]", "fd00::/8", False),
        ("https://[fd00::1]:8443", "[fd00::1]:8443", False),
        ("https://[fd00::1]", "10.0.0.0/8", True),
        ("http://10.1.2.3:8000", "", True),
        ("http://10.1.2.3:8000", "10.1.2.3", False),
        ("https://127.0.0.2", "localhost", False),
        ("https://localhost:8443", "127.0.0.1", False),
        ("https://x.localhost:8443", "::1", False),
        ("https://[::1]:8443", "localhost", False),
        ("https://localhost:8443", "a.example", True),
        ("http://169.254.169.254", "", False),
        ("http://metadata.google.internal", "", False),
    ],
)
@pytest.mark.parametrize("how", ["fetch", "request"])
def test_no_proxy_is_respected(
    node: str, authority: Authority, how: str, url: str, no_proxy: str, redirected: bool
) -> None:
    tell = {
        "fetch": f"fetch({url!r}, {{signal: AbortSignal.timeout(1500)}}).catch(() => 0)",
        "request": f"require({url.split(':')[0]!r}).get({url!r}, {{timeout: 1500}}).on('error', () => 0)"
        ".on('timeout', function () { this.destroy() })",
    }[how]
    with Relay(dict.fromkeys(("a.example", "10.1.2.3", "[fd00::1]", "localhost"), 1)) as relay:
        run([node, "-e", tell], environment(authority, relay, {"NO_PROXY": no_proxy}))
    assert bool(relay.destinations) == redirected


@pytest.mark.parametrize(
    "changed",
    [{"HTTPS_PROXY": ""}, {"HTTPS_PROXY": "http://127.0.0.1:9"}, {"SESSIONTAP_PROXY": ""}, {"SESSIONTAP_PROXY": "x"}],
    ids=["none", "another", "not told", "told nonsense"],
)
def test_a_program_that_is_given_another_proxy_or_none_goes_its_own_way(
    node: str, authority: Authority, secure: Server, changed: Mapping[str, str]
) -> None:
    tell = f"fetch('https://127.0.0.1:{secure.port}').then((r) => console.log(r.status))"
    with Relay() as relay:
        environ = environment(authority, relay) | dict(changed)
        assert run([node, "-e", tell], environ) == "200\nexit status 0"
    assert relay.destinations == []


def test_a_file_that_other_users_cannot_read_is_copied_to_where_they_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = tmp_path / "public", tmp_path / "private"
    public.mkdir()
    private.mkdir(mode=0o700)
    (private / "node.cjs").write_text("'use strict';")
    monkeypatch.setattr(node_preload, "FILE", private / "node.cjs")
    copy = node_preload.readable_file(public)
    assert (copy.parent, copy.read_text(), copy.stat().st_mode & 0o777) == (public, "'use strict';", 0o644)
    assert node_preload.readable_file(public) == copy
    assert list(public.iterdir()) == [copy]


@pytest.mark.parametrize("mode", [0o755, 0o711])
def test_a_file_that_everybody_can_read_is_used_where_it_is(mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(mode)
        monkeypatch.setattr(node_preload, "FILE", folder / "node.cjs")
        (folder / "node.cjs").touch()
        (folder / "node.cjs").chmod(0o644)  # under any umask
        assert node_preload.readable_file(folder / "nowhere") == folder / "node.cjs"


def test_the_users_own_options_of_node_are_kept(
    node: str, authority: Authority, secure: Server, tmp_path: Path
) -> None:
    odd = tmp_path / 'a "quoted" \\ folder' / "node.cjs"
    odd.parent.mkdir()
    odd.write_text(node_preload.FILE.read_text())
    environ = environment(authority, None) | {"NODE_OPTIONS": "--max-old-space-size=99"}
    tell = f"console.log(process.env.NODE_OPTIONS.split(' ')[0]); fetch('https://127.0.0.1:{secure.port}')"
    with Relay() as relay:
        environ |= {"HTTPS_PROXY": relay.url} | node_preload.environment(relay.url, environ, odd)
        environ |= node_preload.environment(relay.url, environ, odd)  # a second time, in a nested exec
        assert run([node, "-e", tell], environ) == "--max-old-space-size=99\nexit status 0"
    assert environ["NODE_OPTIONS"].count("--require") == 1
    assert relay.destinations == [f"127.0.0.1:{secure.port}"]


WARNS = """
if (parseInt(process.versions.node) < 22) process.emitWarning('as Node 22 at its start', { code: 'UNDICI-EHPA' });
setTimeout(() => process.emitWarning('the own one', { code: 'UNDICI-EHPA' }));
"""


def test_node_does_not_warn_of_a_variable_that_the_program_did_not_set(node: str, authority: Authority) -> None:
    with Relay() as relay:
        said = run([node, "-e", WARNS], environment(authority, relay, {"NODE_USE_ENV_PROXY": "1"}))
        assert said.count("UNDICI-EHPA") == 1
        assert "the own one" in said
        untouched = run([node, "-e", WARNS], environment(authority, relay))
    assert untouched.count("UNDICI-EHPA") == 2 or "as Node 22" not in untouched
