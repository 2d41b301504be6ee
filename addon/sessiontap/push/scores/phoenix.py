"""Scores in Phoenix as annotations of spans and sessions (arize.com/docs/phoenix, REST API, "Annotations").

`POST /v1/span_annotations` and `/v1/session_annotations` replace what has the same name and identifier; with `sync` a
span or session that is not there is said (404). A note alone goes to `/v1/span_notes` and `/v1/session_notes`: the name
`note` is theirs. One that was taken away is deleted by its identifier, in Phoenix of 2026 and later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from sessiontap.push.score_facts import JSON, Missing, answered, encoded, known, label_of, number_of
from sessiontap.push.target import HttpReply, Item, PushedScore, TargetAnswer, TargetSettings
from sessiontap.push.targets.phoenix import KEY, PROJECT
from sessiontap.span_ids import span_id

NOTE = "note"


class PhoenixScores:
    """Sends scores: those of spans as one list, those of sessions as another, notes and what was taken away alone."""

    max_bytes, max_items = 1 << 20, 500
    takes = "all but scores with the name `note`, which is that of its own notes"

    def __init__(self, settings: TargetSettings) -> None:
        key = settings.credentials.get(KEY)
        self._headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **settings.headers}
        self._base = settings.endpoint.removesuffix("/v1/traces")
        self._project = quote(os.environ.get(PROJECT) or "default", safe="")
        self._http, self._missing = settings.http, Missing()

    def item(self, score: PushedScore) -> Item | None:
        if score.name == NOTE:
            return None
        return Item(score.call or str(score.session), score, len(encoded(annotation(score))))

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        """See `target.BatchSender`. Of several that are not all taken none is set aside: each is sent alone then."""
        if len(items) == 1:
            return self._send_one(items[0].data)
        lists: dict[str, list[PushedScore]] = {}
        for item in items:
            score: PushedScore = item.data
            is_listed = score.name is not None and not score.is_withdrawn
            lists.setdefault(_kind(score) if is_listed else score.id, []).append(score)
        for scores in lists.values():
            answer, _ = self._ask(scores)
            if answer.rejected:
                return TargetAnswer("refused", answer.rejected[0])
            if answer.kind != "accepted":
                return answer
        return TargetAnswer("accepted")

    def _send_one(self, score: PushedScore) -> TargetAnswer:
        answer, reply = self._ask([score])
        if reply is not None and reply.status == 404 and not score.is_withdrawn and _names_it(reply.body):
            return self._missing.answer(score.id, f"404: it has no such {_kind(score)}")
        self._missing.forget(score.id)
        return answer

    def _ask(self, scores: Sequence[PushedScore]) -> tuple[TargetAnswer, HttpReply | None]:
        """Make the one request for some scores; for several, they are of one kind, and none is a note."""
        first, kind = scores[0], _kind(scores[0])
        if first.is_withdrawn:
            chosen = urlencode({"identifier": identifier(first), "name": first.name or NOTE, "delete_all": "true"})
            url = f"{self._base}/v1/projects/{self._project}/{kind}_annotations?{chosen}"
            return answered(lambda: self._http.delete(url, self._headers))
        body: Any
        if first.name is None:
            url, body = f"{self._base}/v1/{kind}_notes", annotation(first)
        else:
            url, body = f"{self._base}/v1/{kind}_annotations?sync=true", [annotation(one) for one in scores]
        return answered(lambda: self._http.post(url, encoded({"data": body}), {**JSON, **self._headers}))


def open_scores(settings: TargetSettings) -> PhoenixScores:
    return PhoenixScores(settings)


def _kind(score: PushedScore) -> str:
    return "span" if score.call else "session"


def identifier(score: PushedScore) -> str:
    """The identifier that the same score has whenever it is sent."""
    return f"sessiontap:{score.id}"


def annotation(score: PushedScore) -> dict[str, Any]:
    """Return a score or a note as Phoenix has it."""
    of = {"span_id": span_id(score.call)} if score.call else {"session_id": score.session}
    if score.name is None:
        return {**of, "note": score.note, "identifier": identifier(score)}
    return {
        **of,
        "name": score.name,
        "annotator_kind": "HUMAN" if score.is_persons else "CODE",
        "result": known({"score": number_of(score), "label": label_of(score), "explanation": score.note}),
        "metadata": known({"by": score.by}),
        "identifier": identifier(score),
    }


def _names_it(body: bytes) -> bool:
    """Return True if a 404 is about the span or session, not about the address."""
    return b"exist" in body or b"with ID" in body
