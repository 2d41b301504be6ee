"""Hosts where a call is not paid for by the token."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import lru_cache

SUBSCRIPTIONS: tuple[tuple[str, str], ...] = (
    # host, start of the route
    ("chatgpt.com", "/"),  # Codex with a ChatGPT login
    ("*.githubcopilot.com", "/"),
    ("copilot-proxy.githubusercontent.com", "/"),
    ("*.cursor.sh", "/"),
    ("cloudcode-pa.googleapis.com", "/"),  # Gemini CLI with a Google login
    ("cli-chat-proxy.grok.com", "/"),  # Grok CLI with a login
    ("api.z.ai", "/api/coding/"),  # GLM coding plan
    ("open.bigmodel.cn", "/api/coding/"),
)
"""Hosts and routes that are paid by the month: a price per token would be notional."""

_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_SHARED = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598: overlay networks between one's own machines


@lru_cache(maxsize=4096)
def is_local(host: str) -> bool:
    """The host is this machine or stands in a private network: loopback and private addresses, names of one label
    (`localhost`, a container's), and those that mean a local network (`host.docker.internal`)."""
    name = host.lower().rstrip(".").strip("[]")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_LOCAL_NAMES))
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_private or address.is_loopback or address.is_link_local or address in _SHARED


@lru_cache(maxsize=4096)
def is_subscription(host: str, route: str) -> bool:
    """Calls there are part of a subscription."""
    name = host.lower().rstrip(".")
    return any(fnmatchcase(name, pattern) and route.startswith(start) for pattern, start in SUBSCRIPTIONS)
