"""`sessiontap relabel`: calls and sessions seen otherwise from now on, and that undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.filter_options import CHANGED_BY_RELABEL, filter_options, renamed_filters
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import command, completes, json_option, open_trace, trace_option
from sessiontap.cli.output import line, print_notice, progress, write, write_json, write_json_lines
from sessiontap.units import plural

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters

Record = dict[str, Any]
MOST_LINES = 20
"""Labels that are told one by one."""
_NO_CHANGE = "nothing says what is to change"


@command(
    "sessiontap relabel @1 --name 'Course, second try'",
    "sessiontap relabel @2 --merge-into @1",
    "sessiontap relabel @1/3 @1/4 --split --name Review",
    "sessiontap relabel --process 'eval*' --tag evaluation --dry-run",
    "sessiontap relabel --rules new.yaml --since 1d --dry-run",
    "sessiontap relabel --undo last",
)
@click.argument(
    "targets",
    metavar="[SESSION|CALL]...",
    nargs=-1,
    help="@1 is the newest session, @1/3 a call of it; or ids. Without any, filters choose calls.",
    shell_complete=completes("call or session"),
)
@click.option("--name", metavar="NAME", help="The name of their session.")
@click.option("--path", metavar="PATH", help="Their path in it.")
@click.option("--property", "properties", metavar="K=V", multiple=True, help="A property. Repeatable.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag. Repeatable.")
@click.option(
    "--merge-into",
    metavar="SESSION",
    help="The session that they are moved to.",
    shell_complete=completes("session"),
)
@click.option("--split", is_flag=True, help="Move them to a session of their own.")
@click.option(
    "--rules",
    metavar="FILE",
    type=NAMED_PATH,
    help="As these rules would have decided (sessiontap rules test).",
)
@click.option("--undo", metavar="LABEL|last", help="Take back what a label, or the last relabelling, has changed.")
@click.option("--list", "listed", is_flag=True, help="List the labels.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@partial(filter_options, without=CHANGED_BY_RELABEL)
@renamed_filters
@json_option
@trace_option
def relabel(
    wanted: Filters,
    targets: tuple[str, ...],
    rules: Path | None,
    undo: str | None,
    listed: bool,
    dry_run: bool,
    json: bool,
    trace: Path | None,
    **changes: Any,
) -> None:
    """Name, move, split or tag calls and sessions afterwards.

    The records of calls stay as they are; a label says how they are seen, and can be undone. A label of a session is
    for its later calls, too.
    """
    chosen = _choose(wanted)
    changed = any(changes.values())
    if rules is not None and (targets or changed):
        raise Misuse("--rules says what is to change, and filters of which calls", "leave the rest out")
    others = targets or changed or chosen or rules is not None or (listed and undo is not None)
    if (listed or undo is not None) and others:
        raise Misuse(f"{'--list' if listed else '--undo'} cannot be combined with others", "give it alone")
    log = open_trace(trace)
    if listed:
        _list(log, json=json)
        return
    if rules is not None:
        records, message = _by_rules(log, rules, wanted, dry_run=dry_run)
    elif undo is not None:
        records = _undoing(log, undo)
        message = f"{'would undo' if dry_run else 'undone'}: {', '.join(record['undoes'] for record in records)}"
    else:
        if not changed:
            raise Misuse(_NO_CHANGE, "--name, --path, --merge-into, --split, --property, --tag")
        if not targets and not chosen:
            raise Misuse("nothing says what is to be relabelled", "name a session or calls, or give a filter")
        record, what = _label(log, targets, wanted, changes)
        records = [record]
        message = f"{'would relabel' if dry_run else 'relabelled'} {what}: {changes_of(record)}"
    if not dry_run:
        log.annotate(records)
    if json:
        write_json_lines(row_of(record, counts=not dry_run) for record in records)
        return
    write("".join(line(text) + "\n" for text in message.splitlines()))
    if not dry_run and records:
        print_notice(f"`sessiontap relabel --undo {records[0]['id']}` takes it back")


def row_of(label: Mapping[str, Any], *, counts: bool) -> Record:
    """A label as `relabel --json` and `relabel --list --json` print it."""
    from sessiontap.trace.values import iso

    keys = ("id", "by", "source", "batch", "undoes", "sessions", "calls", "session", "name", "path")
    row = {key: label.get(key) for key in keys}
    more = {"properties": label.get("properties") or {}, "tags": label.get("tags") or [], "counts": counts}
    return row | {"time": iso(label["time"])} | more


def changes_of(label: Mapping[str, Any]) -> str:
    """The changes of a label: `name 'Course', into session 5f3a9c21, mode=test, tag nightly`."""
    changes = [f"{key} {label[key]!r}" for key in ("name", "path") if label.get(key) is not None]
    if label.get("session"):
        changes.append(f"into session {label['session']}")
    changes += [f"{key}={value}" for key, value in (label.get("properties") or {}).items()]
    changes += [f"tag {tag}" for tag in label.get("tags") or ()]
    if label.get("steps"):
        changes.append("shared steps in place of local ones")
    if label.get("undoes"):
        changes.append(f"undoes {label['undoes']}")
    return ", ".join(changes)


def _label(
    log: Trace, targets: Sequence[str], wanted: Filters, changes: Mapping[str, Any]
) -> tuple[Record, str]:
    """The label that is asked for, and what it is for, in words. Raises Failure."""
    from sessiontap.cli import annotating
    from sessiontap.trace.annotations import label_record, new_session_id

    meant = [annotating.target(log, one) for one in targets]
    sessions = [one.id for one in meant if one.kind == "session"]
    calls = [one.id for one in meant if one.kind == "call"]
    if _choose(wanted):
        if calls:
            raise Misuse("a call is named, and filters choose others", "give the one or the other")
        calls, sessions = _fitting(log, wanted, sessions), []
        if not calls:
            from sessiontap.cli import left_out

            left_out.tell_nothing_fits(log, wanted)
            raise Failure("nothing was relabelled")
    if changes["split"] and (sessions or changes["merge_into"]):
        raise Misuse("--split moves calls to a session of their own", "name calls, or choose some by filters")
    name, into = changes["name"], None
    if changes["merge_into"] is not None:
        into = log.query_session_id(changes["merge_into"])
        if into in sessions:
            raise Misuse("a session cannot be merged into itself", "`sessiontap ls` lists the others")
        name = name if name is not None else _name_of(log, into)
    if not all(changes["tags"]):
        raise Misuse("a tag is empty", "write --tag nightly")
    path = None
    if changes["path"]:
        from sessiontap.rules.set_keys import path_of

        path = path_of([(changes["path"], False)])  # as the rules write one
    _refuse_nameless(log, calls, into is not None or changes["split"], name, path)
    label = label_record(
        sessions=sessions,
        calls=calls,
        name=name,
        path=path,
        session=into,
        properties=_properties(changes["properties"]),
        tags=changes["tags"],
        source="cli",
        by=annotating.user(),
    )
    if changes["split"]:
        label["session"] = new_session_id(label)
    what = [plural(len(some), kind) for some, kind in ((sessions, "session"), (calls, "call")) if some]
    return label, " and ".join(what)


def _by_rules(log: Trace, rules: Path, wanted: Filters, *, dry_run: bool) -> tuple[list[Record], str]:
    """The labels by which the log is seen as these rules would have decided, and what is said of them."""
    from sessiontap.backtest.relabelling import Relabellings
    from sessiontap.backtest.report import compare_log
    from sessiontap.cli import annotating, rules_files
    from sessiontap.trace.annotations import label_record

    found = Relabellings()
    loaded = rules_files.load(rules_files.named(None, rules))
    report = compare_log(log, loaded, replace(wanted, without_errands=False), [found.add])
    records: list[Record] = []
    for one, calls in found.groups(report.sessions):
        records.append(
            label_record(
                calls=calls,
                name=one.name,
                path=one.path,
                session=one.session,
                properties=dict(one.properties),
                tags=one.tags,
                batch=records[0]["id"] if records else None,
                source="rules",
                by=annotating.user(),
            )
        )
    done = "would relabel" if dry_run else "relabelled"
    lines = [f"{done} {plural(len(one['calls']), 'call')}: {changes_of(one)}" for one in records]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} more labels: --json has them"]
    if not records:
        lines = ["nothing is to be relabelled"]
    if report.uncertain:
        lines.append(f"left as they are: {plural(report.uncertain, 'call')} of which something is unknown")
    if found.left:
        fields = ", ".join(f"{name} ({plural(number, 'call')})" for name, number in found.left.items())
        lines.append(f"left as recorded, since labels do not change it: {fields}")
    return records, "\n".join(lines)


def _choose(wanted: Filters) -> bool:
    """Return True if filters choose among calls; leaving errands out is no choice."""
    from sessiontap.trace.index.filters import given

    return bool(given(replace(wanted, without_errands=False)))


def _fitting(log: Trace, wanted: Filters, sessions: Sequence[str]) -> list[str]:
    """The ids of the calls that fit, of these sessions if there are any."""
    within = [replace(wanted, session=one) for one in sessions] or [wanted]
    with progress("reading the trace") as log.progress:
        return [row["id"] for one in within for row in chain.from_iterable(log.each_call(one))]


def _name_of(log: Trace, session: str) -> str | None:
    from sessiontap.trace.index.filters import Filters

    rows = log.query_sessions(Filters(session=session))
    return next((row["name"] for row in rows if row["id"] == session), None)


def _refuse_nameless(log: Trace, calls: Sequence[str], moved: bool, name: str | None, path: str | None) -> None:
    """Raises Misuse if calls without a session are to have a name or path, which are a session's."""
    if moved or not calls or (name is None and path is None):
        return
    if all(call.session_id is None for call in map(log.call, calls)):
        raise Misuse("the calls have no session that could have a name or path", "add --split or --merge-into SESSION")


