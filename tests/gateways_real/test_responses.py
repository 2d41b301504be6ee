"""OpenAI's Responses API through each real gateway."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateways_real.stage import Stage


@pytest.fixture(params=["litellm", "portkey"])
def gateway(request: pytest.FixtureRequest, stage: Stage) -> dict[str, Any]:
    """A gateway's item in the rules."""
    started = request.getfixturevalue(request.param)
    return started.item if request.param == "litellm" else started.item(stage.provider_url)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_goes_through_and_is_read(stage: Stage, gateway: dict[str, Any], stream: bool) -> None:
    stage.route(gateway)
    answer = stage.ask("gpt-4o", stream=stream, api="responses")
    assert answer.status == 200, answer
    assert answer.text
    (asked,) = stage.provider.requests
    assert asked.path == "/v1/responses"
    call = stage.call()
    assert (call.record["gateway"]["kind"], call.record["outcome"]) == (gateway["kind"], "ok")
    assert (call.record["llm"]["family"], call.record["llm"]["stream"]) == ("openai-responses", stream)
