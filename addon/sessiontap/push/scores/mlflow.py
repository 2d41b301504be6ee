"""Scores in MLflow as feedback (mlflow.org/docs, REST API 3.0, "Create Assessment").

A call's score is of its span, a session's of the session's first trace, with the session in its metadata, as MLflow
itself has scores of sessions. The server takes the id that it is given, and a second one of that id is an error: so the
one that is there is deleted first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sessiontap.push.score_facts import JSON, Missing, answered, encoded, known
from sessiontap.push.target import Item, PushedScore, TargetAnswer, TargetSettings
from sessiontap.push.targets.mlflow import authorization
from sessiontap.span_ids import span_id, trace_id


class MlflowScores:
    """Sends scores, each by itself."""

    max_bytes, max_items = 1 << 20, 1
    takes = "all"

    def __init__(self, settings: TargetSettings) -> None:
        self._headers = {**JSON, **authorization(settings.credentials), **settings.headers}
        self._base = f"{settings.endpoint.removesuffix('/v1/traces')}/api/3.0/mlflow/traces"
        self._http, self._missing = settings.http, Missing()

    def item(self, score: PushedScore) -> Item:
        return Item(score.call or str(score.session), score, len(encoded(assessment(score))))

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        score: PushedScore = items[0].data
        url = f"{self._base}/{trace_of(score)}/assessments"
        answer, reply = answered(lambda: self._http.delete(f"{url}/{assessment_id(score)}", self._headers))
        if reply is not None and reply.status < 300 and not score.is_withdrawn:
            body = encoded({"assessment": assessment(score)})
            answer, reply = answered(lambda: self._http.post(url, body, self._headers))
        if reply is not None and reply.status == 404 and b"RESOURCE_DOES_NOT_EXIST" in reply.body:
            why = "404: it has no such trace"
            return TargetAnswer("accepted") if score.is_withdrawn else self._missing.answer(score.id, why)
        self._missing.forget(score.id)
        return answer


def open_scores(settings: TargetSettings) -> MlflowScores:
    return MlflowScores(settings)


def trace_of(score: PushedScore) -> str:
    """The id of a trace that came by OTLP."""
    return f"tr-{trace_id(score.turn)}"


def assessment_id(score: PushedScore) -> str:
    return f"a-{score.id.replace('-', '')}"


def assessment(score: PushedScore) -> dict[str, Any]:
    """Return a score as MLflow has it; a note alone is the feedback `note`, whose value it is."""
    is_note = score.name is None
    return known(
        {
            "assessment_id": assessment_id(score),
            "assessment_name": score.name or "note",
            "trace_id": trace_of(score),
            "span_id": span_id(score.call) if score.call else None,
            "source": {
                "source_type": "HUMAN" if score.is_persons else "CODE",
                "source_id": score.by or "sessiontap",
            },
            "create_time": _time(score.time),
            "last_update_time": _time(score.time),
            "feedback": {"value": score.note if is_note else score.value},
            "rationale": None if is_note else score.note,
            "metadata": None if score.call else {"mlflow.trace.session": score.session},
            "valid": True,
        }
    )


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
