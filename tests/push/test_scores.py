"""Scores on their way: which are sent, by which ids, and what each target gets of them."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from tests.push.logs import ScriptedSender, call, log_of, target
from tests.push.otlp_collector import attributes_of

from sessiontap.cli.options import open_trace
from sessiontap.cli.push_status import rows, text
from sessiontap.exchange import Headers
from sessiontap.push import TARGETS
from sessiontap.push.delivery import NotDelivered
from sessiontap.push.pusher import Clocks, Pusher, cursor_of
from sessiontap.push.scores.helicone import api_of
from sessiontap.push.scores.otlp import logs_url
from sessiontap.push.target import HttpReply, Item, PushedScore, ScoreSender, TargetAnswer, TargetSettings
from sessiontap.span_ids import span_id, trace_id
from sessiontap.trace.annotations import annotate, score_record
from sessiontap.trace.closing import close_segment
from sessiontap.trace.files import holds_annotations, segments

ACCEPTED = TargetAnswer("accepted")


class Scores:
    """A sender of scores that keeps them, and answers as the test says."""

    max_bytes, max_items, takes = 1 << 20, 100, "no texts"

    def __init__(self, answer: Callable[[Sequence[Item]], TargetAnswer] = lambda items: ACCEPTED) -> None:
        self._answer = answer
        self.sent: list[PushedScore] = []

    def item(self, score: PushedScore) -> Item | None:
        return None if isinstance(score.value, str) else Item(score.call or str(score.session), score, 100)

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        answer = self._answer(items)
        if answer.kind == "accepted":
            self.sent += [item.data for item in items]
        return answer


def push(trace: Path, scores: ScoreSender, *, content: bool = True, has_turns: bool = True, **more: Any) -> Pusher:
    """One run of the command."""
    file, cursor = cursor_of(trace, "test", "http://test", more.pop("since", None))
    log = open_trace(trace)
    pusher = Pusher(
        log, ScriptedSender(), file, cursor, target=target(has_turns=has_turns), content=content, scores=scores,
        pause=lambda seconds: True, tell=lambda text: None, **more,
    )  # fmt: skip
    with file.held(), contextlib.closing(log):
        pusher.run()
    return pusher


def give(trace: Path, *scores: Mapping[str, Any]) -> None:
    annotate(trace, [score_record(source="page", by="ada", **one) for one in scores])


def told(scores: Scores) -> list[tuple[Any, ...]]:
    return [(one.call or one.session, one.name, None if one.is_withdrawn else one.value) for one in scores.sent]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A turn of two calls, and another of one."""
    first = call("a", 0, conversation="c", asks=["Read"])
    second = call("b", 5, conversation="c", parent="a", results=["Read"], step=1)
    return log_of(tmp_path / "trace", first, second, call("d", 20, conversation="c", parent="b", step=2))


def test_a_score_goes_with_its_call_and_a_later_one_with_the_next_run(trace: Path) -> None:
    give(trace, {"call": "b", "name": "helpful", "value": 0.8, "note": "Good."})
    scores = Scores()
    assert push(trace, scores).cursor.scores == 1
    (one,) = scores.sent
    assert (one.call, one.session, one.turn, one.value, one.note, one.by) == ("b", "s1", "a", 0.8, "Good.", "ada")
    assert one.is_persons
    push(trace, scores)
    assert len(scores.sent) == 1
    give(trace, {"session": "s1", "name": "correct", "value": True}, {"call": "d", "name": "star", "value": True})
    push(trace, scores)
    assert told(scores)[1:] == [("s1", "correct", True), ("d", "star", True)]
    assert [one.turn for one in scores.sent[1:]] == ["a", "d"]


def test_what_counts_now_is_sent_once_and_its_id_stays(trace: Path) -> None:
    give(trace, *({"session": "s1", "name": "helpful", "value": value} for value in (1, 2, 3)))
    scores = Scores()
    push(trace, scores)
    give(trace, {"session": "s1", "name": "helpful", "value": 4})
    push(trace, scores)
    give(trace, {"session": "s1", "name": "helpful", "value": None})
    push(trace, scores)
    assert told(scores) == [("s1", "helpful", 3), ("s1", "helpful", 4), ("s1", "helpful", None)]
    assert len({one.id for one in scores.sent}) == 1
    assert [one.is_withdrawn for one in scores.sent] == [False, False, True]
    assert uuid.UUID(scores.sent[0].id).version == 5


