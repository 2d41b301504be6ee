from __future__ import annotations

import pytest

from sessiontap.llm.call import OPERATIONS
from sessiontap.llm.families import BY_NAME
from sessiontap.llm.routes import ROUTES, endpoint_of

CASES = [
    # method path provider -> family operation route model
    ("POST /v1/chat/completions", "openai", "openai-chat", "chat", "/v1/chat/completions", None),
    ("post /v1/chat/completions/", "openai", "openai-chat", "chat", "/v1/chat/completions", None),
    ("POST /openai/v1/chat/completions", "groq", "openai-chat", "chat", "/openai/v1/chat/completions", None),
    ("POST /api/v1/chat/completions", "openrouter", "openai-chat", "chat", "/api/v1/chat/completions", None),
    ("POST /chat/completions", "copilot", "openai-chat", "chat", "/chat/completions", None),
    ("POST /v1/chat", "writer", "openai-chat", "chat", "/v1/chat", None),
    ("POST /v1/chat", "cohere", "cohere", "chat", "/v1/chat", None),
    ("POST /v1/chat", "openai", "other", "other", "/v1/chat", None),
    ("GET /v1/chat/completions", "openai", "other", "other", "/v1/chat/completions", None),
    (
        "POST /openai/deployments/my%20gpt/chat/completions",
        "azure",
        "openai-chat",
        "chat",
        "/openai/deployments/{model}/chat/completions",
        "my gpt",
    ),
    ("POST /v1/completions", None, "openai-completions", "text_completion", "/v1/completions", None),
    ("POST /v1/completions", "writer", "other", "text_completion", "/v1/completions", None),
    ("POST /v1/embeddings", "mistral", "openai-embeddings", "embeddings", "/v1/embeddings", None),
    ("POST /v1/responses", "openai", "openai-responses", "chat", "/v1/responses", None),
    ("GET /v1/responses", "openai", "openai-responses", "chat", "/v1/responses", None),
    ("POST /backend-api/codex/responses", "openai", "openai-responses", "chat", "/backend-api/codex/responses", None),
    ("GET /v1/responses/resp_0123abcd", "openai", "openai-responses", "other", "/v1/responses/{id}", None),
    ("POST /responses/input_tokens", "openai", "openai-responses", "count_tokens", "/responses/input_tokens", None),
    ("POST /v1/messages", "anthropic", "anthropic-messages", "chat", "/v1/messages", None),
    ("POST /anthropic/v1/messages", "azure", "anthropic-messages", "chat", "/anthropic/v1/messages", None),
    ("POST /v1/messages/count_tokens", None, "anthropic-messages", "count_tokens", "/v1/messages/count_tokens", None),
    ("GET /v1/messages/batches/msgbatch_01abcdef", "anthropic", "other", "batch", "/v1/messages/batches/{id}", None),
    ("POST /v1/threads/thread_abcdef123/messages", "openai", "other", "other", "/v1/threads/{id}/messages", None),
    ("POST /api/claude_code/metrics", "anthropic", "other", "other", "/api/claude_code/metrics", None),
    (
        "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent",
        "google",
        "gemini",
        "chat",
        "/v1beta/models/{model}:streamGenerateContent",
        "gemini-2.5-flash",
    ),
    (
        "POST /v1/projects/p-1/locations/eu/publishers/google/models/gemini-2.5-pro:generateContent",
        "vertex",
        "gemini",
        "chat",
        "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent",
        "gemini-2.5-pro",
    ),
    (
        "POST /v1/projects/p/locations/eu/publishers/anthropic/models/claude-x@2025:streamRawPredict",
        "vertex",
        "anthropic-messages",
        "chat",
        "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict",
        "claude-x@2025",
    ),
    (
        "POST /v1beta/models/text-embedding-004:batchEmbedContents",
        "google",
        "other",
        "embeddings",
        "/v1beta/models/{model}:batchEmbedContents",
        "text-embedding-004",
    ),
    ("POST /v1internal:streamGenerateContent", "google", "gemini", "chat", "/v1internal:streamGenerateContent", None),
    (
        "POST /model/arn%3Aaws%3Abedrock%3Ax%2Fus.claude%3A0/converse-stream",
        "bedrock",
        "bedrock-converse",
        "chat",
        "/model/{model}/converse-stream",
        "arn:aws:bedrock:x/us.claude:0",
    ),
    (
        "POST /model/anthropic.claude-v2:1/invoke",
        "bedrock",
        "bedrock-invoke",
        "chat",
        "/model/{model}/invoke",
        "anthropic.claude-v2:1",
    ),
    (
        "POST /model/amazon.titan-embed-text-v2%3A0/invoke",
        "bedrock",
        "bedrock-invoke",
        "embeddings",
        "/model/{model}/invoke",
        "amazon.titan-embed-text-v2:0",
    ),
    ("POST /v2/rerank", "cohere", "cohere", "rerank", "/v2/rerank", None),
    ("POST /v1/rerank", "voyage", "other", "rerank", "/v1/rerank", None),
    ("POST /api/generate", "ollama", "ollama", "text_completion", "/api/generate", None),
    ("GET /v1/realtime", "openai", "realtime", "realtime", "/v1/realtime", None),
    ("POST /v1/images/generations", "openai", "other", "image", "/v1/images/generations", None),
    ("POST /v1/audio/speech", "openai", "other", "audio", "/v1/audio/speech", None),
    ("POST /v1/moderations", "openai", "other", "moderation", "/v1/moderations", None),
    ("GET /v1/files/file-abc1234/content", "openai", "other", "file", "/v1/files/{id}/content", None),
    ("GET /v1/models", "openai", "other", "other", "/v1/models", None),
    ("GET /", "openai", "other", "other", "/", None),
]


@pytest.mark.parametrize(
    ("line", "provider", "family", "operation", "route", "model"), CASES, ids=[case[0] for case in CASES]
)
def test_path(line: str, provider: str | None, family: str, operation: str, route: str, model: str | None) -> None:
    method, path = line.split()
    found = endpoint_of(method, "any.example", path, provider)
    assert (found.family, found.operation, found.route, found.model) == (family, operation, route, model)
    assert found.provider == provider


def test_ollamas_own_paths_name_it_on_any_host() -> None:
    assert endpoint_of("POST", "10.0.0.7", "/api/chat", None).provider == "ollama"


def test_a_rules_operation_fills_in_where_the_table_is_silent() -> None:
    search = endpoint_of("POST", "x.qdrant.io", "/collections/a/points/query", "qdrant", operation="vector_search")
    chat = endpoint_of("POST", "llm.corp.example", "/v1/chat/completions", "vllm", operation="vector_search")
    assert (search.family, search.operation) == ("other", "vector_search")
    assert (chat.family, chat.operation) == ("openai-chat", "chat")


def test_every_row_has_names_of_the_tables() -> None:
    assert {row.family for row in ROUTES} <= set(BY_NAME)
    assert {row.operation for row in ROUTES} <= set(OPERATIONS)
