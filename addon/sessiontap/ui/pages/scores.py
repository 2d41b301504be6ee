"""Scores, notes and stars of sessions and calls: `/api/sessions/ID/scores`, `/api/calls/ID/scores`, `/api/scores`.

A POST gives or takes away, and writes records to the log; it is all that the site writes. The pages' own forms and the
scripts of other programs send the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sessiontap.trace.annotations import STAR, score_record
from sessiontap.trace.values import iso
from sessiontap.ui.errors import BadBody
from sessiontap.ui.page import Action, Page, Source
from sessiontap.ui.reading import Reading

Kind = Literal["session", "call"]
MOST = 10_000
"""Scores of one request."""
LONGEST_NAME, LONGEST_VALUE, LONGEST_NOTE = 100, 1_000, 10_000
_EXACT = float(1 << 53)
_NAME = re.compile(r"[^=<>!\x00-\x1f\x7f]+")
"""A filter puts a name before `=`, `<`, `>` or `!=`."""
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, description="`star` with the value true is a star.")]
Text = Annotated[str, Meta(max_length=LONGEST_VALUE)]
Note = Annotated[str, Meta(max_length=LONGEST_NOTE)]
Value = bool | float | Text | None
By = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, description="Who gives it, else the page's own user.")]


class GivenScore(Struct, forbid_unknown_fields=True):
    """A score; without a name it is a note. A later one of the same name stands for it, and one without a value takes
    it away. A note without a text takes the note away."""

    name: Name | None = None
    value: Value = None
    note: Note | None = None
    by: By | None = None


class GivenScores(Struct, forbid_unknown_fields=True):
    """One score, or several at once."""

    scores: Annotated[list[GivenScore], Meta(min_length=1, max_length=MOST)]


class ScoreOf(GivenScore, forbid_unknown_fields=True):
    """A score, and what it is of: a `session` or a `call`, by its id."""

    session: str | None = None
    call: str | None = None


class ScoresOf(Struct, forbid_unknown_fields=True):
    """Scores of several sessions and calls."""

    scores: Annotated[list[ScoreOf], Meta(min_length=1, max_length=MOST)]


def of_session(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The scores and the note of a session."""
    return _scores_of(reading, "session", _id(reading, "session", parameters["session"]))


