"""A session as a tree of paths with its calls, from the value that `show --json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessiontap.cli import characters, scores_text, table
from sessiontap.cli.listing import FAILED, SCORES, cost, failed, model, result, took
from sessiontap.cli.output import line
from sessiontap.cli.table import Column, Row
from sessiontap.units import (
    UNKNOWN,
    count,
    dollars,
    dollars_by_part,
    duration,
    elapsed,
    moment,
    plural,
    short_count,
    tokens_in,
)

COLUMNS = (
    Column("PATH AND CALLS", shrinks=True, least=28),
    Column("ID", style="cyan", most=24, cut="middle"),
    Column("DURATION", right=True, short_title="TOOK"),
    Column("IN", right=True, optional=True, shorter=short_count),
    Column("OUT", right=True, optional=True, shorter=short_count),
    Column("COST", right=True),
    Column("RESULT", shrinks=True, wish=16),
)
VALUES = 5
"""Values of a property that are named."""


def heading(shown: Mapping[str, Any]) -> str:
    """The facts of the session in a few lines, from the value that `show --json` prints."""
    session = shown["session"]
    errors = f", {plural(session['errors'], 'error')}" if session["errors"] else ""
    tokens = f"{tokens_in(session['input_tokens'])}, {count(session['output_tokens'])} out"
    facts = [
        ("title", session["title"] or ""),
        ("session", session["id"]),
        ("started", f"{moment(session['started'])}, {session['status']}"),
        ("calls", f"{session['calls']:,}{errors} in {duration(session['duration'])}, {tokens}"),
        ("errands", _errands(session, shown["calls"])),
        ("in flight", _in_flight(session)),
        ("cost", _cost(session)),
        *(("" if number else "unknown", text) for number, text in enumerate(_unknown(shown["cost_unknown"]))),
        ("last reply", session["last_reply"] or ""),
        ("models", ", ".join(session["models"] or ())),
        ("processes", ", ".join(session["processes"] or ())),
        ("agents", ", ".join(session["agents"] or ())),
        ("users", ", ".join(session["users"] or ())),
        ("tags", ", ".join(session["tags"] or ())),
        ("properties", ", ".join(f"{key}={_values(values)}" for key, values in (shown["properties"] or {}).items())),
        ("scores", scores_text.of_session(session)),
        ("note", session["note"] or ""),
    ]
    lines = [session["name"] or UNKNOWN, *(f"  {title:<11}{text}" for title, text in facts if text)]
    return "".join(characters.shown(line(one)) + "\n" for one in lines)


def _errands(session: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> str:
    """How many errands the session's agent made; `--all` is named if they are not shown."""
    if not session["errands"]:
        return ""
    hidden = "" if any(call["errand"] for call in calls) else "; --all shows them"
    return f"{session['errands']:,} of its agent (settings, telemetry, ...), not counted{hidden}"


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree: a path's node of `show --json`, or a call's row. `lead` stands before it."""

    lead: str
    node: Mapping[str, Any] = field(default_factory=dict)
    above: str = ""
    """The path of the node that this one is under."""
    call: Mapping[str, Any] | None = None

    @property
    def label(self) -> str:
        """The path as it goes on from the one above, or the call's step, operation and model."""
        if self.call is None:
            return self.lead + str(self.node["path"])[len(self.above) if self.above != "/" else 0 :]
        step = UNKNOWN if self.call["step"] is None else str(self.call["step"])
        return f"{self.lead}{step} {self.call['operation'] or 'call'} {model(self.call)}"


def branches(shown: Mapping[str, Any]) -> list[Branch]:
    """A line for each path and each call, in the order of their first calls."""
    by_path = _by_path(shown)
    known = {node["path"] for node in _nodes(shown["tree"])}
    found = [branch for root in shown["tree"] for branch in _folder(root, "", "", "", by_path)]
    return found + [Branch("", call=call) for path, calls in by_path.items() if path not in known for call in calls]


def rows(shown: Mapping[str, Any], short: Mapping[str, str]) -> list[Row]:
    """The tree as rows of a table; `short`: id -> what is shown of it."""
    return [
        _folder_row(branch) if branch.call is None else _call_row(branch, branch.call, short)
        for branch in branches(shown)
    ]


