"""Hosts of one's own, and hosts of a subscription."""

from __future__ import annotations

import pytest

from sessiontap.prices.cost import is_local, is_subscription


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.8.8", "::1", "[::1]", "::ffff:127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.5"),
        *("169.254.0.9", "fe80::1%eth0", "fd00::7", "100.100.1.2", "0.0.0.0"),
        *("localhost", "LOCALHOST.", "api.localhost", "ollama", "host.docker.internal", "nas.local", "gpu.lan"),
    ],
)
def test_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["api.openai.com", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "localhost.evil.com", ""]
)
def test_not_local(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("host", "route", "is_one"),
    [
        ("chatgpt.com", "/backend-api/codex/responses", True),
        ("ChatGPT.com.", "/backend-api/codex/responses", True),
        ("api.githubcopilot.com", "/chat/completions", True),
        ("cloudcode-pa.googleapis.com", "/v1internal:generateContent", True),
        ("api.z.ai", "/api/coding/paas/v4/chat/completions", True),
        ("api.z.ai", "/api/paas/v4/chat/completions", False),
        ("api.openai.com", "/v1/responses", False),
        ("notchatgpt.com", "/", False),
    ],
)
def test_subscription(host: str, route: str, is_one: bool) -> None:
    assert is_subscription(host, route) is is_one
