"""LiteLLM's own proxy: calls, streams, sessions, its ids, and its failures as the record has them."""

from __future__ import annotations

import pytest
from tests.gateways_real.stage import PROVIDERS_KEY, LiteLlm, Stage


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_goes_through_with_its_session(stage: Stage, litellm: LiteLlm, stream: bool) -> None:
    stage.route(litellm.item, send="auto")
    before = len(litellm.logged(0))
    answer = stage.ask("gpt-4o", stream=stream)
    assert answer.status == 200, answer
    assert answer.text
    (asked,) = [one for one in stage.provider.requests if one.method == "POST"]  # it asks for the list of models, too
    assert asked.headers.get("authorization") == f"Bearer {PROVIDERS_KEY}"
    assert stage.elsewhere.requests == []
    call = stage.call()
    gateway = call.record["gateway"]
    assert (gateway["kind"], gateway["name"], gateway["fallbacks"], gateway["retries"]) == ("litellm", "real", 0, 0)
    assert gateway["upstream"] == stage.provider_url
    assert call.record["llm"]["stream"] is stream
    assert call.record["llm"]["finish_reason"] == "stop"
    # OpenAI's client closes behind `[DONE]`; the end of the stream may come later.
    assert call.record["outcome"] in (("ok", "client_gone") if stream else ("ok",))
    logged = litellm.logged(before + 1)[-1]
    assert logged["id"] == gateway["id"]
    assert logged["headers"]["x-litellm-session-id"] == "run-number-1"
    assert logged["trace"] == "run-number-1"
    if not stream:
        assert gateway["cost"] > 0


@pytest.mark.parametrize(
    ("model", "says", "status", "failure", "code"),
    [
        pytest.param("m-400", "Why?", 400, "provider_error", None, id="the provider refuses it"),
        pytest.param("m-429", "Why?", 429, "provider_error", None, id="the provider's limit"),
        pytest.param("m-500", "Why?", 500, "provider_error", None, id="the provider fails"),
        pytest.param("down", "Why?", 500, "provider_error", None, id="the provider is down"),
        pytest.param("unknown", "Why?", 400, "gateway_refused", "invalid_request_error", id="a model without a name"),
        pytest.param("gpt-4o", "say forbiddenword", 400, "policy", "guardrail", id="a guardrail"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_whose_failure_it_is(
    stage: Stage, litellm: LiteLlm, model: str, says: str, status: int, failure: str, code: str | None, stream: bool
) -> None:
    stage.route(litellm.item, fail="closed")
    assert stage.ask(model, stream=stream, says=says).status == status
    gateway = stage.call().record["gateway"]
    assert (gateway["failure"], gateway.get("failure_code")) == (failure, code)


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        pytest.param("BAD_KEY", 401, "token_not_found_in_db", id="a key that it does not know"),
        pytest.param("POOR_KEY", 422, "budget_exceeded", id="a budget"),
    ],
)
def test_a_policy_is_not_gone_around(stage: Stage, litellm: LiteLlm, key: str, status: int, code: str) -> None:
    stage.route({**litellm.item, "key": f"${{proxy_env.{key}}}"})
    assert stage.ask("gpt-4o").status == status
    assert (stage.provider.requests, stage.elsewhere.requests) == ([], [])
    gateway = stage.call().record["gateway"]
    assert (gateway["failure"], gateway["failure_code"]) == ("policy", code)


def test_its_own_limit_of_a_model_is_a_policy(stage: Stage, litellm: LiteLlm) -> None:
    stage.route(litellm.item)
    answers = [stage.ask(LiteLlm.LIMITED).status for _ in range(2)]
    assert answers == [200, 429]
    assert [call.record["gateway"].get("failure") for call in stage.proxy.take(2)] == [None, "policy"]


def test_a_model_that_it_does_not_know_is_asked_at_its_own_host(stage: Stage, litellm: LiteLlm) -> None:
    stage.route(litellm.item)
    stage.elsewhere.requests.clear()
    assert stage.ask("gpt-4o-mini").status == 200
    assert len(stage.elsewhere.requests) == 1
    assert stage.provider.requests == []
    call = stage.call()
    assert call.record["gateway"] is None
    (direct,) = [change for change in call.record["changes"] if change[0] == "direct"]
    assert direct[4].startswith("gateway_refused")
    stage.elsewhere.requests.clear()