def of_call(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The scores and the note of a call."""
    return _scores_of(reading, "call", _id(reading, "call", parameters["call"]))


def names(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The names of all scores."""
    return {"names": reading.trace.query_score_names()}


def give_session(reading: Reading, places: Mapping[str, str], given: GivenScores, source: Source) -> dict[str, Any]:
    """Write scores of a session."""
    id = _id(reading, "session", places["session"])
    return _write(reading, [_record(reading, one, "session", id, source) for one in given.scores])


def give_call(reading: Reading, places: Mapping[str, str], given: GivenScores, source: Source) -> dict[str, Any]:
    """Write scores of a call."""
    id = _id(reading, "call", places["call"])
    return _write(reading, [_record(reading, one, "call", id, source) for one in given.scores])


def give(reading: Reading, places: Mapping[str, str], given: ScoresOf, source: Source) -> dict[str, Any]:
    """Write scores of sessions and calls, all or none."""
    known: dict[tuple[Kind, str], str] = {}
    records = []
    for one in given.scores:
        kind, name = _target(one)
        if (kind, name) not in known:
            known[kind, name] = _id(reading, kind, name)
        records.append(_record(reading, one, kind, known[kind, name], source))
    return _write(reading, records)


def of_form(fields: Mapping[str, str]) -> GivenScores:
    """The score that a form gives. Raises BadBody."""
    name, value, note = (fields.get(key, "").strip() for key in ("name", "value", "note"))
    most = {"name": LONGEST_NAME, "value": LONGEST_VALUE, "note": LONGEST_NOTE}
    for what, text in zip(most, (name, value, note), strict=True):
        if len(text) > most[what]:
            raise BadBody(f"the {what} has {len(text):,} characters", f"{most[what]:,} are taken at most.")
    if "take" in fields:
        return GivenScores([GivenScore(name or None)])
    if name and not value:
        raise BadBody(f"the score {name!r} has no value", "Write a number, yes or no, or a text.")
    if value and not name:
        raise BadBody("the score has no name", "Write what is scored: helpful, correct, ...")
    if not name and not note:
        raise BadBody("the note is empty", "Write one.")
    return GivenScores([GivenScore(name or None, value_of(value) if name else None, note or None)])


def value_of(text: str) -> bool | float | str:
    """The value that somebody writes: yes or no, a number, else the text."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    return float(text) if _NUMBER.fullmatch(text) and abs(float(text)) < float("inf") else text


def _target(given: ScoreOf) -> tuple[Kind, str]:
    if given.session is not None and given.call is None:
        return "session", given.session
    if given.call is not None and given.session is None:
        return "call", given.call
    raise BadBody("a score is of a session or of a call", 'Give each a "session" or a "call".')


def _id(reading: Reading, kind: Kind, name: str) -> str:
    return reading.trace.query_session_id(name) if kind == "session" else reading.trace.call(name).id


def _record(reading: Reading, given: GivenScore, kind: Kind, id: str, source: Source) -> dict[str, Any]:
    name, value = given.name, given.value
    if name is None and value is not None:
        raise BadBody("a value has no name", "Give each score a name; a note alone has neither name nor value.")
    if name is not None and (not _NAME.fullmatch(name) or name != name.strip()):
        raise BadBody(f"{name!r} cannot be the name of a score", "Leave out =, <, >, !, line ends and outer spaces.")
    if name == STAR and value not in (True, None):
        raise BadBody("a star is there, or it is not", "Give the value true, or null to take it away.")
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    return score_record(
        session=id if kind == "session" else None,
        call=id if kind == "call" else None,
        name=name,
        value=value,
        note=given.note or None,
        source=source,
        by=given.by or reading.user,
    )


def _write(reading: Reading, records: list[dict[str, Any]]) -> dict[str, Any]:
    reading.trace.annotate(records)
    return {"scores": [_written(one) for one in records]}


def _written(record: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "session", "call", "name", "value", "note", "by", "source")
    return {key: record.get(key) for key in keys} | {"time": iso(record["time"])}


def _scores_of(reading: Reading, kind: Kind, id: str) -> dict[str, Any]:
    return {kind: id, "scores": reading.trace.query_scores(kind, id)}


def _of(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


_TEXT = {"type": ["string", "null"]}
_VALUE = {"type": ["boolean", "number", "string", "null"]}
_SCORE = {
    "id": {"type": "string"},
    "time": {"type": "string"},
    "name": {**_TEXT, "description": "Null: a note alone."},
    "value": {**_VALUE, "description": "Null: of a note alone, or it was taken away."},
    "note": _TEXT,
    "by": _TEXT,
    "source": {"type": "string", "enum": ["cli", "page", "api", "rules"]},
}
SCORES = {"type": "array", "items": _of(_SCORE), "description": "Those that count, oldest first."}
WRITABLE = {"type": "boolean", "description": "The user of the page may write to the log."}
_GIVEN = _of({"scores": {"type": "array", "items": _of({"session": _TEXT, "call": _TEXT, **_SCORE})}})
_TITLE, _SAYS = "Give scores", "All are written, or none. A value of null takes a score away; a note needs no name."

PAGES = (
    Page(
        path="/api/sessions/{session}/scores",
        title="Scores of a session",
        description="Its scores, its star and its note, as they count now.",
        template="",
        data=of_session,
        schema=_of({"session": {"type": "string"}, "scores": SCORES}),
        action=Action(
            title=_TITLE, description=_SAYS, body=GivenScores, act=give_session, schema=_GIVEN, of_form=of_form,
            page_of="/sessions/{session}",
        ),
    ),
    Page(
        path="/api/calls/{call}/scores",
        title="Scores of a call",
        description="Its scores, its star and its note, as they count now.",
        template="",
        data=of_call,
        schema=_of({"call": {"type": "string"}, "scores": SCORES}),
        action=Action(
            title=_TITLE, description=_SAYS, body=GivenScores, act=give_call, schema=_GIVEN, of_form=of_form,
            page_of="/calls/{call}",
        ),
    ),
    Page(
        path="/api/scores",
        title="Names of scores",
        description="The names that scores have.",
        template="",
        data=names,
        schema=_of({"names": {"type": "array", "items": {"type": "string"}}}),
        action=Action(
            title="Give scores to sessions and calls", description=f"{_SAYS} For evaluations that run elsewhere.",
            body=ScoresOf, act=give, schema=_GIVEN,
        ),
    ),
)  # fmt: skip
