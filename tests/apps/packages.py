"""Packages that the programs are written with, installed once outside the clone."""

from __future__ import annotations

from tests.agents import packages

PYTHON = ("aiohttp==3.14.5", "httpx==0.28.1", "urllib3==2.8.0")
NODE = (
    "openai4@npm:openai@4.104.0",
    "openai6@npm:openai@6.49.0",
    "@aws-sdk/client-bedrock-runtime@3.1163.0",
    "ws@8.23.0",
    "undici@7.30.2",
    "axios@1.21.1",
    "got@11.8.6",
    "https-proxy-agent@7.0.6",
)
NODE_VERSIONS = (18, 20, 22, 24)


def node(version: int) -> str:
    """Return Node of that major version; skips the test if it cannot be had."""
    return str(packages.npm(f"node@{version}") / "node" / "bin" / "node")
