"""Programs that do not trust the proxy's certificate: found by what they do, remembered by program, let through."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, RUN, Lab, Proxy
from tests.e2e.test_pass_through import asked
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE

HOST = "api.openai.com"
URL = f"https://{HOST}/v1/models"
REFUSED, FINE = "refused", "hello"

# Each is told the upstreams' own CA, or nothing: what it trusts is that, or the proxy's CA by its variables.
PINNED = """
import http.client, os, ssl, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
app = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context)
app.set_tunnel("api.openai.com", 443)
app.connect()
served = app.sock.getpeercert(True)
if b"Upstream test CA" not in served:
    app.sock.close()
    print("refused")
else:
    app.request("GET", "/v1/models")
    print(app.getresponse().read().decode())
"""
ALERTS = """
import http.client, os, ssl, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
context = ssl.create_default_context(cafile=sys.argv[1])
app = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context)
app.set_tunnel("api.openai.com", 443)
try:
    app.request("GET", "/v1/models")
    print(app.getresponse().read().decode())
except ssl.SSLError:
    print("refused")
"""
POOL = """
import http.client, os, ssl, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
context = ssl.create_default_context()
def open_one():
    app = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context)
    app.set_tunnel("api.openai.com", 443)
    app.connect()
    return app
for _ in range(3):  # spare ones, which are thrown away
    pair = [open_one(), open_one()]
    for app in pair:
        app.close()
for _ in range(2):
    app = open_one()
    app.request("GET", "/v1/models")
    said = app.getresponse().read().decode()
    app.close()
    open_one().close()
    open_one().close()
print(said)
"""


async def greet(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, FINE.encode(), [("content-type", "text/plain")])


@pytest.fixture(params=["mitmdump", "run"])
def proxy(lab: Lab, request: pytest.FixtureRequest) -> Proxy:
    lab.upstream(greet, [HOST])
    program: dict[str, Any] = {} if request.param == "mitmdump" else RUN
    return lab.proxy(**program)


def run(proxy: Proxy, command: Sequence[str | Path]) -> str:
    """What a program prints, whatever its exit status."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=proxy.environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.stdout.strip()


def program(lab: Lab, name: str, text: str) -> Path:
    path = lab.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def reasons(proxy: Proxy) -> dict[str, int]:
    return {one["why"]: one["connections"] for one in asked(proxy)}


@pytest.mark.parametrize(
    ("name", "text", "refusals"),
    [
        pytest.param("alerts.py", ALERTS, 1, id="an alert"),
        pytest.param("pinned.py", PINNED, 2, id="closed behind the handshake"),
    ],
)
def test_a_program_that_distrusts_is_let_through_in_later_processes(
    lab: Lab, proxy: Proxy, name: str, text: str, refusals: int
) -> None:
    app = program(lab, name, text)
    said = [run(proxy, [PYTHON, app, lab.authority.pem]) for _ in range(refusals + 2)]
    assert said == [REFUSED] * refusals + [FINE] * 2
    line = proxy.process.wait_line(lambda text: "does not trust the proxy's certificate, so a call" in text)
    assert f"{name} does not trust" in line
    assert f"so a call to {HOST} failed" in line
    assert "for 10 minutes or longer" in line
    assert "REQUESTS_CA_BUNDLE" in line
    assert reasons(proxy) == {"refused": refusals, "distrust": 2}
    assert proxy.stop() == []


def test_another_program_is_not_taken_for_it(lab: Lab, proxy: Proxy) -> None:
    app, other = program(lab, "alerts.py", ALERTS), program(lab, "other.py", ALERTS)
    assert run(proxy, [PYTHON, app, lab.authority.pem]) == REFUSED
    assert run(proxy, [PYTHON, other, proxy.ca]) == FINE
    (call,) = proxy.stop()
    assert call.caller is not None
    assert call.caller["name"] == "other.py"


def test_wget_is_let_through(lab: Lab, proxy: Proxy) -> None:
    """As Debian builds it, with GnuTLS, it looks at the certificate behind the handshake."""
    wget = shutil.which("wget")
    if wget is None:
        pytest.skip("wget is not installed")
    command = [wget, "--quiet", "--no-hsts", "--tries=1", "-O", "-", f"--ca-certificate={lab.authority.pem}", URL]
    said = [run(proxy, command) for _ in range(4)]
    assert said[2:] == [FINE] * 2
    assert "" in said[:2]
    line = proxy.process.wait_line(lambda text: "does not trust the proxy's certificate, so a call" in text)
    assert "SYSTEM_WGETRC" in line


def test_a_pool_whose_spare_connections_are_closed_is_still_looked_into(lab: Lab, proxy: Proxy) -> None:
    app = program(lab, "pool.py", POOL)
    for _ in range(3):
        assert run(proxy, [PYTHON, app]) == FINE
    assert reasons(proxy) == {}
    assert len(proxy.stop()) == 6
