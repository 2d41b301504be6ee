from __future__ import annotations

import re
import time
from collections import Counter
from fnmatch import fnmatch

import pytest

from sessiontap.llm.hosts import HOSTS, TABLE, HostRow, is_llm_host, provider_of, rows, serves

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
    "api.kimi.com": "moonshot",
    "token-plan-sgp.xiaomimimo.com": "xiaomi",
    "token-plan.cn-beijing.maas.aliyuncs.com": "alibaba",
    "api-inference.together.ai": "together",
    "model-abc123.api.baseten.co": "baseten",
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
    assert (is_llm_host("127.0.0.1"), provider_of("127.0.0.1", 11434)) == (False, "ollama")


@pytest.mark.parametrize(
    ("host", "path", "is_call"),
    [
        pytest.param("api.openai.com", "/v1/chat/completions", True, id="a host that serves nothing else"),
        pytest.param("openrouter.ai", "/api/v1/chat/completions", True, id="below its path"),
        pytest.param("openrouter.ai", "/models?q=a", False, id="its site"),
        pytest.param("openrouter.ai", "/apis", False, id="a path that begins as its own"),
        pytest.param("opencode.ai", "/zen/v1/messages", True, id="the first of two paths"),
        pytest.param("OLLAMA.com.", "/v1/chat/completions?a=b", True, id="the other of two"),
        pytest.param("ollama.com", "/v1", True, id="the path itself"),
        pytest.param("api.cloudflare.com", "/client/v4/accounts/0a1b/ai/run/@cf/m", True, id="any account's"),
        pytest.param("api.cloudflare.com", "/client/v4/accounts/0a1b/workers/scripts", False, id="another service"),
        pytest.param("api.cloudflare.com", "/client/v4/accounts/ai", False, id="a segment too few"),
        pytest.param(
            "x.cognitiveservices.azure.com", "/openai/deployments/m/chat/completions", True, id="Azure OpenAI"
        ),
        pytest.param("x.cognitiveservices.azure.com", "/vision/v3.2/analyze", False, id="Azure's eyes"),
        pytest.param("example.com", "/v1/chat/completions", False, id="another host"),
    ],
)
def test_hosts_that_serve_other_things_are_told_apart_by_path(host: str, path: str, is_call: bool) -> None:
    assert serves(host, path) is is_call


# The table -----------------------------------------------------------------------------------------------------------

SOURCES = {"litellm", "models.dev", "catwalk", "vendor", "continue", "cline", "roo-code", "zed", "droid"}


def test_no_line_stands_in_the_table_twice() -> None:
    places = [(row.pattern, row.path) for row in HOSTS]
    assert [place for place, times in Counter(places).items() if times > 1] == []


def test_a_host_has_one_provider_and_either_paths_or_none() -> None:
    for pattern in {row.pattern for row in HOSTS}:
        of_host = [row for row in HOSTS if row.pattern == pattern]
        assert len({row.provider for row in of_host}) == 1, pattern
        assert len({bool(row.path) for row in of_host}) == 1, pattern


def test_no_host_is_covered_by_another_ones_pattern() -> None:
    exact, wild = ([row for row in HOSTS if ("*" in row.pattern) is is_wild] for is_wild in (False, True))
    covered = [
        (row.pattern, other.pattern)
        for row in exact
        for other in wild
        if fnmatch(row.pattern, other.pattern) and row.provider == other.provider
    ]
    assert covered == []


@pytest.mark.parametrize("row", HOSTS, ids=[f"{row.pattern}{row.path}" for row in HOSTS])
def test_a_line(row: HostRow) -> None:
    assert re.fullmatch(r"(?:[a-z0-9*-]+\.)+[a-z]{2,}", row.pattern)
    assert not row.pattern.rpartition(".")[0].endswith("*"), "any host of a whole domain"
    assert not row.path.endswith("/")
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", row.provider or "none")
    assert set(row.sources) <= SOURCES


def test_a_line_that_is_none_says_what_is_wrong() -> None:
    with pytest.raises(
        ValueError, match=r"line 3 has 2 fields, not host, provider and sources: api\.example\.com  mine"
    ):
        list(rows("# a comment\n\napi.example.com  mine\n"))


def test_the_table_is_read_in_no_time() -> None:
    start = time.process_time()
    for _ in range(10):
        list(rows(TABLE.read_text(encoding="utf-8")))
    assert time.process_time() - start < 0.2
