"""What alerts and limits are told of a call that has ended."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.exchange import Headers
from sessiontap.llm.call import Asked, Call, CallError, Endpoint, Operation, Reply, ToolCall, Usage
from sessiontap.recording.counting import Counting, tools_digest
from sessiontap.recording.decode import DecodedExchange, DecodedMessage
from sessiontap.recording.finished import (
    BodyTransfer,
    FinishedCall,
    Outcome,
    ReceivedResponse,
    RecordedPlan,
    SentRequest,
)
from sessiontap.redaction import Redactor
from sessiontap.rules.decision import FilledSettings
from sessiontap.sessions import Link

NOON = 1_763_726_400 * 10**9
PRICES = (("gpt-4o", "2", "10", "1", "2"), ("mine-*", "1000000", "1000000", "0", "0"))
ALL = ("tokens", "cost_usd", "error_rate", "repeats")


def counted(reply: Reply | None, *, outcome: Outcome = "ok", status: int = 200, **more: Any) -> Any:
    operation: Operation = more.get("operation", "chat")
    endpoint = Endpoint("openai", "openai-chat", operation, "/v1/chat/completions")
    plan = RecordedPlan((), "full", {}, FilledSettings(), None, Link(), counted=more.get("measures", ALL))
    call = FinishedCall(
        "call-1", NOON, 5, outcome, "POST", "https://api.openai.com/v1/chat/completions", "api.openai.com",
        "/v1/chat/completions", SentRequest("api.openai.com", "HTTP/1.1"), ReceivedResponse(status, "HTTP/1.1"),
        BodyTransfer(), BodyTransfer(), call=Call(endpoint, Asked(model=more.get("model", "mine-1"))), plan=plan,
    )  # fmt: skip
    message = DecodedMessage(Headers())
    return Counting(PRICES).of(call, DecodedExchange(message, message, outcome, reply), Redactor(b"k" * 32))


@pytest.mark.parametrize(
    ("reply", "more", "tokens", "cost_usd", "failed"),
    [
        (Reply(usage=Usage(input=1, output=2)), {}, 3, 3.0, False),
        (Reply(usage=Usage(output=2)), {}, 2, None, False),
        (Reply(), {}, None, None, False),
        (Reply(usage=Usage(input=1, output=1), cost_reported=0.25), {}, 2, 0.25, False),
        (Reply(usage=Usage(input=1, output=2)), {"model": "unheard-of"}, 3, None, False),
        (Reply(error=CallError("rate_limit", "slow down")), {"outcome": "http_error", "status": 429}, None, 0.0, True),
        (Reply(error=CallError("overloaded", "")), {"outcome": "stream_error"}, None, None, True),
        (None, {"outcome": "upstream_unreachable"}, None, 0.0, True),
        (None, {"outcome": "client_gone"}, None, None, False),
        (Reply(), {"operation": "vector_search", "model": None}, 0, 0.0, False),
        (Reply(usage=Usage(input=1, output=2)), {"measures": ("tokens",)}, 3, None, False),
    ],
    ids=[
        "own prices", "input unknown", "no usage", "the provider's figure", "no price", "refused", "stream error",
        "unreachable", "client gone", "asks no model", "cost is not asked for",
    ],
)  # fmt: skip
def test_what_a_call_came_to(
    reply: Reply | None, more: dict[str, Any], tokens: int | None, cost_usd: float | None, failed: bool
) -> None:
    found = counted(reply, **more)
    assert (found.at, found.tokens, found.cost_usd, found.failed) == (NOON + 5, tokens, cost_usd, failed)
    asked = "cost_usd" in more.get("measures", ALL)
    assert (found.why_no_cost is not None) == (asked and cost_usd is None)


def test_tool_calls_are_the_same_by_name_and_arguments() -> None:
    def of(*tools: tuple[str, str]) -> bytes | None:
        return tools_digest(Reply(tool_calls=tuple(ToolCall(name, f"id-{name}", given) for name, given in tools)))

    same = tools_digest(Reply(text="Once more.", tool_calls=(ToolCall("ls", "another id", '{"path": "."}'),)))
    assert of(("ls", '{"path": "."}')) == same
    assert same not in (of(("ls", '{"path": ".."}')), of(("ls", '{"path": "."}'), ("pwd", "{}")), None)
    assert (tools_digest(Reply(text="Done.")), tools_digest(None)) == (None, None)