def test_scores_of_other_things_and_names_have_other_ids(trace: Path) -> None:
    give(
        trace, {"session": "s1", "name": "a", "value": 1}, {"session": "s1", "name": "b", "value": 1},
        {"call": "a", "name": "a", "value": 1}, {"call": "b", "name": "a", "value": 1}, {"call": "a", "note": "Why?"},
    )  # fmt: skip
    scores = Scores()
    push(trace, scores)
    assert len({one.id for one in scores.sent}) == 5


def test_the_status_says_how_many_were_sent_and_how_many_are_behind(trace: Path) -> None:
    give(trace, {"call": "a", "name": "helpful", "value": 1})
    push(trace, Scores())
    give(trace, {"call": "b", "name": "helpful", "value": 1}, {"call": "a", "name": "helpful", "value": 2})
    log = open_trace(trace)
    with contextlib.closing(log):
        found = rows(log)
    assert [(one["scores"], one["scores_behind"]) for one in found] == [(1, 2)]
    assert "scores      1 sent, 2 behind\n" in text(found)


def test_notes_are_content(trace: Path) -> None:
    give(trace, {"call": "a", "note": "secret"}, {"call": "a", "name": "helpful", "value": 1, "note": "secret"})
    scores = Scores()
    push(trace, scores, content=False)
    assert [(one.name, one.note) for one in scores.sent] == [("helpful", None)]


def test_what_the_target_has_no_place_for_is_counted(trace: Path) -> None:
    give(trace, {"call": "a", "name": "grade", "value": "good"}, {"call": "a", "name": "helpful", "value": 1})
    pusher = push(trace, Scores())
    assert pusher.scores is not None
    assert (pusher.scores.left_out, pusher.cursor.scores) == (1, 1)


def test_scores_of_calls_that_are_not_pushed_are_not_sent(trace: Path) -> None:
    give(trace, {"call": "nobody", "name": "x", "value": 1}, {"session": "nobody", "name": "x", "value": 1})
    give(trace, {"call": "a", "name": "old", "value": 1}, {"call": "d", "name": "new", "value": 1})
    scores = Scores()
    began = int(open_trace(trace).call("d").record["time"])
    push(trace, scores, since=began)
    assert told(scores) == [("d", "new", 1)]


def test_a_sessions_score_waits_until_its_first_turn_is_told(tmp_path: Path) -> None:
    trace = log_of(tmp_path / "trace", call("a", 0, conversation="c", asks=["Read"]))
    give(trace, {"session": "s1", "name": "helpful", "value": 1}, {"call": "a", "name": "correct", "value": True})
    scores, now = Scores(), lambda: int(open_trace(trace).call("a").record["time"]) + 10**9
    push(trace, scores, clocks=Clocks(now=now))
    assert told(scores) == [("a", "correct", True)]
    log_of(trace, call("b", 5, conversation="c", parent="a", results=["Read"], step=1))
    push(trace, scores)
    assert told(scores)[1:] == [("s1", "helpful", 1)]
    push(trace, scores)
    assert len(scores.sent) == 2


def test_a_target_without_turns_waits_for_none(tmp_path: Path) -> None:
    trace = log_of(tmp_path / "trace", call("a", 0, conversation="c", asks=["Read"]))
    give(trace, {"session": "s1", "name": "helpful", "value": 1})
    scores = Scores()
    push(trace, scores, has_turns=False, clocks=Clocks(now=lambda: 0))
    assert told(scores) == [("s1", "helpful", 1)]


def test_scores_that_were_not_taken_are_sent_again(trace: Path) -> None:
    give(trace, {"call": "a", "name": "helpful", "value": 1})
    with pytest.raises(NotDelivered):
        push(trace, Scores(lambda items: TargetAnswer("misconfigured", "403")))
    scores = Scores()
    push(trace, scores)
    assert told(scores) == [("a", "helpful", 1)]


