"""The paths of providers' APIs: which part of a path is the provider's base, and which names what is asked for.

Gateways that speak OpenAI's API at one base of their own (`/v1`) need the rest: of
`api.groq.com/openai/v1/chat/completions` that is `/chat/completions`. Bases are as the providers document them, and as
LiteLLM's and Portkey's tables have them.
"""

from __future__ import annotations

from collections.abc import Mapping

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
