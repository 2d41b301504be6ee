"""A session as a conversation for a person: who said what, call by call; folded to lines unless all is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from sessiontap.analysis.conversation import AgentConversation, ReadCall, ShownPart
from sessiontap.cli.characters import ellipsis
from sessiontap.cli.output import line
from sessiontap.cli.table import cut
from sessiontap.llm.pick import parse
from sessiontap.units import duration, plural, size

Line = tuple[str, str]
"""A line and its style."""

LABEL = 11
"""The width of the column that says who speaks."""
SHOWN = 30
"""Lines of a text that are shown."""
LONGEST = 100
"""Characters of what is folded to a line."""
_LONGEST_ARGUMENT = 48
_NAMED = 6
"""Tools that are named of those that are offered."""
_FOLDED, _FAILED, _USER, _TOOL, _CALL = "dim", "red", "bold cyan", "yellow", "dim"
_BESIDE = {"auxiliary": "beside the conversation", "retry": "a retry", "compaction": "after a compaction"}
_RAIL = "│ "


def lines(found: Sequence[AgentConversation], *, full: bool = False) -> Iterator[Line]:
    """The lines of a session's conversations. `full`: nothing is folded or cut."""
    steps = {call.id: _name(call) for one in found for call in _calls(one)}
    for number, one in enumerate(found):
        if number:
            yield "", ""
        yield from _conversation(one, steps, full)


def has_words(found: Sequence[AgentConversation]) -> bool:
    """Return True if anything of what was said is recorded."""
    return any(call.new_parts or call.reply for one in found for call in _calls(one))


def _calls(one: AgentConversation) -> Iterator[ReadCall]:
    for call in one.calls:
        yield call
        for inner in call.agents:
            yield from _calls(inner)


def _conversation(one: AgentConversation, steps: dict[str, str], full: bool) -> Iterator[Line]:
    for number, call in enumerate(one.calls):
        if number:
            yield "", ""
        if full or call.mark != "auxiliary":
            yield from _parts(call.new_parts, full)
        yield _heading(call, steps)
        left = list(call.agents)
        for part in call.reply:
            yield from _parts((part,), full)
            begun = [agent for agent in left if part.kind == "tool_call" and agent.begun_by == (part.id or part.name)]
            left = [agent for agent in left if agent not in begun]
            for agent in begun:
                yield from _agent(agent, steps, full)
        if call.failed:
            yield _failure(call), _FAILED
        for agent in left:
            yield from _agent(agent, steps, full)


def _agent(one: AgentConversation, steps: dict[str, str], full: bool) -> Iterator[Line]:
    """A sub-agent's conversation, indented."""
    yield f"{_RAIL}{line(one.agent or 'sub-agent')}", "bold"
    for text, style in _conversation(one, steps, full):
        yield f"{_RAIL}{text}".rstrip(), style


def _heading(call: ReadCall, steps: dict[str, str]) -> Line:
    facts = [_name(call), call.model, duration(call.duration) if call.duration is not None else None]
    if call.mark is not None:
        again = steps.get(call.repeats or "")
        facts.append(_BESIDE.get(call.mark, call.mark) + (f" of {again}" if again else ""))
    if not call.failed and call.outcome not in ("ok", None):
        facts.append(call.outcome)
    return line(", ".join(filter(None, facts))), _CALL


def _name(call: ReadCall) -> str:
    return f"#{call.step}" if call.step is not None else call.id


def _failure(call: ReadCall) -> str:
    error = call.error or {}
    how = "error" if call.outcome == "ok" else call.outcome
    return _labelled("failed", line(": ".join(filter(None, (how, error.get("type"), error.get("message"))))))


def _parts(parts: Sequence[ShownPart], full: bool) -> Iterator[Line]:
    for kind, some in groupby(parts, key=_row_kind):
        yield from _run(kind, list(some), full)


def _row_kind(part: ShownPart) -> str:
    return "context" if part.words == "" else part.kind


def _run(kind: str, parts: list[ShownPart], full: bool) -> Iterator[Line]:
    """Parts of one kind that stand one behind the other."""
    if kind == "tool_definition":
        names = [part.name or "?" for part in parts]
        more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED and not full else ""
        offered = f"{', '.join(names if full else names[:_NAMED])}{more}"
        yield _labelled("tools", f"{line(offered)} ({size(sum(part.bytes for part in parts))})"), _FOLDED
        return
    if kind in ("system", "context", "media", "other") and not full:
        yield _labelled(kind, _folded(parts)), _FOLDED
        return
    for part in parts:
        yield from _part(kind, part, full)


def _part(kind: str, part: ShownPart, full: bool) -> Iterator[Line]:
    match kind:
        case "reasoning":
            yield from _text("thinking", part, full=full, folds=True, style="dim italic")
        case "tool_call":
            yield f"→ {line(part.name or '?')}({_arguments(part.text, full)})", _TOOL
        case "tool_result":
            name = f"← {line(part.name or 'result')}"
            if full:
                yield f"{name}{': error' if part.error else ''}", _FAILED if part.error else _FOLDED
                yield from (("    " + line(one), "") for one in (part.text or "").splitlines())
            else:
                stated = "error: " if part.error else ""
                yield f"{name}: {stated}{_folded([part])}", _FAILED if part.error else _FOLDED
        case "text":
            yield from _text(part.role or "user", part, full=full, style=_USER if part.role == "user" else "")
        case _:
            yield from _text(kind, part, full=full, style=_FOLDED)


def _text(who: str, part: ShownPart, *, full: bool, folds: bool = False, style: str = "") -> Iterator[Line]:
    """A text under the name of who said it."""
    if part.text is None or (folds and not full):
        yield _labelled(who, _folded([part])), style
        return
    lines = (part.text if full or part.words is None else part.words).strip().splitlines()
    beginning = lines if full else lines[:SHOWN]
    for number, one in enumerate(beginning):
        yield _labelled(who if not number else "", line(one)), style
    if more := len(lines) - len(beginning):
        yield _labelled("", f"{ellipsis()} {plural(more, 'more line')}: --full shows all"), _FOLDED


def _folded(parts: Sequence[ShownPart]) -> str:
    """Texts as one line: the beginning of the first, and how much there is."""
    texts = [part.text for part in parts if part.text]
    first = " ".join(texts[0][: LONGEST * 8].split()) if texts else parts[0].name or ""
    octets, count = sum(part.bytes for part in parts), sum(text.count("\n") + 1 for text in texts)
    whole = len(texts) < 2 and len(first) <= LONGEST and count == 1
    if whole and texts:
        return line(first)
    amount = f"{plural(count, 'line')}, {size(octets)}" if count > 1 else size(octets)
    return f"{line(cut(first, LONGEST))} ({amount})"


def _arguments(text: str | None, full: bool) -> str:
    """The arguments of a tool call on a line: names and short values."""
    given, problem = parse(text) if text else (None, None)
    if full or problem is not None or not isinstance(given, dict):
        return line(text or "") if full else line(cut(text or "", LONGEST))
    short = ", ".join(f"{name}: {cut(_value(value), _LONGEST_ARGUMENT)}" for name, value in given.items())
    return line(cut(short, LONGEST))


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _labelled(who: str, text: str) -> str:
    return f"{who:<{LABEL}}{text}".rstrip() if who or text else ""
