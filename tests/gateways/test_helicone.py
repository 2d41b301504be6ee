"""The way through Helicone's gateways, or why a call goes to its own host."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.exchange import Headers
from sessiontap.gateways import Direct, GatewayCall, Route, plan
from sessiontap.gateways.helicone_gateway import LABELS
from sessiontap.trust import Upstream

AUTH = "Bearer sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg"
KEY = {"HELICONE_API_KEY": AUTH.removeprefix("Bearer ")}
UNVERIFIED = Upstream("https", "api.openai.com", 443, "api.openai.com", verifies=False)
BEHIND_A_PROXY = Upstream("https", "api.openai.com", 443, "api.openai.com", verifies=True, via_proxy=True)
AT_ITS_ADDRESS = Upstream("https", "10.0.0.5", 443, "api.openai.com", verifies=True)


def way(host: str = "api.openai.com", **more: Any) -> Route | Direct:
    given: dict[str, Any] = {
        "scheme": "https",
        "port": 443,
        "headers": Headers(),
        "proxy_env": KEY,
        "why_not_client": None,
        **more,
    }
    given.setdefault("upstream", Upstream(given["scheme"], host, given["port"], host, verifies=True))
    return plan("helicone", GatewayCall(host=host, **given))


def routed(host: str = "api.openai.com", **more: Any) -> tuple[str, dict[str, str | None]]:
    """The gateway's URL and the headers that it needs."""
    found = way(host, **more)
    assert isinstance(found, Route), found
    assert all(edit.action == "set" for edit in found.edits)
    return f"{found.scheme}://{found.host}:{found.port}", {edit.header: edit.new for edit in found.edits}


def refused(host: str = "api.openai.com", **more: Any) -> str:
    found = way(host, **more)
    assert isinstance(found, Direct), found
    return found.reason


@pytest.mark.parametrize(("host", "label"), LABELS.items())
def test_providers_with_a_gateway_of_their_own(host: str, label: str) -> None:
    assert routed(host) == (f"https://{label}.helicone.ai:443", {"Helicone-Auth": AUTH})


def test_a_host_in_another_case_is_the_same() -> None:
    assert routed("API.OpenAI.com.")[0] == "https://oai.helicone.ai:443"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        pytest.param(
            {"host": "generativelanguage.googleapis.com"}, "https://generativelanguage.googleapis.com", id="Gemini"
        ),
        pytest.param({"host": "llm.corp.example"}, "https://llm.corp.example", id="any other host"),
        pytest.param({"host": "eu.api.openai.com"}, "https://eu.api.openai.com", id="a region of a known one"),
        pytest.param(
            {"host": "api.openai.com", "port": 8443}, "https://api.openai.com:8443", id="a known one, another port"
        ),
        pytest.param(
            {"host": "api.openai.com", "scheme": "http", "port": 80}, "http://api.openai.com", id="in the clear"
        ),
        pytest.param(
            {"host": "x.openai.azure.com", "port": 444}, "https://x.openai.azure.com:444", id="Azure, another port"
        ),
        pytest.param({"host": "8.8.8.8"}, "https://8.8.8.8", id="a public address"),
        pytest.param({"host": "2001:4860:4860::8888"}, "https://[2001:4860:4860::8888]", id="a public address, IPv6"),
    ],
)
def test_other_origins_go_by_the_generic_gateway(given: dict[str, Any], origin: str) -> None:
    assert routed(**given) == (
        "https://gateway.helicone.ai:443",
        {"Helicone-Auth": AUTH, "Helicone-Target-URL": origin},
    )


def test_azure_goes_by_openais_gateway_with_its_origin() -> None:
    assert routed("my-team.openai.azure.com") == (
        "https://oai.helicone.ai:443",
        {"Helicone-Auth": AUTH, "Helicone-OpenAI-Api-Base": "https://my-team.openai.azure.com"},
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"proxy_env": {}}, "HELICONE_API_KEY is not set", id="no key"),
        pytest.param({"proxy_env": {"HELICONE_API_KEY": "  "}}, "HELICONE_API_KEY is not set", id="a blank key"),
        pytest.param({"proxy_env": {"HELICONE_API_KEY": "a\nb"}}, "no header can", id="a key that is no header"),
        pytest.param({"signed": True}, "signed by AWS", id="signed by AWS"),
        pytest.param({"host": "oai.helicone.ai"}, "Already at Helicone", id="at Helicone"),
        pytest.param({"host": "AI-Gateway.helicone.ai"}, "Already at Helicone", id="at its other gateway"),
        pytest.param(
            {"host": "bedrock-runtime.us-east-1.amazonaws.com", "provider": "bedrock"}, "Bedrock", id="Bedrock by key"
        ),
        pytest.param({"why_not_client": "no"}, "another machine", id="a client that may not use the key"),
        pytest.param({"upstream": UNVERIFIED}, "not verified", id="a gateway that anybody may pretend to be"),
        pytest.param(
            {"upstream": UNVERIFIED, "headers": Headers([("helicone-auth", "Bearer its-own")])},
            "not verified",
            id="the same, with a key of the app's",
        ),
        pytest.param({"headers": Headers([("Upgrade", "websocket")])}, "WebSockets", id="a WebSocket"),
    ],
)
def test_why_a_call_goes_to_its_own_host(given: dict[str, Any], reason: str) -> None:
    assert reason in refused(**given)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "llm.localhost",
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "192.168.0.7",
        "172.17.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "fd00::1",
        "fe80::1%eth0",
        "0.0.0.0",
        "ollama",
        "nas.local",
        "host.docker.internal",
        "printer.home.arpa",
    ],
)
def test_what_helicone_cannot_reach(host: str) -> None:
    assert refused(host).startswith(f"Helicone cannot reach {host}")


