"""The way to a target: which proxy is used, and which is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import urllib3

from sessiontap.cli import local_proxies, push_settings
from sessiontap.cli.environment import SAVED
from sessiontap.cli.local_proxies import OURS, Listener, RunningProxy

TARGET = "https://collector.example/v1"
COMPANY = "http://ada:s3cret@proxy.corp.example:3128"
OWN = RunningProxy(1, 0.0, None, None, (Listener("regular", "127.0.0.1", 8080),), Path("c"), Path("t"), None)

WAYS = {
    # name: the environment, the endpoint, and the proxy that it is reached through
    "none": ({}, TARGET, None),
    "a company's": ({"HTTPS_PROXY": COMPANY}, TARGET, "http://proxy.corp.example:3128"),
    "one of ours, by name": ({"HTTPS_PROXY": "http://localhost:8080"}, TARGET, None),
    "one of ours, by address": ({"https_proxy": "http://127.0.0.1:8080"}, TARGET, None),
    "one that env set": ({"HTTPS_PROXY": "http://127.0.0.1:9", OURS: "http://127.0.0.1:9", SAVED: "{}"}, TARGET, None),
    "the one before that": (
        {
            "HTTPS_PROXY": "http://127.0.0.1:9",
            OURS: "http://127.0.0.1:9",
            SAVED: json.dumps({"HTTPS_PROXY": COMPANY}),
        },
        TARGET,
        "http://proxy.corp.example:3128",
    ),
    "excepted": ({"HTTPS_PROXY": COMPANY, "NO_PROXY": ".example"}, TARGET, None),
    "this machine": ({"HTTPS_PROXY": COMPANY}, "http://127.0.0.1:4318", None),
}


@pytest.mark.parametrize(("environment", "endpoint", "expected"), WAYS.values(), ids=WAYS)
def test_the_proxy_on_the_way(
    environment: dict[str, str], endpoint: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", OURS, SAVED):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(local_proxies, "running", lambda: iter([OWN]))
    pools = push_settings.http_client(endpoint)._pools
    found = pools.proxy.url if isinstance(pools, urllib3.ProxyManager) and pools.proxy is not None else None
    assert found == expected
    if expected is not None:
        assert isinstance(pools, urllib3.ProxyManager)
        assert pools.proxy_headers == urllib3.make_headers(proxy_basic_auth="ada:s3cret")
