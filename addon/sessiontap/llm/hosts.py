"""Which hosts are LLM services, and whose: a table.

A pattern is a host name in which `*` stands for any run of characters, dots too. A provider is who runs the service,
not the family it speaks. None: an LLM service whose provider cannot be told from the host (a gateway).
Local servers (Ollama, vLLM, LM Studio) are no part of it: their hosts are named by rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

HOSTS: tuple[tuple[str, str | None], ...] = (
    ("api.openai.com", "openai"),
    ("*.api.openai.com", "openai"),  # us., eu., ...
    ("chatgpt.com", "openai"),  # Codex with a ChatGPT login
    ("*.openai.azure.com", "azure"),
    ("*.openai.azure.us", "azure"),
    ("*.cognitiveservices.azure.com", "azure"),
    ("*.services.ai.azure.com", "azure"),
    ("*.models.ai.azure.com", "azure"),
    ("models.inference.ai.azure.com", "azure"),
    ("models.github.ai", "github"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("cloudcode-pa.googleapis.com", "google"),  # Gemini CLI with a Google login
    ("aiplatform.googleapis.com", "vertex"),
    ("*-aiplatform.googleapis.com", "vertex"),
    ("aiplatform.*.rep.googleapis.com", "vertex"),
    ("bedrock-runtime.*.amazonaws.com", "bedrock"),
    ("bedrock-runtime-fips.*.amazonaws.com", "bedrock"),
    ("bedrock-agent-runtime.*.amazonaws.com", "bedrock"),
    ("*.bedrock-runtime.*.vpce.amazonaws.com", "bedrock"),
    ("bedrock-mantle.*.api.aws", "bedrock"),
    ("bedrock-runtime.*.api.aws", "bedrock"),
    ("runtime.sagemaker.*.amazonaws.com", "sagemaker"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.x.ai", "xai"),
    ("*.api.x.ai", "xai"),
    ("cli-chat-proxy.grok.com", "xai"),  # Grok CLI
    ("ollama.com", "ollama"),
    ("api.githubcopilot.com", "copilot"),
    ("api.*.githubcopilot.com", "copilot"),
    ("copilot-proxy.githubusercontent.com", "copilot"),
    ("api2.cursor.sh", "cursor"),
    ("api3.cursor.sh", "cursor"),
    ("api4.cursor.sh", "cursor"),
    ("api5.cursor.sh", "cursor"),
    ("api.groq.com", "groq"),
    ("openrouter.ai", "openrouter"),
    ("api.deepseek.com", "deepseek"),
    ("router.huggingface.co", "huggingface"),
    ("api-inference.huggingface.co", "huggingface"),
    ("*.endpoints.huggingface.cloud", "huggingface"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zai"),
    ("opencode.ai", "opencode"),
    ("ampcode.com", "amp"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.moonshot.ai", "moonshot"),
    ("api.moonshot.cn", "moonshot"),
    ("api.minimax.io", "minimax"),
    ("api.minimax.com", "minimax"),
    ("api.minimaxi.com", "minimax"),
    ("dashscope.aliyuncs.com", "alibaba"),
    ("dashscope-intl.aliyuncs.com", "alibaba"),
    ("dashscope-us.aliyuncs.com", "alibaba"),
    ("ai-gateway.vercel.sh", "vercel"),
    ("api.sambanova.ai", "sambanova"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.hyperbolic.xyz", "hyperbolic"),
    ("api.novita.ai", "novita"),
    ("api.studio.nebius.ai", "nebius"),
    ("api.studio.nebius.com", "nebius"),
    ("api.tokenfactory.nebius.com", "nebius"),
    ("api.llama.com", "llama"),
    ("api.writer.com", "writer"),
    ("api.voyageai.com", "voyage"),
    ("api.jina.ai", "jina"),
    ("api.ai21.com", "ai21"),
    ("api.aleph-alpha.com", "alephalpha"),
    ("api.replicate.com", "replicate"),
    ("stream.replicate.com", "replicate"),
    ("streaming-api.*.replicate.net", "replicate"),
    ("*.ml.cloud.ibm.com", "watsonx"),
    ("api.portkey.ai", "portkey"),
    # Helicone's gateways: one host a provider, the provider's own paths.
    ("oai.helicone.ai", "openai"),
    ("anthropic.helicone.ai", "anthropic"),
    ("groq.helicone.ai", "groq"),
    ("together.helicone.ai", "together"),
    ("openrouter.helicone.ai", "openrouter"),
    ("deepseek.helicone.ai", "deepseek"),
    ("mistral.helicone.ai", "mistral"),
    ("fireworks.helicone.ai", "fireworks"),
    ("deepinfra.helicone.ai", "deepinfra"),
    ("perplexity.helicone.ai", "perplexity"),
    ("x.helicone.ai", "xai"),
    ("cerebras.helicone.ai", "cerebras"),
    ("hyperbolic.helicone.ai", "hyperbolic"),
    ("novita.helicone.ai", "novita"),
    ("nebius.helicone.ai", "nebius"),
    ("llama.helicone.ai", "llama"),
    ("nvidia.helicone.ai", "nvidia"),
    ("ai-gateway.helicone.ai", "helicone"),
    ("gateway.helicone.ai", None),
    ("bedrock.helicone.ai", "bedrock"),
)

_OLLAMA_PORT = 11434


class Hosts:
    """The table, with the hosts that rules add: `(pattern, provider)`, the pattern with `:port` to mean only that port.

    What rules add comes first, so it may also give a provider to a host of the table.
    """

    def __init__(self, extra: Iterable[tuple[str, str | None]] = ()) -> None:
        added = [(pattern.lower(), provider) for pattern, provider in extra]
        self._added = [(_regex(pattern), _has_port(pattern), provider) for pattern, provider in added]
        self._find = lru_cache(maxsize=4096)(self._look_up)

    def provider_of(self, host: str, port: int = 443) -> str | None:
        """Who runs the service at `host`; None if that is not known. Whatever listens on Ollama's port is Ollama."""
        return self._find(host, port)[1]

    def is_llm_host(self, host: str, port: int = 443) -> bool:
        """Return whether the table or a rule names the host."""
        return self._find(host, port)[0]

    def _look_up(self, host: str, port: int) -> tuple[bool, str | None]:
        host = host.lower().rstrip(".")
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        for pattern, with_port, provider in self._added:
            if pattern.fullmatch(f"{bracketed}:{port}" if with_port else host):
                return True, provider or _in_table(host, port)[1]
        return _in_table(host, port)


def _in_table(host: str, port: int) -> tuple[bool, str | None]:
    if host in _EXACT:
        return True, _EXACT[host]
    found = _WILD.fullmatch(host)
    if found and found.lastgroup:
        return True, _WILD_PROVIDERS[int(found.lastgroup[1:])]
    return False, "ollama" if port == _OLLAMA_PORT else None


def _has_port(pattern: str) -> bool:
    host, _, port = pattern.rpartition(":")
    return port.isdigit() and (":" not in host or host.endswith("]"))


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(_glob(pattern))


def _glob(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)


_EXACT = {pattern: provider for pattern, provider in HOSTS if "*" not in pattern}
_WILDS = [(pattern, provider) for pattern, provider in HOSTS if "*" in pattern]
_WILD_PROVIDERS = [provider for _, provider in _WILDS]
_WILD = re.compile("|".join(f"(?P<p{n}>{_glob(pattern)})" for n, (pattern, _) in enumerate(_WILDS)))

_DEFAULT = Hosts()
provider_of = _DEFAULT.provider_of
is_llm_host = _DEFAULT.is_llm_host