def test_calls_do_not_wait_for_a_target_that_takes_no_scores(trace: Path) -> None:
    """A key that may not write scores, for one: with `--follow` they are tried again now and then."""
    give(trace, {"call": "a", "name": "helpful", "value": 1})
    asked: list[int] = []
    scores = Scores(lambda items: asked.append(len(items)) or TargetAnswer("misconfigured", "403 no"))
    file, cursor = cursor_of(trace, "test", "http://test", None)
    sender, pauses, sentences = ScriptedSender(), iter((True, True, True, False)), []

    def pause(seconds: float) -> bool:
        if len(sender.taken) < 6:
            log_of(trace, call("e", 40))
        return next(pauses)

    with file.held(), contextlib.closing(open_trace(trace)) as log:
        Pusher(log, sender, file, cursor, target=target(), content=True, scores=scores, pause=pause,
               tell=sentences.append, follow=True).run()  # fmt: skip
    assert "e" in sender.taken
    assert len(asked) == 2, "at first, and once more when it is to end"
    assert [one for one in sentences if "scores are not taken: 403 no" in one] == sentences[:1]


def test_a_score_that_is_refused_is_set_aside_and_the_others_go(trace: Path) -> None:
    give(trace, *({"call": id, "name": "helpful", "value": 1} for id in "abd"))
    scores = Scores(lambda items: TargetAnswer("refused", "odd") if any(one.call == "b" for one in items) else ACCEPTED)
    cursor = push(trace, scores).cursor
    assert told(scores) == [("a", "helpful", 1), ("d", "helpful", 1)]
    assert [(one["call"], one["reason"]) for one in cursor.set_aside] == [("b", "odd")]


def test_a_segment_that_is_closed_meanwhile_is_gone_on_with(trace: Path) -> None:
    give(trace, {"call": "a", "name": "helpful", "value": 1})
    scores = Scores()
    push(trace, scores)
    (segment,) = (path for path in segments(trace) if holds_annotations(path))
    assert close_segment(segment)
    give(trace, {"call": "a", "name": "helpful", "value": 2})
    push(trace, scores)
    assert told(scores) == [("a", "helpful", 1), ("a", "helpful", 2)]


def test_the_turn_of_an_old_call_is_the_one_that_was_pushed(tmp_path: Path) -> None:
    retried = [
        call("a", 0, conversation="c", outcome="http_error"),
        call("b", 2, conversation="c", kind="retry", step=1, asks=["Read"]),
        call("d", 5, conversation="c", parent="b", results=["Read"], step=2),
    ]
    trace = log_of(tmp_path / "trace", *retried)
    push(trace, Scores())
    give(trace, *({"call": id, "name": "helpful", "value": 1} for id in "abd"))
    scores = Scores()
    push(trace, scores)
    assert [one.turn for one in scores.sent] == ["a", "a", "a"]


# Targets

CREDENTIALS = {
    "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk", "HELICONE_API_KEY": "key", "PHOENIX_API_KEY": "key",
}  # fmt: skip


class Service:
    """An `Http` that keeps requests and answers as the test says."""

    def __init__(self, *answers: HttpReply) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[Mapping[str, str]] = []

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        is_json = headers.get("Content-Type") == "application/json"
        return self._ask("POST", url, json.loads(body) if is_json else body, headers)

    def delete(self, url: str, headers: Mapping[str, str]) -> HttpReply:
        return self._ask("DELETE", url, None, headers)

    def _ask(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> HttpReply:
        self.requests.append((method, url, body))
        self.headers.append(headers)
        return self.answers.pop(0) if self.answers else HttpReply(200, Headers(), b"{}")


def score(name: str | None = "helpful", value: Any = 0.8, **more: Any) -> PushedScore:
    facts: dict[str, Any] = {
        "id": "11111111-2222-5333-8444-555555555555", "of": "call", "session": "s1", "call": "c1", "turn": "t1",
        "record": {"llm": {"response_id": "r1"}, "session": {"id": "s1"}}, "note": None, "by": "ada",
        "time": 1_795_237_563_000_000_000, "is_persons": True,
    }  # fmt: skip
    return PushedScore(name=name, value=value, **(facts | more))


OF_SESSION = {"of": "session", "call": None}


def send(target: str, one: PushedScore, service: Service, endpoint: str = "http://there") -> TargetAnswer | None:
    """What the target answers; None if it has no place for the score."""
    sender = TARGETS[target].open_scores(TargetSettings(endpoint, CREDENTIALS, True, service))
    assert sender is not None
    item = sender.item(one)
    return sender.send([item]) if item is not None else None


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (score(), {"name": "helpful", "value": 0.8, "dataType": "NUMERIC"}),
        (score("stars", 4, note="Why"), {"value": 4.0, "dataType": "NUMERIC", "comment": "Why"}),
        (score("star", True), {"name": "star", "value": 1.0, "dataType": "BOOLEAN"}),
        (score("correct", False), {"value": 0.0, "dataType": "BOOLEAN"}),
        (score("grade", "good"), {"value": "good", "dataType": "CATEGORICAL"}),
        (score(None, None, note="Why"), {"name": "note", "dataType": "CATEGORICAL", "comment": "Why"}),
    ],
    ids=["number", "whole number", "yes", "no", "text", "note"],
)
def test_langfuse_gets_a_score_of_its_kind(one: PushedScore, said: dict[str, Any]) -> None:
    service = Service()
    assert send("langfuse", one, service, "http://there/api/public/otel/v1/traces") == ACCEPTED
    ((method, url, body),) = service.requests
    assert (method, url) == ("POST", "http://there/api/public/scores")
    assert said.items() <= body.items()
    assert (body["id"], body["traceId"], body["observationId"]) == (one.id, trace_id("t1"), span_id("c1"))
    assert service.headers[0]["Authorization"] == "Basic cGs6c2s="