def show(shown: Mapping[str, Any], short: Mapping[str, str]) -> None:
    """Print the tree."""
    lines = rows(shown, short)
    if not scores_text.any_of(shown["calls"]):
        table.show(COLUMNS, lines)
        return
    scores = ["" if one.call is None else scores_text.of_call(one.call) for one in branches(shown)]
    scored = [Row([*one.cells, score], one.style) for one, score in zip(lines, scores, strict=True)]
    table.show((*COLUMNS, SCORES), scored)


def _by_path(shown: Mapping[str, Any]) -> dict[str | None, list[Mapping[str, Any]]]:
    by_path: dict[str | None, list[Mapping[str, Any]]] = {}
    for call in sorted(shown["calls"], key=lambda call: str(call["time"])):
        by_path.setdefault(call["path"], []).append(call)
    return by_path


def _folder(
    node: Mapping[str, Any],
    above: str,
    lead: str,
    below: str,
    by_path: Mapping[str | None, Sequence[Mapping[str, Any]]],
) -> Iterator[Branch]:
    """`above` is the parent's path; `lead` stands before this line, `below` before those under it."""
    yield Branch(lead, node, above)
    inside: list[tuple[str, Mapping[str, Any], bool]] = [
        *((call["time"], call, True) for call in by_path.get(node["path"], ())),
        *((child["started"] or "", child, False) for child in node["children"]),
    ]
    inside.sort(key=lambda item: item[0])
    for index, (_, item, is_call) in enumerate(inside):
        branch, trunk = ("└─ ", "   ") if index == len(inside) - 1 else ("├─ ", "│  ")
        if is_call:
            yield Branch(below + branch, call=item)
        else:
            yield from _folder(item, node["path"], below + branch, below + trunk, by_path)


def _folder_row(branch: Branch) -> Row:
    node = branch.node
    errors = f", {plural(node['errors'], 'error')}" if node["errors"] else ""
    return Row(
        [
            branch.label,
            "",
            duration(node["duration"]),
            count(node["input_tokens"]),
            count(node["output_tokens"]),
            cost(node["cost_usd"], node["cost_unknown_calls"]),
            _calls(node) + errors,
        ],
        "bold",
    )


def _calls(node: Mapping[str, Any]) -> str:
    running = f"{node['calls_in_flight']:,} running" if node["calls_in_flight"] else ""
    ended = plural(node["calls"], "call") if node["calls"] or not running else ""
    return ", ".join(filter(None, (ended, running)))


def _in_flight(session: Mapping[str, Any]) -> str:
    number = session["calls_in_flight"]
    if not number:
        return ""
    return f"{plural(number, 'call')}, the first for {duration(elapsed(session['in_flight_since']))}"


def _call_row(branch: Branch, call: Mapping[str, Any], short: Mapping[str, str]) -> Row:
    usage = call["usage"] or {}
    return Row(
        [
            branch.label,
            short.get(call["id"], call["id"]),
            took(call),
            count(usage.get("input")),
            count(usage.get("output")),
            dollars(call["cost_usd"]),
            result(call),
        ],
        FAILED if failed(call) else "",
    )


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        yield node
        yield from _nodes(node["children"])


def _cost(session: Mapping[str, Any]) -> str:
    unknown = session["cost_unknown_calls"]
    if session["cost_usd"] is None:
        return "unknown" if unknown else ""
    left_out = f", without {plural(unknown, 'call')} of unknown cost" if unknown else ""
    amounts = dollars_by_part(session["cost_parts"])
    return cost(session["cost_usd"], unknown) + left_out + (f" ({amounts})" if amounts else "")


def _unknown(reasons: Mapping[str, int]) -> list[str]:
    """Why costs are unknown, a line for each reason, the most frequent first."""
    return [f"{plural(number, 'call')}: {why}" for why, number in reasons.items()]


def _values(values: Sequence[Any]) -> str:
    """All values of a property, or the first and how many more there are."""
    more = [f"{len(values) - VALUES} more"] if len(values) > VALUES else []
    return "|".join([*map(str, values[:VALUES]), *more])
