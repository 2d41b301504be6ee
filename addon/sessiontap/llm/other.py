"""Whatever an LLM service offers beside the families: opaque, but for what is plain to see.

A model stated by request or response is taken. Bodies that are shaped like a chat completion, a text completion of the
older kind (Anthropic's, Writer's, watsonx's) or a Gemini interaction give their text and usage too.
"""

from __future__ import annotations

from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, Reply
from sessiontap.llm.errors import error_inside
from sessiontap.llm.pick import dig, flag, parse, text
from sessiontap.llm.sniff import body_kind


def asked(request: Request, body: Any) -> Asked:
    """See `family.Reader`."""
    return Asked(
        model=text(body, "model") or text(body, "model_id"),
        stream=flag(body, "stream"),
        user=text(body, "user"),
    )


def reply(call: Call, response: Response) -> Reply:
    """See `family.Reader`."""
    if body_kind(response.headers.get("content-type"), response.body) != "json" or not response.complete:
        return Reply()
    body, problem = parse(response.body)
    if not isinstance(body, dict):
        return Reply(problems=(f"the response is {problem}",) if problem else ())
    return Reply(response_model=text(body, "model"), response_id=text(dig(body, "id")), error=error_inside(body))
