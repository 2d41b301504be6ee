"""The gateways and the client, installed once outside the clone (1 GB). Pinned: these are what was looked at."""

from __future__ import annotations

LITELLM = ("litellm[proxy]==1.106.2", "prisma==0.15.0")
"""prisma: without it a key that LiteLLM does not know makes it crash."""
PORTKEY = ("@portkey-ai/gateway@1.15.2", "hono@4.9.7", "@hono/node-server@1.13.5", "@hono/node-ws@1.2.0")
"""With what its own lock file names: with newer ones each stream of it fails."""
