"""By which names a destination goes, and which destinations concern us."""

from __future__ import annotations

import pytest

from sessiontap.proxy.connections import Destination, Destinations, destinations, is_address, proxy_user
from sessiontap.rules import Rules, load_text
from sessiontap.trust import is_local

RULES = load_text(
    "version: 1\n"
    "hosts:\n"
    "  - {host: llm.corp.example, provider: openai}\n"
    "rules:\n"
    "  - {match: {host: named.example}, session: {name: Named}}\n"
)
NAMES_IT = load_text("version: 1\nrules:\n  - {match: {host: openrouter.ai}, session: {name: Named}}\n")


@pytest.mark.parametrize(
    ("address", "name", "names"),
    [
        pytest.param("api.openai.com", None, ("api.openai.com",), id="a host"),
        pytest.param("API.OpenAI.com", None, ("api.openai.com",), id="in any case"),
        pytest.param("api.openai.com", "api.openai.com", ("api.openai.com",), id="the same name twice"),
        pytest.param("other.example", "api.openai.com", ("other.example",), id="a host, and another name is claimed"),
        pytest.param("10.1.2.3", "API.OpenAI.com", ("api.openai.com", "10.1.2.3"), id="an address, and a name"),
        pytest.param("10.1.2.3", "llm.example:8443", ("llm.example", "10.1.2.3"), id="an address, a name and a port"),
        pytest.param("10.1.2.3", None, ("10.1.2.3",), id="an address alone"),
        pytest.param("2001:db8::1", "llm.example", ("llm.example", "2001:db8::1"), id="an address of IPv6"),
    ],
)
def test_the_names_of_a_destination(address: str, name: str | None, names: tuple[str, ...]) -> None:
    assert destinations(address, name) == names


@pytest.mark.parametrize(
    ("names", "port", "found"),
    [
        pytest.param(
            ("api.openai.com",), 443, Destination("api.openai.com", "openai", by_table=True), id="an LLM host"
        ),
        pytest.param(("llm.corp.example",), 443, Destination("llm.corp.example", "openai"), id="one of `hosts:`"),
        pytest.param(("named.example",), 443, Destination("named.example", None), id="one that a rule names"),
        pytest.param(("bank.example",), 443, None, id="none of ours"),
        pytest.param(
            ("bank.example", "api.openai.com"), 443, Destination("api.openai.com", "openai", by_table=True), id="by one"
        ),
        pytest.param((), 443, None, id="no name"),
    ],
)
def test_which_destinations_concern_us(names: tuple[str, ...], port: int, found: Destination | None) -> None:
    assert Destinations(RULES).find(names, port) == found


@pytest.mark.parametrize(
    ("rules", "path", "concerns"),
    [
        pytest.param(RULES, "/api/v1/chat/completions", True, id="its API"),
        pytest.param(RULES, "/rankings", False, id="its site"),
        pytest.param(NAMES_IT, "/rankings", True, id="its site, if a rule names the host"),
    ],
)
def test_of_a_host_that_serves_other_things_only_its_api_concerns_us(rules: Rules, path: str, concerns: bool) -> None:
    destinations = Destinations(rules)
    assert destinations.find(("openrouter.ai",), 443) is not None
    assert (destinations.find_call(("openrouter.ai",), 443, path) is not None) is concerns


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("Basic bWU6cHc=", "me"),
        ("basic bWU6cHc=", "me"),
        ("Basic bWU=", "me"),
        ("Basic OnB3", None),
        ("Basic not base64", None),
        ("Bearer bWU6cHc=", None),
        ("", None),
        (None, None),
    ],
)
def test_the_proxy_user(header: str | None, user: str | None) -> None:
    assert proxy_user(header) == user


@pytest.mark.parametrize(
    ("client", "proxy", "local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.8.9.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        ("192.168.1.5", "192.168.1.5", True),
        ("192.168.1.6", "192.168.1.5", False),
        ("fe80::1%eth0", "192.168.1.5", False),
        ("nonsense", None, False),
        (None, None, False),
    ],
)
def test_who_is_on_this_machine(client: str | None, proxy: str | None, local: bool) -> None:
    assert is_local(client, proxy, False) is local


@pytest.mark.parametrize(
    ("name", "is_one"), [("10.0.0.1", True), ("::1", True), ("api.openai.com", False), ("10.0.0", False), ("", False)]
)
def test_what_is_an_address(name: str, is_one: bool) -> None:
    assert is_address(name) is is_one
