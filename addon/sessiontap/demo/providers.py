"""OpenAI's and Anthropic's routes in front of a deterministic model: a request in plain values in, a reply out.

Any API key will do; a request without one gets the provider's own 401. What the model answers: see `model`.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from sessiontap.demo import anthropic_wire, openai_wire
from sessiontap.demo.wire import BadRequest, Events, Headers, Ids, Whole
from sessiontap.exchange import Headers as RequestHeaders

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.deepseek.com",
    "openrouter.ai",
    "*.helicone.ai",
    "localhost",
    "127.0.0.1",
)
"""The names that its certificate covers, and whose connections a redirect brings to it."""

_ROUTE = re.compile(r"/(chat/completions|embeddings|models(?:/[^/]+)?|messages(?:/count_tokens)?)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a server received it."""

    method: str
    path: str
    """Without its query."""
    host: str
    headers: RequestHeaders
    body: bytes

    @property
    def is_anthropic(self) -> bool:
        return "/messages" in self.path or "anthropic-version" in self.headers or "anthropic" in self.host


def reply_to(asked: Asked, ids: Ids) -> Whole | Events:
    """The provider's reply; an error is a reply too."""
    found = _ROUTE.search(asked.path)
    route = f"{asked.method} {found[1]}" if found else ""
    try:
        return _anthropic(asked, route, ids) if asked.is_anthropic else _openai(asked, route, ids)
    except BadRequest as bad:
        return bad.reply


def reply_headers(asked: Asked, ids: Ids) -> Headers:
    """The headers that the provider, or Helicone in front of it, adds to every reply."""
    headers = anthropic_wire.reply_headers(ids) if asked.is_anthropic else openai_wire.reply_headers(ids)
    return headers + gateway_headers(asked.host)


def gateway_headers(host: str) -> Headers:
    """The headers that Helicone adds when it was asked under `host`; none for other hosts."""
    if not host.partition(":")[0].endswith(".helicone.ai"):
        return []
    return [("helicone-id", str(uuid.uuid4())), ("helicone-status", "success")]


def check_openai_key(asked: Asked) -> None:
    """Raises BadRequest if the request has no bearer key."""
    if not (asked.headers.get("authorization") or "").startswith("Bearer "):
        text = "You didn't provide an API key. Use HTTP Bearer auth (Authorization: Bearer YOUR_KEY)."
        raise BadRequest(openai_wire.error(401, text))


def openai_json(body: bytes) -> Any:
    """The request's JSON. Raises BadRequest with OpenAI's own words."""
    try:
        return json.loads(body)
    except ValueError:
        text = (
            "We could not parse the JSON body of your request. "
            "(HINT: This likely means you aren't using your HTTP library correctly.)"
        )
        raise BadRequest(openai_wire.error(400, text)) from None


def _openai(asked: Asked, route: str, ids: Ids) -> Whole | Events:
    check_openai_key(asked)
    match route:
        case "POST chat/completions":
            return openai_wire.chat(openai_json(asked.body), ids)
        case "POST embeddings":
            return openai_wire.embeddings(openai_json(asked.body))
        case "GET models":
            return openai_wire.models()
        case _ if route.startswith("GET models/"):
            return openai_wire.one_model(route.removeprefix("GET models/"))
    raise BadRequest(openai_wire.error(404, f"Invalid URL ({asked.method} {asked.path})"))


def _anthropic(asked: Asked, route: str, ids: Ids) -> Whole | Events:
    if not route:  # Claude Code also asks for settings, policies, ...
        raise BadRequest(anthropic_wire.error(404, "Not Found"))
    if "x-api-key" not in asked.headers and "authorization" not in asked.headers:
        raise BadRequest(anthropic_wire.error(401, "x-api-key header is required"))
    if "anthropic-version" not in asked.headers:
        raise BadRequest(anthropic_wire.error(400, "anthropic-version: header is required"))
    match route:
        case "POST messages":
            return anthropic_wire.messages(_anthropic_json(asked.body), ids)
        case "POST messages/count_tokens":
            return anthropic_wire.count_tokens(_anthropic_json(asked.body))
        case "GET models":
            return anthropic_wire.models()
    raise BadRequest(anthropic_wire.error(404, "Not Found"))


def _anthropic_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BadRequest(anthropic_wire.error(400, "The request body is not valid JSON")) from None
