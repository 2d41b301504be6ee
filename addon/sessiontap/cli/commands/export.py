"""`sessiontap export`: calls in formats of other tools."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.filter_options import filter_options
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import command, completes, open_trace, rules_option, trace_option
from sessiontap.cli.output import (
    JsonOnTerminal,
    Progress,
    ReaderGone,
    flush,
    line,
    may_overwrite,
    print_notice,
    progress,
    write,
)
from sessiontap.export import FORMATS

if TYPE_CHECKING:
    from sessiontap.cli.call_costs import Costs
    from sessiontap.export import ExportFormat
    from sessiontap.export.exported_call import ExportedCall
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.segment import Place

SHOWN = 3
"""Damaged bodies that are named."""
_OBJECT_STORE = re.compile(r"[a-z][a-z0-9+]+:/")
"""The beginning of an address such as s3://BUCKET, as a path has it."""
REDACTED = "[redacted]"
"""In the place of what `--redact` finds."""


@command(
    "sessiontap export --format jsonl | jq -r .request.body",
    "sessiontap export --format har @1 -o session.har",
    "sessiontap export --format html @1 --preview",
    "sessiontap export --format html @1/0..@1/1 --redact 'acme-[a-z]+' -o session.html",
    "sessiontap export --format flow --since 1h --error -o failed.flow && mitmweb -r failed.flow",
    "sessiontap export --format parquet -o calls.parquet",
)
@click.option(
    "--format",
    "-f",
    metavar="FORMAT",
    required=True,
    type=click.Choice(list(FORMATS)),
    help="; ".join(f"{name}: {one.summary}" for name, one in FORMATS.items()) + ".",
)
@click.argument(
    "sessions",
    metavar="[SESSION|CALL..CALL]...",
    nargs=-1,
    shell_complete=completes("session"),
    help="Export only these: ids, prefixes of them, or @1, @2; or calls of a session: @1/3..@1/9.",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=NAMED_PATH,
    help="The private file to write, or - for stdout; of Parquet also a folder, whose name has no dot.",
)
@click.option("--preview", is_flag=True, help="Write nothing: list what would leave, by counts, names and sizes.")
@click.option(
    "--redact",
    metavar="PATTERN",
    multiple=True,
    help="Replace what this regular expression (RE2) finds, in every text. Repeatable.",
)
@click.option(
    "--no-content", is_flag=True, help="Leave out what was said: bodies, errors, properties, notes, command lines."
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it is there, without asking.")
@partial(filter_options, without=["without_errands"])  # an export leaves out nothing
@rules_option
@trace_option
def export(
    format: str,
    sessions: tuple[str, ...],
    output: Path | None,
    preview: bool,
    redact: tuple[str, ...],
    no_content: bool,
    force: bool,
    wanted: Filters,
    rules: Path | None,
    trace: Path | None,
) -> None:
    """Write calls with their bodies in a format of other tools.

    The oldest comes first. Bodies are written as the log has them: decoded, with credentials redacted.

    Exit status 1 says that a body could not be read any more; the rest of its call is written.
    """
    from sessiontap.cli.call_costs import Costs

    chosen = FORMATS[format]
    change = _redaction(redact)
    to_stdout = output is None or str(output) == "-"
    if output is not None and _OBJECT_STORE.match(str(output)):
        raise Misuse(
            f"an export is written to this machine, and {output.parts[0]} is an object store",
            "give a path, or add calls to it by: sessiontap push parquet --to ADDRESS",
        )
    if to_stdout and not chosen.is_text and sys.stdout.isatty():
        raise Misuse(f"{chosen.name} cannot be shown on a terminal", f"write it to a file: -o calls.{chosen.name}")
    to_folder = output is not None and chosen.folder is not None and (output.is_dir() or not output.suffix)
    if output is not None and not to_stdout and not to_folder and not force and not preview:
        may_overwrite(output)
    costs = Costs.by(rules)
    log = open_trace(trace)
    with progress("reading the trace") as log.progress:
        places = _places(log, sessions, wanted)
    log.progress = None
    if preview:
        from sessiontap.export.leaving import leaving_text

        with progress("reading calls") as report:
            calls = _Calls(log, places, costs, report, change, no_content, chosen.has_bodies)
            summary = leaving_text(calls)
        write(summary)
        return
    with progress("exporting") as report:
        calls = _Calls(log, places, costs, report, change, no_content, chosen.has_bodies)
        _write(chosen, calls, None if to_stdout else output, to_folder)
    _tell(log, calls, None if to_stdout else output, wanted)


def _write(chosen: ExportFormat, calls: _Calls, output: Path | None, to_folder: bool) -> None:
    """Raises Failure if a package is missing or the output cannot be written, ReaderGone."""
    try:
        if output is not None and to_folder:
            write = chosen.load_folder()
            with _new_folder(output / str(chosen.folder)) as folder:
                write(calls, folder)
        else:
            write_file = chosen.load()
            with _stdout() if output is None else _file(output) as out:
                write_file(calls, out)
    except ModuleNotFoundError as error:
        if chosen.package is None:
            raise
        raise Failure(
            f"{chosen.name} needs a package that is not installed: {error.name}",
            f"pip install '{chosen.package}'",
            status=2,
        ) from None


def _redaction(patterns: tuple[str, ...]) -> Callable[[str], str] | None:
    """The change that `--redact` asks for. Raises Misuse."""
    from sessiontap.linear_regex import Regex, RegexError

    found = []
    for pattern in patterns:
        if not pattern:
            raise Misuse("the pattern of --redact is empty", "write a regular expression in the syntax of RE2")
        try:
            found.append(Regex(pattern))
        except RegexError as error:
            raise Misuse(f"--redact {pattern!r}: {error.what}", f"write {error.expected}") from None

    def change(text: str) -> str:
        for one in found:
            text = one.replaced(text, REDACTED)
        return text

    return change if found else None


def _places(log: Trace, named: tuple[str, ...], wanted: Filters) -> list[Place]:
    """The places of the calls that are named and fit, oldest first. Raises TraceError, Misuse."""
    slices = [name.partition("..") for name in named if ".." in name]
    whole = [log.query_session_id(name) for name in named if ".." not in name]
    places = log.query_places(wanted, whole) if whole or not slices else []
    for first, _, last in slices:
        places += _slice(log, first, last, wanted)
    return list(dict.fromkeys(places))


def _slice(log: Trace, first: str, last: str, wanted: Filters) -> list[Place]:
    """The calls of a session from one to another, by time."""
    ends = [log.call(name) for name in (first, last)]
    session = ends[0].session_id
    if session is None or ends[1].session_id != session:
        raise Misuse(f"{first} and {last} are not of one session", "name two calls of a session: @1/3..@1/9")
    ids = [row["id"] for row in log.query_links(session)]
    from_, to = sorted(ids.index(one.id) for one in ends)
    fitting = set(log.query_places(wanted, [session]))
    return [place for id in ids[from_ : to + 1] if (place := log.place(id)) in fitting]


class _Calls:
    """The calls at these places, read when they are asked for, and what was wrong with them."""

    def __init__(
        self,
        log: Trace,
        places: list[Place],
        costs: Costs,
        report: Progress,
        change: Callable[[str], str] | None,
        no_content: bool,
        has_bodies: bool,
    ) -> None:
        self._has_bodies = has_bodies
        self._log = log
        self._places = places
        self._costs = costs
        self._report = report
        self._change = change
        self._no_content = no_content
        self.number = 0
        self.damage: list[str] = []
        self._scored = log.query_scored()
        self._session_scores: tuple[str | None, list[dict[str, Any]]] = None, []
        """The latest session, and its scores."""

    @property
    def missing(self) -> int:
        """The number of calls that went away, with their segments, since they were looked up."""
        return len(self._places) - self.number

    def __iter__(self) -> Iterator[ExportedCall]:
        from sessiontap.export.exported_call import export_call, with_scores
        from sessiontap.export.leaving import redacted, without_content

        for call in self._log.calls_at(self._places_reported()):
            one = export_call(call, self._costs.in_trace, bodies=self._has_bodies)
            if self._scored:
                one = with_scores(one, self._scores("call", call.id), self._scores_of_session(call.session_id))
            self.number += 1
            self.damage += one.damage
            one = without_content(one) if self._no_content else one
            yield redacted(one, self._change) if self._change is not None else one

    def _scores(self, kind: Literal["session", "call"], id: str) -> list[dict[str, Any]]:
        return self._log.query_scores(kind, id) if (kind, id) in self._scored else []

    def _scores_of_session(self, id: str | None) -> list[dict[str, Any]]:
        if id is None:
            return []
        if self._session_scores[0] != id:
            self._session_scores = id, self._scores("session", id)
        return self._session_scores[1]

    def _places_reported(self) -> Iterator[Place]:
        for done, place in enumerate(self._places):
            self._report(done, len(self._places))
            yield place


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    """Raises ReaderGone."""
    try:
        flush()
        yield JsonOnTerminal() if sys.stdout.isatty() else sys.stdout.buffer  # type: ignore[misc]
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


@contextmanager
def _file(output: Path) -> Iterator[BinaryIO]:
    from sessiontap.cli.output import out_file

    with out_file(output) as file:
        yield file


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that is written under another name beside it. Raises Failure if it is there or cannot be written."""
    import shutil
    import tempfile

    from sessiontap import private

    if folder.exists():
        raise Failure(f"{folder} is there already", "name another folder with -o FOLDER")
    try:
        private.make(folder.parent)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield beside
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise Failure(
            f"{folder} cannot be written: {error.strerror or error}", "name another folder with -o FOLDER"
        ) from None


def _tell(log: Trace, calls: _Calls, output: Path | None, wanted: Filters) -> None:
    """Say on stderr what was written and what is missing. Raises Failure if bodies could not be read."""
    from sessiontap.cli import gaps, left_out
    from sessiontap.units import plural

    if not calls.number:
        left_out.tell_nothing_fits(log, wanted)
        print_notice("the export is empty")
    elif output is not None:
        print_notice(f"{plural(calls.number, 'call')} in {output}")
    if gone := calls.missing:
        print_notice(
            f"{plural(gone, 'call')} went away with {'its' if gone == 1 else 'their'} segment meanwhile"
        )
    lost = gaps.lost(log.notes(wanted.since))
    damaged = gaps.damaged(log.problems)
    for text in (*lost, *damaged, *calls.damage[:SHOWN]):
        print_notice(line(text))
    if calls.damage:
        bodies = plural(len(calls.damage), "body", "bodies")
        raise Failure(f"{bodies} could not be read", "the export has the rest of these calls, and says why")
