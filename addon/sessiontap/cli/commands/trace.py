"""`sessiontap trace`: info, verify, prune, reindex."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.filter_options import filter_options
from sessiontap.cli.options import command, group, json_option, open_trace, trace_folder, trace_option
from sessiontap.cli.output import agreed, line, print_notice, progress, write, write_json
from sessiontap.units import UNKNOWN, age, count, day_and_clock, octets, plural, size

if TYPE_CHECKING:
    from sessiontap.trace import Unreadable
    from sessiontap.trace.index.filters import Filters
    from sessiontap.trace.maintenance import Info, Pruned

INFO_EXAMPLES = ("sessiontap trace info", "sessiontap trace info --json | jq .calls")
VERIFY_EXAMPLES = ("sessiontap trace verify", "sessiontap trace verify --trace /backup/trace --json")
PRUNE_EXAMPLES = (
    "sessiontap trace prune --older-than 30d --dry-run",
    "sessiontap trace prune --max-size 500MB --yes",
    "sessiontap trace prune --session @1",
    "sessiontap trace prune --name 'Test*' --until 2026-01-01 --dry-run",
)
REINDEX_EXAMPLE = "sessiontap trace reindex"


@group(*INFO_EXAMPLES, *VERIFY_EXAMPLES, *PRUNE_EXAMPLES, REINDEX_EXAMPLE)
def trace() -> None:
    """Look after the log: its size, its soundness, old calls."""


@command(*INFO_EXAMPLES)
@json_option
@trace_option
def info(json: bool, trace: Path | None) -> None:
    """Show what the log holds and how much space it takes."""
    from sessiontap.trace import maintenance

    found = maintenance.info(trace_folder(trace))
    if json:
        write_json(_info_json(found))
    else:
        write(_info_text(found))


@command(*VERIFY_EXAMPLES)
@json_option
@trace_option
def verify(json: bool, trace: Path | None) -> None:
    """Check every record and body of the log.

    Exit status 1 says that something is damaged.
    """
    from sessiontap.trace import maintenance

    with progress("verifying") as report:
        found = maintenance.verify(trace_folder(trace), report)
    if json:
        write_json(
            {
                "segments": found.segments,
                "records": found.records,
                "bodies": found.bodies,
                "problems": [_problem(one) for one in found.problems],
            }
        )
    else:
        for one in found.problems:
            write(line(f"{one.path} at {one.offset}, {plural(one.size, 'byte')}: {one.text}") + "\n")
        read = f"{plural(found.records, 'record')} and {plural(found.bodies, 'body', 'bodies')}"
        verdict = plural(len(found.problems), "problem") if found.problems else "all sound"
        write(f"{read} in {plural(found.segments, 'segment')}: {verdict}\n")
    if found.problems:
        click.get_current_context().exit(1)


@command(*PRUNE_EXAMPLES)
@click.option(
    "--older-than", metavar="AGE", help="Remove the segments whose calls all began longer ago: 30d, 12h, a date."
)
@click.option("--max-size", metavar="SIZE", help="Remove the oldest segments until the log is no larger: 500MB, 2GB.")
@partial(filter_options, without=["without_errands"])
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
@trace_option
def prune(
    wanted: Filters,
    older_than: str | None,
    max_size: str | None,
    yes: bool,
    dry_run: bool,
    json: bool,
    trace: Path | None,
) -> None:
    """Remove old calls, or those that fit filters, from the log for good.

    Files that a proxy is writing to stay. Agents' errands are calls as all others here.
    """
    from sessiontap.cli import left_out
    from sessiontap.trace.index.filters import Filters

    wishes: dict[str, Any] = {
        "older_than": age(older_than) if older_than is not None else None,
        "max_bytes": octets(max_size) if max_size is not None else None,
    }
    chosen = wanted != Filters()
    if older_than is None and max_size is None and not chosen:
        hint = "give --older-than 30d, --max-size 500MB, --session ID or another filter"
        raise Misuse("nothing says what may go", hint)
    if yes and dry_run:
        raise Misuse("--yes and --dry-run cannot be combined", "give one of them")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise Misuse(
            "prune asks before it removes, and there is no terminal to ask on",
            "--dry-run says what would go, --yes removes it",
        )
    log = open_trace(trace)
    if wanted.session is not None:
        wanted = replace(wanted, session=log.query_session_id(wanted.session))
    wishes |= {"filters": wanted if chosen else None, "parts_of": log.parts_of}
    folder = log.folder
    done = not dry_run
    if yes:
        pruned = _prune(folder, wishes, dry_run=False)
    else:
        pruned = _prune(folder, wishes, dry_run=True)
        if not dry_run:
            done = bool(pruned.segments or pruned.rewritten) and _agreed(pruned, folder)
            pruned = _prune(folder, wishes, dry_run=False) if done else pruned
    if json:
        write_json(_pruned_json(pruned, removed=done))
    elif pruned.segments or pruned.rewritten:
        write(f"{'removed' if done else 'would remove'} {_what(pruned)}\n")
    else:
        write("nothing to remove\n")
        if chosen and older_than is None and max_size is None and not pruned.kept_live:
            left_out.tell_nothing_fits(log, wanted)
    log.close()
    if pruned.kept_live:
        text = f"{plural(len(pruned.kept_live), 'segment')} with calls that should go stay: a proxy is writing to them"
        if chosen:
            raise Failure(text, "end the proxy, or wait until it begins a new segment, and prune again")
        print_notice(text)


@command(REINDEX_EXAMPLE)
@json_option
@trace_option
def reindex(json: bool, trace: Path | None) -> None:
    """Make the index anew from the log.

    It is kept current by itself; this is for one that is in doubt.
    """
    from sessiontap.trace import maintenance

    with progress("indexing") as report:
        found = maintenance.reindex(trace_folder(trace), report)
    if json:
        write_json(_info_json(found))
    else:
        write(f"indexed {plural(found.calls, 'call')} in {plural(found.sessions, 'session')}\n")


for _command in (info, verify, prune, reindex):
    trace.add_command(_command)


def _prune(folder: Path, wishes: dict[str, Any], *, dry_run: bool) -> Pruned:
    from sessiontap.trace import maintenance

    with progress("looking" if dry_run else "pruning") as report:
        return maintenance.prune(folder, **wishes, dry_run=dry_run, progress=report)


def _agreed(pruned: Pruned, folder: Path) -> bool:
    """Ask on the terminal. Raises Failure if the answer is no."""
    if not agreed(f"This removes {_what(pruned)} from {folder}, for good.", "Remove?"):
        raise Failure("nothing was removed")
    return True


def _what(pruned: Pruned) -> str:
    whole = f"{plural(len(pruned.segments), 'segment')} as a whole" if pruned.segments else None
    parts = f"parts of {plural(len(pruned.rewritten), 'segment')}" if pruned.rewritten else None
    calls, sessions = plural(pruned.calls, "call"), plural(pruned.sessions, "whole session")
    return f"{calls}, {sessions}, {size(pruned.bytes)}: {' and '.join(filter(None, (whole, parts)))}"


def _pruned_json(pruned: Pruned, *, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "calls": pruned.calls,
        "sessions": pruned.sessions,
        "bytes": pruned.bytes,
        "segments": [str(path) for path in pruned.segments],
        "rewritten": [str(path) for path in pruned.rewritten],
        "kept_live": [str(path) for path in pruned.kept_live],
    }


def _problem(problem: Unreadable) -> dict[str, Any]:
    return {"file": str(problem.path), "offset": problem.offset, "size": problem.size, "text": problem.text}


def _info_json(found: Info) -> dict[str, Any]:
    from sessiontap.trace.values import iso

    return {
        "folder": str(found.folder),
        "bytes": found.bytes,
        "calls": found.calls,
        "sessions": found.sessions,
        "first": iso(found.first),
        "last": iso(found.last),
        "body_bytes": found.body_bytes,
        "index_bytes": found.index_bytes,
        "problems": found.problems,
        "segments": [
            {
                "file": str(one.path),
                "bytes": one.size,
                "plain_bytes": one.plain_size,
                "live": one.live,
                "readable": one.readable,
                "started": iso((one.header or {}).get("started")),
                "writer": (one.header or {}).get("writer"),
            }
            for one in found.segments
        ],
    }


def _info_text(found: Info) -> str:
    live = sum(one.live for one in found.segments)
    segments = plural(len(found.segments), "segment") + (f", {live} being written" if live else "")
    known = found.first is not None and found.last is not None
    fraction = f", {found.body_bytes / found.bytes:.1f} times the log" if found.body_bytes and found.bytes else ""
    lines = {
        "folder": str(found.folder),
        "log": f"{size(found.bytes)} in {segments}",
        "index": size(found.index_bytes),
        "calls": f"{count(found.calls)} in {plural(found.sessions, 'session')}",
        "from": day_and_clock(found.first) if known and found.first is not None else UNKNOWN,
        "to": day_and_clock(found.last) if known and found.last is not None else UNKNOWN,
        "bodies": f"{size(found.body_bytes)} as they went by{fraction}",
        "problems": f"{found.problems}: sessiontap trace verify names them" if found.problems else "none",
    }
    return "".join(f"{title:<10}{line(text)}\n" for title, text in lines.items())
