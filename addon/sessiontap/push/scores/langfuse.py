"""Scores in Langfuse (langfuse.com/docs/api, "Score": POST and DELETE /api/public/scores).

A call's score is of its observation, a session's of the session. A score with the id of one that is there replaces it,
and it may come before its trace. A note alone is a score `note` whose comment it is.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import quote

from sessiontap.push.attributes.langfuse import fitting
from sessiontap.push.score_facts import JSON, Json, answered, encoded, known, label_of, number_of
from sessiontap.push.target import Item, PushedScore, TargetAnswer, TargetSettings
from sessiontap.push.targets.langfuse import PUBLIC_KEY, SECRET_KEY
from sessiontap.span_ids import span_id, trace_id


class LangfuseScores:
    """Sends scores, each by itself."""

    max_bytes, max_items = 1 << 20, 1
    takes = "all"

    def __init__(self, settings: TargetSettings) -> None:
        pair = f"{settings.credentials[PUBLIC_KEY].strip()}:{settings.credentials[SECRET_KEY].strip()}"
        self._headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}", **settings.headers}
        self._url = f"{base_of(settings.endpoint)}/api/public/scores"
        self._http = settings.http

    def item(self, score: PushedScore) -> Item:
        return Item(score.call or str(score.session), body(score), len(encoded(body(score))))

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        data = items[0].data
        if "value" in data:
            return answered(lambda: self._http.post(self._url, encoded(data), {**JSON, **self._headers}))[0]
        answer, reply = answered(lambda: self._http.delete(f"{self._url}/{quote(data['id'])}", self._headers))
        return TargetAnswer("accepted") if reply is not None and reply.status == 404 else answer


def open_scores(settings: TargetSettings) -> LangfuseScores:
    return LangfuseScores(settings)


def base_of(endpoint: str) -> str:
    """The server of an address, which may be one for spans."""
    return endpoint.removesuffix("/v1/traces").removesuffix("/api/public/otel")


def body(score: PushedScore) -> Json:
    """Return a score as Langfuse has it; of one that was taken away its id alone."""
    if score.is_withdrawn:
        return {"id": score.id}
    of: Json = {"traceId": trace_id(score.turn), "observationId": span_id(score.call)} if score.call else {}
    if not score.call:
        of = {"sessionId": fitting(score.session or "", is_id=True)}
    value: float | str | None
    if score.name is None:
        kind, value = "CATEGORICAL", "note"
    elif isinstance(score.value, bool):
        kind, value = "BOOLEAN", number_of(score)
    elif isinstance(score.value, str):
        kind, value = "CATEGORICAL", label_of(score)
    else:
        kind, value = "NUMERIC", number_of(score)
    facts = {"id": score.id, **of, "name": score.name or "note", "value": value, "dataType": kind}
    return known({**facts, "comment": score.note, "metadata": {"by": score.by} if score.by else None})
