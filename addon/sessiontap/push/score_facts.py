"""Functions of all modules of scores: a score as number and label, JSON requests, things that a target lacks as yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sessiontap.push.http import answer_of
from sessiontap.push.target import HttpReply, NotReached, PushedScore, TargetAnswer

Json = dict[str, Any]
JSON = {"Content-Type": "application/json"}
NO_PLACE = (404, 405, 501)
"""Statuses of a target that knows no scores, such as an older one: the score is set aside, and calls go on."""
TRIES = 3
"""Of a score whose call or session the target does not have; several readers take a moment to take one in."""


def number_of(score: PushedScore) -> float | None:
    """The score as a number: yes is 1, no is 0. None of a text."""
    return float(score.value) if isinstance(score.value, int | float) else None


def label_of(score: PushedScore) -> str | None:
    """The score as a word: a text, `true` or `false`. None of a number."""
    if isinstance(score.value, bool):
        return "true" if score.value else "false"
    return score.value if isinstance(score.value, str) else None


def encoded(value: Any) -> bytes:
    """Return the body of a request: a value as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def known(facts: Mapping[str, Any]) -> Json:
    """The facts that are known."""
    return {key: value for key, value in facts.items() if value is not None}


def answered(ask: Callable[[], HttpReply]) -> tuple[TargetAnswer, HttpReply | None]:
    """The answer to a request about one score, and the reply if there was one."""
    try:
        reply = ask()
    except NotReached as error:
        return TargetAnswer("later", str(error)), None
    if reply.status in NO_PLACE:
        return TargetAnswer("accepted", rejected={0: f"{reply.status}: the target has no such address"}), reply
    return answer_of(reply), reply


class Missing:
    """Scores whose call or session a target does not have: it is tried again a few times, then they are set aside."""

    def __init__(self) -> None:
        self._tried: dict[str, int] = {}

    def answer(self, score: str, reason: str) -> TargetAnswer:
        """The answer for a score, by its id, whose call or session is missing."""
        tried = self._tried.get(score, 0) + 1
        if tried > TRIES:
            self._tried.pop(score, None)
            return TargetAnswer("refused", reason)
        self._tried[score] = tried
        return TargetAnswer("later", reason)

    def forget(self, score: str) -> None:
        """Forget the tries of a score: the target has what it is of."""
        self._tried.pop(score, None)