def test_langfuse_gets_a_sessions_score_by_the_id_that_it_has() -> None:
    service = Service()
    send("langfuse", score(session="Käse", **OF_SESSION), service)
    assert service.requests[0][2]["sessionId"].isascii()
    assert "traceId" not in service.requests[0][2]


@pytest.mark.parametrize("status", [200, 404])
def test_langfuse_is_told_what_was_taken_away(status: int) -> None:
    service = Service(HttpReply(status, Headers(), b"{}"))
    one = score(value=None, is_withdrawn=True)
    assert send("langfuse", one, service) == ACCEPTED
    assert service.requests == [("DELETE", f"http://there/api/public/scores/{one.id}", None)]


def test_phoenix_gets_annotations_of_spans_and_sessions() -> None:
    service = Service()
    send("phoenix", score("correct", False, note="Why", is_persons=False), service)
    send("phoenix", score("grade", "good", **OF_SESSION), service)
    (_, span_url, span), (_, session_url, session) = service.requests
    assert span_url == "http://there/v1/span_annotations?sync=true"
    assert session_url == "http://there/v1/session_annotations?sync=true"
    assert span["data"][0]["result"] == {"score": 0.0, "label": "false", "explanation": "Why"}
    assert (span["data"][0]["span_id"], span["data"][0]["annotator_kind"]) == (span_id("c1"), "CODE")
    assert session["data"][0]["result"] == {"label": "good"}
    assert (session["data"][0]["session_id"], session["data"][0]["annotator_kind"]) == ("s1", "HUMAN")
    assert session["data"][0]["identifier"] == "sessiontap:11111111-2222-5333-8444-555555555555"


def test_phoenix_has_a_place_of_its_own_for_notes() -> None:
    service = Service()
    send("phoenix", score(None, None, note="Why", **OF_SESSION), service)
    assert service.requests[0][1:] == (
        "http://there/v1/session_notes",
        {"data": {"session_id": "s1", "note": "Why", "identifier": "sessiontap:11111111-2222-5333-8444-555555555555"}},
    )
    assert send("phoenix", score("note"), service) is None


def test_phoenix_is_told_what_was_taken_away_by_its_identifier_alone() -> None:
    service = Service()
    send("phoenix", score(value=None, is_withdrawn=True), service)
    ((method, url, _),) = service.requests
    assert method == "DELETE"
    assert url.startswith("http://there/v1/projects/default/span_annotations?identifier=sessiontap%3A11111111-")


def to_phoenix(service: Service, *scores: PushedScore) -> TargetAnswer:
    sender = TARGETS["phoenix"].open_scores(TargetSettings("http://there", CREDENTIALS, True, service))
    assert sender is not None
    items = [item for one in scores if (item := sender.item(one)) is not None]
    return sender.send(items)


SOME = (
    score("a", id="1"), score("b", id="2"), score("c", id="3", **OF_SESSION), score("d", id="4"),
    score(None, None, note="Why", id="5"), score("e", None, id="6", is_withdrawn=True),
)  # fmt: skip


