"""Spans over OTLP: encoded and decoded by OpenTelemetry's own protobuf; each target's address, headers and resource."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from tests.push.made_calls import SECOND, SESSION, START, coding_turn, pushed, turn_of
from tests.push.otlp_collector import Collector, attributes_of, partly

from sessiontap.exchange import Headers
from sessiontap.push import TARGETS
from sessiontap.push.otlp_http import OtlpSender, headers_of
from sessiontap.push.spans import call_span, turn_spans
from sessiontap.push.target import HttpReply, Item, NotReached, Sender, TargetAnswer, TargetSettings, UserTurn

OTLP = ("otlp", "phoenix", "mlflow")


def sender(http: Any, target: str = "otlp", *, content: bool = True, **more: Any) -> Sender:
    endpoint, credentials = more.pop("endpoint", "http://collector:4318"), more.pop("credentials", {})
    return TARGETS[target].open_sender(TargetSettings(endpoint, credentials, content, http, **more))


def items_of(of: Sender, turn: UserTurn) -> list[Item]:
    return [item for call in turn.calls for item in of.call_items(call)] + list(of.turn_items(turn))


def pushed_to(target: str, turn: UserTurn, **more: Any) -> Collector:
    collector = Collector()
    of = sender(collector, target, **more)
    assert of.send(items_of(of, turn)) == TargetAnswer("accepted")
    return collector


@pytest.mark.parametrize("target", OTLP)
def test_a_turn_arrives_as_it_was_made(target: str) -> None:
    turn = coding_turn()
    collector = pushed_to(target, turn)
    made = {bytes.fromhex(span.id): span for span in (*map(call_span, turn.calls), *turn_spans(turn))}
    assert set(collector.spans) == set(made)
    for id, came in collector.spans.items():
        span = made[id]
        assert came.trace_id == bytes.fromhex(span.trace_id)
        assert came.parent_span_id == (bytes.fromhex(span.parent_id) if span.parent_id else b"")
        assert (came.name, came.start_time_unix_nano, came.end_time_unix_nano) == (span.name, span.start, span.end)
        assert came.kind == (EncodedSpan.SPAN_KIND_CLIENT if span.kind == "client" else EncodedSpan.SPAN_KIND_INTERNAL)
        found = attributes_of(came)
        assert {key: found[key] for key in span.attributes} == dict(span.attributes)


def test_attributes_of_both_conventions_arrive() -> None:
    usage = {"input": 100, "output": 20, "cache_read": 60}
    call = pushed("a", llm={"usage": usage}, user="ada", tags=["x"], properties={"mode": "act"})
    found = pushed_to("otlp", turn_of(call)).attributes("chat gpt-4o")[0]
    wanted = {
        "session.id": SESSION,
        "user.id": "ada",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cost": 0.25,
        "llm.token_count.prompt": 100,
        "llm.token_count.total": 120,
        "llm.cost.total": 0.25,
        "openinference.span.kind": "LLM",
        "tag.tags": ["x"],
        "sessiontap.session.path": "/main",
        "sessiontap.property.mode": "act",
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert {type(found["llm.token_count.prompt"]), type(found["llm.cost.total"])} == {int, float}


def test_an_error_arrives_with_its_message_and_event() -> None:
    error = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    collector = pushed_to("otlp", turn_of(pushed("a", outcome="http_error", status=529, llm=error)))
    for span in collector.spans.values():
        assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "Overloaded")
    call = next(span for span in collector.spans.values() if span.kind == EncodedSpan.SPAN_KIND_CLIENT)
    assert [(event.name, attributes_of(event), event.time_unix_nano) for event in call.events] == [
        ("exception", {"exception.type": "overloaded_error", "exception.message": "Overloaded"}, START + 2 * SECOND)
    ]


@pytest.mark.parametrize(("outcome", "code"), [("ok", "STATUS_CODE_OK"), ("client_gone", "STATUS_CODE_UNSET")])
def test_status(outcome: str, code: str) -> None:
    collector = pushed_to("otlp", turn_of(pushed("a", outcome=outcome)))
    assert {Status.StatusCode.Name(span.status.code) for span in collector.spans.values()} == {code}


@pytest.mark.parametrize("target", OTLP)
def test_the_same_again_is_the_same_spans(target: str) -> None:
    collector = Collector()
    for _ in range(2):
        of = sender(collector, target)
        of.send(items_of(of, coding_turn()))
    assert (len(collector.spans), collector.received) == (11, 22)
    first, second = collector.requests
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@pytest.mark.parametrize("target", OTLP)
def test_without_content_nothing_that_was_said_arrives(target: str) -> None:
    collector = pushed_to(target, coding_turn(content=True), content=False)  # parts are handed over all the same
    sent = collector.requests[0].SerializeToString()
    for said in (b"Fix the dates", b"a.py", b"import datetime", b"I look", b"Done."):
        assert said not in sent


@pytest.mark.parametrize("target", OTLP)
def test_with_content_it_does(target: str) -> None:
    sent = pushed_to(target, coding_turn()).requests[0].SerializeToString()
    for said in (b"Fix the dates", b"a.py", b"import datetime", b"Done."):
        assert said in sent


def test_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    found = attributes_of(pushed_to("otlp", coding_turn()).requests[0].resource_spans[0].resource)
    assert found["service.name"] == "sessiontap"
    assert found["sessiontap.mapping.version"] == "1"
    sdk = {"telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"}
    assert set(found) == {"service.name", "sessiontap.mapping.version", *sdk}  # nothing that is another at each start


def test_the_resource_as_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "courses")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    found = attributes_of(pushed_to("otlp", coding_turn()).requests[0].resource_spans[0].resource)
    assert (found["service.name"], found["deployment.environment.name"]) == ("courses", "test")


@pytest.mark.parametrize(
    ("target", "endpoint", "credentials", "url", "headers"),
    [
        pytest.param("otlp", "http://c:4318", {}, "http://c:4318/v1/traces", {}, id="a base address"),
        pytest.param("otlp", "https://c/otel/v1/traces", {}, "https://c/otel/v1/traces", {}, id="a whole address"),
        pytest.param(
            "otlp", "https://c", {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b,x-team=t"},
            "https://c/v1/traces", {"x-key": "a b", "x-team": "t"}, id="headers",
        ),
        pytest.param(
            "otlp", "https://c",
            {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=b"},
            "https://c/v1/traces", {"x-key": "b"}, id="headers for traces",
        ),
        pytest.param(
            "phoenix", "http://p:6006", {"PHOENIX_API_KEY": "k"},
            "http://p:6006/v1/traces", {"Authorization": "Bearer k"}, id="Phoenix",
        ),
        pytest.param(
            "mlflow", "http://m", {"MLFLOW_TRACKING_TOKEN": "t"},
            "http://m/v1/traces", {"Authorization": "Bearer t", "x-mlflow-experiment-id": "0"}, id="MLflow, a token",
        ),
        pytest.param(
            "mlflow", "http://m", {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "p"},
            "http://m/v1/traces", {"Authorization": "Basic YWRhOnA="}, id="MLflow, a user",
        ),
    ],
)  # fmt: skip
def test_addresses_and_headers(
    target: str, endpoint: str, credentials: dict[str, str], url: str, headers: dict[str, str]
) -> None:
    collector = pushed_to(target, coding_turn(), endpoint=endpoint, credentials=credentials)
    assert collector.urls == [url]
    assert {name: collector.headers[0].get(name) for name in headers} == headers
    assert collector.headers[0].get("content-encoding") == "gzip"


def test_an_address_for_traces_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/ingest/")
    assert pushed_to("otlp", coding_turn(), endpoint="https://c/ingest").urls == ["https://c/ingest"]
    assert pushed_to("otlp", coding_turn(), endpoint="https://other").urls == ["https://other/v1/traces"]


def test_projects_and_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOENIX_PROJECT_NAME", "courses")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    resource = attributes_of(pushed_to("phoenix", coding_turn()).requests[0].resource_spans[0].resource)
    assert resource["openinference.project.name"] == "courses"
    assert pushed_to("mlflow", coding_turn()).headers[0].get("x-mlflow-experiment-id") == "7"


def test_a_users_headers_win() -> None:
    collector = pushed_to("mlflow", coding_turn(), headers={"x-mlflow-experiment-id": "9"})
    assert collector.headers[0].get("x-mlflow-experiment-id") == "9"


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ("", {}),
        (None, {}),
        (" a = b , c=d%3D%2C ", {"a": "b", "c": "d=,"}),
        ("Authorization=Basic YTpi", {"Authorization": "Basic YTpi"}),
        ("no header,=x,a b=c,x=%0aevil,y:z=1", {}),
    ],
)
def test_headers_of_the_environment(
    value: str | None, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert headers_of(value) == headers
    assert not caplog.records  # half a credential is told nobody


SOME = (
    "1 of the 2 spans in the request with this call were rejected, and the collector does not say which: too old"
)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        pytest.param(HttpReply(200, Headers(), b""), TargetAnswer("accepted"), id="without a body"),
        pytest.param(HttpReply(200, Headers(), b"{}"), TargetAnswer("accepted"), id="in JSON"),
        pytest.param(partly(0, ""), TargetAnswer("accepted"), id="all taken"),
        pytest.param(partly(0, "slow down"), TargetAnswer("accepted"), id="a warning"),
        pytest.param(
            partly(2, "too old"), TargetAnswer("accepted", rejected={0: "too old", 1: "too old"}), id="none taken"
        ),
        pytest.param(
            partly(1, "too old"),
            TargetAnswer("accepted", SOME),
            id="some taken",
        ),
        pytest.param(
            HttpReply(429, Headers([("Retry-After", "7")]), b"busy"), TargetAnswer("later", "429 busy", 7.0), id="busy"
        ),
        pytest.param(HttpReply(503, Headers(), b""), TargetAnswer("later", "503"), id="down"),
        pytest.param(HttpReply(413, Headers(), b""), TargetAnswer("too_much", "413"), id="too large"),
        pytest.param(HttpReply(400, Headers(), b"bad"), TargetAnswer("refused", "400 bad"), id="refused"),
        pytest.param(HttpReply(401, Headers(), b""), TargetAnswer("misconfigured", "401"), id="a wrong key"),
        pytest.param(HttpReply(404, Headers(), b""), TargetAnswer("misconfigured", "404"), id="a wrong address"),
    ],
)
def test_answers(reply: HttpReply, answer: TargetAnswer) -> None:
    collector = Collector()
    collector.answers = [reply]
    of = sender(collector)
    items = items_of(of, turn_of(pushed("a", path="/")))
    assert len(items) == 2
    assert of.send(items) == answer


def test_a_collector_that_is_down_is_asked_later() -> None:
    class Down:
        def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
            raise NotReached("connection refused")

    of = sender(Down())
    assert of.send(items_of(of, coding_turn())) == TargetAnswer("later", "connection refused")


def test_sizes_are_those_of_the_spans() -> None:
    collector = Collector()
    of = sender(collector)
    items = items_of(of, coding_turn())
    of.send(items)
    assert 0 <= collector.requests[0].ByteSize() - sum(item.size for item in items) < 1000


def test_texts_that_protobuf_or_databases_refuse(caplog: pytest.LogCaptureFixture) -> None:
    call = pushed("a", user="a\ud800b", properties={"k\0": "v\0w"}, session={"name": "N\udfff"})
    collector = pushed_to("otlp", turn_of(call))
    found = collector.attributes("chat gpt-4o")[0]
    assert (found["user.id"], found["sessiontap.property.k\ufffd"]) == ("a?b", "v\ufffdw")
    assert not caplog.records


def test_the_sender_is_a_sender() -> None:
    of = sender(Collector())
    assert isinstance(of, OtlpSender)
    assert of.max_bytes >= 4 << 20


def test_an_items_call_is_that_which_it_tells_of() -> None:
    of = sender(Collector())
    turn = coding_turn()
    assert [item.call for item in items_of(of, turn)] == ["a", "b", "c", "d", "e", *["a"] * 6]
