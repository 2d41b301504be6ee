"""Packages that the programs are written with, installed once outside the clone (2 GB in all). Pinned."""

from __future__ import annotations

from tests.agents import packages

PYTHON = (
    *("requests==2.34.2", "aiohttp==3.14.5", "httpx[http2]==0.28.1", "urllib3==2.8.0", "websockets==17.4"),
    *("pycurl==7.49.0", "curl_cffi==0.16.3", "primp==2.0.1"),
)
"""HTTP libraries."""
SDKS = (
    *("openai==3.54.0", "anthropic==2.12.0", "google-genai==3.4.0", "mistralai==3.7.0", "cohere==7.3.1"),
    *("groq==1.7.0", "boto3==1.44.5", "huggingface_hub==2.4.0", "ollama==0.6.3"),
)
"""Providers' own packages."""
DSPY = ("dspy==3.4.1",)
"""It brings litellm."""
SMALL_FRAMEWORKS = ("instructor==1.17.0", "llm==0.36", "smolagents[openai]==1.26.0")
PYDANTIC_AI = ("pydantic-ai-slim[openai]==2.68.0",)
LLAMA_INDEX = ("llama-index-llms-openai==0.8.3",)
HAYSTACK = ("haystack-ai==3.4.0",)
CREWAI = ("crewai==1.15.30",)
AG2 = ("ag2[openai]==1.2.1",)
AUTOGEN = ("autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5")
NODE = (
    *("openai6@npm:openai@6.49.0", "openai4@npm:openai@4.104.0", "@anthropic-ai/sdk@1.12.0", "@google/genai@3.1.0"),
    *("groq-sdk@1.6.0", "cohere-ai@8.1.0", "@aws-sdk/client-bedrock-runtime@3.1163.0", "@langchain/openai@1.6.0"),
    *("axios@1.21.1", "got@11.8.6", "node-fetch@3.3.2", "undici@7.30.2", "ws@8.23.0", "https-proxy-agent@7.0.6"),
    "@pinecone-database/pinecone@9.0.0",
)
NODE_VERSIONS = (18, 20, 22, 24)
BUN = "bun@1.4.5"
DENO = "deno@2.9.6"


def node(version: int) -> str:
    """Return Node of that major version; skips the test if it cannot be had."""
    return str(packages.npm(f"node@{version}") / "node" / "bin" / "node")
