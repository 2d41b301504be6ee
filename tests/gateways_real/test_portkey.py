"""Portkey's own gateway: calls, streams, sessions, its ids, and its failures as the record has them."""

from __future__ import annotations

import json

import pytest
from tests.e2e.lab import KEYS
from tests.gateways_real.stage import PortkeyGateway, Stage
from tests.support.running import free_port

GUARDRAIL = {"default.contains": {"operator": "none", "words": ["forbiddenword"]}, "deny": True}
CONFIG = json.dumps({"provider": "openai", "input_guardrails": [GUARDRAIL]})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_goes_through_with_its_session(stage: Stage, portkey: PortkeyGateway, stream: bool) -> None:
    stage.route(portkey.item(stage.provider_url), send="auto")
    answer = stage.ask("gpt-4o", stream=stream)
    assert answer.status == 200, answer
    assert answer.text
    (asked,) = stage.provider.requests
    assert asked.headers.get("authorization") == f"Bearer {KEYS['OPENAI_API_KEY']}"
    assert stage.elsewhere.requests == []
    call = stage.call()
    told = {"id": "run-number-1", "cache": "DISABLED", "retries": 0}
    assert call.record["gateway"] == {"kind": "portkey", "name": "real", **told}
    assert (call.record["llm"]["stream"], call.record["outcome"]) == (stream, "ok")


@pytest.mark.parametrize("model", ["m-400", "m-429", "m-500"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_failure_of_the_provider(stage: Stage, portkey: PortkeyGateway, model: str, stream: bool) -> None:
    stage.route(portkey.item(stage.provider_url))
    assert stage.ask(model, stream=stream).status == int(model.removeprefix("m-"))
    assert len(stage.provider.requests) == 1
    assert stage.call().record["gateway"]["failure"] == "provider_error"


def test_a_provider_that_is_down(stage: Stage, portkey: PortkeyGateway) -> None:
    stage.route(portkey.item(f"http://127.0.0.1:{free_port()}/v1"))
    assert stage.ask("gpt-4o").status == 500
    assert stage.call().record["gateway"]["failure"] == "provider_error"


@pytest.mark.parametrize(
    ("headers", "url"),
    [({"x-portkey-provider": "nobody"}, None), ({}, "http://10.255.0.1/v1")],
    ids=["a provider that it does not know", "a host that it may not ask"],
)
def test_what_it_refuses_itself(
    stage: Stage, portkey: PortkeyGateway, headers: dict[str, str], url: str | None
) -> None:
    stage.route(portkey.item(url or stage.provider_url, **headers), fail="closed")
    assert stage.ask("gpt-4o").status == 400
    assert stage.provider.requests == []
    assert stage.call().record["gateway"]["failure"] == "gateway_refused"


def test_a_guardrail_is_not_gone_around(stage: Stage, portkey: PortkeyGateway) -> None:
    stage.route(portkey.item(stage.provider_url, **{"x-portkey-config": CONFIG.replace("${", "$${")}))
    assert stage.ask("gpt-4o", says="say forbiddenword").status == 446
    assert (stage.provider.requests, stage.elsewhere.requests) == ([], [])
    gateway = stage.call().record["gateway"]
    assert (gateway["failure"], gateway["failure_code"]) == ("policy", "hooks_failed")
