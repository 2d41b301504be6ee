"""Recorded calls and turns as spans: ids, times, names, parents, and the attributes that say where each belongs.

A turn is a trace. Its root stands for the turn; below it are, each where it belongs,

    a call      as soon as it has ended. Its parent is the span of its sub-agent, else of its path, else the root
    a path      a level of the session's path tree, `/course` and below it `/course/outline`, of calls of no agent
    an agent    a sub-agent's work in this turn, below the tool that began it
    a tool      as observed: between the reply that asked for it and the request that brought its result

All ids are derived from the log's, so that the same call or turn is always the same span, whoever sends it and however
often; a parent's id needs nothing but the call itself. `turn_spans` gives all but the calls, and is asked once the turn
is complete: several readers insert a span once and never change it.

The conventions' own attributes are added by the functions of `attributes/`, which look at `Span.of`. Unknown is left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sessiontap.push.observed_tools import ObservedTool, observed_tools
from sessiontap.push.span_facts import (
    Attributes,
    AttributeValue,
    call_facts,
    call_name,
    error_words,
    exception,
    known,
    labels,
)
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.span_ids import span_id, trace_id
from sessiontap.trace.outcomes import end, is_error, is_main

SURE = frozenset(("declared", "exact", "strong"))
"""Evidence on which a conversation's id may be told to others. One that is merely likely would be an invention."""


@dataclass(frozen=True, slots=True)
class AgentWork:
    """The calls of one sub-agent within a turn."""

    name: str
    calls: tuple[PushedCall, ...]


@dataclass(frozen=True, slots=True)
class PathLevel:
    """A level of the path tree, and the calls of a turn at it or below."""

    path: str
    calls: tuple[PushedCall, ...]


Subject = PushedCall | ObservedTool | AgentWork | PathLevel | UserTurn


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A moment within a span."""

    name: str
    time: int
    """Unix nanoseconds."""
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """A span in plain values. Times are Unix nanoseconds."""

    trace_id: str
    """32 hex digits (`span_ids`)."""
    id: str
    """16 hex digits."""
    parent_id: str | None
    """None: it is its trace's root."""
    name: str
    kind: Literal["client", "internal"]
    start: int
    end: int
    status: Literal["unset", "ok", "error"]
    """`ok`: it came to its end; `unset`: that is not known, or the app itself did not wait for it."""
    message: str
    """The error; empty if there was none, or nobody said which."""
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    of: Subject
    call_id: str
    """The call that it tells of; of what belongs to a turn as a whole, the turn's id."""


Convention = Callable[[Span], Attributes]
"""Returns the attributes that a convention has for a span. It adds none whose value is unknown."""


def with_conventions(span: Span, conventions: Iterable[Convention]) -> Span:
    """Return the span with the attributes of these conventions, too."""
    attributes = dict(span.attributes)
    for convention in conventions:
        attributes |= convention(span)
    return replace(span, attributes=attributes)


def call_span(call: PushedCall) -> Span:
    """Return the span of a call that has ended."""
    row, record = call.call.row, call.call.record
    start = int(record["time"])
    failed = is_error(record)
    message = error_words(call) if failed else ""
    return Span(
        trace_id(call.turn),
        span_id(call.call.id),
        _place(call),
        call_name(call),
        "client",
        start,
        end(record),
        "error" if failed else "ok" if row["outcome"] == "ok" else "unset",
        message,
        {**labels((call,)), **call_facts(call)},
        (SpanEvent("exception", end(record), exception(call, message)),) if failed else (),
        call,
        call.call.id,
    )


def turn_spans(turn: UserTurn) -> list[Span]:
    """Return the spans of a complete turn that are no calls', its root last."""
    tools = observed_tools(turn.calls)
    spans = [_tool_span(tool, turn) for tool in tools]
    spans += _path_spans(turn, tools)
    spans += _agent_spans(turn, tools)
    last = next((call for call in reversed(turn.calls) if is_main(call.call.record)), turn.calls[-1])
    failed, well = is_error(last.call.record), last.call.row["outcome"] == "ok"
    times = [time for call in turn.calls for time in (int(call.call.record["time"]), end(call.call.record))]
    facts = known({"sessiontap.turn.number": turn.first.number, "sessiontap.session.title": turn.first.title})
    root = Span(
        trace_id(turn.id),
        root_id(turn.id),
        None,
        _root_name(turn),
        "internal",
        min(times),
        max(times),
        "error" if failed else "ok" if well else "unset",
        call_span(last).message if failed else "",
        {**labels(turn.calls), **facts, "sessiontap.turn.calls": len(turn.calls)},
        (),
        turn,
        turn.id,
    )
    return [*spans, root]


def root_id(turn: str) -> str:
    """Return the id of a turn's root span."""
    return span_id(f"turn\0{turn}")


def agent_of(turn: UserTurn) -> str | None:
    """Return the known agent whose turn it is; None for any other program."""
    return next((str(agent) for call in turn.calls if (agent := call.call.row["agent"])), None)


def has_sure_conversation(call: PushedCall) -> bool:
    """Return True if the call's conversation is known well enough to be told."""
    return call.call.row["conversation"] is not None and call.call.row["evidence"] in SURE


# Places: each is known by the call alone, since a call is sent before its turn is complete.


def _agent_key(call: PushedCall) -> str | None:
    """The sub-agent whose call it is, among those of its turn; None for the main agent."""
    row = call.call.row
    return str(row["conversation"] or row["subagent"]) if row["subagent"] is not None else None


