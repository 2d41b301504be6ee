"""URLs: where a gateway is, which origin a call is meant for, which part of its path is the provider's base. Pure.

Gateways that speak OpenAI's API at one base of their own (`/v1`) need the rest of the path: of
`api.groq.com/openai/v1/chat/completions` that is `/chat/completions`. Bases are as the providers document them, and as
LiteLLM's and Portkey's tables have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = {"https": 443, "http": 80}
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "intranet")

BASES: Mapping[str, tuple[str, ...]] = {
    "api.openai.com": ("/v1",),
    "api.anthropic.com": ("/v1",),
    "api.cerebras.ai": ("/v1",),
    "api.deepinfra.com": ("/v1/openai",),
    "api.deepseek.com": ("/v1", ""),
    "api.fireworks.ai": ("/inference/v1",),
    "api.groq.com": ("/openai/v1",),
    "api.hyperbolic.xyz": ("/v1",),
    "api.mistral.ai": ("/v1",),
    "api.novita.ai": ("/v3/openai",),
    "api.perplexity.ai": ("",),
    "api.studio.nebius.ai": ("/v1",),
    "api.together.xyz": ("/v1",),
    "api.x.ai": ("/v1",),
    "generativelanguage.googleapis.com": ("/v1beta/openai",),
    "integrate.api.nvidia.com": ("/v1",),
    "openrouter.ai": ("/api/v1",),
}
"""Host -> the bases of its API in OpenAI's form (Anthropic's: in its own), the likelier first."""
ANYWHERE = ("/v1",)
"""The base at every other host: so serve vLLM, Ollama, llama.cpp, LM Studio and most others."""


class BaseUrl(NamedTuple):
    """The URL that a gateway is at, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    """The prefix of every path there, without a slash at its end; mostly empty."""

    @property
    def origin(self) -> str:
        return origin(self.scheme, self.host, self.port)


@lru_cache(maxsize=256)
def base_url_of(url: str) -> BaseUrl | None:
    """Return a URL taken apart; None if it has no host or no right port."""
    try:
        at = urlsplit(url)
        if at.scheme not in DEFAULT_PORT or not at.hostname or at.port == 0:
            return None
        return BaseUrl(at.scheme, at.hostname, at.port or DEFAULT_PORT[at.scheme], at.path.rstrip("/"))
    except ValueError:
        return None


def origin(scheme: str, host: str, port: int) -> str:
    """`https://HOST`, with the port if it is not the usual one."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if DEFAULT_PORT.get(scheme) == port else f":{port}")


@lru_cache(maxsize=1024)
def is_private(host: str) -> bool:
    """True if a host is out of reach from the internet, as far as its name tells."""
    try:
        return not ip_address(host.strip("[]").partition("%")[0]).is_global
    except ValueError:
        return "." not in host or any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)


def climbs(target: str) -> bool:
    """True if a path has `.` or `..` among its segments, also encoded: it could leave the part that it begins with."""
    path = unquote(target.partition("?")[0]).replace("\\", "/")
    return any(segment in (".", "..") for segment in path.split("/"))


def split_path(host: str, target: str) -> tuple[str, str] | None:
    """Return the provider's base and the rest of a path, its query with it; None if it has no base of that host's."""
    for base in BASES.get(host, ANYWHERE):
        if target.startswith(f"{base}/"):
            return base, target[len(base) :]
    return None


def is_below(rest: str, routes: tuple[str, ...]) -> bool:
    """True if a path (with its query) is one of the routes or lies below one."""
    path = rest.partition("?")[0]
    return any(path == route or path.startswith(f"{route}/") for route in routes)
