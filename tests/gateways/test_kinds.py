"""Each kind of gateway: a call in -> host, path and headers out, or why it goes to its own host."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from sessiontap.exchange import Headers
from sessiontap.gateways import KINDS, Direct, GatewayCall, Route, plan
from sessiontap.trust import Upstream

CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages?beta=true"
GROQ = "https://api.groq.com/openai/v1/chat/completions"
LOCAL = "http://127.0.0.1:8000/v1/chat/completions"
ENV = {
    "HELICONE_API_KEY": "sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg",
    "PORTKEY_API_KEY": "pk-of-the-proxy",
    "OPENROUTER_API_KEY": "sk-or-of-the-proxy",
    "LITELLM_API_KEY": "never-unasked",
    "CF_AIG_TOKEN": "never-unasked",
}
LITELLM: dict[str, Any] = {"url": "http://127.0.0.1:4000", "key": "sk-litellm"}
SELFHOSTED: dict[str, Any] = {"url": "http://127.0.0.1:8585", "key": "sk-own"}
CLOUDFLARE: dict[str, Any] = {"url": "https://gateway.ai.cloudflare.com/v1/account/gateway"}
ACCOUNT = "https://gateway.ai.cloudflare.com:443/v1/account/gateway"
CUSTOM: dict[str, Any] = {"url": "https://gateway.corp.example/llm/"}
SOCKET = Headers([("Upgrade", "websocket")])
TALK = {"messages": [{"role": "user", "content": "Why?"}]}


def way(kind: str, url: str, /, **more: Any) -> Route | Direct:
    at = urlsplit(url)
    assert at.hostname is not None
    port = at.port or {"https": 443, "http": 80}[at.scheme]
    given: dict[str, Any] = {
        "headers": Headers([("Authorization", "Bearer the-apps-own")]),
        "target": at.path + (f"?{at.query}" if at.query else ""),
        "model": "gpt-4o",
        "body": TALK,
        "proxy_env": ENV,
        "why_not_client": None,
        "upstream": Upstream(at.scheme, at.hostname, port, at.hostname, verifies=True),
        **more,
    }
    return plan(kind, GatewayCall(at.scheme, at.hostname, port, **given))


def sent(kind: str, url: str, /, **more: Any) -> tuple[str, dict[str, str | None]]:
    """The whole URL at the gateway, and the headers that change (None: taken out)."""
    found = way(kind, url, **more)
    assert isinstance(found, Route), found
    at = urlsplit(url)
    target = found.target if found.target is not None else at.path + (f"?{at.query}" if at.query else "")
    assert all(edit.action == ("remove" if edit.new is None else "set") for edit in found.edits)
    changed = {edit.header: edit.new for edit in found.edits}
    return f"{found.scheme}://{found.host}:{found.port}{target}", changed


OPENED = {"x-litellm-api-key": "Bearer sk-litellm"}
AUTH = {"Helicone-Auth": "Bearer sk-own"}
PORTKEY = {"x-portkey-api-key": "pk-of-the-proxy"}
AT_LITELLM = "http://127.0.0.1:4000"
AT_PORTKEY = "https://api.portkey.ai:443"
OPENROUTER = {"Authorization": "Bearer sk-or-of-the-proxy"}


@pytest.mark.parametrize(
    ("kind", "url", "more", "expected", "headers"),
    [
        pytest.param("litellm", CHAT, LITELLM, f"{AT_LITELLM}/v1/chat/completions", OPENED, id="LiteLLM: OpenAI"),
        pytest.param("litellm", GROQ, LITELLM, f"{AT_LITELLM}/v1/chat/completions", OPENED, id="LiteLLM: Groq"),
        pytest.param("litellm", MESSAGES, LITELLM, f"{AT_LITELLM}/v1/messages?beta=true", OPENED, id="LiteLLM: Claude"),
        pytest.param("litellm", LOCAL, LITELLM, f"{AT_LITELLM}/v1/chat/completions", OPENED, id="LiteLLM: any server"),
        pytest.param(
            *("litellm", "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:generateContent?key=k"),
            *(LITELLM, f"{AT_LITELLM}/v1beta/models/gemini-3:generateContent?key=k", OPENED),
            id="LiteLLM: Gemini",
        ),
        pytest.param(
            *("litellm", "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1"),
            LITELLM | {"provider": "azure"},
            *(f"{AT_LITELLM}/openai/deployments/d/chat/completions?api-version=1", OPENED),
            id="LiteLLM: Azure",
        ),
        pytest.param(
            *("litellm", "https://api.openai.com/v1/responses", LITELLM | {"headers": SOCKET}),
            *(f"{AT_LITELLM}/v1/responses", OPENED),
            id="LiteLLM: a WebSocket",
        ),
        pytest.param(
            *("litellm", CHAT, {"url": "https://llm.corp.example/proxy/"}),
            *("https://llm.corp.example:443/proxy/v1/chat/completions", {}),
            id="LiteLLM: below a path, opened by the app's own key",
        ),
        pytest.param(
            *("litellm", CHAT, LITELLM | {"headers": Headers([("X-LiteLLM-API-Key", "sk-app")])}),
            *(f"{AT_LITELLM}/v1/chat/completions", {}),
            id="LiteLLM: a key of it that the app sends stays",
        ),
        pytest.param(
            *("portkey", CHAT, {}, f"{AT_PORTKEY}/v1/chat/completions", PORTKEY | {"x-portkey-provider": "openai"}),
            id="Portkey: OpenAI",
        ),
        pytest.param(
            *("portkey", GROQ, {}, f"{AT_PORTKEY}/v1/chat/completions", PORTKEY | {"x-portkey-provider": "groq"}),
            id="Portkey: Groq",
        ),
        pytest.param(
            *("portkey", "https://eu.api.openai.com/v1/responses", {}, f"{AT_PORTKEY}/v1/responses"),
            PORTKEY | {"x-portkey-provider": "openai", "x-portkey-custom-host": "https://eu.api.openai.com/v1"},
            id="Portkey: a region of OpenAI",
        ),
        pytest.param(
            *("portkey", LOCAL, {"url": "http://127.0.0.1:8787"}, "http://127.0.0.1:8787/v1/chat/completions"),
            {"x-portkey-provider": "openai", "x-portkey-custom-host": "http://127.0.0.1:8000/v1"},
            id="Portkey: one's own, without a key, for a server of one's own",
        ),
        pytest.param(
            *("portkey", CHAT, {"own_headers": {"X-Portkey-Provider": "@team-openai", "x-portkey-config": "pc-1"}}),
            f"{AT_PORTKEY}/v1/chat/completions",
            PORTKEY | {"X-Portkey-Provider": "@team-openai", "x-portkey-config": "pc-1"},
            id="Portkey: the rules' headers come before its kind's",
        ),
        pytest.param(
            *("openrouter", "https://api.together.xyz/v1/chat/completions", {"model": "meta-llama/llama-4"}),
            *("https://openrouter.ai:443/api/v1/chat/completions", OPENROUTER),
            id="OpenRouter: a model of that name",
        ),
        pytest.param(
            *("openrouter", MESSAGES, {"headers": Headers([("x-api-key", "sk-ant")]), "model": "claude-sonnet-5"}),
            *("https://openrouter.ai:443/api/v1/messages?beta=true", OPENROUTER | {"x-api-key": None}),
            id="OpenRouter: Anthropic's API, without the app's key of Anthropic",
        ),
        pytest.param(
            "openrouter",
            LOCAL,
            {"model": "a/b", "headers": Headers([("Authorization", "Bearer sk-or-of-the-app")])},
            "https://openrouter.ai:443/api/v1/chat/completions",
            {},
            id="OpenRouter: a key of it that the app sends stays",
        ),
        pytest.param("cloudflare", CHAT, CLOUDFLARE, f"{ACCOUNT}/openai/chat/completions", {}, id="Cloudflare: OpenAI"),
        pytest.param(
            *("cloudflare", MESSAGES, CLOUDFLARE | {"key": "cf-token"}, f"{ACCOUNT}/anthropic/v1/messages?beta=true"),
            {"cf-aig-authorization": "Bearer cf-token"},
            id="Cloudflare: Anthropic, authorized",
        ),
        pytest.param("cloudflare", GROQ, CLOUDFLARE, f"{ACCOUNT}/groq/chat/completions", {}, id="Cloudflare: Groq"),
        pytest.param(
            *("cloudflare", "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?alt=sse"),
            *(CLOUDFLARE, f"{ACCOUNT}/google-ai-studio/v1beta/models/g:streamGenerateContent?alt=sse", {}),
            id="Cloudflare: Gemini",
        ),
        pytest.param(
            *("cloudflare", "https://api.openai.com/v1/realtime?model=gpt-realtime", CLOUDFLARE | {"headers": SOCKET}),
            *(f"{ACCOUNT}/openai?model=gpt-realtime", {}),
            id="Cloudflare: OpenAI's realtime WebSockets",
        ),
        pytest.param(
            *("helicone-selfhosted", CHAT, SELFHOSTED, "http://127.0.0.1:8585/v1/gateway/oai/v1/chat/completions"),
            AUTH,
            id="Helicone of one's own: OpenAI",
        ),
        pytest.param(
            *("helicone-selfhosted", MESSAGES, SELFHOSTED),
            *("http://127.0.0.1:8585/v1/gateway/anthropic/v1/messages?beta=true", AUTH),
            id="Helicone of one's own: Anthropic",
        ),
        pytest.param(
            *("helicone-selfhosted", "https://x.openai.azure.com/openai/deployments/d/chat/completions", SELFHOSTED),
            "http://127.0.0.1:8585/v1/gateway/oai/openai/deployments/d/chat/completions",
            AUTH | {"Helicone-OpenAI-Api-Base": "https://x.openai.azure.com"},
            id="Helicone of one's own: Azure",
        ),
        pytest.param("traceforge", GROQ, {}, "http://127.0.0.1:8787/v1/chat/completions", {}, id="TraceForge"),
        pytest.param(
            *("custom", CHAT, CUSTOM, "https://gateway.corp.example:443/llm/v1/chat/completions", {}),
            id="custom: the path is the call's own",
        ),
        pytest.param(
            "custom",
            f"{CHAT}?a=b",
            CUSTOM | {"has_path": True, "path": "/openai/é x?/chat", "own_headers": {"X-Team": "Müller"}},
            "https://gateway.corp.example:443/llm/openai/%C3%A9%20x%3F/chat?a=b",
            {"X-Team": "Muller"},
            id="custom: a path and headers of the rules",
        ),
    ],
)
def test_where_a_call_goes(
    kind: str, url: str, more: dict[str, Any], expected: str, headers: dict[str, str | None]
) -> None:
    assert sent(kind, url, **more) == (expected, headers)


NO_CLIENT = {"why_not_client": "no"}
UNVERIFIED = Upstream("https", "api.openai.com", 443, "api.openai.com", verifies=False)


@pytest.mark.parametrize(
    ("kind", "url", "more", "reason"),
    [
        *[
            pytest.param(kind, CHAT, {}, "has no address", id=f"{kind} without an address")
            for kind in ("litellm", "cloudflare", "custom")
        ],
        pytest.param(
            "litellm", "https://api.openai.com/key/generate", LITELLM, "no route", id="LiteLLM: its administration"
        ),
        pytest.param("litellm", CHAT, LITELLM | {"headers": SOCKET}, "no WebSockets", id="LiteLLM: another WebSocket"),
        pytest.param(
            *("portkey", "https://api.openai.com/v1/responses", {"headers": SOCKET}, "only OpenAI's realtime"),
            id="Portkey: another WebSocket",
        ),
        pytest.param(
            "litellm", "https://api.openai.com/v1/../key/generate", LITELLM, ". or ..", id="a path that climbs"
        ),
        pytest.param("litellm", "https://api.openai.com/v1/%2e%2e/key", LITELLM, ". or ..", id="encoded, too"),
        pytest.param(
            "litellm", f"{AT_LITELLM}/v1/chat/completions", LITELLM, "Already at the gateway", id="at it already"
        ),
        pytest.param("litellm", CHAT, LITELLM | {"signed": True}, "signed by AWS", id="signed by AWS"),
        pytest.param("litellm", CHAT, LITELLM | NO_CLIENT, "another machine", id="a client that may not use the key"),
        pytest.param("litellm", CHAT, LITELLM | {"key": "a\nb"}, "no header can", id="a key that is no header"),
        pytest.param("litellm", CHAT, LITELLM | {"url": "https://x:99999"}, "no right port", id="a wrong port"),
        pytest.param(
            "litellm", CHAT, {"url": "http://10.0.0.5:4000"}, "would be exposed", id="in clear, beyond this machine"
        ),
        pytest.param("portkey", CHAT, {"upstream": UNVERIFIED}, "not verified", id="an unverified certificate"),
        pytest.param(
            "portkey", CHAT, {"proxy_env": {}}, "PORTKEY_API_KEY is not set", id="Portkey's cloud without a key"
        ),
        pytest.param("portkey", LOCAL, {}, "cannot reach 127.0.0.1", id="Portkey's cloud for a server of one's own"),
        pytest.param("portkey", "https://api.openai.com/v1/files", {}, "no route", id="Portkey: another path"),
        pytest.param(
            "portkey", "https://api.anthropic.com/v1/models", {}, "no route", id="Portkey: Anthropic's models"
        ),
        pytest.param("openrouter", CHAT, {}, "vendor/model", id="OpenRouter: a model's bare name"),
        pytest.param("openrouter", CHAT, {"model": None}, "vendor/model", id="OpenRouter: an unknown model"),
        pytest.param("openrouter", CHAT, {"headers": SOCKET}, "WebSockets", id="OpenRouter: a WebSocket"),
        pytest.param("traceforge", CHAT, {"headers": SOCKET}, "no WebSockets", id="TraceForge: a WebSocket"),
        pytest.param(
            "openrouter", MESSAGES, {"proxy_env": {}}, "OPENROUTER_API_KEY is not set", id="OpenRouter: no key"
        ),
        pytest.param(
            "cloudflare",
            CHAT,
            {"url": "https://gateway.ai.cloudflare.com"},
            "ACCOUNT/GATEWAY",
            id="Cloudflare: no account",
        ),
        pytest.param("cloudflare", LOCAL, CLOUDFLARE, "no name for the provider", id="Cloudflare: an unknown provider"),
        pytest.param(
            "cloudflare", "https://eu.api.openai.com/v1/responses", CLOUDFLARE, "no name", id="Cloudflare: a region"
        ),
        pytest.param(
            "cloudflare", MESSAGES, CLOUDFLARE | {"headers": SOCKET}, "WebSockets", id="Cloudflare: other WebSockets"
        ),
        pytest.param(
            "helicone-selfhosted", GROQ, SELFHOSTED, "no gateway for api.groq.com", id="Helicone of one's own: Groq"
        ),
        pytest.param(
            "helicone-selfhosted", CHAT, SELFHOSTED | {"method": "GET"}, "POST alone", id="Helicone of one's own: GET"
        ),
        pytest.param(
            "helicone-selfhosted", CHAT, SELFHOSTED | {"key": None}, "has no key", id="Helicone of one's own: no key"
        ),
        pytest.param("traceforge", CHAT, {"body": None}, "read as JSON", id="TraceForge: a body that was not read"),
        pytest.param(
            "traceforge", CHAT, {"body": {"messages": [{"role": "tool"}]}}, "results of tools", id="TraceForge: tools"
        ),
        pytest.param("traceforge", CHAT, {"body": {"messages": [{"content": []}]}}, "in parts", id="TraceForge: parts"),
        pytest.param(
            "traceforge",
            CHAT,
            {"headers": Headers([("content-length", "1048577")])},
            "1 MiB",
            id="TraceForge: a large body",
        ),
        pytest.param(
            "traceforge", "https://api.openai.com/v1/responses", {}, "no route", id="TraceForge: another path"
        ),
        pytest.param("custom", CHAT, CUSTOM | {"has_path": True}, "has no value", id="custom: a path without a value"),
        pytest.param(
            "custom", CHAT, CUSTOM | {"has_path": True, "path": "/a/../b"}, ". or ..", id="custom: a path that climbs"
        ),
        pytest.param(
            *("custom", CHAT, CUSTOM | NO_CLIENT | {"own_headers": {"X-Key": "k"}, "own_headers_use_keys": True}),
            "another machine",
            id="custom: a client that may not use the key in a header",
        ),
    ],
)
def test_why_a_call_goes_to_its_own_host(kind: str, url: str, more: dict[str, Any], reason: str) -> None:
    found = way(kind, url, **more)
    assert isinstance(found, Direct), found
    assert reason in found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_gives_a_gateway_of_ones_own_the_proxys_variables(kind: str) -> None:
    """A url in the rules may be anybody's."""
    found = way(kind, CHAT, url="https://gateway.example/v1/a/b", model="a/b")
    values = [edit.new for edit in found.edits] if isinstance(found, Route) else []
    assert not [value for value in values if value and any(key in value for key in ENV.values())]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_an_address_of_its_own_or_says_that_it_needs_one(kind: str) -> None:
    found = way(kind, CHAT, model="a/b")
    assert KINDS[kind].needs_url == (isinstance(found, Direct) and "has no address" in found.reason)
