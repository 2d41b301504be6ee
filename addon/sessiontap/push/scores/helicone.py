"""Scores of requests in Helicone (docs.helicone.ai, REST API, "Submit Score": POST /v1/request/ID/score).

It takes whole numbers and yes or no, of requests: a session, a text, a note and a fraction have no place, and a score
cannot be taken away. A score of a name that is there replaces it. A request that Helicone has not stored yet, or not
for the last thirty days, is an error of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from sessiontap.dialects.helicone import is_helicone
from sessiontap.exchange import Headers
from sessiontap.export.exported_call import fields
from sessiontap.push.score_facts import JSON, Missing, answered, encoded
from sessiontap.push.target import Item, PushedScore, TargetAnswer, TargetSettings
from sessiontap.push.targets.helicone import KEY_VARIABLE, SELF_HOSTED, request_id
from sessiontap.trace.outcomes import part


class HeliconeScores:
    """Sends scores, each by itself."""

    max_bytes, max_items = 1 << 20, 1
    takes = "whole numbers and yes or no, of calls"

    def __init__(self, settings: TargetSettings) -> None:
        key = settings.credentials[KEY_VARIABLE].removeprefix("Bearer ").strip()
        self._headers = {**JSON, "authorization": f"Bearer {key}", **settings.headers}
        self._base = api_of(settings.endpoint)
        self._http, self._missing = settings.http, Missing()

    def item(self, score: PushedScore) -> Item | None:
        value = whole(score.value)
        if score.call is None or score.name is None or value is None or score.is_withdrawn:
            return None
        data = stored_id(score), {"scores": {score.name: value}}
        return Item(score.call, data, len(encoded(data[1])))

    def send(self, items: Sequence[Item]) -> TargetAnswer:
        id, body = items[0].data
        url = f"{self._base}/v1/request/{quote(id, safe='')}/score"
        answer, reply = answered(lambda: self._http.post(url, encoded(body), self._headers))
        is_there = reply is None or reply.status not in (404, 500)
        if reply is not None and (not is_there or (reply.status == 200 and _states_error(reply.body))):
            return self._missing.answer(f"{id} {body}", f"{reply.status}: it has no such request")
        self._missing.forget(f"{id} {body}")
        return answer


def open_scores(settings: TargetSettings) -> HeliconeScores:
    return HeliconeScores(settings)


def whole(value: Any) -> bool | int | None:
    """The value as Helicone keeps it; None if it keeps none."""
    if isinstance(value, bool):
        return value
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else None


def api_of(endpoint: str) -> str:
    """The server of the API, beside the one that takes the log: Helicone's own has another name."""
    at = urlsplit(endpoint)
    host = at.hostname or ""
    if is_helicone(host):
        return "https://eu.api.helicone.ai" if host.startswith("eu.") else "https://api.helicone.ai"
    return endpoint.removesuffix(SELF_HOSTED)


def stored_id(score: PushedScore) -> str:
    """The id under which Helicone has the call: its own, of one that went through its gateway."""
    own = Headers(fields(part(score.record, "response"))).get("helicone-id")
    return own or request_id(str(score.call))


def _states_error(body: bytes) -> bool:
    """Return True if a reply with status 200 says that the request is not there."""
    return b'"error":null' not in body.replace(b" ", b"") and b'"error"' in body