def _properties(given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [key + equals for key, equals, _ in pairs if not key or not equals]:
        raise Misuse(f"--property {wrong[0]!r} gives no value", "write --property mode=test")
    return {key: value for key, _, value in pairs}


def _undoing(log: Trace, asked: str) -> list[Record]:
    """The labels that undo what `asked` names: a label, those of its batch, or the last relabelling. Raises Failure."""
    from sessiontap.cli import annotating
    from sessiontap.trace.annotations import label_record

    labels = log.labels
    if asked == "last":
        made = [label for label in labels.in_force if label.get("source") != "store"]
        if not made:
            raise Failure("there is no label that could be undone")
        asked = made[-1].get("batch") or made[-1]["id"]
    ids = {label["id"] for label in labels.all} | {label["batch"] for label in labels.all if label.get("batch")}
    found = {id for id in ids if id.startswith(asked.lower())}
    if asked in found:
        found = {asked}
    if len(found) != 1:
        text = "no label's id begins with" if not found else "more than one label's id begins with"
        raise Failure(f"{text} {asked!r}", "`sessiontap relabel --list` lists them")
    chosen = [label for label in labels.all if found & {label["id"], label.get("batch")}]
    undone = sorted((label for label in chosen if labels.counts(label)), key=lambda label: label["time"])
    if not undone:
        raise Failure(f"label {min(found)} is undone already", "undo the label that undoes it, to have it again")
    records = [label_record(undoes=label["id"], source="cli", by=annotating.user()) for label in undone]
    for record in records[1:]:
        record["batch"] = records[0]["id"]
    return records


def _list(log: Trace, *, json: bool) -> None:
    """Print the labels, the oldest first."""
    from sessiontap.cli import table
    from sessiontap.cli.table import Column, Row
    from sessiontap.trace.values import iso
    from sessiontap.units import UNKNOWN, moment

    labels = log.labels
    every = sorted(labels.all, key=lambda label: (label["time"], label["id"]))
    if json:
        for label in every:
            write_json(row_of(label, counts=labels.counts(label)))
        return
    if not every:
        print_notice(f"there are no labels in {log.shown_folder}")
        return
    columns = (
        Column("ID", style="cyan"),
        Column("TIME", optional=True),
        Column("BY", optional=True),
        Column("FOR", shrinks=True, least=16),
        Column("CHANGES", shrinks=True, least=20),
        Column("STATE"),
    )
    rows = [
        Row([
            label["id"],
            moment(iso(label["time"]) or ""),
            label.get("by") or UNKNOWN,
            _for(label),
            changes_of(label),
            "" if labels.counts(label) else "undone",
        ])
        for label in every
    ]  # fmt: skip
    table.show(columns, rows)


def _for(label: Mapping[str, Any]) -> str:
    found = [(kind, label.get(f"{kind}s") or ()) for kind in ("session", "call")]
    phrases = [f"{kind} {some[0]}" if len(some) == 1 else plural(len(some), kind) for kind, some in found if some]
    return " and ".join(phrases)