def test_phoenix_gets_several_as_lists() -> None:
    service = Service()
    assert to_phoenix(service, *SOME) == ACCEPTED
    places = [(method, url.removeprefix("http://there/v1/").partition("?")[0]) for method, url, _ in service.requests]
    assert places == [
        ("POST", "span_annotations"),
        ("POST", "session_annotations"),
        ("POST", "span_notes"),
        ("DELETE", "projects/default/span_annotations"),
    ]
    lists = [[one["name"] for one in body["data"]] for _, _, body in service.requests[:2]]
    assert lists == [["a", "b", "d"], ["c"]]


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "refused"), (422, "refused"), (503, "later"), (401, "misconfigured")]
)
def test_several_that_phoenix_does_not_take_are_split_or_sent_later(status: int, kind: str) -> None:
    assert to_phoenix(Service(HttpReply(status, Headers(), b"Spans 1 do not exist.")), *SOME).kind == kind


def test_a_span_that_phoenix_has_not_inserted_yet_is_waited_for_a_few_times() -> None:
    gone = HttpReply(404, Headers(), b"Spans with IDs 1 do not exist.")
    service = Service(gone, gone, gone, gone)
    sender = TARGETS["phoenix"].open_scores(TargetSettings("http://there", {}, True, service))
    assert sender is not None
    item = sender.item(score())
    assert item is not None
    assert [sender.send([item]).kind for _ in range(5)] == ["later", "later", "later", "refused", "accepted"]


def test_mlflow_gets_feedback_in_the_place_of_what_was_there() -> None:
    service = Service()
    assert send("mlflow", score(note="Why"), service) == ACCEPTED
    (first, url, _), (second, same, body) = service.requests
    place = f"http://there/api/3.0/mlflow/traces/tr-{trace_id('t1')}/assessments"
    assert (first, url, second, same) == ("DELETE", f"{place}/a-11111111222253338444555555555555", "POST", place)
    told = body["assessment"]
    assert (told["assessment_name"], told["feedback"], told["rationale"]) == ("helpful", {"value": 0.8}, "Why")
    assert (told["span_id"], told["source"]) == (span_id("c1"), {"source_type": "HUMAN", "source_id": "ada"})
    assert told["create_time"] == "2026-11-21T05:06:03.000Z"


def test_mlflow_gets_a_sessions_score_with_its_first_trace() -> None:
    service = Service()
    send("mlflow", score(**OF_SESSION), service)
    told = service.requests[1][2]["assessment"]
    assert told["metadata"] == {"mlflow.trace.session": "s1"}
    assert "span_id" not in told
    send("mlflow", score(value=None, is_withdrawn=True), service := Service())
    assert [method for method, *_ in service.requests] == ["DELETE"]


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (score("stars", 4), 4), (score("stars", 4.0), 4), (score("correct", True), True),
        (score(value=0.5), None), (score("grade", "good"), None), (score(None, None, note="Why"), None),
        (score("stars", 4, **OF_SESSION), None), (score(value=None, is_withdrawn=True), None),
    ],
    ids=["whole", "whole float", "yes", "fraction", "text", "note", "session's", "taken away"],
)  # fmt: skip
def test_helicone_gets_whole_numbers_and_yes_or_no_of_calls(one: PushedScore, value: Any) -> None:
    service = Service(HttpReply(200, Headers(), b'{"data": null, "error": null}'))
    answer = send("helicone", one, service)
    assert (answer is None) is (value is None)
    if value is not None:
        assert service.requests[0][2] == {"scores": {one.name: value}}
        assert type(service.requests[0][2]["scores"][one.name]) is type(value)


def test_helicone_knows_a_call_by_the_id_of_its_gateway() -> None:
    service = Service()
    send("helicone", score("stars", 4, record={"response": {"headers": [["Helicone-Id", "h-1"]]}}), service)
    assert service.requests[0][1] == "http://there/v1/request/h-1/score"