@pytest.mark.parametrize("host", ["evilhelicone.ai", "helicone.ai.example.com"])
def test_a_host_that_only_looks_like_helicones(host: str) -> None:
    assert routed(host)[1]["Helicone-Target-URL"] == f"https://{host}"


@pytest.mark.parametrize(
    "more", [{}, {"proxy_env": {}}, {"why_not_client": "no"}], ids=["with our key", "without", "for another machine"]
)
def test_the_apps_own_key_is_enough_and_stays(more: dict[str, Any]) -> None:
    assert routed(headers=Headers([("helicone-auth", "Bearer its-own")]), **more)[1] == {}


@pytest.mark.parametrize(
    ("key", "auth"),
    [(AUTH, AUTH), (f" {KEY['HELICONE_API_KEY']}\n", AUTH)],
    ids=["Bearer in it already", "space around it"],
)
def test_keys_as_people_set_them(key: str, auth: str) -> None:
    assert routed(proxy_env={"HELICONE_API_KEY": key})[1] == {"Helicone-Auth": auth}


@pytest.mark.parametrize(
    ("key", "noted"),
    [
        ("sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg", False),
        ("pk-helicone-eu-cp-abcdefg-abcdefg-abcdefg-abcdefg", False),
        ("sk-abcdefg-abcdefg-abcdefg-abcdefg", False),
        ("sk-helicone-test", True),
    ],
)
def test_a_key_of_unusual_shape_goes_with_a_note(key: str, noted: bool) -> None:
    found = way(proxy_env={"HELICONE_API_KEY": key})
    assert isinstance(found, Route)
    assert bool(found.notes) is noted
    assert key not in "".join(found.notes)


# A gateway of one's own ---------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {"url": "http://127.0.0.1:8585", "key": "own-key-of-mine"}


@pytest.mark.parametrize("host", ["api.openai.com", "llm.corp.example", "10.1.2.3", "my-team.openai.azure.com"])
def test_a_gateway_of_ones_own_is_a_generic_one(host: str) -> None:
    assert routed(host, **OWN) == (
        "http://127.0.0.1:8585",
        {"Helicone-Auth": "Bearer own-key-of-mine", "Helicone-Target-URL": f"https://{host}"},
    )


@pytest.mark.parametrize(
    ("url", "at"),
    [
        ("https://helicone.corp.example", "https://helicone.corp.example:443"),
        ("http://localhost/", "http://localhost:80"),
        ("http://[::1]:8585", "http://::1:8585"),
        ("https://[fd00::1]:8443", "https://fd00::1:8443"),
    ],
)
def test_where_it_is(url: str, at: str) -> None:
    assert routed(url=url, key="k")[0] == at


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"key": None}, "The gateway has no key", id="not Helicone's own key"),
        pytest.param({"key": ""}, "The gateway has no key", id="an empty key"),
        pytest.param({"key": "a\nb"}, "no header can", id="a key that is no header"),
        pytest.param({"url": "http://127.0.0.1:8585/v1/gateway/oai"}, "has a path", id="a path"),
        pytest.param({"url": "http://127.0.0.1:99999"}, "no right port", id="a wrong port"),
        pytest.param({"url": "http://:80"}, "no host", id="no host"),
        pytest.param(
            {"host": "127.0.0.1", "port": 8585, "scheme": "http"}, "Already at the gateway", id="the app calls it"
        ),
        pytest.param({"signed": True}, "signed by AWS", id="signed by AWS"),
        pytest.param({"url": "http://helicone.corp.example"}, "their keys would be exposed", id="in clear"),
        pytest.param(
            {"url": "http://10.0.0.5", "headers": Headers([("helicone-auth", "Bearer its-own")])},
            "their keys would be exposed",
            id="in clear, with a key of the app's",
        ),
        pytest.param({"upstream": BEHIND_A_PROXY}, "through another proxy", id="through another proxy"),
        pytest.param(
            {"url": "https://10.0.0.5", "upstream": AT_ITS_ADDRESS}, "for another name", id="an address under a claim"
        ),
    ],
)
def test_why_a_call_does_not_go_through_it(given: dict[str, Any], reason: str) -> None:
    assert reason in refused(**{**OWN, **given})


def test_a_key_of_its_own_for_helicones_cloud() -> None:
    assert routed(key="team-key", proxy_env=KEY)[1] == {"Helicone-Auth": "Bearer team-key"}


def test_what_was_there_is_in_the_edit() -> None:
    found = way("llm.corp.example", headers=Headers([("Helicone-Target-URL", "https://old")]))
    assert isinstance(found, Route)
    assert [(edit.old, edit.new) for edit in found.edits if edit.header == "Helicone-Target-URL"] == [
        ("https://old", "https://llm.corp.example")
    ]


def test_a_gateway_that_there_is_not() -> None:
    call = GatewayCall("https", "api.openai.com", 443, Headers(), proxy_env=KEY, why_not_client=None)
    assert plan("mine", call) == Direct("There is no gateway 'mine': calls go to their own hosts")
