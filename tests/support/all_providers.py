"""`LlmService`, and Azure, Bedrock, Cohere, Groq, Mistral, Ollama and Pinecone, told by host and path."""

from __future__ import annotations

import json

from tests.support import bedrock_wire, cohere_wire, ollama_wire, openai_variants, pinecone_wire
from tests.support.llm_server import LlmService

from sessiontap.demo.provider_replies import BadRequest, HeaderList, StreamedReply, WholeReply
from sessiontap.demo.provider_server import ReceivedRequest, check_openai_key, openai_json

AZURE = "my-resource.openai.azure.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
PINECONE = "docs-a1b2c3d.svc.aped-4627-b74a.pinecone.io"
HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
    "api.cohere.com",
    "api.groq.com",
    "router.huggingface.co",
    "openrouter.ai",
    AZURE,
    BEDROCK,
    PINECONE,
)


class AllProviders(LlmService):
    def _reply(self, asked: ReceivedRequest) -> WholeReply | StreamedReply:
        if asked.host == BEDROCK:
            return bedrock_wire.answer(asked.path, json.loads(asked.body), self._ids)
        if asked.host == "api.cohere.com":
            if not (asked.headers.get("authorization") or "").startswith("Bearer "):
                raise BadRequest(cohere_wire.error(401, "no api key supplied"))
            return cohere_wire.chat(json.loads(asked.body))
        if asked.host == PINECONE:
            if "api-key" not in asked.headers:
                raise BadRequest(pinecone_wire.error(401, "Unauthorized"))
            return pinecone_wire.answer(asked.path, asked.body)
        if asked.path in ("/api/chat", "/api/generate"):
            return ollama_wire.ask(asked.path.removeprefix("/api/"), json.loads(asked.body))
        if asked.host == AZURE:
            if "api-key" not in asked.headers:
                check_openai_key(asked)
            return openai_variants.azure(openai_json(asked.body), self._ids)
        if asked.host == "api.groq.com":
            check_openai_key(asked)
            return openai_variants.groq(openai_json(asked.body), self._ids)
        if asked.host == "api.mistral.ai":
            check_openai_key(asked)
            return openai_variants.mistral(openai_json(asked.body), self._ids)
        return super()._reply(asked)

    def _headers(self, asked: ReceivedRequest) -> HeaderList:
        if asked.host == BEDROCK:
            return bedrock_wire.reply_headers(self._ids)
        if asked.host == "api.cohere.com":
            return cohere_wire.reply_headers(self._ids)
        return super()._headers(asked)
