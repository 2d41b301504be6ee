"""`sessiontap score`: scores, stars and notes of sessions and calls."""

from __future__ import annotations

import json as json_reader
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import command, completes, json_option, open_trace, trace_option
from sessiontap.cli.output import line, print_notice, write, write_json
from sessiontap.units import plural

if TYPE_CHECKING:
    from sessiontap.cli.annotating import AnnotationTarget
    from sessiontap.trace import Trace
    from sessiontap.trace.annotations import Value

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


@command(
    "sessiontap score @1 helpful=0.8 correct=true",
    "sessiontap score @1/3 grade=poor --note 'it read the wrong file'",
    "sessiontap score @1 --star",
    "sessiontap score --from evaluations.jsonl",
)
@click.argument(
    "target",
    metavar="[SESSION|CALL]",
    required=False,
    help="@1 is the newest session, @1/3 a call of it; or an id.",
    shell_complete=completes("call or session"),
)
@click.argument("scores", metavar="[NAME=VALUE]...", nargs=-1, help="A number, true or false, or a text.")
@click.option("--note", metavar="TEXT", help="Why: of these scores; without any, of the session or call.")
@click.option("--star/--no-star", default=None, help="Mark it, or take the mark away.")
@click.option("--remove", metavar="NAME", multiple=True, help="Take this score away. Repeatable.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=NAMED_PATH,
    help="Read scores from JSON lines; - is stdin.",
)
@json_option
@trace_option
def score(
    target: str | None,
    scores: tuple[str, ...],
    note: str | None,
    star: bool | None,
    remove: tuple[str, ...],
    source: Path | None,
    json: bool,
    trace: Path | None,
) -> None:
    """Score a session or a call, star it, or write a note.

    A later score of the same name replaces the earlier one. With nothing but a session or call, its
    scores are shown.
    """
    from sessiontap.cli import annotating
    from sessiontap.trace.annotations import STAR

    given = [_named(one) for one in scores]
    log = open_trace(trace)
    if source is not None:
        if target is not None or remove or note is not None or star is not None or json:
            raise Misuse("--from cannot be combined with other scores or with --json", "give the file alone")
        _write_file(log, source)
        return
    if target is None:
        raise Misuse("nothing is named that could be scored", "sessiontap score @1 helpful=0.8")
    names = [*(name for name, _ in given), *remove]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Misuse(f"the score {twice!r} is given twice", "give each score once")
    meant = annotating.target(log, target)
    values: list[tuple[str | None, Value, str | None]] = [(name, value, note or None) for name, value in given]
    values += [(name, None, None) for name in remove]
    if star is not None:
        values.append((STAR, star or None, note if star and not given else None))
    elif note is not None and not given:
        values.append((None, None, note or None))
    log.annotate([_record(meant, *one) for one in values])
    _show(log, meant, json=json)


def _named(text: str) -> tuple[str, Value]:
    """The name and the value of a score. Raises Misuse."""
    name, equals, value = text.partition("=")
    if not name.strip() or not equals or not value:
        raise Misuse(f"{text!r} is no score", "write helpful=0.8, correct=true or grade=good")
    if not _is_name(name.strip()):
        raise Misuse(f"a score cannot be called {name.strip()!r}", "leave = < > ! out of it")
    return name.strip(), _value(value)


def _is_name(text: str) -> bool:
    """Return True if a filter can ask for a score of this name."""
    from sessiontap.trace.index.scores import parsed

    asked = parsed(text)
    return asked is not None and asked.operator is None


def _value(text: str) -> Value:
    from sessiontap.trace.index.scores import number

    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    known = number(text)
    if known is None:
        return text
    return int(known) if known.is_integer() and abs(known) < 2**53 else known


def _record(meant: AnnotationTarget, name: str | None, value: Value, note: str | None) -> dict[str, Any]:
    from sessiontap.cli import annotating
    from sessiontap.trace.annotations import score_record

    of: dict[str, Any] = {meant.kind: meant.id}
    return score_record(**of, name=name, value=value, note=note, source="cli", by=annotating.user())


def _show(log: Trace, meant: AnnotationTarget, *, json: bool) -> None:
    from sessiontap.cli import scores_text

    found = log.query_scores(meant.kind, meant.id)
    if json:
        ids = {"session": None, "call": None} | {meant.kind: meant.id}
        write_json(ids | {"scores": found})
        return
    write(line(f"{meant.kind} {meant.id}") + "\n")
    for one in found:
        write(line(f"  {scores_text.of_score(one)}") + "\n")
    if not found:
        print_notice(f"the {meant.kind} has no scores")


def _write_file(log: Trace, source: Path) -> None:
    """Write the scores of a file, all of them or none. Raises Failure."""
    if str(source) == "-":
        records = list(_records(sys.stdin.buffer.read(), "stdin"))
    else:
        try:
            records = list(_records(source.read_bytes(), str(source)))
        except OSError as error:
            raise Failure(
                f"{source} cannot be read: {error.strerror or error}", "name a file of JSON lines, or - for stdin"
            ) from None
    calls, sessions = (
        {record[kind]: number for number, record in records if record.get(kind)} for kind in ("call", "session")
    )
    known_calls, known_sessions = log.query_present(calls, sessions)
    for kind, named, known in (("call", calls, known_calls), ("session", sessions, known_sessions)):
        if missing := [(number, id) for id, number in named.items() if id not in known]:
            number, id = min(missing)
            text = f"line {number}: there is no {kind} {id} in {log.shown_folder}; nothing was written"
            raise Failure(text, "--from takes whole ids, as `sessiontap ls --json` and `calls --json` give them")
    log.annotate([record for _, record in records])
    write(f"{plural(len(records), 'score')} written\n")


def _records(data: bytes, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of JSON lines, with the numbers of the lines. Raises Failure."""
    from sessiontap.cli import annotating
    from sessiontap.trace.annotations import score_record

    by = annotating.user()
    for number, text in enumerate(data.splitlines(), 1):
        if not text.strip():
            continue
        try:
            score = json_reader.loads(text)
            wrong = _wrong(score)
        except (ValueError, RecursionError):
            wrong = "it is no JSON"
        if wrong is not None:
            raise Failure(
                f"{file}, line {number}: {wrong}; nothing was written",
                'a line is {"session": ID, "name": "helpful", "value": 0.8, "note": "why"}, or has "call": ID',
            )
        yield number, score_record(**score, source="api", by=by)


_KEYS = {"session", "call", "name", "value", "note"}


def _wrong(score: Any) -> str | None:
    """Say what is wrong with a line; None if nothing is."""
    if not isinstance(score, dict):
        return "it is no JSON object"
    if unknown := sorted(map(str, score.keys() - _KEYS)):
        return f"nobody knows the key {unknown[0]!r}"
    if len([key for key in ("session", "call") if score.get(key)]) != 1:
        return "it names no session and no call, or both"
    for key in ("session", "call", "name", "note"):
        if not isinstance(score.get(key), str | None):
            return f"{key!r} is no text"
    name, value = score.get("name"), score.get("value")
    if name is not None and not _is_name(name):
        return f"a score cannot be called {name!r}"
    if not isinstance(value, bool | int | float | str | None) or (isinstance(value, float) and value - value != 0):
        return "'value' is no number, no bool and no text"
    if name is None and (value is not None or score.get("note") is None):
        return "it has no 'name'"
    return None
