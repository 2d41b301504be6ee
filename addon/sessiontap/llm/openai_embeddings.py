"""OpenAI embeddings (platform.openai.com/docs/api-reference/embeddings); Mistral, Voyage and others have them too."""

from __future__ import annotations

from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, Reply, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.openai_input import INPUT
from sessiontap.llm.pick import count, dig, items, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import reply_by_form
from sessiontap.llm.usage import cost_of, usage_of


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    inputs = items(body, "input")
    return Asked(
        model=text(body, "model"),
        message=text(body, "input") or (text(inputs[-1]) if inputs else None),
        user=text(body, "user"),
    )


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    return reply_by_form(response, _whole)


def _whole(body: Any) -> Reply:
    """Embeddings have no output: a stated 0 (Mistral) is left out."""
    usage = usage_of(dig(body, "usage"))
    given = usage.input if usage else None
    if given is None and dig(body, "usage", "prompt_tokens") is None:
        given = count(body, "usage", "total_tokens")  # Voyage states the total alone
    return Reply(
        response_model=text(body, "model"),
        response_id=text(body, "id"),
        usage=None if given is None else Usage(input=given, cache_read=usage.cache_read if usage else None),
        cost_reported=cost_of(dig(body, "usage")),
        error=error_inside(body),
    )


FAMILY = Family(
    "openai-embeddings",
    asked,
    reply,
    is_request=lambda _, body: text(body, "model") is not None and isinstance(body.get("input"), str | list),
    routes=(
        FamilyRoute("POST", "**/openai/deployments/{model}/embeddings", "embeddings"),  # Azure
        FamilyRoute("POST", "/ml/{version}/text/embeddings", "embeddings", family="other"),  # watsonx
        FamilyRoute("POST", "**/embeddings", "embeddings"),
    ),
    messages=(INPUT,),
    inputs=("input", "messages"),
    fields=("dimensions", "encoding_format"),
)
