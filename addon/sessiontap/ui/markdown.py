"""`export --format markdown`: a conversation as Markdown. What was said stands in fences, and is text there, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from sessiontap.export.exported_call import ExportedCall
from sessiontap.plain_text import line, safe
from sessiontap.ui.document import DocumentSession, sessions
from sessiontap.ui.rendering import score_line
from sessiontap.units import count, dollars, duration, moment, plural, size

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#!|~&])")


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """Write the document. Raises OSError of `out`."""
    for one in sessions(calls):
        for text in _session(one):
            out.write(text.encode("utf-8", "backslashreplace"))


def _session(session: DocumentSession) -> Iterator[str]:
    yield f"# {_plain(session.name or session.id or 'Calls without a session')}\n\n"
    facts = [
        moment(session.started),
        plural(len(session.calls), "call"),
        f"{count(session.input_tokens)} tokens in, {count(session.output_tokens)} out",
        dollars(session.cost_usd),
    ]
    yield ", ".join(_plain(fact) for fact in facts) + "\n\n"
    yield from _scores(session.scores)
    agents = {lane["number"]: lane for lane in session.lanes}
    for call in session.calls:
        yield from _call(call, agents[call["lane"]], session.call_scores.get(call["id"], ()))


def _scores(scores: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A list of scores, stars and notes; nothing if there are none."""
    lines = [_plain(score_line(one)) for one in scores]
    if lines:
        yield "".join(f"- {one}\n" for one in lines) + "\n"


def _call(call: Mapping[str, Any], lane: Mapping[str, Any], scores: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    step = "-" if call["step"] is None else str(call["step"])
    agent = f"{lane['agent'] or 'sub-agent'}, " if lane["depth"] else ""
    mark = f", {call['mark']}" if call["mark"] else ""
    heading = f"{agent}{call['model'] or '-'}, {duration(call['duration'])}{mark}"
    yield f"{'#' * min(2 + lane['depth'], 6)} {step}: {_plain(heading)}\n\n"
    yield from _scores(scores)
    for part in (*call["new_parts"], *call["reply"]):
        yield from _part(part)
    if call["failed"]:
        error = call["error"] or {}
        reason = ": ".join(filter(None, (call["outcome"], error.get("type"), error.get("message"))))
        yield f"**failed:** {_plain(reason)}\n\n"


def _part(part: Mapping[str, Any]) -> Iterator[str]:
    kind = part["kind"]
    if kind == "tool_definition":
        names = ", ".join(name or "?" for name in part["names"])
        yield f"*{plural(len(part['names']), 'tool')}:* {_plain(names)} ({size(part['bytes'])})\n\n"
        return
    who = {"tool_call": "→", "tool_result": "←", "text": part["role"] or "user", "system": "system prompt"}.get(
        kind, kind
    )
    name = f" {_plain(part['name'])}" if part["name"] else ""
    error = ", an error" if part["error"] else ""
    yield f"**{_plain(who)}{name}**{error}\n\n"
    text = part["words"] or part["shown"] or part["text"]
    if text is None:
        yield f"({size(part['bytes'])})\n\n"
    elif text:
        yield from _fenced(text)


def _fenced(text: str) -> Iterator[str]:
    """A text between fences that are longer than all that stand in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text\n{safe(text)}\n{fence}\n\n"


def _plain(text: str) -> str:
    """Recorded text on one line, in which no character means anything to Markdown."""
    return _SPECIAL.sub(r"\\\1", line(text))
