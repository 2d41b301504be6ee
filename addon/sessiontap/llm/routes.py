"""What a path says: wire family, operation, and the model where the URL names it. Independent of the host.

The table is read from the top, the first row that fits wins. In a pattern `{name}` stands for one path segment
(`{model}` is the model), `{rest*}` for any number of them, and `**` in front for any prefix, because compatible
services put `/openai`, `/api`, `/compatible-mode`, `/inference` or a gateway's own path before `/v1/chat/completions`.
A last column names the providers for which alone a row holds: Cohere and Writer both have a `/v1/chat`.

A path that no row knows is family `other`, operation `other`. Where its row says so, or where no row is found, a rule's
own operation for the host takes the place of `other`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from sessiontap.llm.call import OPERATIONS, Endpoint, Family, Operation


class Row(NamedTuple):
    method: str
    """`*` for any."""
    pattern: str
    family: Family
    operation: Operation
    providers: tuple[str | None, ...] = ()


_COHERE = ("cohere", None)
_OLLAMA = ("ollama", None)

ROUTES: tuple[Row, ...] = (
    # Azure OpenAI: the deployment stands for the model.
    Row("POST", "**/openai/deployments/{model}/chat/completions", "openai-chat", "chat"),
    Row("POST", "**/openai/deployments/{model}/completions", "openai-completions", "text_completion"),
    Row("POST", "**/openai/deployments/{model}/embeddings", "openai-embeddings", "embeddings"),
    Row("POST", "**/openai/deployments/{model}/images/{action}", "other", "image"),
    Row("POST", "**/openai/deployments/{model}/audio/{action}", "other", "audio"),
    Row("GET", "**/openai/realtime", "realtime", "realtime"),
    # Anthropic
    Row("POST", "**/v1/messages", "anthropic-messages", "chat"),
    Row("POST", "**/v1/messages/count_tokens", "anthropic-messages", "count_tokens"),
    Row("*", "**/v1/messages/batches", "other", "batch"),
    Row("*", "**/v1/messages/batches/{rest*}", "other", "batch"),
    Row("POST", "/v1/complete", "other", "text_completion"),
    # Gemini, Vertex and Code Assist
    Row("POST", "**/models/{model}:generateContent", "gemini", "chat"),
    Row("POST", "**/models/{model}:streamGenerateContent", "gemini", "chat"),
    Row("POST", "**/tunedModels/{model}:generateContent", "gemini", "chat"),
    Row("POST", "**/tunedModels/{model}:streamGenerateContent", "gemini", "chat"),
    Row("POST", "**/endpoints/{model}:generateContent", "gemini", "chat"),
    Row("POST", "**/endpoints/{model}:streamGenerateContent", "gemini", "chat"),
    Row("POST", "/v1internal:generateContent", "gemini", "chat"),
    Row("POST", "/v1internal:streamGenerateContent", "gemini", "chat"),
    Row("POST", "/v1internal:countTokens", "gemini", "count_tokens"),
    Row("POST", "**/models/{model}:countTokens", "gemini", "count_tokens"),
    Row("POST", "**/models/{model}:computeTokens", "gemini", "count_tokens"),
    Row("POST", "**/models/{model}:embedContent", "other", "embeddings"),
    Row("POST", "**/models/{model}:batchEmbedContents", "other", "embeddings"),
    Row("POST", "**/models/{model}:asyncBatchEmbedContent", "other", "batch"),
    Row("POST", "**/models/{model}:batchGenerateContent", "other", "batch"),
    Row("POST", "**/publishers/anthropic/models/count-tokens:rawPredict", "anthropic-messages", "count_tokens"),
    Row("POST", "**/publishers/anthropic/models/{model}:rawPredict", "anthropic-messages", "chat"),
    Row("POST", "**/publishers/anthropic/models/{model}:streamRawPredict", "anthropic-messages", "chat"),
    Row("POST", "**/publishers/{publisher}/models/{model}:rawPredict", "openai-chat", "chat"),
    Row("POST", "**/publishers/{publisher}/models/{model}:streamRawPredict", "openai-chat", "chat"),
    Row("POST", "**/models/{model}:predict", "other", "other"),
    Row("POST", "**/models/{model}:predictLongRunning", "other", "other"),
    Row("POST", "/{version}/interactions", "other", "chat"),
    Row("GET", "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent", "other", "realtime"),
    # Bedrock
    Row("POST", "**/model/{model}/converse", "bedrock-converse", "chat"),
    Row("POST", "**/model/{model}/converse-stream", "bedrock-converse", "chat"),
    Row("POST", "**/model/{model}/count-tokens", "bedrock-converse", "count_tokens"),
    Row("POST", "**/model/{model}/invoke", "bedrock-invoke", "chat"),
    Row("POST", "**/model/{model}/invoke-with-response-stream", "bedrock-invoke", "chat"),
    Row("POST", "/knowledgebases/{id}/retrieve", "other", "vector_search"),
    Row("POST", "/rerank", "other", "rerank"),
    # Cohere
    Row("POST", "**/v1/chat", "openai-chat", "chat", ("writer",)),
    Row("POST", "**/v1/completions", "other", "text_completion", ("writer",)),
    Row("POST", "**/v1/chat", "cohere", "chat", _COHERE),
    Row("POST", "**/v2/chat", "cohere", "chat", _COHERE),
    Row("POST", "**/v1/generate", "cohere", "text_completion", _COHERE),
    Row("POST", "**/v1/embed", "cohere", "embeddings", _COHERE),
    Row("POST", "**/v2/embed", "cohere", "embeddings", _COHERE),
    Row("POST", "**/v1/rerank", "cohere", "rerank", ("cohere",)),
    Row("POST", "**/v2/rerank", "cohere", "rerank", ("cohere",)),
    Row("*", "**/v1/embed-jobs", "other", "batch", ("cohere",)),
    # Ollama
    Row("POST", "/api/chat", "ollama", "chat", _OLLAMA),
    Row("POST", "/api/generate", "ollama", "text_completion", _OLLAMA),
    Row("POST", "/api/embed", "ollama", "embeddings", _OLLAMA),
    Row("POST", "/api/embeddings", "ollama", "embeddings", _OLLAMA),
    # Others of their own
    Row("POST", "/complete", "other", "text_completion", ("alephalpha",)),
    Row("POST", "/ml/{version}/generation/text", "other", "text_completion"),
    Row("POST", "/ml/{version}/generation/text_stream", "other", "text_completion"),
    Row("POST", "/ml/{version}/text/generation", "other", "text_completion"),
    Row("POST", "/ml/{version}/text/generation_stream", "other", "text_completion"),
    Row("POST", "/ml/{version}/text/chat", "other", "chat"),
    Row("POST", "/ml/{version}/text/chat_stream", "other", "chat"),
    Row("POST", "/ml/{version}/text/embeddings", "other", "embeddings"),
    Row("POST", "**/prompts/{id}/completions", "other", "chat"),
    # OpenAI and all that speak it
    Row("POST", "**/chat/completions", "openai-chat", "chat"),
    Row("*", "**/chat/completions/{rest*}", "other", "other"),
    Row("POST", "**/fim/completions", "openai-completions", "text_completion"),
    Row("POST", "**/completions", "openai-completions", "text_completion"),
    Row("POST", "**/responses", "openai-responses", "chat"),
    Row("GET", "**/responses", "openai-responses", "chat"),  # the WebSocket's upgrade
    Row("POST", "**/responses/compact", "openai-responses", "chat"),
    Row("POST", "**/responses/input_tokens", "openai-responses", "count_tokens"),
    Row("POST", "**/responses/{id}/cancel", "openai-responses", "other"),
    Row("GET", "**/responses/{id}", "openai-responses", "other"),
    Row("POST", "**/embeddings", "openai-embeddings", "embeddings"),
    Row("GET", "**/realtime", "realtime", "realtime"),
    Row("*", "**/realtime/{rest*}", "other", "realtime"),
    Row("*", "**/images/{rest*}", "other", "image"),
    Row("*", "**/audio/{rest*}", "other", "audio"),
    Row("POST", "**/moderations", "other", "moderation"),
    Row("POST", "**/rerank", "other", "rerank"),
    Row("POST", "**/reranking", "other", "rerank"),
    Row("*", "**/batches", "other", "batch"),
    Row("*", "**/batches/{rest*}", "other", "batch"),
    Row("*", "**/vector_stores/{id}/search", "other", "vector_search"),
    Row("*", "**/vector_stores/{id}/files", "other", "other"),
    Row("*", "**/files", "other", "file"),
    Row("*", "**/files/{rest*}", "other", "file"),
    Row("*", "**/uploads", "other", "file"),
    Row("*", "**/uploads/{rest*}", "other", "file"),
)

MODEL_OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("embed", "embeddings"),
    ("rerank", "rerank"),
    ("stability.", "image"),
    ("titan-image", "image"),
    ("nova-canvas", "image"),
    ("imagen", "image"),
)
"""Where one path serves any kind of model (`/invoke`, `:predict`), its name tells: the first part found in it."""

_BY_MODEL = re.compile(r"/invoke$|/invoke-with-response-stream$|:predict$")


def endpoint_of(method: str, host: str, path: str, provider: str | None, *, operation: str | None = None) -> Endpoint:
    """What `method` and `path` (without its query) say of a call to `provider`.

    `operation` is what a rule says of the host; it counts where the path is none of the table's.
    """
    endpoint = _endpoint(method.upper(), path.partition("?")[0], provider)
    if endpoint.family == "ollama" and provider is None:
        endpoint = _with(endpoint, provider="ollama")
    if operation in OPERATIONS and endpoint.family == "other" and endpoint.operation == "other":
        endpoint = _with(endpoint, operation=operation)
    return endpoint


def _with(endpoint: Endpoint, *, provider: str | None = None, operation: str | None = None) -> Endpoint:
    return Endpoint(
        provider or endpoint.provider,
        endpoint.family,
        operation or endpoint.operation,  # type: ignore[arg-type]
        endpoint.route,
        endpoint.model,
    )


@lru_cache(maxsize=4096)
def _endpoint(method: str, path: str, provider: str | None) -> Endpoint:
    path = path.rstrip("/") or "/"
    for rows in (_BY_ENDING.get(_ending(path), ()), _OTHERS):
        for row, regex in rows:
            if row.method not in ("*", method) or (row.providers and provider not in row.providers):
                continue
            found = regex.fullmatch(path)
            if found is None:
                continue
            model = found.groupdict().get("model")
            model = unquote(model) if model else None
            operation = row.operation
            if model and _BY_MODEL.search(path):
                operation = next((kind for part, kind in MODEL_OPERATIONS if part in model.lower()), operation)
            return Endpoint(provider, row.family, operation, _route(found, row.pattern), model)
    return Endpoint(provider, "other", "other", _plain(path))


def _route(found: re.Match[str], pattern: str) -> str:
    """The pattern, with what stood for its `**` and `{rest*}` put in."""
    parts = found.groupdict()
    route = pattern.replace("**", _plain(parts.get("prefix") or ""), 1)
    return route.replace("{rest*}", _plain(parts.get("rest") or ""))


_SCOPES = {"projects": "{project}", "locations": "{location}", "accounts": "{account}", "deployments": "{deployment}"}
_ID = re.compile(
    r"\d+"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"  # a UUID
    r"|(?:resp|file|batch|msgbatch|thread|run|step|asst|vs|msg|chatcmpl|ftjob|conv|cmpl|video|upload)[-_][A-Za-z0-9_-]{6,}"
    r"|(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"
)


def _plain(path: str) -> str:
    """The path with what is plainly an id as `{id}`, and Google's scopes by their names."""
    segments = path.split("/")
    for at, segment in enumerate(segments):
        scope = _SCOPES.get(segments[at - 1]) if at else None
        if segment and (scope or _ID.fullmatch(segment)):
            segments[at] = scope or "{id}"
    return "/".join(segments)


def _ending(path: str) -> str:
    """What rows are sorted by: the last segment, or what stands behind its last colon."""
    last = path.rpartition("/")[2]
    return last.rpartition(":")[2]


def _compile(pattern: str) -> re.Pattern[str]:
    regex = re.escape(pattern).replace(r"\*\*", "(?P<prefix>.*?)", 1).replace(r"\{rest\*\}", "(?P<rest>.+)")
    regex = regex.replace(r"\{model\}", "(?P<model>[^/]+?)")
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+?", regex))


_BY_ENDING: dict[str, list[tuple[Row, re.Pattern[str]]]] = {}
_OTHERS: list[tuple[Row, re.Pattern[str]]] = []
for _row in ROUTES:
    _last = _ending(_row.pattern)
    if "{" in _last or "." in _last:
        _OTHERS.append((_row, _compile(_row.pattern)))
    else:
        _BY_ENDING.setdefault(_last, []).append((_row, _compile(_row.pattern)))
