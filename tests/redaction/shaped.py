"""Credentials in the shape of real ones, and what stands for them when they are redacted."""

from __future__ import annotations

import base64
import json
import re

KEY = b"k" * 32
TOKEN = re.compile(r"\[redacted:([\w.-]+):([0-9a-f]{10})\]")


def letters(count: int, alphabet: str = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8") -> str:
    return (alphabet * 10)[:count]


JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow/IBAAK+CAQEA\nq8dXo3==\n-----END RSA PRIVATE KEY-----"

# Made up, in the shape of the real ones; put together here so that no scanner takes this file for a leak.
SHAPED = {
    "openai-key": "sk-" + letters(48),
    "openai-project": "sk-" + "proj-" + letters(60) + "_" + letters(60) + "-x",
    "anthropic-key": "sk-" + "ant-api03-" + letters(80) + "-" + letters(10) + "AA",
    "openrouter-key": "sk-" + "or-v1-" + "0123456789abcdef" * 4,
    "helicone-key": "sk-" + "helicone-abcdefg-1234567-hijklmn-89opqrs",
    "helicone-read-key": "pk-" + "helicone-eu-abcdefg-1234567-hijklmn-89opqrs",
    "langfuse-secret": "sk-" + "lf-01234567-89ab-cdef-0123-456789abcdef",
    "langfuse-public": "pk-" + "lf-01234567-89ab-cdef-0123-456789abcdef",
    "deepseek-key": "sk-" + "0123456789abcdef" * 2,
    "groq-key": "gsk" + "_" + letters(52),
    "google-key": "AI" + "zaSyA1-" + letters(30),
    "google-token": "ya29" + ".a0AfH6SM-" + letters(60),
    "aws-key-id": "AK" + "IAIOSFODNN7EXAMPLE",
    "aws-session-key-id": "AS" + "IAIOSFODNN7EXAMPLE",
    "bedrock-key": "AB" + "SK" + base64.b64encode(b"BedrockAPIKey-x1y2-at-123456789012:" + b"s3cr3t" * 8).decode(),
    "github-token": "gh" + "p_" + letters(36),
    "github-fine-grained": "github" + "_pat_" + letters(22) + "_" + letters(59),
    "gitlab-token": "gl" + "pat-" + letters(20),
    "slack-token": "xox" + "b-123456789012-123456789012-" + letters(24),
    "huggingface-token": "hf" + "_" + letters(34),
    "replicate-token": "r8" + "_" + letters(37),
    "nvidia-key": "nv" + "api-" + letters(60),
    "perplexity-key": "pp" + "lx-" + letters(48),
    "xai-key": "x" + "ai-" + letters(80),
    "fireworks-key": "fw" + "_" + letters(24),
    "cerebras-key": "c" + "sk-" + letters(48),
    "stripe-key": "sk" + "_live_" + letters(24),
    "together-key": "tgp" + "_v1_" + letters(43),
    "npm-token": "np" + "m_" + letters(36),
    "langsmith-key": "lsv2" + "_pt_" + "0123456789abcdef" * 2 + "_0123456789",
    "tavily-key": "tv" + "ly-" + letters(32),
    "pinecone-key": "pc" + "sk_" + letters(6) + "_" + letters(60),
    "jwt": JWT,
}
SHAPELESS = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""A key without a shape, such as Azure's: found by the name that it stands under."""


def hidden(text: str, secret: str) -> bool:
    """The secret is gone, and a token stands for it."""
    return secret not in text and TOKEN.search(text) is not None


def sse(pieces: list[str], field: str = "content") -> bytes:
    """A streamed reply that says these pieces."""
    return b"".join(
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': {field: piece}}]})}\n\n".encode() for piece in pieces
    )
