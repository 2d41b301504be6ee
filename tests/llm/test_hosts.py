from __future__ import annotations

import pytest

from sessiontap.llm.hosts import HOSTS, Hosts, is_llm_host, provider_of

KNOWN = {
    "api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "chatgpt.com": "openai",
    "API.Anthropic.com": "anthropic",
    "api.anthropic.com.": "anthropic",
    "my-resource.openai.azure.com": "azure",
    "my-resource.services.ai.azure.com": "azure",
    "generativelanguage.googleapis.com": "google",
    "us-central1-aiplatform.googleapis.com": "vertex",
    "aiplatform.googleapis.com": "vertex",
    "bedrock-runtime.eu-west-1.amazonaws.com": "bedrock",
    "vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com": "bedrock",
    "bedrock-mantle.us-east-1.api.aws": "bedrock",
    "api.business.githubcopilot.com": "copilot",
    "us-south.ml.cloud.ibm.com": "watsonx",
    "oai.helicone.ai": "openai",
    "x.helicone.ai": "xai",
}


@pytest.mark.parametrize(("host", "provider"), KNOWN.items(), ids=KNOWN)
def test_provider_by_host(host: str, provider: str) -> None:
    assert (is_llm_host(host), provider_of(host)) == (True, provider)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "ab.chatgpt.com",  # telemetry
        "iam.cloud.ibm.com",
        "s3.us-east-1.amazonaws.com",
        "storage.googleapis.com",
        "api.openai.com.evil.example",
        "notapi.openai.com.example",
        "api.helicone.ai",  # its dashboard's API, no gateway
    ],
)
def test_other_hosts_are_left_alone(host: str) -> None:
    assert (is_llm_host(host), provider_of(host)) == (False, None)


def test_a_gateway_for_all_has_no_provider() -> None:
    assert (is_llm_host("gateway.helicone.ai"), provider_of("gateway.helicone.ai")) == (True, None)


def test_ollama_is_known_by_its_port_but_not_intercepted_unasked() -> None:
    assert (is_llm_host("127.0.0.1", 11434), provider_of("127.0.0.1", 11434)) == (False, "ollama")


@pytest.mark.parametrize(
    ("pattern", "host", "port", "expected"),
    [
        ("llm.corp.example", "LLM.corp.example", 443, (True, "mine")),
        ("*.qdrant.io", "eu.cluster.qdrant.io", 6333, (True, "mine")),
        ("*.qdrant.io", "qdrant.io.example", 443, (False, None)),
        ("localhost:8000", "localhost", 8000, (True, "mine")),
        ("localhost:8000", "localhost", 8001, (False, None)),
        ("[::1]:8000", "::1", 8000, (True, "mine")),
        ("127.0.0.?", "127.0.0.1", 80, (True, "mine")),
    ],
)
def test_hosts_that_rules_add(pattern: str, host: str, port: int, expected: tuple[bool, str | None]) -> None:
    hosts = Hosts([(pattern, "mine")])
    assert (hosts.is_llm_host(host, port), hosts.provider_of(host, port)) == expected


def test_a_rule_may_rename_a_provider_and_without_one_the_table_speaks() -> None:
    assert Hosts([("api.openai.com", "proxy")]).provider_of("api.openai.com") == "proxy"
    assert Hosts([("*.openai.com", None)]).provider_of("api.openai.com") == "openai"
    assert Hosts([("localhost:11434", None)]).provider_of("localhost", 11434) == "ollama"


def test_no_host_stands_in_the_table_twice() -> None:
    patterns = [pattern for pattern, _ in HOSTS]
    assert len(patterns) == len(set(patterns))