@pytest.mark.parametrize(
    ("endpoint", "api"),
    [
        ("https://api.worker.helicone.ai", "https://api.helicone.ai"),
        ("https://eu.api.worker.helicone.ai", "https://eu.api.helicone.ai"),
        ("http://127.0.0.1:8585/v1/trace/custom/log", "http://127.0.0.1:8585"),
        ("http://127.0.0.1:8585", "http://127.0.0.1:8585"),
    ],
)
def test_helicones_api_is_beside_its_log(endpoint: str, api: str) -> None:
    assert api_of(endpoint) == api


def test_a_collector_gets_the_event_of_an_evaluation() -> None:
    import gzip

    reply = HttpReply(200, Headers(), ExportLogsServiceResponse().SerializeToString())
    service = Service(reply, reply)
    assert send("otlp", score("correct", False, note="Why"), service) == ACCEPTED
    send("otlp", score("grade", "good", **OF_SESSION), service)
    assert service.requests[0][1] == "http://there/v1/logs"
    requests = [ExportLogsServiceRequest.FromString(gzip.decompress(body)) for _, _, body in service.requests]
    call_, session = (one.resource_logs[0].scope_logs[0].log_records[0] for one in requests)
    assert call_.event_name == "gen_ai.evaluation.result"
    assert (call_.trace_id.hex(), call_.span_id.hex()) == (trace_id("t1"), span_id("c1"))
    assert attributes_of(call_) == {
        "gen_ai.evaluation.name": "correct",
        "gen_ai.evaluation.score.value": 0.0,
        "gen_ai.evaluation.score.label": "false",
        "gen_ai.evaluation.explanation": "Why",
        "gen_ai.response.id": "r1",
        "session.id": "s1",
        "sessiontap.score.id": "11111111-2222-5333-8444-555555555555",
        "sessiontap.score.by": "ada",
        "sessiontap.call.id": "c1",
    }
    assert not session.trace_id
    assert attributes_of(session)["gen_ai.evaluation.score.label"] == "good"
    assert send("otlp", score(value=None, is_withdrawn=True), service) is None


def test_a_collector_without_logs_sets_scores_aside_and_takes_spans_on() -> None:
    answer = send("otlp", score(), Service(HttpReply(404, Headers(), b"")))
    assert answer is not None
    assert answer.kind == "accepted"
    assert "takes no logs" in answer.rejected[0]


def test_a_collector_is_told_where_log_records_go() -> None:
    assert logs_url("http://there/v1/traces", {}) == "http://there/v1/logs"
    assert logs_url("http://there", {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs/x"}) == "http://logs/x"


def test_traceforge_has_no_place_for_scores() -> None:
    assert TARGETS["traceforge"].open_scores(TargetSettings("/tmp/x", {}, True, Service())) is None


@pytest.mark.parametrize("target", [name for name, one in TARGETS.items() if one.scores])
def test_an_older_target_sets_scores_aside_and_takes_calls_on(target: str) -> None:
    answers = [HttpReply(404, Headers(), b'{"detail":"Not Found"}')] * 8
    sender = TARGETS[target].open_scores(TargetSettings("http://there", CREDENTIALS, True, Service(*answers)))
    assert sender is not None
    item = sender.item(score("stars", 4))
    assert item is not None
    last = [sender.send([item]) for _ in range(4)][-1]
    assert last.rejected or last.kind == "refused"


@pytest.mark.parametrize("target", [name for name, one in TARGETS.items() if one.scores])
@pytest.mark.parametrize(("status", "kind"), [(503, "later"), (429, "later"), (401, "misconfigured"), (400, "refused")])
def test_a_target_that_does_not_take_a_score_is_understood(target: str, status: int, kind: str) -> None:
    service = Service(*[HttpReply(status, Headers(), b"no")] * 2)
    answer = send(target, score("stars", 4), service)
    assert answer is not None
    assert answer.kind == kind


def test_deleting_over_http(tmp_path: Path) -> None:
    from http.server import ThreadingHTTPServer

    from tests.support.small_server import SmallHandler, serving

    from sessiontap.push.http import HttpClient

    seen: list[tuple[str, str | None]] = []

    class Handler(SmallHandler):
        def do_DELETE(self) -> None:
            seen.append((self.path, self.headers.get("authorization")))
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        reply = HttpClient().delete(f"http://127.0.0.1:{server.server_address[1]}/x?y=1", {"Authorization": "Basic a"})
    assert reply.status == 204
    assert seen == [("/x?y=1", "Basic a")]