def _path_levels(call: PushedCall) -> list[str]:
    """The levels of a call's path that are shown as spans, the upper first. Agents are their own tree."""
    row = call.call.row
    if row["agent"] is not None or row["subagent"] is not None:
        return []
    names = [name for name in str(row["path"] or "").split("/") if name]
    return ["/" + "/".join(names[: depth + 1]) for depth in range(len(names))]


def _agent_id(turn: str, key: str) -> str:
    return span_id(f"agent\0{turn}\0{key}")


def _path_id(turn: str, path: str) -> str:
    return span_id(f"path\0{turn}\0{path}")


def _place(call: PushedCall) -> str:
    """The span that a call belongs to."""
    if (agent := _agent_key(call)) is not None:
        return _agent_id(call.turn, agent)
    if levels := _path_levels(call):
        return _path_id(call.turn, levels[-1])
    return root_id(call.turn)


# Spans


def _tool_id(tool: ObservedTool) -> str:
    return span_id(f"tool\0{tool.asked.call.id}\0{tool.number}")


def _tool_span(tool: ObservedTool, turn: UserTurn) -> Span:
    facts: dict[str, AttributeValue] = {
        "sessiontap.time_inferred": True,
        "sessiontap.tool.asked_by": tool.asked.call.id,
        "sessiontap.tool.answered_by": tool.answered.call.id,
        "sessiontap.tool.together_with": tool.beside,
    }
    failed = tool.error is True
    return Span(
        trace_id(turn.id),
        _tool_id(tool),
        _place(tool.asked),
        f"execute_tool {tool.name}",
        "internal",
        tool.start,
        tool.end,
        "error" if failed else "ok" if tool.error is False else "unset",
        "the tool's result says that it is an error" if failed else "",
        {**labels((tool.asked,)), **facts},
        (),
        tool,
        turn.id,
    )


def _path_spans(turn: UserTurn, tools: Sequence[ObservedTool]) -> list[Span]:
    levels: dict[str, list[PushedCall]] = {}
    for call in turn.calls:
        for level in _path_levels(call):
            levels.setdefault(level, []).append(call)
    found = []
    for path, calls in levels.items():
        above = path.rpartition("/")[0]
        parent = _path_id(turn.id, above) if above else root_id(turn.id)
        work = PathLevel(path, tuple(calls))
        span = _span_of_calls(turn, _path_id(turn.id, path), parent, path.rpartition("/")[2], work, tools)
        found.append(replace(span, attributes={**span.attributes, "sessiontap.session.path": path}))
    return found


def _agent_spans(turn: UserTurn, tools: Sequence[ObservedTool]) -> list[Span]:
    agents: dict[str, list[PushedCall]] = {}
    for call in turn.calls:
        if (key := _agent_key(call)) is not None:
            agents.setdefault(key, []).append(call)
    found = []
    for key, calls in agents.items():
        name = str(calls[0].call.row["subagent"])
        parent = _begun_by(turn, calls, tools)
        work = AgentWork(name, tuple(calls))
        found.append(_span_of_calls(turn, _agent_id(turn.id, key), parent, f"invoke_agent {name}", work, tools))
    return found


def _begun_by(turn: UserTurn, calls: Sequence[PushedCall], tools: Sequence[ObservedTool]) -> str:
    """The span below which a sub-agent's is: the tool that began it; if it is not known which, its asker's place."""
    order = {call.call.id: at for at, call in enumerate(turn.calls)}
    first = calls[0]
    parent = next((call.call.row["parent"] for call in calls if call.call.row["kind"] == "subagent"), None)
    asker = turn.calls[order[parent]] if parent in order else None
    if asker is None or order[asker.call.id] >= order[first.call.id]:
        return root_id(turn.id)
    start, finish = int(first.call.record["time"]), max(end(call.call.record) for call in calls)
    around = [one for one in tools if one.asked is asker and one.start <= start and finish <= one.end]
    opened = _opening(first)
    opening = [one for one in around if opened and one.arguments and opened in one.arguments]
    fitting = opening or around
    return _tool_id(fitting[0]) if len(fitting) == 1 else _place(asker)


def _opening(call: PushedCall) -> str | None:
    """The beginning of a sub-agent's first message, as it stands in JSON; None without parts."""
    parts = call.parts.request if call.parts else ()
    texts = (one.text for one in parts if one.kind == "text" and one.role == "user")
    first = next((text.strip() for text in texts if text and text.strip()), None)
    return first.splitlines()[0][:80].replace("\\", "\\\\").replace('"', '\\"') if first else None


def _span_of_calls(
    turn: UserTurn, id: str, parent: str, name: str, of: AgentWork | PathLevel, tools: Sequence[ObservedTool]
) -> Span:
    """A span around calls and the tools that they asked for. It failed if the last of them did."""
    own = {call.call.id for call in of.calls}
    ends = [end(call.call.record) for call in of.calls] + [one.end for one in tools if one.asked.call.id in own]
    last = call_span(of.calls[-1])
    return Span(
        trace_id(turn.id),
        id,
        parent,
        name,
        "internal",
        int(of.calls[0].call.record["time"]),
        max(ends),
        last.status,
        last.message,
        labels(of.calls),
        (),
        of,
        turn.id,
    )


def _root_name(turn: UserTurn) -> str:
    agent = agent_of(turn)
    if agent is not None:
        return f"invoke_agent {agent}"
    row = turn.first.call.row
    return str(row["session_name"] or (row["process"] or {}).get("name") or "turn")
