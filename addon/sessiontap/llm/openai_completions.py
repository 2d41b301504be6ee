"""OpenAI text completions (platform.openai.com/docs/api-reference/completions), and fill-in-the-middle (Mistral)."""

from __future__ import annotations

from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Reply
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.messages import PROMPT
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.pick import dicts, dig, items, parse, place, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import asked_for, pieces, streams
from sessiontap.llm.usage import cost_of, usage_of


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    prompts = items(body, "prompt")
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        message=text(body, "prompt") or (text(prompts[-1]) if prompts else None),
        user=text(body, "user"),
    )


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    problems: list[str] = []
    model = response_id = finish = tier = None
    texts: list[str] = []
    usage: Any = None
    at_end: Any = None
    error: CallError | None = None
    first_token: int | None = None
    for body, end in _bodies(response, problems):
        model = model or text(body, "model")
        response_id = response_id or text(body, "id")
        tier = text(body, "service_tier") or tier
        for choice in dicts(body, "choices"):
            message = choice.get("delta") or choice.get("message")
            part = text(choice, "text") or content_text(dig(message, "content"))
            first_token = end if part and first_token is None else first_token
            if place(choice, "index") == 0:
                texts.append(part or "")
                finish = text(choice, "finish_reason") or finish
        stated = dig(body, "usage") or dig(body, "x_groq", "usage")
        usage = stated or usage
        at_end = stated if stated and finish else at_end  # else a count on the way, see openai_chat
        error = error or error_inside(body)
    usage = usage if response.complete and not problems else at_end
    return Reply(
        response_model=model,
        response_id=response_id,
        text="".join(texts) or None,
        finish_reason=finish,
        usage=usage_of(usage),
        cost_reported=cost_of(usage),
        service_tier=tier,
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def _bodies(response: Response, problems: list[str]) -> list[tuple[Any, int | None]]:
    """The chunks of a stream with their offsets, or the one body."""
    if streams(response):
        return [(piece.value, piece.end) for piece in pieces(response, problems)]
    body, problem = parse(response.body) if response.body else (None, None)
    if problem and response.complete:
        problems.append(f"the response is {problem}")
    return [(body, None)]


FAMILY = Family(
    "openai-completions",
    asked,
    reply,
    is_request=lambda _, body: text(body, "model") is not None and isinstance(body.get("prompt"), str | list),
    routes=(
        FamilyRoute("POST", "**/fim/completions", "text_completion"),
        FamilyRoute("POST", "**/completions", "text_completion"),
    ),
    messages=(PROMPT,),
    inputs=("prompt", "suffix"),
)
